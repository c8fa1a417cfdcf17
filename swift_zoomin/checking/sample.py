"""Some of many records, drawn uniformly while they pass by, so many of each label."""

from collections.abc import Iterable

from swift_zoomin.records import Record
from swift_zoomin.replies import VERDICTS
from swift_zoomin.sampling import Reservoir

MOST = 5000  # of each label: a share guessed right is then known to within 0.02


class Sample:
    """At most `MOST` records of each label; every record of a label is in it with the same chance."""

    def __init__(self) -> None:
        self._kept = {label: Reservoir[tuple[int, Record]](MOST, label) for label in VERDICTS}
        self.of = 0  # how many records there are

    def add(self, record: Record) -> None:
        self._kept[record.label].show((self.of, record))
        self.of += 1

    def add_drawn(self, records: Iterable[Record], of: int) -> None:
        """Take in records that were drawn from so many."""
        before = self.of
        for record in records:
            self.add(record)
        self.of = before + of

    def records(self) -> list[Record]:
        """Those drawn, in the order in which they came."""
        entries = [entry for reservoir in self._kept.values() for entry in reservoir.kept]
        return [record for _, record in sorted(entries, key=lambda entry: entry[0])]
