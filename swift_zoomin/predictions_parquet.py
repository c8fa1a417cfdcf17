"""Predictions as a Parquet file: the rows of `predictions`, one column a field.

A name that is no UTF-8 stands in `image_bytes` as it is, and in `image` as it can be shown. Parquet cannot be appended
to: while a run goes on its rows stand in a JSON Lines file beside it, `NAME.parquet.unfinished.jsonl`, and the next run
goes on with that one where it finds it.
"""

import os
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, Self

from swift_zoomin.files import open_whole
from swift_zoomin.locked_files import is_at, replaced
from swift_zoomin.outputs import naming
from swift_zoomin.predictions import Outcome, Prediction, Predictions, collect_predictions, read_predictions
from swift_zoomin.predictions_file import PredictionsFile, check_row
from swift_zoomin.records import RecordError, json_line, json_rows

SUFFIX = ".parquet"
_ROWS_AT_ONCE = 1000
_OURS = {"image", "verdict", "replies", "made_by"}  # columns by which our own files are known
_RAW_NAME = "image_bytes"


def is_predictions_parquet(path: Path) -> bool:
    """Whether a file is Parquet with predictions as this module writes them."""
    import pyarrow.parquet

    if path.suffix != SUFFIX or not path.is_file():
        return False
    try:
        return set(pyarrow.parquet.read_schema(path).names) >= _OURS
    except (pyarrow.ArrowException, OSError):
        return False


def read_rows(path: Path) -> Iterator[Prediction]:
    """The predictions of such a file. Raises RecordError for one that is damaged."""
    import pyarrow.parquet

    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                name = row.pop(_RAW_NAME, None)
                yield row if name is None else {**row, "image": os.fsdecode(name)}
    except (pyarrow.ArrowException, OSError) as error:
        raise RecordError(f"{path}: cannot be read as Parquet ({error})") from error


def read_any_predictions(path: Path) -> Predictions:
    """As `predictions.read_predictions`, also of a file that is named as Parquet. Raises RecordError."""
    if path.suffix != SUFFIX or not path.is_file():
        return read_predictions(path)
    return collect_predictions(path, ((f"{path}:{number}", row) for number, row in enumerate(read_rows(path), 1)))


def write_rows(path: Path, rows: Iterable[Prediction]) -> None:
    """Write predictions of one maker, which all have the same fields, whole or not at all, and through to the disk.

    A link is written through. Raises OSError.
    """
    import pyarrow.parquet

    rows = iter(rows)
    first = next(rows)
    schema = pyarrow.schema([(name, _types()[name]) for name in [*first, _RAW_NAME]])
    rows = chain([first], rows)
    with naming(path), open_whole(Path(os.path.realpath(path))) as file:
        with pyarrow.parquet.ParquetWriter(file, schema) as writer:
            while part := list(map(_columns, islice(rows, _ROWS_AT_ONCE))):
                writer.write_batch(pyarrow.RecordBatch.from_pylist(part, schema))
        file.flush()
        os.fsync(file.fileno())


def _types() -> dict[str, Any]:
    """The type of the column of each field."""
    import pyarrow

    text, number, whole = pyarrow.string(), pyarrow.float64(), pyarrow.int64()
    texts, boxes = pyarrow.list_(text), pyarrow.list_(pyarrow.list_(number))
    return {
        **dict.fromkeys(("image", "verdict", "initial_verdict", "explanation", "initial_explanation"), text),
        **dict.fromkeys(("error", "made_by", "decision", "decision_reason"), text),
        **dict.fromkeys(("box_labels", "replies", "sampled_verdicts"), texts),
        **dict.fromkeys(("score", "seconds"), number),
        **dict.fromkeys(("width", "height"), whole),
        "boxes": boxes,
        _RAW_NAME: pyarrow.binary(),
    }


def _columns(row: Prediction) -> dict[str, Any]:
    columns = {name: _as_utf8(value) for name, value in row.items()}
    is_plain = columns["image"] == row["image"]
    return {**columns, _RAW_NAME: None if is_plain else os.fsencode(row["image"])}


def _as_utf8(value: Any) -> Any:
    """Text as Parquet can hold it: half a surrogate pair, which JSON can say, becomes its escape."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, list):
        return [_as_utf8(each) for each in value]
    return value


class ParquetPredictions(PredictionsFile):
    """A PredictionsFile that becomes Parquet when the run ends. Raises RecordError for any other Parquet file."""

    def __init__(self, path: Path, made_by: str) -> None:
        super().__init__(path.with_name(f"{path.name}.unfinished.jsonl"), made_by)
        self._parquet = path
        self._is_copy = False  # the unfinished file says nothing that the Parquet file does not

    def __enter__(self) -> Self:
        if self._parquet.exists() and not is_predictions_parquet(self._parquet):
            raise RecordError(f"{self._parquet}: no Parquet file of predictions; choose another --out")
        return super().__enter__()

    def _read(self) -> None:
        """Go on with an unfinished run, or else with what the Parquet file holds."""
        if self._parquet.exists() and not os.fstat(self._file.fileno()).st_size:
            self._restore()
        super()._read()

    def _restore(self) -> None:
        """Copy the rows in one step: of a part of them, the next run could not tell that it is one."""
        import pyarrow.parquet

        if strange := set(pyarrow.parquet.read_schema(self._parquet).names) - _types().keys():
            column = f"column {min(strange)!r} is none of zoomin detect's"
            raise RecordError(f"{self._parquet}: {column}; leave it out or choose another --out")
        with naming(self.path):
            self._file = replaced(self._file, Path(os.path.realpath(self.path)), self._restored_lines())
        self._is_copy = True

    def _restored_lines(self) -> Iterator[bytes]:
        """The rows of the Parquet file, all of which are this run's to go on with."""
        for number, row in enumerate(read_rows(self._parquet), 1):
            check_row(row, self._made_by, self._parquet, number)
            yield json_line(row).encode()

    def add(self, prediction: Prediction) -> Outcome:
        self._is_copy = False
        return super().add(prediction)

    def close(self) -> None:
        """A mere copy of the Parquet file does not stay behind either."""
        if self._is_copy and is_at(self._file, self.path):
            Path(os.path.realpath(self.path)).unlink()
        super().close()

    def _finish(self) -> None:
        super()._finish()
        if os.fstat(self._file.fileno()).st_size:
            write_rows(self._parquet, (row for _, row in json_rows(self.path)))
        self.path.unlink()
