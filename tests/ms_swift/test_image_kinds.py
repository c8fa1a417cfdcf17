"""Every kind of image, end to end: through dataset, template, training and detection, or refused before training."""

import asyncio
import base64
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from conftest import COMMON, LIMITS, SFT, child_environment, logged, run_swift
from PIL import Image
from PIL.Image import Exif
from PIL.PngImagePlugin import PngInfo
from profiles import DISPLAY_P3, cmyk_profile, rgb_profile
from swift.infer_engine import RequestConfig, TransformersEngine
from swift.infer_engine.protocol import ChatCompletionResponseChoice, ChatMessage, RolloutInferRequest, RolloutOutput
from swift.model import get_processor
from swift.rl_core.data import OnPolicySample
from swift.rlhf_trainers.utils import encode_sample
from swift.rollout import run_multi_turn
from swift.template import Template, get_template

from swift_zoomin import prompts
from swift_zoomin.checkpoints import read_checkpoint
from swift_zoomin.cli import main
from swift_zoomin.detection.engine import SwiftEngine
from swift_zoomin.episode import Answer, Conversation, Episode
from swift_zoomin.families import Frame
from swift_zoomin.images import ImageError, ImageRef
from swift_zoomin.listing import list_images
from swift_zoomin.plugin.scheduler import ZoomInScheduler
from swift_zoomin.plugin.template import first_image
from swift_zoomin.records import read_records
from swift_zoomin.rows import records_to_rows

PIXELS = "262144"  # 512 x 512, as in the paper; the sandbox's limit is too low for a 20x4000 sliver

FIRST = "<explanation>.</explanation><regions>[[0, 0, 60, 60], [50, 40, 84, 130]]</regions><verdict>real</verdict>"
GIVEN: dict[str, Callable[[Path], Any]] = {  # the forms in which a sample may hold its first image
    "reference": lambda path: str(ImageRef.of(path).under(LIMITS)),
    "dictionary with path": lambda path: {"bytes": None, "path": str(path)},
    "dictionary with bytes": lambda path: {"bytes": path.read_bytes(), "path": path.name},
    "bytes": Path.read_bytes,
    "base64": lambda path: base64.b64encode(path.read_bytes()).decode(),
    "URI": lambda path: f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}",
    "Pillow": Image.open,
}


def colours(width: int, height: int) -> Image.Image:
    return Image.linear_gradient("L").resize((width, height)).convert("RGB")


def save_good(folder: Path) -> list[str]:
    """One file of each kind that must work; returns their names."""
    rotated = Exif()
    rotated[0x0112] = 6
    picture = colours(90, 60)
    picture.convert("RGBA").save(folder / "rgba.png")
    picture.convert("P").save(folder / "palette.png")
    picture.convert("L").save(folder / "grey.png")
    Image.frombytes("I;16", (64, 64), struct.pack("<4096H", *range(0, 65536, 16))).save(folder / "grey16.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.save(folder / "animated.gif", save_all=True, append_images=[colours(90, 60).rotate(180)])
    picture.save(folder / "picture.webp")
    picture.save(folder / "rotated.jpg", exif=rotated)
    picture.save(folder / "phone.heic", exif=rotated)
    picture.save(folder / "wide.png", icc_profile=rgb_profile(DISPLAY_P3))
    picture.convert("CMYK").save(folder / "press.tif", icc_profile=cmyk_profile())
    Image.linear_gradient("L").convert("F").point(lambda level: level / 255).save(folder / "float.tif")
    (folder / "no_end_mark.jpg").write_bytes((folder / "rotated.jpg").read_bytes()[:-2])
    texts = PngInfo()
    texts.add_text("workflow", "x" * 2_000_000, zip=True)
    picture.save(folder / "long_text.png", pnginfo=texts)
    colours(1, 1).save(folder / "one.png")
    colours(20, 4000).save(folder / "sliver.png")
    colours(4000, 3000).save(folder / "large.jpg")
    return sorted(path.name for path in folder.iterdir())


def save_bad(folder: Path) -> list[str]:
    """One file of each kind that must be refused; the last is not there at all."""
    picture = colours(400, 300)
    picture.save(folder / "whole.jpg")
    (folder / "truncated.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:-500])
    (folder / "whole.jpg").unlink()
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("not an image")
    picture.save(folder / "drawing.eps")
    os.mkfifo(folder / "pipe.png")
    Image.fromarray(np.array([[0.0, 1000.0]], np.float32)).save(folder / "heights.tif")
    Image.new("1", (20000, 10000)).save(folder / "bomb.png")  # 200 megapixels in 25 kB
    return [*sorted(path.name for path in folder.iterdir()), "missing.png"]


def write(folder: Path, names: list[str]) -> Path:
    rows = [
        {
            "image": name,
            "label": ("real", "generated")[index % 2],
            "explanation": "It is grey.",
            "boxes": [[0, 0, 1, 1]],
        }
        for index, name in enumerate(names)
    ]
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "records.jsonl"


@pytest.mark.swift
def test_every_good_kind_is_trained_on(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    names = save_good(tmp_path / "data")
    printed = run_swift(
        *(*SFT, *COMMON, "--model", model_dir, "--dataset", f"{write(tmp_path / 'data', names)}:sft"),
        *("--output_dir", tmp_path / "out", "--num_train_epochs", 1, "--per_device_train_batch_size", 2),
        *("--gradient_accumulation_steps", 1),
        *("--strict", "true"),
        MAX_PIXELS=PIXELS,
    )
    assert len(logged(tmp_path / "out")) == len(names)  # two rows an image, two rows a step
    assert "Error" not in printed.replace("log_level", "")


@pytest.mark.swift
def test_every_good_kind_is_looked_at_and_bad_ones_stop_nothing(trained_dir: Path, tmp_path: Path) -> None:
    bad = save_bad(tmp_path)
    names = [*save_good(tmp_path), "missing.png"]
    command = [sys.executable, "-m", "swift_zoomin.cli", "detect", *(tmp_path / name for name in names)]
    options = ["--model", trained_dir, "--max-new-tokens", "100", "--out", tmp_path / "predictions.jsonl"]
    done = subprocess.run([*command, *options], env=child_environment(MAX_PIXELS=PIXELS))
    assert done.returncode == 3  # some of them could not be read
    rows = map(json.loads, (tmp_path / "predictions.jsonl").read_text().splitlines())
    predictions = {prediction["image"]: prediction for prediction in rows}
    assert predictions.keys() == set(names)
    for name, prediction in predictions.items():
        if name in bad:
            assert name in prediction["error"]
            assert prediction["verdict"] is None
        else:
            # The tiny model may ramble about an image far larger than any it was trained on; then it was cut.
            assert prediction["error"] in (None, *(f"reply {turn} was cut by the length limit" for turn in (1, 2)))
            assert prediction["replies"]
            width, height = prediction["width"], prediction["height"]
            assert all(0 <= x1 <= x2 <= width and 0 <= y1 <= y2 <= height for x1, y1, x2, y2 in prediction["boxes"])


def test_crops_of_every_good_kind_reach_query_2(
    trained_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = save_good(tmp_path)
    monkeypatch.setenv("IMAGE_MAX_TOKEN_NUM", str(int(PIXELS) // 784))
    engine = SwiftEngine(read_checkpoint(trained_dir), "transformers", max_new_tokens=4)
    reply = "<explanation>.</explanation><regions>[[0, 0, 9, 9], [5, 5, 28, 28]]</regions><verdict>real</verdict>"
    conversations = [Conversation(Episode(ImageRef.of(tmp_path / name).under(engine.limits))) for name in names]
    for conversation in conversations:
        conversation.ask()
        conversation.take(Answer(reply, [1, 2, 3], cut=False))  # so that it does not hang on what the model marks
        conversation.ask()
        assert len(conversation.images) == 3
    answers = asyncio.run(answer_all(engine, conversations))
    assert list(map(type, answers)) == [Answer] * len(names)


async def answer_all(engine: SwiftEngine, conversations: list[Conversation]) -> list[Answer | ImageError]:
    return await asyncio.gather(*map(engine.answer, conversations))


@pytest.fixture(scope="module")
def template(model_dir: Path) -> Template:
    return get_template(get_processor(str(model_dir), model_type="qwen2_5_vl"), template_type="zoomin")


def save_rotated(folder: Path) -> Path:
    """A landscape of 190 x 120 pixels, all of them different, that its EXIF data turns upright."""
    grey = Image.linear_gradient("L")
    across, down = grey.rotate(90).resize((190, 120)), grey.resize((190, 120))
    rotated = Exif()
    rotated[0x0112] = 6
    Image.merge("RGB", (across, down, across)).save(folder / "rotated.jpg", exif=rotated)
    return folder / "rotated.jpg"


def ask_again(image: Any) -> tuple[RolloutInferRequest, dict[str, Any]]:
    """The request of query 2 for an image in any form, and what the scheduler says of it; FIRST names two regions."""
    messages = [{"role": "user", "content": prompts.query1(Frame.ABSOLUTE)}, {"role": "assistant", "content": FIRST}]
    request = RolloutInferRequest(messages, images=[image])
    choice = ChatCompletionResponseChoice(0, ChatMessage("assistant", FIRST), "stop")
    infos = asyncio.run(ZoomInScheduler().on_turn_end(request, choice, 1))["rollout_infos"]
    asked = ZoomInScheduler().step(request, choice, 1)
    return asked["infer_request"], {**infos, **asked["rollout_infos"]}


@pytest.mark.parametrize("form", GIVEN)
def test_a_first_image_in_any_form_encodes_like_its_file(template: Template, tmp_path: Path, form: str) -> None:
    template.set_mode("train")
    path = save_rotated(tmp_path)
    encoded = []
    for image in (str(path), GIVEN[form](path)):
        request, infos = ask_again(image)
        assert infos["crops"] == 2
        messages = [*request.messages, {"role": "assistant", "content": FIRST}]
        encoded.append(template.encode({"messages": messages, "images": infos["images"]}))
    by_file, by_value = encoded
    (_, rows, columns), *crops = by_file["image_grid_thw"].tolist()
    assert rows > columns  # upright
    assert len(crops) == 2
    assert by_value["input_ids"] == by_file["input_ids"]
    assert by_value["labels"] == by_file["labels"]
    assert torch.equal(by_value["image_grid_thw"], by_file["image_grid_thw"])
    assert torch.equal(by_value["pixel_values"], by_file["pixel_values"])


@pytest.mark.parametrize("form", GIVEN)
def test_query_2_keeps_the_image_first_and_its_crops_short(template: Template, tmp_path: Path, form: str) -> None:
    path = save_rotated(tmp_path)
    image = GIVEN[form](path)
    request, infos = ask_again(image)
    whole, *crops = request.images
    assert infos["images"] == request.images
    assert whole == (str(ImageRef.of(path).under(LIMITS)) if form in ("reference", "dictionary with path") else image)
    assert infos["boxes_px"] == ask_again(str(path))[1]["boxes_px"]
    assert len(crops) == 2
    assert all(len(json.dumps(crop)) < 200 for crop in crops)


def test_an_image_on_a_server_is_fetched_by_ms_swift(template: Template, tmp_path: Path) -> None:
    template.set_mode("train")
    path = tmp_path / "a.png"
    colours(90, 60).save(path)
    with HTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        messages = [{"role": "user", "content": "<image>?"}, {"role": "assistant", "content": "."}]
        images = (str(path), f"http://127.0.0.1:{server.server_port}/a.png")
        by_file, fetched = (template.encode({"messages": messages, "images": [image]}) for image in images)
        server.shutdown()
    assert torch.equal(fetched["pixel_values"], by_file["pixel_values"])


def test_a_rollout_of_an_images_bytes_is_that_of_its_file(trained_dir: Path, benchmark_dir: Path) -> None:
    engine = TransformersEngine(
        str(trained_dir), model_type="qwen2_5_vl", template_type="zoomin", torch_dtype=torch.float32
    )
    config = RequestConfig(max_tokens=100, temperature=0, return_details=True)

    def roll_out(row: dict[str, Any], image: dict[str, Any]) -> OnPolicySample:
        sample = OnPolicySample.from_row({**row, "images": [image]})
        request = sample.to_infer_request()

        def infer(requests: list[Any], request_config: RequestConfig) -> list[RolloutOutput]:
            return [RolloutOutput(response=response) for response in engine.infer(requests, request_config)]

        scheduler = ZoomInScheduler(tokenizer=engine.tokenizer, template=engine.template)
        [output] = run_multi_turn([request], infer([request], config), scheduler, infer, config)
        sample.apply_rollout_output(rollout_output=output)
        sample.encoded = encode_sample(sample, engine.template)
        return sample

    for row in records_to_rows(read_records(benchmark_dir / "train/records.jsonl"), "query2", LIMITS):
        path = first_image(row["images"]).path
        of_file = roll_out(row, {"bytes": None, "path": path})
        if of_file.rollout_infos.get("crops"):  # the tiny model does not name a region of every image
            break
    of_bytes = roll_out(row, {"bytes": Path(path).read_bytes(), "path": None})
    assert of_file.rollout_infos["num_turns"] == of_bytes.rollout_infos["num_turns"] == 2
    assert of_file.rollout_infos["crops"] == of_bytes.rollout_infos["crops"] > 0
    assert of_file.response_token_ids == of_bytes.response_token_ids
    assert of_file.encoded["input_ids"] == of_bytes.encoded["input_ids"]
    assert torch.equal(of_file.encoded["pixel_values"], of_bytes.encoded["pixel_values"])


def save_shapes(folder: Path) -> dict[str, str]:
    """Shapes that a model with 4 to 334 tokens of 28 x 28 cannot be shown, and what is said of each."""
    colours(6711, 36).save(folder / "strip.png")  # 6720 x 28 after rounding
    colours(1, 201).save(folder / "line.png")
    colours(20000, 101).save(folder / "panorama.png")
    return {
        "strip.png": "6711x36 pixels would be shown as 6720x28; expected an aspect ratio of at most 200",
        "line.png": "1x201 pixels",
        "panorama.png": "20000x101 pixels",
    }


def test_detection_over_every_refused_kind_names_each_and_answers_the_rest(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real engine, which sizes images once more: one that it refuses would end the run at every start."""
    for end in ("MIN", "MAX"):  # ms-swift writes these, of the first model that it loads, and reads them first
        monkeypatch.setenv(f"IMAGE_{end}_TOKEN_NUM", "1")  # so that what it writes here goes too
        monkeypatch.delenv(f"IMAGE_{end}_TOKEN_NUM")
    monkeypatch.setenv("MAX_PIXELS", str(334 * 784))
    photos = tmp_path / "photos"
    photos.mkdir()
    save_bad(photos)
    said = save_shapes(photos)
    colours(90, 60).save(photos / "good.png")
    command = ["zoomin", "detect", photos, "--model", model_dir, "--max-new-tokens", 4, "--out", tmp_path / "out.jsonl"]
    monkeypatch.setattr("sys.argv", list(map(str, command)))
    for _ in range(2):
        assert main() == 3  # some of them could not be read
        made = list(map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines()))
        errors = {Path(row["image"]).name: row["error"] for row in made}
        assert errors.keys() == {path.name for path in list_images([photos]).images}
        assert errors.pop("good.png") == "reply 1 was cut by the length limit"
        for name, error in errors.items():
            assert error.startswith(f"{photos / name}: "), error
            assert said.get(name, "") in error
            assert "\n" not in error
        assert errors.keys() >= said.keys()


def test_a_file_in_a_sample_that_is_not_there_is_named(template: Template) -> None:
    with pytest.raises(ImageError, match=r"^images/a: "):
        template.encode({"messages": [{"role": "user", "content": "<image>?"}], "images": ["images/a"]})


@pytest.mark.swift
def test_an_image_too_thin_for_the_limit_is_named_before_training(model_dir: Path, tmp_path: Path) -> None:
    colours(20, 4000).save(tmp_path / "sliver.png")
    printed = run_swift(
        *(*SFT, *COMMON, "--model", model_dir, "--dataset", f"{write(tmp_path, ['sliver.png'])}:sft"),
        *("--output_dir", tmp_path / "out"),
        fails=True,
        MAX_PIXELS="12544",
    )
    assert f"{tmp_path / 'sliver.png'}: 20x4000 pixels; too thin for a limit of 12544 pixels" in printed


@pytest.mark.swift
def test_every_bad_kind_is_named_before_training(model_dir: Path, tmp_path: Path) -> None:
    names = save_bad(tmp_path)
    printed = run_swift(
        *(*SFT, *COMMON, "--model", model_dir, "--dataset", f"{write(tmp_path, names)}:sft"),
        *("--output_dir", tmp_path / "out"),
        fails=True,
    )
    for number, name in enumerate(names, 1):
        assert f"records.jsonl:{number}: image {tmp_path / name}: " in printed
    assert "train_speed" not in printed
