"""`zoomin check`: copies of images, and annotations that are probably not meant."""

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
from checked_sets import told
from PIL import Image

from swift_zoomin.checking.command import survey
from swift_zoomin.records import write_records


def copies(tmp_path: Path, *rows: tuple[str, str, Image.Image, dict[str, Any]]) -> list[str]:
    """What is said of records (name, label, picture, options to save it with)."""
    for name, _, picture, options in rows:
        picture.save(tmp_path / name, **options)
    numbers = itertools.count()
    made = [{"image": name, "label": label, "explanation": f"Seen in {next(numbers)}."} for name, label, *_ in rows]
    write_records(tmp_path / "records.jsonl", made)
    return told(tmp_path / "records.jsonl")[1]


def photograph() -> Image.Image:
    from sklearn.datasets import load_sample_image

    return Image.fromarray(load_sample_image("china.jpg"))


def test_copies_are_told_apart_from_near_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = photograph()
    left, right = whole.crop((0, 0, 320, 400)), whole.crop((320, 0, 640, 400))
    lines = copies(
        tmp_path,
        ("a.png", "real", left, {}),
        ("b.png", "real", left, {}),
        ("c.jpg", "real", right, {"quality": 90}),
        ("d.jpg", "real", right.resize((160, 200)), {"quality": 60}),
    )
    path = tmp_path / "records.jsonl"
    assert lines == [
        f"1 image has copies byte for byte: a.png ({path}:1, {path}:2)",
        f"1 image has near-copies, saved again, scaled or cut a little: c.jpg ({path}:3, {path}:4)",
    ]


def test_copies_with_the_other_label_and_in_other_files_are_said(tmp_path: Path) -> None:
    whole = photograph()
    left, right = whole.crop((0, 0, 320, 400)), whole.crop((320, 0, 640, 400))
    for name, picture in {"a.png": left, "b.png": left, "c.png": right, "d.png": right.resize((160, 200))}.items():
        picture.save(tmp_path / name)
    files = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    for path, names in zip(files, ("ac", "bd"), strict=True):
        labels = {"b": "generated"}
        rows = [
            {"image": f"{name}.png", "label": labels.get(name, "real"), "explanation": f"{name} is seen."}
            for name in names
        ]
        write_records(path, rows)
    lines, _ = survey(list(files))
    assert lines[3:] == [
        f"warning: 1 image has copies or near-copies with the other label: a.png ({files[0]}:1, {files[1]}:1)",
        "warning: 1 image has copies in several of these files, where one may be trained on and another tested "
        f"(zoomin split): c.png ({files[0]}:2, {files[1]}:2)",
    ]


def annotated(tmp_path: Path, *rows: dict[str, Any]) -> list[str]:
    for number, row in enumerate(rows):
        noise = random.Random(number).randbytes(2400)
        Image.frombytes("RGB", (40, 20), noise).save(tmp_path / f"{number}.png")
        rows[number].setdefault("explanation", f"Seen in {number}.")
        row |= {"image": f"{number}.png", "label": row.get("label", "real")}
    write_records(tmp_path / "records.jsonl", rows)
    return told(tmp_path / "records.jsonl")[1]


def test_boxes_over_half_the_image_are_counted(tmp_path: Path) -> None:
    """40 x 20 = 800 pixels: 20 x 20 is half, 21 x 20 more."""
    lines = annotated(tmp_path, {"boxes": [[0, 0, 20, 20]]}, {"boxes": [[0, 0, 21, 20], [0, 0, 40, 20], [0, 0, 2, 2]]})
    assert lines == [
        "2 boxes cover more than half of the image, and a close-up of that shows little more: "
        f"{tmp_path}/records.jsonl:2"
    ]


def test_explanations_that_repeat_are_counted(tmp_path: Path) -> None:
    lines = annotated(tmp_path, {"explanation": "Odd  hand."}, {}, {"explanation": "Odd hand."}, {"explanation": ""})
    path = tmp_path / "records.jsonl"
    assert lines == [
        f"2 records of 3 with an explanation share it word for word with another image's, of 1 such explanation the "
        f"first: {path}:1, {path}:3"
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("The image is AI-generated: the hand has six fingers.", (1, 1)),
        ("Overall the picture appears to be synthetic.", (1, 1)),
        ("Everything is sharp, so it is real.", (1, 0)),
        ("This photo is clearly authentic.", (1, 0)),
        ("The image is not generated: grain is even.", None),
        ("The shadows are real and the leather is artificial.", None),
        ("Grain is even; no sign of generated texture.", None),
    ],
)
def test_explanations_of_real_images_that_name_the_label(
    text: str, names: tuple[int, int] | None, tmp_path: Path
) -> None:
    lines = annotated(tmp_path, {"explanation": text}, {"label": "generated", "explanation": f"{text} So."})
    path = tmp_path / "records.jsonl"
    expected = []
    if names:
        expected = [f"1 explanation of real images names the label, {names[1]} of them the wrong one: {path}:1"]
    assert lines == expected
