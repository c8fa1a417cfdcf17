"""Records as ms-swift's own `load_dataset` gives them to a training."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from swift.dataset import load_dataset

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin.records import RecordError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    return tmp_path


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    lines = [json.dumps({"image": "a.png", "label": "real", **row}) for row in rows]
    (folder / "records.jsonl").write_text("\n".join(lines))
    return folder / "records.jsonl"


def test_a_field_that_only_some_records_have_is_a_column_of_all(folder: Path) -> None:
    path = write(folder, {}, {"source": "gpt-image-1"}, {"n": 1, "boxes": [[0, 0, 5, 5]]}, {"n": 2.5, "tags": ["a"]})
    dataset, _ = load_dataset(f"{path}:query1", remove_unused_columns=False)
    assert dataset["source"][:] == [None, "gpt-image-1", None, None]
    assert dataset["n"][:] == [None, None, 1.0, 2.5]
    assert dataset["tags"][:] == [None, None, None, ["a"]]
    assert dataset["boxes"][:] == [None, None, [[0.0, 0.0, 5.0, 5.0]], None]


def test_a_field_without_a_common_type_is_named(folder: Path) -> None:
    path = write(folder, {"tags": ["a"]}, {"tags": [1]})
    with pytest.raises(RecordError, match=r"records\.jsonl: field tags: .*; expected values of one type"):
        load_dataset(f"{path}:query1")
