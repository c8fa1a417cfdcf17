"""The file that `zoomin detect` writes predictions to and goes on with (`predictions` has the format of a row).

Memory stays as it is, however many rows there are: what is known of each lies on disk (`remembered`).
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from swift_zoomin.file_kind import parsed_json
from swift_zoomin.locked_files import is_at, open_locked, replaced, write_all
from swift_zoomin.outputs import make_folder, naming
from swift_zoomin.predictions import Outcome, Prediction, home_of, image_path, outcome, prediction_fault
from swift_zoomin.records import RecordError, json_line
from swift_zoomin.remembered import Remembered

# How a row begins that this package writes: by this a row that was cut short is told from a file of another kind.
_BEGINNING = re.compile(rb'\{"image": "(?:[^"\\]|\\.)*", "verdict": ')
_OUTCOMES = list(Outcome)


class PredictionsFile:
    """One row an image, and one run at a time.

    Entering locks and checks the file, and changes no byte. The first `add` mends a line that was cut short; each
    appends. Where an image is tried again it has two rows for a while: the earlier one goes when the run ends or, where
    that was killed, when the next one adds its first row.
    Raises RecordError for a file that holds anything but predictions of `made_by`, and OSError.
    A subclass has rows of another format, of which it says how they begin, what is wrong with one, and its outcome.
    """

    beginning = _BEGINNING

    def __init__(self, path: Path, made_by: str) -> None:
        self.path = path
        self.answered = 0  # images that had an answer before this run
        self._made_by = made_by
        self._home = home_of(path)
        self._rows = Remembered()  # of each image, where its row begins that counts, and its outcome: see _packed
        self._has_rows = False
        self._has_superseded = False  # rows that do not count any more
        self._torn_from: int | None = None  # where a line begins that was cut short
        self._lacks_end = False  # the last row is whole, and has no line end
        self._is_mended = False

    def __enter__(self) -> Self:
        make_folder(self.path.parent)
        self._is_new = not self.path.exists()
        with naming(self.path):
            self._file = open_locked(self.path)
        with ExitStack() as undo:
            undo.callback(self.close)
            self._read()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with closing(self):
            if kind is None:
                self._finish()

    def _finish(self) -> None:
        """What is to be done once all images are."""
        self._mend()
        self._leave_out_superseded()

    def close(self) -> None:
        """Let the next run have the file; one that was made and got no row does not stay behind."""
        with self._file:
            if self._is_new and os.fstat(self._file.fileno()).st_size == 0:
                Path(os.path.realpath(self.path)).unlink(missing_ok=True)

    def became(self, image: Path) -> Outcome | None:
        """What became of an image; None where the file has no row of it."""
        packed = self._rows.get(image)
        return None if packed is None else _unpacked(packed)[1]

    def _read(self) -> None:
        for number, (begins, line) in enumerate(self._lines(), 1):
            self._lacks_end = not line.endswith(b"\n")
            if not self._lacks_end or parsed_json(line) is not None:
                self._take_in(line, number, begins)
            elif self._has_rows or not line.strip() or self.beginning.match(line):
                self._torn_from = begins
            else:
                raise _refusal(self.path, "no JSON Lines")

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines of the file, each with where it begins."""
        self._file.seek(0)
        begins = 0
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            for line in lines:
                yield begins, line
                begins += len(line)

    def _take_in(self, line: bytes, number: int, begins: int) -> None:
        """Remember a row; of several rows of one image the last one with an answer counts, or else the last one."""
        if not line.strip():
            return
        row = parsed_json(line)
        self.check(row, number)
        self._has_rows = True
        self.answered += self._note(image_path(self._home, row["image"]), begins, self.outcome_of(row))

    def check(self, row: Any, number: int) -> None:
        """Raises RecordError where the row of this line is none that an earlier run has written."""
        check_row(row, self._made_by, self.path, number)

    def outcome_of(self, row: Any) -> Outcome:
        return outcome(row)

    def _note(self, image: Path, begins: int, became: Outcome) -> bool:
        """Remember what became of an image, and its row; whether it is the first answer to it."""
        earlier = self.became(image)
        if earlier is not None:
            self._has_superseded = True
            if became == Outcome.UNREAD and earlier != Outcome.UNREAD:
                return False
        self._rows.put(image, _packed(begins, became))
        return became != Outcome.UNREAD and earlier in (None, Outcome.UNREAD)

    def _mend(self) -> None:
        """Leave out a line that was cut short, end one that lacks only its end, and leave out what was superseded."""
        if self._is_mended:
            return
        with naming(self.path):
            if self._torn_from is not None:
                self._file.truncate(self._torn_from)
            elif self._lacks_end:
                write_all(self._file, b"\n")
        self._leave_out_superseded()
        self._is_mended = True

    def _leave_out_superseded(self) -> None:
        """Write the rows that count to a new file, which takes the place of this one in one step."""
        if self._has_superseded:
            with naming(self.path):
                self._file = replaced(self._file, Path(os.path.realpath(self.path)), self._counting_lines())
            self._has_superseded = False

    def _counting_lines(self) -> Iterator[bytes]:
        """The lines that count, whose new places are remembered."""
        size = 0
        for begins, line in self._lines():
            if not line.strip():
                continue
            image = image_path(self._home, parsed_json(line)["image"])
            counting, became = _unpacked(self._rows.get(image) or 0)
            if begins == counting:
                self._rows.put(image, _packed(size, became))
                size += len(line)
                yield line

    def add(self, prediction: Prediction) -> Outcome:
        """Append one prediction, whole or not at all. Its image is an absolute path."""
        image = os.path.relpath(prediction["image"], self._home)
        line = json_line({**prediction, "image": image, "made_by": self._made_by})
        self._mend()
        with naming(self.path):
            if not is_at(self._file, self.path):
                raise FileNotFoundError(errno.ENOENT, "removed or replaced by something else during this run")
            size = os.fstat(self._file.fileno()).st_size
            try:
                write_all(self._file, line.encode())
            except OSError:
                self._file.truncate(size)
                raise
        became = self.outcome_of(prediction)
        self._note(Path(prediction["image"]), size, became)
        return became


def check_row(row: Any, made_by: str, path: Path, number: int) -> None:
    """Raises RecordError where a row of `path` is none that a run of `made_by` has written."""
    where = f"{path}:{number}"
    fault = "not JSON" if row is None else prediction_fault(row)
    if fault:
        raise _refusal(path, f"{where}: {fault}")
    if row.get("made_by") != made_by:
        other = f"holds predictions made by {row.get('made_by')}; this is {made_by}"
        raise RecordError(f"{path}: {other}; choose another --out")
    has_error = "error" in row and isinstance(row["error"], str | None)
    if not isinstance(row.get("replies"), list) or not has_error:
        raise _refusal(path, f"{where}: expected replies and error, as zoomin detect writes them")


def _refusal(path: Path, fault: str) -> RecordError:
    return RecordError(f"{path}: not a predictions file to go on with ({fault}); choose another --out")


def _packed(begins: int, became: Outcome) -> int:
    """Where a row begins and what it says, as one number."""
    return begins * len(_OUTCOMES) + _OUTCOMES.index(became)


def _unpacked(packed: int) -> tuple[int, Outcome]:
    begins, index = divmod(packed, len(_OUTCOMES))
    return begins, _OUTCOMES[index]
