"""Which group goes into which part, so that parts have the wished sizes and look alike.

    assign([[real_camera], [real_camera, generated_flux], ...], {"train": 0.85, "val": 0.05, "test": 0.1}, keys)
    ["train", "test", ...]

A group goes into one part whole, whatever it holds: a photograph and what was generated from it are one group. Groups
are dealt out by size, the largest first, each to the part that afterwards is nearest to what it ought to hold: of all
records, of those of its label, and of those of its label and source (the sum of (held - due)^2 / due). A part that is
full gets nothing more, so none exceeds its due by as much as its last group's size. The last groups go to parts that
have none yet: with as many groups as parts, or more, no part is empty, however small its share.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Stratum:
    """Records that are to be found in all parts in the same shares."""

    label: str
    source: str

    def __str__(self) -> str:
        return f"{self.label} {self.source}".strip()


@dataclass
class _Part:
    """What a part holds so far, and what is due to it, in records: of all (None), of a label, of a stratum."""

    due: dict[Stratum | str | None, float]
    held: Counter[Stratum | str | None] = field(default_factory=Counter)

    @property
    def is_full(self) -> bool:
        return self.held[None] >= self.due[None]

    def cost(self, group: Mapping[Stratum | str | None, int]) -> float:
        """By how much the part's error changes with this group."""
        change = 0.0
        for cell, records in group.items():
            due, held = self.due[cell], self.held[cell]
            change += ((held + records - due) ** 2 - (held - due) ** 2) / due
        return change


def assign(groups: Sequence[Sequence[Stratum]], shares: Mapping[str, float], keys: Sequence[str]) -> list[str]:
    """The part of each group, given the stratum of each of its records.

    `shares` are above 0 and add up to 1. `keys`, one a group, decide the order among groups of one size.
    """
    cells = [_cells(group) for group in groups]
    total: Counter[Stratum | str | None] = Counter()
    for of_group in cells:
        total.update(of_group)
    parts = {name: _Part({cell: share * records for cell, records in total.items()}) for name, share in shares.items()}
    assigned = [""] * len(groups)
    order = sorted(range(len(groups)), key=lambda index: (-len(groups[index]), keys[index]))
    for left, index in zip(range(len(order), 0, -1), order, strict=True):
        open_parts = [name for name, part in parts.items() if not part.is_full]
        empty = [name for name in open_parts if not parts[name].held]
        if left <= len(empty):
            open_parts = empty
        chosen = min(open_parts, key=lambda name: parts[name].cost(cells[index]))
        parts[chosen].held.update(cells[index])
        assigned[index] = chosen
    return assigned


def _cells(group: Sequence[Stratum]) -> dict[Stratum | str | None, int]:
    """How many records a group has, in all, of each label, and of each label and source."""
    cells: dict[Stratum | str | None, int] = defaultdict(int)
    for stratum in sorted(group):  # in one order, so that sums are the same whatever the order of the rows
        for cell in (None, stratum.label, stratum):
            cells[cell] += 1
    return dict(cells)
