"""The records that a rehearsal takes of a user's file."""

import json
from collections import Counter
from pathlib import Path

from PIL import Image
from rehearsal_sample import write_sample

from swift_zoomin.records import write_records


def test_of_alternating_labels_both_are_sampled_and_detected(tmp_path: Path) -> None:
    labels = ["real", "generated"] * 20
    for index in range(40):
        Image.new("RGB", (64, 64)).save(tmp_path / f"{index}.png")
    rows = [{"image": f"{index}.png", "label": label} for index, label in enumerate(labels)]
    write_records(tmp_path / "data.jsonl", rows)
    (tmp_path / "out").mkdir()
    write_sample(tmp_path / "data.jsonl", tmp_path / "out", 16)
    assert json.loads((tmp_path / "out" / "sample.json").read_text()) == {"sampled": 16, "total": 40}
    for name, number in (("records", 16), ("detect", 8)):
        written = [json.loads(each) for each in (tmp_path / "out" / f"{name}.jsonl").read_text().splitlines()]
        assert Counter(row["label"] for row in written) == {"real": number // 2, "generated": number // 2}
        assert all(Path(row["image"]).is_file() for row in written)
