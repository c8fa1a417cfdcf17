"""Rows of other data sets under `--template zoomin`: taught as their own authors meant them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import LIMITS
from PIL import Image
from qwen_vl_utils import vision_process
from swift.model import get_processor
from swift.template import get_template

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin.images import ImageError, ImageRef

ROWS = [
    {
        "messages": [
            {"role": "user", "content": "<image>Find the <ref-object>"},
            {"role": "assistant", "content": "<ref-object> at <bbox>"},
        ],
        "images": ["picture.png"],
        "objects": {"ref": ["panel", "panel"], "bbox": [[56, 56, 168, 168]]},
    },
    {
        "messages": [
            {"role": "user", "content": "Say hi"},
            {"role": "assistant", "content": "hello <|im_end|> there"},
        ]
    },
    {
        "messages": [
            {"role": "user", "content": "<image>Where is <bbox>?"},
            {"role": "assistant", "content": "a panel"},
        ],
        "images": ["picture.png"],
        "objects": {"bbox": [[56, 56, 168, 168]]},
    },
    {
        "messages": [
            {"role": "user", "content": "What is the weather?"},
            {"role": "assistant", "content": "I ask."},
            {"role": "tool_call", "content": '{"name": "weather", "arguments": {}}'},
            {"role": "tool_response", "content": "sunny"},
            {"role": "assistant", "content": "It is sunny."},
        ]
    },
    {
        "messages": [{"role": "user", "content": "<video>Who?"}, {"role": "assistant", "content": "Nobody."}],
        "videos": [["picture.png"] * 4],
    },
    {
        "messages": [{"role": "user", "content": "<image>Who?"}, {"role": "assistant", "content": "Nobody."}],
        "images": ["picture.png"],
        "chat_template_kwargs": {"resized_height": 56, "resized_width": 84},
    },
]


def encoded(model_dir: Path, template_type: str, row: dict[str, Any], mode: str) -> dict[str, Any]:
    template = get_template(get_processor(str(model_dir), model_type="qwen2_5_vl"), template_type=template_type)
    if template_type != "zoomin":
        # ms-swift has Qwen's own number of this token as a constant, which the tiny model does not share.
        template.image_token_id = template.processor.image_token_id
        template.video_token_id = template.processor.video_token_id
        if "images" in row:  # its limits are those that the first model of this process was loaded with
            row = {"chat_template_kwargs": {"max_pixels": LIMITS.max_pixels}, **row}
    template.set_mode(mode)
    return template.encode(json.loads(json.dumps(row)))


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_a_row_of_another_data_set_is_taught_as_qwen2_5_vl_teaches_it(
    model_dir: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.linear_gradient("L").resize((448, 448)).convert("RGB").save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    ours, theirs = (encoded(model_dir, name, ROWS[number], "train") for name in ("zoomin", "qwen2_5_vl"))
    assert ours["input_ids"] == theirs["input_ids"]
    assert ours["labels"] == theirs["labels"]
    for grid in ("image_grid_thw", "video_grid_thw"):
        assert (grid in ours) == (grid in theirs)
        assert grid not in ours or torch.equal(ours[grid], theirs[grid])


def test_a_grounding_row_teaches_its_box_in_the_pixels_that_the_model_sees(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (448, 448)).save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    row = encoded(model_dir, "zoomin", ROWS[0], "train")
    processor = get_processor(str(model_dir), model_type="qwen2_5_vl")
    taught = processor.tokenizer.decode([label for label in row["labels"] if label >= 0])
    # 448 pixels are shown as 112, a quarter: 56 / 4 = 14, 168 / 4 = 42
    assert "<|box_start|>(14,14),(42,42)<|box_end|>" in taught


def test_a_reply_of_a_model_is_plain_text_where_it_is_asked_again(model_dir: Path) -> None:
    row = {"messages": [*ROWS[1]["messages"], {"role": "user", "content": "Again?"}]}  # type: ignore[misc]
    ids = encoded(model_dir, "zoomin", row, "transformers")["input_ids"]
    tokenizer = get_processor(str(model_dir), model_type="qwen2_5_vl").tokenizer
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert ids.count(end) == 4  # system, question, reply, question; none inside the reply


def test_a_sample_of_ours_that_asks_for_another_size_is_refused(model_dir: Path, tmp_path: Path) -> None:
    Image.new("RGB", (448, 448)).save(tmp_path / "picture.png")
    image = str(ImageRef.of(tmp_path / "picture.png").under(LIMITS))
    row = {**ROWS[5], "images": [image], "chat_template_kwargs": {"max_pixels": 50176}}
    with pytest.raises(ValueError, match=r"a sample asks for \{'max_pixels': 50176\}; .* 3136-12544 pixels"):
        encoded(model_dir, "zoomin", row, "train")


def test_a_row_that_does_not_say_its_limits_is_not_trained_on(model_dir: Path, tmp_path: Path) -> None:
    """As a data set that was cached by an earlier version: its boxes were made for some limit."""
    Image.new("RGB", (448, 448)).save(tmp_path / "picture.png")
    row = {**ROWS[5], "images": [str(ImageRef.of(tmp_path / "picture.png"))], "chat_template_kwargs": {}}
    with pytest.raises(SystemExit, match="its row does not say for which pixel limits it was made"):
        encoded(model_dir, "zoomin", row, "train")
    assert encoded(model_dir, "zoomin", row, "transformers")["image_grid_thw"].tolist() == [[1, 8, 8]]


def test_a_file_outside_the_allowed_folders_is_an_image_error(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one such image ends no batch of a detection."""
    Image.new("RGB", (448, 448)).save(tmp_path / "picture.png")
    monkeypatch.setenv("SWIFT_MEDIA_ALLOWED_DIRS", str(tmp_path / "empty"))
    row = {**ROWS[5], "images": [str(ImageRef.of(tmp_path / "picture.png"))], "chat_template_kwargs": {}}
    with pytest.raises(ImageError, match="Refusing to read the media file"):
        encoded(model_dir, "zoomin", row, "transformers")


def test_an_image_of_another_data_set_is_sized_by_this_models_limit(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by what the first model of the process has left behind."""
    Image.new("RGB", (448, 448)).save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    template = get_template(get_processor(str(model_dir), model_type="qwen2_5_vl"), template_type="zoomin")
    template.set_mode("train")
    monkeypatch.setattr(vision_process, "IMAGE_MAX_TOKEN_NUM", 64)
    assert template.encode(json.loads(json.dumps(ROWS[0])))["image_grid_thw"].tolist() == [[1, 8, 8]]
