"""Data sets of ours and of other people, written small and loaded by ms-swift's own `load_dataset`."""

import json
from pathlib import Path
from typing import Any

from datasets import Dataset
from PIL import Image
from swift.dataset import load_dataset
from swift.template import get_template

import swift_zoomin.register.swift_zoomin_register  # noqa: F401  registers the template
from swift_zoomin.plugin.template import ZoomInTemplate

CHAT = {"messages": [{"role": "user", "content": "Say hi."}, {"role": "assistant", "content": "Hi."}]}
WHOLE = [0, 0, 40, 20]
LABELS = ("real", "generated")


def training_template(processor: Any) -> ZoomInTemplate:
    """A training's: ms-swift makes it before it loads data sets."""
    made = get_template(processor, template_type="zoomin")
    made.set_mode("train")
    return made


def write(folder: Path, *rows: dict[str, Any], name: str = "records.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (40, 20)).save(folder / "a.png")
    lines = [json.dumps({"image": "a.png", "label": "real", **row}) for row in rows]
    (folder / name).write_text("\n".join(lines))
    return folder / name


def write_lending(folder: Path, **fields: Any) -> Path:
    """Records that can lend each other the words of first replies: two images of each label."""
    record = {"explanation": "Sharp.", "boxes": [WHOLE], **fields}
    path = write(folder, *({**record, "image": f"{index}.png", "label": LABELS[index % 2]} for index in range(4)))
    for index in range(4):
        Image.new("RGB", (40, 20)).save(folder / f"{index}.png")
    return path


def chat(folder: Path, **fields: Any) -> Path:
    """Another person's data set: one text-only row."""
    (folder / "chat.jsonl").write_text(json.dumps({**CHAT, **fields}))
    return folder / "chat.jsonl"


def load(*datasets: str, **options: Any) -> Dataset:
    """As GRPO loads, with every column."""
    options = {"remove_unused_columns": False, "load_from_cache_file": False, **options}
    return load_dataset(list(datasets), **options)[0]
