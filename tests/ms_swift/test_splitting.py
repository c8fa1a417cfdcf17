"""What is held out for validation: all rows of an image, or none."""

from pathlib import Path
from typing import Any

import pytest
from data_sets import training_template
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from swift_zoomin.plugin.dataset import RecordsLoader
from swift_zoomin.plugin.template import ZoomInTemplate
from swift_zoomin.records import RecordError


@pytest.fixture(autouse=True)
def template(processor: Any) -> ZoomInTemplate:
    return training_template(processor)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def rows_of(paths: list[str], rows_each: int) -> Dataset:
    """What a loader hands to ms-swift: rows that name an image first."""
    names = [path for path in paths for _ in range(rows_each)]
    images = [[{"bytes": None, "path": f"zoomin:{name}?size=10x10"}] for name in names]
    return Dataset.from_dict({"images": images, "row": list(range(len(names)))})


def images_in(dataset: Any) -> set[str]:
    return {row["images"][0]["path"] for row in dataset}


PATHS = [f"/data/{number}.png" for number in range(200)]
RATIOS = st.sampled_from([0.01, 0.1, 0.5, 0.9])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(PATHS), min_size=2, unique=True), RATIOS)
def test_no_image_is_validated_and_trained_on_under_any_purpose(paths: list[str], ratio: float) -> None:
    try:
        train, held_out = RecordsLoader().post_process(rows_of(paths, 2), split_dataset_ratio=ratio)
    except RecordError:  # said in test_one_image_cannot_be_split
        return
    assert sorted(train["row"][:] + held_out["row"][:]) == list(range(2 * len(paths)))
    assert images_in(held_out)
    assert not images_in(held_out) & images_in(train)
    again = RecordsLoader().post_process(rows_of(paths, 1), split_dataset_ratio=ratio)
    assert [images_in(part) for part in again] == [images_in(train), images_in(held_out)]


@settings(deadline=None, max_examples=20)
@given(st.sets(st.sampled_from(PATHS), min_size=50))
def test_an_image_is_on_the_same_side_in_every_data_set(paths: set[str]) -> None:
    train, held_out = RecordsLoader().post_process(rows_of(PATHS, 2), split_dataset_ratio=0.5)
    some, some_held_out = RecordsLoader().post_process(rows_of(sorted(paths), 1), split_dataset_ratio=0.5)
    assert not images_in(held_out) & images_in(some)
    assert not images_in(some_held_out) & images_in(train)


def test_the_share_that_is_held_out_is_about_the_ratio() -> None:
    paths = [f"/data/{number}.png" for number in range(5000)]
    train, held_out = RecordsLoader().post_process(rows_of(paths, 2), split_dataset_ratio=0.1)
    assert len(held_out) == pytest.approx(1000, abs=3 * 2 * (5000 * 0.1 * 0.9) ** 0.5)
    assert len(train) + len(held_out) == 10000


def test_a_sample_is_split_too() -> None:
    paths = [f"/data/{number}.png" for number in range(100)]
    train, held_out = RecordsLoader().post_process(rows_of(paths, 2), split_dataset_ratio=0.1, dataset_sample=50)
    assert (len(train), len(held_out)) == (45, 5)
    assert not images_in(held_out) & images_in(train)


def test_a_sample_larger_than_the_data_repeats_rows_to_train_on_only() -> None:
    paths = [f"/data/{number}.png" for number in range(100)]
    train, held_out = RecordsLoader().post_process(rows_of(paths, 1), split_dataset_ratio=0.1, dataset_sample=1000)
    assert len(train) + len(held_out) == 1000
    assert len(held_out) <= 20
    assert not images_in(held_out) & images_in(train)


def test_one_image_cannot_be_split() -> None:
    with pytest.raises(RecordError, match=r"leaves no image to train on, of 1; give two records files"):
        RecordsLoader().post_process(rows_of(["/a.png"], 2), split_dataset_ratio=0.1)


def test_a_stream_is_split_as_the_file_is(folder: Path) -> None:
    paths = [f"/data/{number}.png" for number in range(20)]
    whole = RecordsLoader().post_process(rows_of(paths, 2), split_dataset_ratio=0.2)
    streamed = RecordsLoader(streaming=True).post_process(rows_of(paths, 2), split_dataset_ratio=0.2, streaming=True)
    assert [images_in(part) for part in streamed] == [images_in(part) for part in whole]


def test_a_stream_is_sampled_in_order_as_ms_swift_does() -> None:
    sampled, _ = RecordsLoader(streaming=True).post_process(rows_of(PATHS, 1), dataset_sample=3, streaming=True)
    assert [row["row"] for row in sampled] == [0, 1, 2]
