"""Files of rows and columns: CSV, JSON Lines and Parquet, read as dictionaries of cells."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

from swift_zoomin.records import RecordError, json_rows

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_DELIMITERS = ",;\t"  # the first of them that the head of a table in text has

Cells = dict[str, Any]


class Table(NamedTuple):
    """The names of the columns, and the rows, each with its `file:line`; a ValueError says what is wrong with one."""

    columns: list[str]
    rows: list[tuple[str, Cells | ValueError]]


def read_cells(path: Path) -> Table:
    """A table. Raises RecordError where the file is not what its name ends in."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet_table(path)
    return _json_table(path) if suffix == ".jsonl" else _csv_table(path)


def _json_table(path: Path) -> Table:
    table = Table([], [])
    for where, value in json_rows(path):
        if isinstance(value, dict):
            table.columns.extend(name for name in value if name not in table.columns)
        elif not isinstance(value, ValueError):
            value = ValueError(f"{type(value).__name__}; expected a JSON object")
        table.rows.append((where, value))
    return table


def _csv_table(path: Path) -> Table:
    with open_text(path) as file:
        head = file.readline()
        file.seek(0)
        delimiter = next((mark for mark in _DELIMITERS if mark in head), ",")
        lines = csv.reader(file, delimiter=delimiter)
        table = Table([name.strip() for name in next(lines, [])], [])
        for cells in lines:
            if cells:
                table.rows.append((f"{path}:{lines.line_num}", _read_text(table.columns, cells)))
    return table


def _read_text(columns: list[str], cells: list[str]) -> Cells | ValueError:
    """Cells of text: an empty one holds nothing, and `seconds` is a number."""
    if len(cells) != len(columns):
        return ValueError(f"{len(cells)} cells; expected {len(columns)}, as the head has")
    read: Cells = {name: cell if cell.strip() else None for name, cell in zip(columns, cells, strict=True)}
    if read.get("seconds"):
        with suppress(ValueError):  # who checks predictions says what is wrong with it
            read["seconds"] = float(read["seconds"])
    for name in ("boxes", "box_labels"):
        if read.get(name):
            with suppress(ValueError):
                read[name] = json.loads(read[name])
    return read


@contextmanager
def open_text(path: Path) -> Iterator[TextIOWrapper]:
    """A text file, with or without a byte order mark. Raises RecordError where it cannot be read as one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: cannot be read as text in UTF-8 ({error})") from error


def _parquet_table(path: Path) -> Table:
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise RecordError(f"{path}: cannot be read as Parquet ({error})") from error
    return Table(table.column_names, [(f"{path}:{number}", cells) for number, cells in enumerate(table.to_pylist(), 1)])
