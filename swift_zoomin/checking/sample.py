"""Some of many records, drawn uniformly while they pass by, so many of each label."""

import random
from collections import Counter

from swift_zoomin.records import Record

MOST = 5000  # of each label: a share guessed right is then known to within 0.01


class Sample:
    """At most `MOST` records of each label; every record of a label is in it with the same chance.

    Algorithm R: Vitter, ACM Transactions on Mathematical Software 11, 1985.
    """

    def __init__(self) -> None:
        self._by_label: dict[str, list[tuple[int, Record]]] = {}
        self._seen: Counter[str] = Counter()
        self._random = random.Random(0)

    @property
    def of(self) -> int:
        """How many records have passed by."""
        return self._seen.total()

    def add(self, record: Record) -> None:
        kept = self._by_label.setdefault(record.label, [])
        entry = (self.of, record)
        self._seen[record.label] += 1
        if len(kept) < MOST:
            kept.append(entry)
            return
        place = self._random.randrange(self._seen[record.label])
        if place < MOST:
            kept[place] = entry

    def records(self) -> list[Record]:
        """Those drawn, in the order in which they came."""
        entries = [entry for kept in self._by_label.values() for entry in kept]
        return [record for _, record in sorted(entries, key=lambda entry: entry[0])]
