"""The command `zoomin evaluate`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swift_zoomin import arguments
from swift_zoomin.arguments import INCOMPLETE, complain, counted
from swift_zoomin.evaluation import sources, tables
from swift_zoomin.evaluation.answers import Answers, to_answers
from swift_zoomin.evaluation.explained import explained_by
from swift_zoomin.evaluation.foreign.formats import FORMATS
from swift_zoomin.evaluation.groups import BY
from swift_zoomin.evaluation.metrics import as_json, by_group, evaluation
from swift_zoomin.evaluation.pairing import Pair, pair
from swift_zoomin.evaluation.plots.material import gather
from swift_zoomin.evaluation.plots.writing import OF_AN_EVALUATION, add_option, check_figures, write_figures
from swift_zoomin.evaluation.reading import read_method
from swift_zoomin.evaluation.sets import METRICS
from swift_zoomin.outputs import check_figures_folder, write_output
from swift_zoomin.predictions import Predictions
from swift_zoomin.records import RecordError, read_records
from swift_zoomin.replies import GENERATED, REAL

TABLES = {"table.md": tables.markdown, "table.tex": tables.latex, "table.csv": tables.comma_separated}
_MOST_PROCESSES = 8  # more gain little, and each takes 100 MB
_BY_HELP = (
    "also a row for each group of images: by their `source` (a generator with the real images of the same source, else "
    "with all of the file), by the regions that the first look marked, by classes of pixels, by label"
)
_SOURCES_HELP = (
    "what a method answered, as [NAME=][FORMAT:]FILE. A file is of `zoomin detect`; or a table (CSV, JSON Lines or "
    "Parquet) with image and any of verdict, label, score; or what another detector wrote, with FORMAT one of "
    f"{', '.join(FORMATS)}. A method is called NAME, or as its file; files of one NAME are joined image by image. In "
    "tables and other formats, an image of another machine's path is known by the end of that path, if it fits only one"
)
_POSITIVE_HELP = (
    f"what a 1 and a high score mean in tables, {GENERATED} or {REAL}; NAME=LABEL is for one method; may be repeated"
)
_THRESHOLD_HELP = "in tables of scores alone, a score above this is a verdict; NAME=SCORE is for one; may be repeated"
_STATUS_HELP = (
    "status: 0 figures are printed; 1 one line says what is wrong; 2 no such option; 3 figures without any verdict"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _STATUS_HELP
    parser.add_argument("records", type=arguments.path)
    parser.add_argument("predictions", type=sources.source, nargs="+", help=_SOURCES_HELP)
    parser.add_argument(
        "--out", type=arguments.path, help=f"also write {METRICS} and {', '.join(TABLES)} into this folder"
    )
    parser.add_argument("--by", choices=BY, help=_BY_HELP)
    parser.add_argument(
        "--positive", type=sources.positive, action="append", default=[], metavar="LABEL", help=_POSITIVE_HELP
    )
    parser.add_argument(
        "--threshold", type=sources.threshold, action="append", default=[], metavar="SCORE", help=_THRESHOLD_HELP
    )
    add_option(parser, OF_AN_EVALUATION)


def run(options: argparse.Namespace) -> int:
    by_method = sources.by_method(options.predictions)
    files = [one.path for one in options.predictions]
    if options.out:
        check_figures_folder(options.out, (METRICS, *TABLES), (options.records, *files))
    if options.figures:
        check_figures(OF_AN_EVALUATION, options.out, (options.records, *files))
    records = read_records(options.records, decode=False)
    stated = sources.states(by_method, options.positive, options.threshold)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # not on macOS
    processes = min(cores, _MOST_PROCESSES)
    notes: list[str] = []
    methods, explained = [], []
    for name, of_method in by_method.items():  # one method in memory at a time
        predictions, read_notes = read_method(of_method, records, stated[name])
        pairs = pair(records, predictions)
        _check_some_belong(options.records, of_method[0].path, pairs, predictions)
        methods.append(to_answers(name, pairs, predictions, processes))
        if options.figures:
            explained.append(explained_by(name, pairs))
        prefix = f"{name}: " if len(by_method) > 1 else ""
        notes += [prefix + note for note in read_notes] + _count_notes(methods[-1], pairs, prefix)
    judged = evaluation(records, methods)
    judged["by"] = {options.by: by_group(options.by, records, methods)} if options.by else {}
    judged["notes"] = notes + _label_notes(judged)
    _show(judged)
    if options.out:
        write_output(options.out / METRICS, json.dumps(as_json(judged), indent=2) + "\n")
        for name, form in TABLES.items():
            write_output(options.out / name, form(judged))
    if options.figures:
        material = gather(records, methods, explained, judged["methods"])
        for note in write_figures(OF_AN_EVALUATION, material, options.out, judged["signature"]):
            print(note)
    return _status(methods, [of_method[0].path for of_method in by_method.values()])


def _check_some_belong(records: Path, file: Path, pairs: Sequence[Pair], predictions: Predictions) -> None:
    """Raises RecordError where a table would say nothing but zeros."""
    if not predictions:
        raise RecordError(f"{file}: holds no prediction")
    if all(prediction is None for _, prediction in pairs):
        names = f"{records} names {pairs[0][0].image.path}, and {file} {next(iter(predictions))}"
        raise RecordError(f"no prediction belongs to a record: {names}; paths are relative to the file they stand in")


def _count_notes(answers: Answers, pairs: Sequence[Pair], of_method: str) -> list[str]:
    """What a reader must know of rows that are absent, or that count nowhere."""
    notes = []
    missing = [record.name for record, prediction in pairs if prediction is None]
    if missing:
        share = f"{len(missing)} of {len(pairs)}"
        notes.append(f"{of_method}{share} records have no prediction and count as wrong; the first: {missing[0]}")
    names_no_record = ("prediction of an image that no record names", "predictions of images that no record names")
    names_another = ("row of an image that has another row", "rows of images that have another row")
    for stray, words in (("extra", names_no_record), ("doubled", names_another)):
        if count := answers.strays[stray]:
            notes.append(f"{of_method}left out: {counted(count, *words)}")
    return notes


def _label_notes(judged: dict[str, Any]) -> list[str]:
    """Where all images have one label, which a detector that always says it would get right."""
    notes = []
    if label := judged["one_label"]:
        notes.append(f"all images are {label}: accuracy is recall, and always saying {label} would score 1")
    for by, groups in judged["by"].items():
        of_one = [group for group, methods in groups.items() if _lacks_a_class(methods)]
        if of_one and not label:
            notes.append(f"accuracy is recall where all images have one label: {by} {', '.join(of_one)}")
    return notes


def _lacks_a_class(methods: dict[str, Any]) -> bool:
    return all(figures["balanced_accuracy"].value is None for figures in methods.values())


def _show(judged: dict[str, Any]) -> None:
    methods = judged["methods"]
    if len(methods) > 1:
        form = tables.TERMINAL if sys.stdout.isatty() else tables.PLAIN
        print("\n\n".join(tables.render(judged, form)), end="\n\n")
        print(f"signature  {judged['signature']}")
    else:
        ((name, figures),) = methods.items()
        more = {"signature": judged["signature"], "made_by": judged["made_by"][name]}
        print(tables.as_list(figures, more))
        for by, groups in judged["by"].items():
            print("", tables.group_table(by, groups), sep="\n")
    for note in judged["notes"]:
        print(note)


def _status(methods: Sequence[Answers], files: Sequence[Path]) -> int:
    silent = [
        file
        for answers, file in zip(methods, files, strict=True)
        if (answers.counts["missing"] + answers.counts["no_verdict"]).all()
    ]
    for file in silent:
        complain(f"{file}: no verdict on any record, so all count as wrong")
    return INCOMPLETE if silent else 0
