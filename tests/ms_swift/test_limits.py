"""The pixel limits of a model: every way to give them ends in the right box, or is refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import COMMON, FIRST_LOOK_PIXELS, SFT, child_environment, logged, run_swift
from limited_models import PIXELS, TOKENS, forget_limits, make_limited_model, published
from PIL import Image
from qwen_vl_utils.vision_process import smart_resize
from swift.model import get_processor
from swift.template import get_template
from swift.utils import logger as swift_logger

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin import prompts
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.checkpoints import (
    CheckpointError,
    Settings,
    differences,
    read_checkpoint,
    read_settings,
    settings_in_force,
)
from swift_zoomin.detection import Detector
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.families import QWEN2_5_VL, QWEN3_VL, Frame
from swift_zoomin.records import read_records


@pytest.fixture(autouse=True)
def no_limit_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_limits(monkeypatch)


@pytest.fixture
def limited_model(model_dir: Path, tmp_path: Path) -> Path:
    return make_limited_model(model_dir, tmp_path / "model")


MODEL_KWARGS = [f'{{"max_pixels": {PIXELS}}}', f'{{"image_max_token_num": {TOKENS}}}']


def shown(model: Path, benchmark_dir: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    command = [
        *(sys.executable, str(Path(__file__).parent / "show_row.py"), *SFT[1:], *COMMON, "--model", str(model)),
        *(
            "--dataset",
            f"{benchmark_dir}/train/records.jsonl:sft",
            "--dataset_shuffle",
            "false",
            "--remove_unused_columns",
            "false",
        ),
        *("--output_dir", str(model.parent / "out"), *arguments),
    ]
    done = subprocess.run(command, env=child_environment(**environment), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1500:]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("SHOWN ")]
    return json.loads(line.removeprefix("SHOWN "))


WAYS: dict[str, tuple[list[str], dict[str, str]]] = {
    "checkpoint": ([], {}),
    "MAX_PIXELS": ([], {"MAX_PIXELS": str(PIXELS)}),
    "IMAGE_MAX_TOKEN_NUM": ([], {"IMAGE_MAX_TOKEN_NUM": str(TOKENS)}),
    "--max_pixels": (["--max_pixels", str(PIXELS)], {}),
    "--model_kwargs in pixels": (["--model_kwargs", MODEL_KWARGS[0]], {}),
    "--model_kwargs in tokens": (["--model_kwargs", MODEL_KWARGS[1]], {}),
}


@pytest.mark.swift
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_giving_the_limit_teaches_and_rewards_the_right_box(
    way: str, model_dir: Path, limited_model: Path, benchmark_dir: Path
) -> None:
    arguments, environment = WAYS[way]
    model = limited_model if way == "checkpoint" else model_dir
    seen = shown(model, benchmark_dir, *arguments, **environment)
    record = read_records(benchmark_dir / "train/records.jsonl")[0]
    assert record.boxes_px
    side = record.image.size[0]
    expected = smart_resize(side, side, 28, 3136, PIXELS)
    assert tuple(seen["whole"]) == expected
    for box_model, box_px in zip(seen["boxes"], record.boxes_px, strict=True):
        for edge_model, edge_px in zip(box_model, box_px, strict=True):
            assert abs(edge_model - edge_px * expected[0] / side) <= 1
    assert seen["iou"] > 0.8  # of whole model pixels, so not quite 1
    assert len(seen["crops"]) == len(record.boxes_px)
    assert all(width * height <= PIXELS for width, height in seen["crops"])


@pytest.mark.swift
def test_a_cached_data_set_of_another_limit_is_refused(model_dir: Path, benchmark_dir: Path, tmp_path: Path) -> None:
    common = ["--custom_register_path", "swift_zoomin", "--model_type", "qwen2_5_vl", "--template", "zoomin"]
    data = f"{benchmark_dir}/train/records.jsonl:sft"
    cached = tmp_path / "cached"
    run_swift(
        *("export", *common, "--torch_dtype", "float32", "--model", model_dir, "--dataset", data),
        *("--to_cached_dataset", "true", "--output_dir", cached),
        MAX_PIXELS=FIRST_LOOK_PIXELS,
    )
    train = ["--model", model_dir, "--cached_dataset", cached / "train", "--max_steps", 1]
    printed = run_swift(*(*SFT, *COMMON, *train, "--output_dir", tmp_path / "out"), MAX_PIXELS=str(PIXELS), fails=True)
    assert printed.splitlines()[-1].startswith("swift_zoomin: ")
    assert f"prepared for a model that is shown 3136-12544 pixels; this one is shown 3136-{PIXELS}" in printed


@pytest.mark.swift
def test_data_workers_that_are_spawned_know_the_limit(model_dir: Path, benchmark_dir: Path, tmp_path: Path) -> None:
    """They inherit nothing of what this process has loaded, other than the template itself."""
    losses = {}
    for context in ("fork", "spawn"):
        data = ["--dataset", f"{benchmark_dir}/train/records.jsonl:sft", "--dataloader_num_workers", 1]
        run_swift(
            *(*SFT, *COMMON, "--model", model_dir, *data, "--dataloader_multiprocessing_context", context),
            *("--output_dir", tmp_path / context, "--max_steps", 3, "--per_device_train_batch_size", 4),
            MAX_PIXELS=FIRST_LOOK_PIXELS,
        )
        losses[context] = [step["loss"] for step in logged(tmp_path / context)]
    assert len(losses["fork"]) == 3
    assert losses["spawn"] == losses["fork"]


class OwnEngine:
    """An engine of somebody else's that marks one box in what it was shown."""

    def __init__(self, limits: PixelLimits) -> None:
        self.limits = limits

    async def answer(self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None) -> Answer:
        text = "<explanation>.</explanation><regions>[[56, 0, 112, 56]]</regions><verdict>real</verdict>"
        return Answer(text, [1], cut=False)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("pixels", "box"), [(12544, [224, 0, 448, 224]), (50176, [112, 0, 224, 112])])
def test_boxes_of_an_own_engine_lie_where_it_saw_them(tmp_path: Path, pixels: int, box: list[float]) -> None:
    """448 x 448 shown as 112 x 112 or as 224 x 224: times 4, times 2."""
    Image.new("RGB", (448, 448)).save(tmp_path / "a.png")
    [prediction] = Detector(engine=OwnEngine(PixelLimits(3136, pixels, QWEN2_5_VL))).detect([str(tmp_path / "a.png")])
    assert prediction["boxes"] == [box]


def test_the_environment_wins_over_the_checkpoint_and_that_is_said(
    limited_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = read_settings(limited_model, QWEN2_5_VL)
    assert kept == Settings(PixelLimits(3136, PIXELS, QWEN2_5_VL), prompts.version(Frame.ABSOLUTE))
    assert settings_in_force(kept) == kept
    assert list(differences(kept)) == []
    monkeypatch.setenv("MAX_PIXELS", "13000")  # 16 whole tokens
    assert settings_in_force(kept).limits == PixelLimits(3136, 12544, QWEN2_5_VL)
    shows = "the environment shows the model 3136-12544 pixels of an image; it was trained with 3136-50176"
    assert list(differences(kept)) == [shows]
    monkeypatch.setenv("IMAGE_MAX_TOKEN_NUM", "20")  # ms-swift asks this first
    assert settings_in_force(kept).limits == PixelLimits(3136, 15680, QWEN2_5_VL)


def test_a_published_model_has_its_own_limits_and_nothing_to_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = read_settings(published(tmp_path / "model", min_pixels=3136, max_pixels=12845056), QWEN2_5_VL)
    assert kept == Settings(PixelLimits(3136, 12845056, QWEN2_5_VL), None)
    monkeypatch.setenv("MAX_PIXELS", "262144")
    assert list(differences(kept)) == []


def test_a_model_that_says_no_limits_has_those_of_its_family(tmp_path: Path) -> None:
    assert read_settings(published(tmp_path / "model"), QWEN2_5_VL).limits == PixelLimits(
        4 * 784, 16384 * 784, QWEN2_5_VL
    )


def test_what_args_json_says_of_an_adapter_wins_over_the_base_models_processor(limited_model: Path) -> None:
    """As in a merged model, whose processor is the base model's."""
    mark = {"min_pixels": 3136, "max_pixels": 12544, "prompts": "1a2b3c4d"}
    (limited_model / "args.json").write_text(json.dumps({"tuner_type": "lora", "zoomin": mark}))
    assert read_settings(limited_model, QWEN2_5_VL) == Settings(PixelLimits(3136, 12544, QWEN2_5_VL), "1a2b3c4d")


@pytest.mark.parametrize(("name", "text"), [("MAX_PIXELS", "0"), ("MAX_PIXELS", "512"), ("IMAGE_MAX_TOKEN_NUM", "0")])
def test_a_limit_below_one_token_is_refused(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """512 is a side, not a number of pixels."""
    monkeypatch.setenv(name, text)
    with pytest.raises(CheckpointError, match=f"{name}={text}: less than one token of 28 x 28 pixels"):
        settings_in_force(Settings(PixelLimits(3136, PIXELS, QWEN2_5_VL)))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("args.json", {"zoomin": {"min_pixels": 1}}),
        ("processor_config.json", {"image_processor": {"size": {"longest_edge": "many"}}}),
        ("preprocessor_config.json", {"min_pixels": 4000, "max_pixels": 3136}),
    ],
)
def test_limits_that_make_no_sense_are_named_with_their_file(tmp_path: Path, file: str, content: dict) -> None:
    folder = published(tmp_path / "model")
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=rf"{file}: pixel limits .*; expected two whole numbers in order"):
        read_settings(folder, QWEN2_5_VL)


def test_an_adapter_that_says_nothing_has_its_base_models_limits(limited_model: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(limited_model)}))
    expected = Settings(PixelLimits(3136, PIXELS, QWEN2_5_VL), prompts.version(Frame.ABSOLUTE))
    assert read_checkpoint(adapter).settings == expected


def template_of(model: Path, **options: Any) -> Any:
    return get_template(get_processor(str(model), model_type="qwen2_5_vl"), template_type="zoomin", **options)


@pytest.mark.parametrize("option", ["--adapters", "--resume_from_checkpoint"])
def test_what_lies_on_top_of_a_model_says_the_limit(
    option: str, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = prompts.version(Frame.ABSOLUTE)
    mark = {"min_pixels": 3136, "max_pixels": 12544, "prompts": version, "family": "Qwen2.5-VL"}
    (tmp_path / "args.json").write_text(json.dumps({"zoomin": mark}))
    monkeypatch.setattr("sys.argv", ["sft.py", "--model", str(model_dir), option, str(tmp_path)])
    assert template_of(model_dir).settings.limits == PixelLimits(3136, 12544, QWEN2_5_VL)


def test_max_pixels_lowers_the_limit_and_says_so(
    limited_model: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swift_logger, "warning_set", set())  # ms-swift remembers what it said once
    lowered = template_of(limited_model, max_pixels=13000).settings.limits
    assert lowered == PixelLimits(3136, 12544, QWEN2_5_VL)  # 16 whole tokens
    assert template_of(limited_model, max_pixels=200704).settings.limits == PixelLimits(3136, PIXELS, QWEN2_5_VL)
    said = [message for message in caplog.messages if "--max_pixels" in message]
    assert said == [
        "swift_zoomin: --max_pixels 13000: the model is shown 3136-12544 pixels of an image, instead of 3136-50176",
        "swift_zoomin: --max_pixels 200704: it does not lower the model's limits of 3136-50176 pixels; "
        "MAX_PIXELS raises them",
    ]


@pytest.mark.parametrize(("tokens", "expected"), [("16", 12 * 1024), ("12", 12 * 1024), ("20", 20 * 1024)])
def test_a_number_of_tokens_that_ms_swift_has_left_for_another_family_is_not_heeded(
    tokens: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes 16 of 12544 pixels for Qwen2.5-VL and 12 for Qwen3-VL, for the model loaded first; 20 is a user's."""
    monkeypatch.setenv("MAX_PIXELS", "12544")
    monkeypatch.setenv("IMAGE_MAX_TOKEN_NUM", tokens)
    assert settings_in_force(Settings(PixelLimits(4096, 262144, QWEN3_VL))).limits.max_pixels == expected


@pytest.mark.parametrize(
    ("tokens", "arguments"), [("256", []), ("", ["--model_kwargs", '{"image_max_token_num": 256}']), ("", [])]
)
def test_a_number_of_tokens_that_is_given_by_hand_is_heeded_beside_pixels(tokens: str, arguments: list[str]) -> None:
    """262144 pixels would be as many of Qwen3-VL's; what comes later is ms-swift's."""
    script = """import os
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.checkpoints import Settings, settings_in_force
from swift_zoomin.families import QWEN2_5_VL
os.environ["IMAGE_MAX_TOKEN_NUM"] = "256"
print(settings_in_force(Settings(PixelLimits(3136, 12544, QWEN2_5_VL))).limits.max_pixels)"""
    given = child_environment(MAX_PIXELS="262144", IMAGE_MAX_TOKEN_NUM=tokens)
    done = subprocess.run([sys.executable, "-c", script, *arguments], env=given, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{256 * 784 if tokens or arguments else 334 * 784}\n", "")


@pytest.mark.parametrize("text", ["many", "-1", "1e6", "²"])
def test_a_limit_that_is_no_number_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_PIXELS", text)
    with pytest.raises(CheckpointError, match=f"MAX_PIXELS={text}; expected a whole number"):
        settings_in_force(Settings(PixelLimits(3136, PIXELS, QWEN2_5_VL)))


def test_limits_the_wrong_way_round_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_PIXELS", "1568")
    with pytest.raises(CheckpointError, match="MIN_PIXELS 3136 is more than MAX_PIXELS 1568"):
        settings_in_force(Settings(PixelLimits(3136, PIXELS, QWEN2_5_VL)))


def test_a_model_of_another_family_is_refused_by_the_template(model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**config, "model_type": "qwen2_vl", "architectures": ["Qwen2VLForConditionalGeneration"]})
    )
    processor = get_processor(str(folder), model_type="qwen2_vl")
    with pytest.raises(
        CheckpointError,
        match=r"a model of type qwen2_vl; --template zoomin serves qwen2_5_vl \(Qwen2\.5-VL\), qwen3_vl",
    ):
        get_template(processor, template_type="zoomin")
