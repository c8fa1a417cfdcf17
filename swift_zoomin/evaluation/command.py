"""The command `zoomin evaluate`."""

import argparse
import json

from swift_zoomin import arguments
from swift_zoomin.arguments import INCOMPLETE, complain
from swift_zoomin.evaluation.metrics import figures, pair, table
from swift_zoomin.outputs import check_figures_output, write_output
from swift_zoomin.predictions import read_predictions
from swift_zoomin.records import RecordError, read_records

_STATUS_HELP = (
    "status: 0 figures are printed; 1 one line says what is wrong; 2 no such option; 3 figures without any verdict"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _STATUS_HELP
    parser.add_argument("records", type=arguments.path)
    parser.add_argument("predictions", type=arguments.path)
    parser.add_argument(
        "--out", type=arguments.path, help="also write the figures here, as JSON; older figures are replaced"
    )


def run(options: argparse.Namespace) -> int:
    if options.out:
        check_figures_output(options.out, (options.records, options.predictions))
    records = read_records(options.records, decode=False)
    predictions = read_predictions(options.predictions)
    if not predictions:
        raise RecordError(f"{options.predictions}: holds no prediction")
    pairs = pair(records, predictions)
    missing = [record.image.path for record, prediction in pairs if prediction is None]
    if len(missing) == len(records):
        names = f"{options.records} names {missing[0]}, and {options.predictions} {next(iter(predictions))}"
        raise RecordError(f"no prediction belongs to a record: {names}; paths are relative to the file they stand in")
    metrics = figures(pairs)
    print(table(metrics))
    if missing:
        count = f"{len(missing)} of {len(records)}"
        print(f"{count} records have no prediction and count as wrong; the first: {missing[0]}")
    if options.out:
        write_output(options.out, json.dumps(metrics, indent=2) + "\n")
    if metrics["missing"] + metrics["no_verdict"] == metrics["images"]:
        complain(f"{options.predictions}: no verdict on any record, so all count as wrong")
        return INCOMPLETE
    return 0
