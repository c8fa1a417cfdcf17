"""The file that `zoomin probe` writes probes to and goes on with (`probes` has the format of a row)."""

import re
from typing import Any

from swift_zoomin.predictions import Outcome
from swift_zoomin.predictions_file import PredictionsFile
from swift_zoomin.probes import probe_fault
from swift_zoomin.records import RecordError


class ProbesFile(PredictionsFile):
    """A PredictionsFile with rows of probes: one an image, and one run at a time. An error is tried again."""

    beginning = re.compile(rb'\{"image": "(?:[^"\\]|\\.)*", "share": ')

    def check(self, row: Any, number: int) -> None:
        fault = "not JSON" if row is None else probe_fault(row)
        if fault:
            where = f"{self.path}:{number}: {fault}"
            raise RecordError(f"{self.path}: no file of probes to go on with ({where}); choose another --out")
        if row["made_by"] != self._made_by:
            other = f"holds probes made by {row['made_by']}; this is {self._made_by}"
            raise RecordError(f"{self.path}: {other}; choose another --out")

    def outcome_of(self, row: Any) -> Outcome:
        return Outcome.UNREAD if row["error"] is not None else Outcome.VERDICT
