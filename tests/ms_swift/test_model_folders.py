"""A checkpoint's name tells all that shapes its answers; a folder that is no model is one line."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from limited_models import PIXELS, changed_json, forget_limits, make_limited_model, published
from PIL import Image

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin import prompts
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.checkpoints import CheckpointError, Settings, differences, is_hub_name, read_checkpoint
from swift_zoomin.detection import Detector
from swift_zoomin.detection.engine import SwiftEngine
from swift_zoomin.families import QWEN2_5_VL, Frame


@pytest.fixture(autouse=True)
def no_limit_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_limits(monkeypatch)


@pytest.fixture
def limited_model(model_dir: Path, tmp_path: Path) -> Path:
    return make_limited_model(model_dir, tmp_path / "model")


def test_a_model_of_other_prompts_is_named(limited_model: Path) -> None:
    kept = Settings(PixelLimits(3136, PIXELS, QWEN2_5_VL), "0badc0de")
    asks = (
        f"the model was trained with prompts 0badc0de; this version asks with prompts {prompts.version(Frame.ABSOLUTE)}"
    )
    assert list(differences(kept)) == [asks]


def test_a_checkpoint_is_named_by_what_is_in_it_wherever_it_lies(limited_model: Path, tmp_path: Path) -> None:
    name = read_checkpoint(limited_model).name_with_hash()
    moved = shutil.copytree(limited_model, tmp_path / "elsewhere" / "model")
    assert read_checkpoint(moved).name_with_hash() == name
    size = (moved / "model.safetensors").stat().st_size
    for place in (size // 3, size // 2, size - 4):  # one layer alone may have been trained
        with (moved / "model.safetensors").open("r+b") as weights:
            weights.seek(place)
            weights.write(b"\x01\x02\x03\x04")
        changed = read_checkpoint(moved).name_with_hash()
        assert changed != name
        name = changed


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("generation_config.json", {"repetition_penalty": 5.0}),
        ("config.json", {"tie_word_embeddings": False}),
        ("tokenizer_config.json", {"add_prefix_space": True}),
        ("processor_config.json", {"image_processor": {"image_mean": [0, 0, 0]}}),
        ("args.json", {"swift_version": "4.6.0", "system": "Say it in rhyme."}),
        ("args.json", {"swift_version": "4.6.0", "response_prefix": "Well, "}),
    ],
)
def test_what_shapes_an_answer_beside_the_weights_is_in_the_name(
    file: str, fields: dict[str, Any], limited_model: Path
) -> None:
    """Rewritten in place between two runs, it would else mix two models' answers in one file."""
    name = read_checkpoint(limited_model).name_with_hash()
    changed_json(limited_model / file, **fields)
    assert read_checkpoint(limited_model).name_with_hash() != name


def test_an_adapter_is_named_by_itself_and_its_base_wherever_they_lie(limited_model: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"1")
    changed_json(adapter / "adapter_config.json", base_model_name_or_path=str(limited_model), lora_alpha=8)
    names = {read_checkpoint(adapter).name_with_hash()}
    elsewhere = shutil.copytree(limited_model, tmp_path / "elsewhere")
    changed_json(adapter / "adapter_config.json", base_model_name_or_path=str(elsewhere))
    changed_json(adapter / "args.json", swift_version="4.6.0", output_dir="another")
    assert {read_checkpoint(adapter).name_with_hash()} == names
    (adapter / "adapter_model.safetensors").write_bytes(b"2")  # trained again in place
    names.add(read_checkpoint(adapter).name_with_hash())
    changed_json(adapter / "adapter_config.json", lora_alpha=16)
    names.add(read_checkpoint(adapter).name_with_hash())
    changed_json(elsewhere / "generation_config.json", repetition_penalty=2.0)
    names.add(read_checkpoint(adapter).name_with_hash())
    assert len(names) == 4


def unusable_folders(model: Path, folder: Path) -> Iterator[tuple[Path, str]]:
    """A folder that looks like a model until it is loaded, and what is said of it."""
    for file, said in (
        ("processor_config.json", "no image processor; expected one of processor_config.json and preprocessor_config"),
        ("tokenizer.json", "transformers cannot load it"),
        ("model.safetensors", "transformers cannot load it"),
    ):
        copy = shutil.copytree(model, folder / f"without {file}")
        (copy / file).unlink()
        yield copy, said
    copy = shutil.copytree(model, folder / "no tokens")
    for file in copy.glob("tokenizer*"):
        file.unlink()
    yield copy, "a tokenizer without tokens"
    (folder / "adapter").mkdir()
    changed_json(folder / "adapter" / "adapter_config.json", base_model_name_or_path=str(model), peft_type="LORA")
    yield folder / "adapter", "an adapter without weights"
    (folder / "newer").mkdir()
    (folder / "newer" / "adapter_model.safetensors").write_bytes(b"1")
    changed_json(folder / "newer" / "adapter_config.json", base_model_name_or_path=str(model), peft_type="NEWER")
    yield folder / "newer", "transformers cannot load it (KeyError: 'NEWER')"


def test_a_model_that_lacks_a_part_is_one_line(model_dir: Path, tmp_path: Path) -> None:
    for folder, said in unusable_folders(model_dir, tmp_path):
        with pytest.raises(CheckpointError) as refused:
            SwiftEngine(read_checkpoint(folder), "transformers", max_new_tokens=4)
        assert said in str(refused.value), folder.name
        assert str(refused.value).startswith(f"{folder}: ")
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("args", [{"template": "qwen2_5_vl"}, {"template": "gone"}, {}])
def test_a_checkpoint_tuned_with_another_template_is_asked_as_ours(
    args: dict[str, Any], model_dir: Path, limited_model: Path, tmp_path: Path
) -> None:
    """An engine of ms-swift's takes the template that args.json names, if it is left to itself."""
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "a.png")
    expected = replies_of(limited_model, tmp_path / "a.png")
    changed_json(limited_model / "args.json", swift_version="4.6.0", use_chat_template=True, **args)
    assert replies_of(limited_model, tmp_path / "a.png") == expected
    (limited_model / "args.json").write_text("[]")  # as another program may name a file of its own
    assert replies_of(limited_model, tmp_path / "a.png") == expected
    changed_json(tmp_path / "args.json", swift_version="4.6.0", use_chat_template=True, system="Rhyme.", **args)
    shutil.copy(tmp_path / "args.json", limited_model)
    assert replies_of(limited_model, tmp_path / "a.png") != expected  # what else it says, holds


def replies_of(model: Path, image: Path) -> list[str]:
    [prediction] = Detector(model=str(model), max_new_tokens=8).detect([str(image)])
    return prediction["replies"]


def test_a_large_file_of_weights_is_told_by_samples_all_over(tmp_path: Path) -> None:
    folder = published(tmp_path / "model")
    content = bytearray(40 << 20)
    names = set()
    for place in (0, 1 << 20, 20 << 20, (40 << 20) - 50_000):
        content[place : place + 50_000] = b"\x01" * 50_000  # a layer
        (folder / "model.safetensors").write_bytes(content)
        names.add(read_checkpoint(folder).name_with_hash())
    assert len(names) == 4


def faulty_folders(folder: Path) -> Iterator[tuple[str, str]]:
    """A path that is no model, and what is said of it after its name."""
    yield "absent", "no such model folder"
    (folder / "empty").mkdir()
    yield "empty", "holds no model (no config.json, no adapter_config.json)"
    (folder / "run" / "checkpoint-20").mkdir(parents=True)
    yield "run", f"did you mean {folder / 'run' / 'checkpoint-20'}?"
    (folder / "other").mkdir()
    (folder / "other" / "config.json").write_text('{"model_type": "qwen2_vl"}')
    yield "other", "a model of type qwen2_vl; expected one of qwen2_5_vl (Qwen2.5-VL), qwen3_vl (Qwen3-VL), qwen3_5"
    (folder / "broken").mkdir()
    (folder / "broken" / "config.json").write_text("{")
    yield "broken", "cannot be read"
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text('{"base_model_name_or_path": "/no/such"}')
    yield "adapter", "a LoRA adapter of /no/such, which is no folder here"


def test_a_folder_that_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    for name, said in faulty_folders(tmp_path):
        with pytest.raises(CheckpointError) as refused:
            read_checkpoint(tmp_path / name)
        assert said in str(refused.value), name
        assert "\n" not in str(refused.value)
        assert str(tmp_path / name) in str(refused.value)


@pytest.mark.parametrize("place", ["processor_config.json", "args.json"])
def test_a_model_that_was_trained_as_one_of_another_family_is_refused(place: str, tmp_path: Path) -> None:
    """Its boxes would be read in the wrong frame."""
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_vl"}')
    mark = {"min_pixels": 4096, "max_pixels": 262144, "prompts": "1a2b3c4d", "family": "Qwen2.5-VL"}
    says = {"zoomin": mark} if place == "args.json" else {"image_processor": {"zoomin": mark}}
    (tmp_path / place).write_text(json.dumps(says))
    with pytest.raises(CheckpointError, match=r"trained as a Qwen2\.5-VL, which .*; its model is a Qwen3-VL; expected"):
        read_checkpoint(tmp_path)


def test_an_adapter_is_not_given_to_vllm(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(model_dir)}))
    with pytest.raises(CheckpointError, match=r"vision tower; .* swift export --adapters .* --merge_lora true"):
        SwiftEngine(read_checkpoint(tmp_path), "vllm", max_new_tokens=4)


def test_a_kind_of_engine_that_is_none_is_refused(model_dir: Path) -> None:
    with pytest.raises(ValueError, match=r"engine 'vLLM'; expected transformers or vllm, or an Engine"):
        Detector(str(model_dir), engine="vLLM")


def test_a_damaged_model_is_one_line(model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(CheckpointError, match=r"transformers cannot load it \(.*\)") as refused:
        SwiftEngine(read_checkpoint(folder), "transformers", max_new_tokens=4)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("model", "expected"),
    [("Qwen/Qwen2.5-VL-7B-Instruct", True), ("output/sft", False), ("/data/model", False), ("model", False)],
)
def test_a_mistyped_folder_is_not_looked_for_on_a_hub(
    model: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "output").mkdir()
    assert is_hub_name(model) == expected
