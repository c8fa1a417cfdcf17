"""A few records drawn from a file: how many of which, always the same ones, and in a small part of the memory."""

import json
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from swift_zoomin.records import RecordError
from swift_zoomin.sampling import draw_balanced, draw_records


def write(folder: Path, labels: list[str], explanation: str = "") -> Path:
    """Records of one image, told apart by their number."""
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    rows = [
        {"image": "a.png", "label": label, "explanation": explanation, "number": number}
        for number, label in enumerate(labels)
    ]
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "records.jsonl"


def numbers(records) -> list[int]:
    return [record.extra["number"] for record in records]


@pytest.mark.parametrize(
    ("real", "generated", "expected"),
    [
        (20, 20, (6, 6)),
        (20, 2, (10, 2)),
        (3, 20, (3, 9)),
        (0, 20, (0, 12)),
        (6, 5, (6, 5)),  # eleven in all
        (1, 1, (1, 1)),
    ],
)
def test_as_many_of_each_label_as_there_are(
    tmp_path: Path, real: int, generated: int, expected: tuple[int, int]
) -> None:
    path = write(tmp_path, ["real"] * real + ["generated"] * generated)
    sample = draw_balanced(path, 12)
    counts = Counter(record.label for record in sample.records)
    assert (counts["real"], counts["generated"]) == expected
    assert sample.total == real + generated
    assert len(set(numbers(sample.records))) == sum(expected)


def test_a_seed_draws_the_same_records_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, ["real", "generated"] * 100)
    for draw in (draw_records, draw_balanced):
        drawn = numbers(draw(path, 12, seed=1).records)
        assert drawn == sorted(drawn)
        assert drawn == numbers(draw(path, 12, seed=1).records)
        assert drawn != numbers(draw(path, 12, seed=2).records)


def test_a_small_file_is_drawn_whole(tmp_path: Path) -> None:
    sample = draw_records(write(tmp_path, ["real"] * 5), 5)
    assert (numbers(sample.records), sample.total) == ([0, 1, 2, 3, 4], 5)


@pytest.mark.slow
def test_every_place_of_the_file_is_drawn_alike(tmp_path: Path) -> None:
    """200 draws of 5 from 20: each place 50 times, with a standard deviation of 6."""
    path = write(tmp_path, ["real"] * 20)
    times = Counter(number for seed in range(200) for number in numbers(draw_records(path, 5, seed).records))
    assert len(times) == 20
    assert 25 < min(times.values()) <= max(times.values()) < 75


def test_what_is_not_drawn_is_not_kept(tmp_path: Path) -> None:
    path = write(tmp_path, ["real", "generated"] * 2000, explanation="x" * 2000)  # 8 MB
    tracemalloc.start()
    try:
        assert len(draw_balanced(path, 12).records) == 12
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_faulty_record_that_is_drawn_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, ["real", "fake"])
    for draw in (draw_records, draw_balanced):
        with pytest.raises(RecordError, match=r'records\.jsonl:2: label "fake"; expected "real" or "generated"'):
            draw(path, 12)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"gone\.jsonl: no such records file"):
        draw_records(tmp_path / "gone.jsonl", 12)
