"""Small data sets whose files tell the label or do not, and what `zoomin check` says of them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from swift_zoomin.checking.command import survey
from swift_zoomin.records import write_records

Save = Callable[[Image.Image, Path], str]  # a picture under a path without suffix; returns the file's name
LABELS = ("real", "generated")


def png(image: Image.Image, path: Path, **options: Any) -> str:
    image.save(path.with_suffix(".png"), **options)
    return f"{path.name}.png"


def jpeg(image: Image.Image, path: Path) -> str:
    image.save(path.with_suffix(".jpg"), quality=90)
    return f"{path.name}.jpg"


def data_set(folder: Path, real: Save = png, generated: Save = png, each: int = 60) -> Path:
    """Records of noise, real and generated in turn, each class saved in its own way."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(2 * each):
        label = LABELS[number % 2]
        picture = Image.frombytes("RGB", (64, 48), random.Random(number).randbytes(64 * 48 * 3))
        name = (real if label == "real" else generated)(picture, folder / "images" / f"{number:04}")
        rows.append({"image": f"images/{name}", "label": label, "explanation": f"Seen in {number}."})
    write_records(folder / "records.jsonl", rows)
    return folder / "records.jsonl"


def told(path: Path) -> tuple[str, list[str]]:
    """The line about files, and the warnings."""
    (_, _, files, *warnings), _ = survey([path])
    return files, [line.removeprefix("warning: ") for line in warnings]
