"""The figures of several evaluations, each of one set of images, side by side: Table 2 and Table 4 of the paper.

A set is called as the folder that `zoomin evaluate --out` wrote; a method is the same in all sets where its name is.
The average is the plain mean over the sets, as in the paper; a method that lacks a set has none.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from swift_zoomin.evaluation import markup
from swift_zoomin.evaluation.columns import Column, best_methods
from swift_zoomin.evaluation.figures import Figure
from swift_zoomin.evaluation.tables import Form, Table, shown_figure
from swift_zoomin.file_kind import parsed_json
from swift_zoomin.files import plain_path
from swift_zoomin.records import RecordError

METRICS = "metrics.json"
AVERAGE = "Average"
_ACCURACY = "accuracy"
_NEEDED = (_ACCURACY, "seconds", "seconds_sd", "timed", "looks", "images", "missing", "no_verdict")


class ImageSet(NamedTuple):
    """What `zoomin evaluate` measured on one set of images."""

    name: str
    methods: Mapping[str, Mapping[str, Figure]]
    signature: str
    one_label: str | None  # the label of all its images


class Seconds(NamedTuple):
    """How long a method takes: mean and standard deviation over all its timed images."""

    looks: str
    images: int
    mean: float
    deviation: float | None


def read_sets(folders: Sequence[Path]) -> list[ImageSet]:
    """Raises RecordError for a folder without figures, and where two columns would have one name."""
    sets: dict[str, ImageSet] = {}
    for folder in folders:
        name = plain_path(folder).name
        if name in sets or name == AVERAGE:
            raise RecordError(
                f"{folder}: another column is called {name}, and a set is called as its folder; rename it"
            )
        sets[name] = _read_set(folder / METRICS, name)
    return list(sets.values())


def _read_set(file: Path, name: str) -> ImageSet:
    if not file.is_file():
        raise RecordError(f"{file}: no such file; expected a folder that `zoomin evaluate --out` wrote")
    content = parsed_json(file.read_bytes())
    try:
        methods = {
            method: {figure: Figure(**figures[figure]) for figure in _NEEDED}
            for method, figures in content["methods"].items()
        }
        return ImageSet(name, methods, content["signature"], content["one_label"])
    except (TypeError, KeyError, AttributeError) as error:
        expected = "expected the figures that this version of `zoomin evaluate --out` writes; evaluate again"
        raise RecordError(f"{file}: no such figures ({error!r}); {expected}") from error


def accuracies(sets: Sequence[ImageSet]) -> dict[str, dict[str, Figure]]:
    """For each method its accuracy by set, and the average."""
    names = dict.fromkeys(method for one in sets for method in one.methods)
    rows = {}
    for method in names:
        row = {one.name: one.methods[method][_ACCURACY] if method in one.methods else Figure(None) for one in sets}
        values = [figure.value for figure in row.values()]
        present = [value for value in values if value is not None]
        is_complete = len(present) == len(values)
        rows[method] = {**row, AVERAGE: Figure(sum(present) / len(values) if is_complete else None)}
    return rows


def seconds_of_all(sets: Sequence[ImageSet]) -> dict[str, Seconds]:
    """For each timed method, mean and deviation over the images of all sets together."""
    timed: dict[str, list[Mapping[str, Figure]]] = {}
    for one in sets:
        for method, figures in one.methods.items():
            if figures["timed"].value:
                timed.setdefault(method, []).append(figures)
    return {method: _pooled(parts) for method, parts in timed.items()}


def _pooled(parts: Sequence[Mapping[str, Figure]]) -> Seconds:
    counts = [int(figures["timed"].value or 0) for figures in parts]
    means = [float(figures["seconds"].value or 0) for figures in parts]
    deviations = [float(figures["seconds_sd"].value or 0) for figures in parts]  # of a single image there is none
    images = sum(counts)
    mean = sum(count * part for count, part in zip(counts, means, strict=True)) / images
    squares = sum(
        (count - 1) * deviation**2 + count * (part - mean) ** 2
        for count, part, deviation in zip(counts, means, deviations, strict=True)
    )
    looks = ", ".join(sorted({"two" if figures["looks"].value == 2 else "one" for figures in parts}))
    return Seconds(looks, images, mean, math.sqrt(squares / (images - 1)) if images > 1 else None)


def accuracy_table(rows: Mapping[str, Mapping[str, Figure]], form: Form) -> Table:
    columns = list(next(iter(rows.values())))
    best = {name: best_methods(Column(name, name, "high"), rows) for name in columns}
    lines = []
    for method, row in rows.items():
        cells = [shown_figure(figure, form.interval) for figure in row.values()]
        marked = [form.bold(cell) if method in best[name] else cell for name, cell in zip(columns, cells, strict=True)]
        lines.append([form.escape(method), *marked])
    return ["Method", *map(form.escape, columns)], lines


def seconds_table(rows: Mapping[str, Seconds], form: Form) -> Table:
    lines = []
    for method, row in rows.items():
        deviation = "" if row.deviation is None else f" {form.plus_minus} {row.deviation:.3g}"
        lines.append([form.escape(method), row.looks, str(row.images), f"{row.mean:.3g}{deviation}"])
    return ["Method", "Looks", "Images", "Seconds / Image"], lines


def notes(sets: Sequence[ImageSet]) -> list[str]:
    """Sets whose accuracy says less than it seems to."""
    said = [f"{one.name}: all images are {one.one_label}, so accuracy is recall" for one in sets if one.one_label]
    for one in sets:
        for method, figures in one.methods.items():
            lacking = (figures["missing"].value or 0) + (figures["no_verdict"].value or 0)
            if lacking:
                of_all = f"{lacking:g} of {figures['images'].value:g} images"
                said.append(f"{one.name}: {of_all} have no verdict of {method} and count as wrong")
    return said


def signatures(sets: Sequence[ImageSet]) -> dict[str, str]:
    """How the figures were computed, and of which sets that holds."""
    names: dict[str, list[str]] = {}
    for one in sets:
        names.setdefault(one.signature, []).append(one.name)
    return {signature: ", ".join(of_sets) for signature, of_sets in names.items()}


def text(sets: Sequence[ImageSet], form: Form) -> list[str]:
    """Both tables in one form; the second only where something was timed."""
    tables = [accuracy_table(accuracies(sets), form)]
    if timed := seconds_of_all(sets):
        tables.append(seconds_table(timed, form))
    return [markup.draw(*table, form.name) for table in tables]


def accuracy_csv(sets: Sequence[ImageSet]) -> str:
    """A row a method and set, at full precision."""
    signatures = {one.name: one.signature for one in sets}
    rows = [
        [method, name, *figure, signatures.get(name, "")]
        for method, row in accuracies(sets).items()
        for name, figure in row.items()
    ]
    return _csv(["method", "set", _ACCURACY, f"{_ACCURACY}_low", f"{_ACCURACY}_high", "signature"], rows)


def seconds_csv(sets: Sequence[ImageSet]) -> str:
    signature = "; ".join(dict.fromkeys(one.signature for one in sets))
    rows = [[method, *row, signature] for method, row in seconds_of_all(sets).items()]
    return _csv(["method", "looks", "images", "seconds", "seconds_sd", "signature"], rows)


def _csv(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([headings, *rows])
    return file.getvalue()
