"""Models that carry a pixel limit of their own, as they are saved and published."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from swift_zoomin import prompts
from swift_zoomin.families import Frame

TOKENS = 64  # 224 x 224 pixels: neither the tiny model's default nor the limit of the other tests
PIXELS = TOKENS * 784


def forget_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No limit stands in the environment."""
    for end in ("MIN", "MAX"):
        monkeypatch.delenv(f"{end}_PIXELS", raising=False)
        monkeypatch.delenv(f"IMAGE_{end}_TOKEN_NUM", raising=False)


def make_limited_model(model_dir: Path, folder: Path) -> Path:
    """The tiny model, as it would be saved after a training at PIXELS."""
    shutil.copytree(model_dir, folder)
    write_limit(folder, PIXELS)
    return folder


def write_limit(folder: Path, pixels: int) -> None:
    file = folder / "processor_config.json"
    config = json.loads(file.read_text())
    config["image_processor"]["size"] = {"shortest_edge": 3136, "longest_edge": pixels}
    config["image_processor"]["zoomin"] = {"prompts": prompts.version(Frame.ABSOLUTE)}
    file.write_text(json.dumps(config))


def published(folder: Path, **preprocessor: Any) -> Path:
    """The configuration of a model as a hub has it."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def changed_json(file: Path, **fields: Any) -> None:
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(content | fields))
