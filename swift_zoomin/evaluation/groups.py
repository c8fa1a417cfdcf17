"""Rows a group of images, each image in one or, if it is real and groups are of generators, in several.

- source: the record's `source`. A generator is scored with the real images of its own set: those of the same source, as
  converters of data sets write them, else all of the file. A source of real images alone stands alone.
- regions: how many the first look of the method at hand marked
- size: pixels of the upright original, in classes that end at the areas of the squares below
- label: real or generated
"""

from collections.abc import Sequence

import numpy as np

from swift_zoomin.evaluation.answers import Answers
from swift_zoomin.records import Record
from swift_zoomin.replies import GENERATED, REAL, VERDICTS

BY = ("source", "regions", "size", "label")
_SIDES_PX = (256, 512, 1024, 2048)  # the common sizes of generated images
_MOST_REGIONS = 10  # a model that repeats itself marks hundreds; more than these are one group
NONE = "(none)"


def masks(by: str, records: Sequence[Record], answers: Answers) -> dict[str, np.ndarray]:
    """For each group, in order, which records belong to it. A method that marks no regions has no group of them."""
    if by == "source":
        return _sources(records)
    if by == "regions":
        if np.isnan(answers.regions).all():
            return {}
        return _by_key([_regions(count) for count in answers.regions], _regions_in_order())
    if by == "size":
        return _by_key([_size(record) for record in records], [*map(_size_name, _SIDES_PX), _LARGER])
    return _by_key([record.label for record in records], VERDICTS)


def _by_key(keys: Sequence[str], order: Sequence[str]) -> dict[str, np.ndarray]:
    of_each = np.array(keys, dtype=object)
    return {key: of_each == key for key in order if (of_each == key).any()}


def _sources(records: Sequence[Record]) -> dict[str, np.ndarray]:
    sources = np.array([_source(record) for record in records], dtype=object)
    is_real = np.array([record.label == REAL for record in records])
    groups = {}
    for source in sorted(set(sources)):
        chosen = sources == source
        has_real_images = chosen[is_real].any()
        groups[source] = chosen if has_real_images else chosen | is_real
    return groups


def _source(record: Record) -> str:
    source = record.extra.get("source")
    return NONE if source is None else str(source)


def _regions(count: float) -> str:
    if np.isnan(count):
        return NONE
    return _more_regions() if count > _MOST_REGIONS else str(int(count))


def _more_regions() -> str:
    return f"over {_MOST_REGIONS}"


def _regions_in_order() -> list[str]:
    return [*map(str, range(_MOST_REGIONS + 1)), _more_regions(), NONE]


_LARGER = f"over {_SIDES_PX[-1]}x{_SIDES_PX[-1]}"


def _size_name(side_px: int) -> str:
    return f"to {side_px}x{side_px}"


def _size(record: Record) -> str:
    width, height = record.image.size
    fitting = [side for side in _SIDES_PX if width * height <= side * side]
    return _size_name(fitting[0]) if fitting else _LARGER


def has_one_label(answers: Answers) -> str | None:
    """The label that all images have; None where there are both."""
    if answers.is_generated.all():
        return GENERATED
    return None if answers.is_generated.any() else REAL
