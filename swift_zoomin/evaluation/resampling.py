"""Resamples of the images, as weights: how often each image is drawn.

Images are drawn with replacement; where records have a field `group`, whole groups are drawn, because copies of one
original are not independent. All methods are judged on the same resamples, so their differences are paired.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from swift_zoomin.records import Record

RESAMPLES = 2000
_SEED = 0
_ENTRIES_A_BLOCK = 1 << 20  # of weights held at a time, 8 MB


def group_of_each(records: Sequence[Record]) -> np.ndarray | None:
    """The number of the group that each record belongs to, or None where no record has one.

    A record without a group is a group of its own.
    """
    if not any(record.extra.get("group") is not None for record in records):
        return None
    numbers: dict[object, int] = {}
    keys = [record.extra.get("group", None) for record in records]
    named = [("image", index) if key is None else ("group", str(key)) for index, key in enumerate(keys)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in named])


def resamples(images: int, groups: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Weights of all RESAMPLES resamples, a block of (rows, images) at a time; always the same ones."""
    rng = np.random.default_rng(_SEED)
    if groups is None:
        groups = np.arange(images)
    drawn = len(np.unique(groups))
    members = np.unique(groups, return_inverse=True)[1]  # of a subset, the groups that are in it
    rows = max(1, _ENTRIES_A_BLOCK // images)
    for start in range(0, RESAMPLES, rows):
        block = [_draw(rng, drawn) for _ in range(min(rows, RESAMPLES - start))]
        yield np.array(block, dtype=float)[:, members]


def _draw(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.bincount(rng.integers(count, size=count), minlength=count)
