"""Where the predictions of a method come from: `[NAME=][FORMAT:]PATH` on the command line.

    predictions.jsonl                      ours, called as its file
    scores.csv                             a table of another detector's answers
    DIRE=dire:dire.log                     what DIRE printed, called DIRE
    LEGION=legion:out LEGION=verdicts.csv  two sources of one method, joined image by image

`--positive` and `--threshold` state what the file does not: for all tables, or as `NAME=VALUE` for one.
"""

import argparse
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from swift_zoomin import arguments
from swift_zoomin.evaluation.foreign.formats import FORMATS, TABLE
from swift_zoomin.evaluation.foreign.rows import Stated
from swift_zoomin.evaluation.pairing import method_names
from swift_zoomin.predictions_parquet import is_predictions_parquet
from swift_zoomin.records import RecordError, json_rows
from swift_zoomin.replies import VERDICTS

_TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")


class Source(NamedTuple):
    """`name` is None where the user gave none, and `format` where the file says it itself."""

    name: str | None
    format: str | None
    path: Path


class Given(NamedTuple):
    """A value of `--positive` or `--threshold`; without `name` it is for every table that has none of its own."""

    name: str | None
    value: Any


def source(text: str) -> Source:
    """The type of an argument. What exists under the whole text is a path. Raises ArgumentTypeError."""
    path = arguments.path(text)
    if path.exists():
        return Source(None, None, path)
    name, equals, rest = text.partition("=")
    if not equals or "/" in name:
        name, rest = "", text
    form, colon, after = rest.partition(":")
    if not colon or "/" in form or Path(rest).exists():
        return Source(name or None, None, arguments.path(rest))
    if form not in FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r}: no format {form!r}; expected one of {', '.join(FORMATS)}")
    return Source(name or None, form, arguments.path(after))


def positive(text: str) -> Given:
    """The type of `--positive`. Raises ArgumentTypeError."""
    name, word = _named(text)
    if word not in VERDICTS:
        raise argparse.ArgumentTypeError(f"{text!r}; expected [NAME=]{' or [NAME=]'.join(VERDICTS)}")
    return Given(name, word)


def threshold(text: str) -> Given:
    """The type of `--threshold`. Raises ArgumentTypeError."""
    name, number = _named(text)
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected [NAME=]NUMBER, from 0 to 1")
    return Given(name, value)


def _named(text: str) -> tuple[str | None, str]:
    name, equals, value = text.rpartition("=")
    return (name if equals else None), value


def by_method(sources: Sequence[Source]) -> dict[str, list[Source]]:
    """The sources of each method: those of one given name, or one file. Raises RecordError where names clash."""
    unnamed = [one for one in sources if one.name is None]
    names = iter(method_names([one.path for one in unnamed]))
    given = {one.name for one in sources}
    methods: dict[str, list[Source]] = {}
    for one in sources:
        name = one.name or next(names)
        if one.name is None and name in given:
            raise RecordError(f"{one.path}: is called {name} in a table, as another method; write NAME={one.path}")
        methods.setdefault(name, []).append(one)
    return methods


def states(
    methods: Mapping[str, Sequence[Source]], positives: Sequence[Given], thresholds: Sequence[Given]
) -> dict[str, Stated]:
    """What is stated about the tables of each method. Raises RecordError where something is stated of none."""
    tables = [name for name, sources in methods.items() if any(form_of(one) == TABLE for one in sources)]
    for option, given in (("--positive", positives), ("--threshold", thresholds)):
        for name, value in given:
            if name is not None and name not in tables:
                raise RecordError(f"{option} {name}={value}: the tables are called {', '.join(tables) or 'nothing'}")
            if not tables:
                raise RecordError(f"{option} {value}: is for tables of answers, and none of the files is one")
    return {name: Stated(_value(name, positives), _value(name, thresholds)) for name in methods}


def _value(name: str, given: Sequence[Given]) -> Any:
    """The last value for a method, or else the last one for all."""
    values = dict(given)
    return values.get(name, values.get(None))


def form_of(one: Source) -> str | None:
    """The format of a source; None for predictions as this package has them."""
    if one.format:
        return one.format
    if is_predictions_parquet(one.path):
        return None
    if one.path.suffix.lower() in _TABLE_SUFFIXES:
        return TABLE
    if one.path.suffix != ".jsonl" or not one.path.is_file():
        return None
    for _, first in islice(json_rows(one.path), 1):
        if not isinstance(first, dict) or "image" not in first:
            return None
        answers = {"label", "score"} & first.keys()
        is_ours = "verdict" in first and not {"replies", "made_by"}.isdisjoint(first)
        return TABLE if answers and not is_ours else None
    return None
