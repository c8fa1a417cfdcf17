"""A few records of a large file: drawn by a seed while the file is read once; only they are checked and kept."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from swift_zoomin.records import Record, Row, check_rows, read_rows
from swift_zoomin.replies import GENERATED, REAL, VERDICTS

_Numbered = tuple[int, Row]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Sample:
    """Records drawn from a file, in its order, and how many it holds."""

    records: list[Record]
    total: int


class Reservoir(Generic[_T]):
    """Keeps `size` of the things that it is shown, each with the same chance (Vitter's algorithm R)."""

    def __init__(self, size: int, seed: str) -> None:
        self.kept: list[_T] = []
        self._size, self._shown, self._random = size, 0, random.Random(seed)

    def show(self, thing: _T) -> None:
        self._shown += 1
        if len(self.kept) < self._size:
            self.kept.append(thing)
            return
        place = self._random.randrange(self._shown)
        if place < self._size:
            self.kept[place] = thing


def draw_records(path: Path, number: int, seed: int = 0) -> Sample:
    """At most `number` records of a file, each with the same chance. Raises RecordError for a fault of one drawn."""
    drawn, total = _draw(path, number, seed, lambda row: None)
    return _checked(path, drawn[None] if drawn else [], total)


def draw_balanced(path: Path, number: int, seed: int = 0) -> Sample:
    """As `draw_records`, but half of each label; one that has too few leaves its places to the other."""
    drawn, total = _draw(path, number, seed, _label)
    real, generated, others = (drawn.get(label, []) for label in (REAL, GENERATED, None))
    if others:
        return _checked(path, others, total)  # which says what is wrong with them
    most_generated = number - min(len(real), number // 2)
    kept = _part(generated, most_generated, seed)
    kept += _part(real, number - len(kept), seed)
    return _checked(path, kept, total)


def _draw(
    path: Path, number: int, seed: int, group_of: Callable[[Row], str | None]
) -> tuple[dict[str | None, list[_Numbered]], int]:
    """At most `number` rows of each group, and how many rows there are in all."""
    reservoirs: dict[str | None, Reservoir[_Numbered]] = {}
    total = 0
    for index, row in enumerate(read_rows(path)):
        group = group_of(row)
        if group not in reservoirs:
            reservoirs[group] = Reservoir(number, f"{seed} {group}")
        reservoirs[group].show((index, row))
        total += 1
    return {group: reservoir.kept for group, reservoir in reservoirs.items()}, total


def _label(row: Row) -> str | None:
    """A row's label; None where it has no valid one."""
    label = row.value.get("label") if isinstance(row.value, dict) else None
    return label if label in VERDICTS else None


def _part(rows: list[_Numbered], most: int, seed: int) -> list[_Numbered]:
    """Some of the rows kept, which stand in the order of the file where there are few."""
    return random.Random(seed).sample(rows, min(most, len(rows)))


def _checked(path: Path, drawn: list[_Numbered], total: int) -> Sample:
    rows = [row for _, row in sorted(drawn, key=lambda numbered: numbered[0])]
    return Sample(check_rows(path, rows, decode=False), total)
