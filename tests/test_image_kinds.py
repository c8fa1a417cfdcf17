"""Every kind of image, end to end: through dataset, template, training and detection, or refused before training."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COMMON, SFT, child_environment, logged, run_swift
from PIL import Image
from PIL.Image import Exif
from qwen_vl_utils import vision_process

from swift_zoomin.detector import Answer, Conversation
from swift_zoomin.episode import Episode
from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.engine import SwiftEngine

PIXELS = "262144"  # 512 x 512, as in the paper; the sandbox's limit is too low for a 20x4000 sliver


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
    Image.new("1", (20000, 10000)).save(folder / "bomb.png")  # 200 megapixels in 25 kB
    return [*sorted(path.name for path in folder.iterdir()), "missing.png"]


def write(folder: Path, names: list[str]) -> Path:
    rows = [{"image": name, "label": "real", "explanation": "It is grey.", "boxes": [[0, 0, 1, 1]]} for name in names]
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
    subprocess.run([*command, *options], check=True, env=child_environment(MAX_PIXELS=PIXELS))
    predictions = map(json.loads, (tmp_path / "predictions.jsonl").read_text().splitlines())
    for name, prediction in zip(names, predictions, strict=True):
        assert prediction["image"] == name
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
    engine = SwiftEngine(str(trained_dir), "transformers", max_new_tokens=4)
    monkeypatch.setattr(vision_process, "IMAGE_MAX_TOKEN_NUM", int(PIXELS) // 784)
    reply = "<explanation>.</explanation><regions>[[0, 0, 9, 9], [5, 5, 28, 28]]</regions><verdict>real</verdict>"
    conversations = [Conversation(Episode(ImageRef.of(tmp_path / name))) for name in names]
    for conversation in conversations:
        conversation.ask()
        conversation.take(Answer(reply, [1, 2, 3], cut=False))  # so that it does not hang on what the model marks
        conversation.ask()
        assert len(conversation.images) == 3
    assert [type(answer) for answer in engine.ask(conversations)] == [Answer] * len(names)


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
