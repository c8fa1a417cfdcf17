"""The command `zoomin probe`."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from swift_zoomin import arguments
from swift_zoomin.arguments import INCOMPLETE, NOTHING_DONE, complain, counted
from swift_zoomin.checkpoints import Checkpoint, differences
from swift_zoomin.detection.command import (
    add_engine_arguments,
    check_model_options,
    made_by_of,
    open_engine,
    open_model,
)
from swift_zoomin.detection.in_flight import in_flight
from swift_zoomin.detection.progress import Bar
from swift_zoomin.detection.quiet import quiet_libraries
from swift_zoomin.detection.score import how_sampled
from swift_zoomin.detection.served_model import ServedModel
from swift_zoomin.episode import CHOOSERS
from swift_zoomin.listing import shown
from swift_zoomin.made_by import parse_made_by
from swift_zoomin.predictions import Outcome, Prediction, Predictions
from swift_zoomin.predictions_parquet import read_any_predictions
from swift_zoomin.probe_figures import Changes, Depends, changes_of, depends_of
from swift_zoomin.probes import Probe, read_probes
from swift_zoomin.probing.probe import SAMPLES, Asking, probe_image, why_not
from swift_zoomin.probing.probes_file import ProbesFile
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED

_HELP = """\
hide the regions that a verdict rests on, and look what becomes of it

For each region that the second look was shown, the region is blurred, in the whole image and in its close-up. The first
reply stays as it is, and the second look is sampled again. What is written is the share of samples that say
"generated": as it was, with that region hidden, and with one of the same size hidden elsewhere, at random. And the same
with all regions hidden at once: if the verdict holds then, it does not depend on what was marked.

faithfulness is the share of verdicts that do not hold then. It is near 0 where a model repeats its first verdict, and
1 only where hiding turns each verdict round: a model that says the same word wherever it sees nothing keeps those
verdicts that are this word, about half of them where both words are as frequent.

PREDICTIONS are of zoomin detect, and M is the model that made them; what else they were made with stands in them. Each
image costs K answers for itself, 2 K a region and, where it has several, 2 K for all. To probe a part of a large file,
put that part beside it: shuf -n 200 predictions.jsonl > some.jsonl

status  0  every image is probed, or has no region to probe
        1  no image could be probed, or one line says what ended the run
        2  no such option or value
        3  an image could not be probed: it has gone, has changed its size, or there was no second look at it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("predictions", type=arguments.path, help="of zoomin detect, JSON Lines or Parquet")
    parser.add_argument(
        "--out", required=True, type=arguments.path, help="file of probes, JSON Lines; where it exists, they go on"
    )
    parser.add_argument(
        "--samples", type=arguments.count, metavar="K", default=SAMPLES, help=f"second looks for a share ({SAMPLES})"
    )
    parser.add_argument(
        "--leave-out",
        action="store_true",
        help="leave a hidden region's close-up out, which changes the question too, instead of blurring it",
    )
    add_engine_arguments(parser)


def run(options: argparse.Namespace) -> int:
    check_model_options(options)
    predictions = read_any_predictions(options.predictions)
    take_settings(options, predictions)
    checkpoint = open_model(options)
    made_by = made_by_of(options, checkpoint)
    _check_maker(options, predictions, made_by)
    for difference in differences(checkpoint.settings):
        complain(f"{options.model}: {difference}")
    hidden = "left out" if options.leave_out else "blurred"
    with ProbesFile(options.out, f"{made_by}|close-ups {hidden}|{how_sampled(options.samples)}") as out:
        if out.answered:
            print(f"{options.out}: {counted(out.answered, 'image')} done already", flush=True)
        todo = {path: row for path, row in predictions.items() if out.became(path) in (None, Outcome.UNREAD)}
        with quiet_libraries(), Bar(lambda: len(todo), "probing") as bar:
            for probe in _probes(options, checkpoint, todo):
                out.add(probe.as_row())
                bar.update(0)
    probes = list(read_probes(options.out).values())
    print("\n".join(as_text(probes)))
    return _status(probes)


def take_settings(options: argparse.Namespace, predictions: Predictions) -> None:
    """Set what the exchange depends on, besides the model, as the predictions say that they were made.

    Raises RecordError where they are none of ours, of several makers, or of one look alone.
    """
    file = options.predictions
    if not predictions:
        raise RecordError(f"{file}: no prediction in it")
    told, *others = [row.get("made_by") for row in predictions.values()]
    maker = parse_made_by(told)
    for other in others:
        if _exchange(other) != _exchange(told):
            makers = f"{told or 'nobody'} and by {other or 'nobody'}"
            raise RecordError(f"{file}: made by {makers}; expected one model and its settings")
    if maker is None:
        raise RecordError(f"{file}: made by {told or 'nobody'}; expected predictions as zoomin detect writes them")
    if maker.chooser is None:
        raise RecordError(f"{file}: made with --one-turn, by {told}; there is no second look to probe")
    options.one_turn, options.regions, options.max_new_tokens = None, maker.chooser, maker.tokens


def _exchange(made_by: Any) -> Any:
    """What two replies depend on; of what is none of ours, all of it."""
    maker = parse_made_by(made_by)
    return maker.exchange if maker else made_by


def _check_maker(options: argparse.Namespace, predictions: Predictions, made_by: str) -> None:
    """Raises RecordError where another model made the predictions, or was shown images otherwise."""
    row = next(iter(predictions.values()))
    if _exchange(row["made_by"]) != _exchange(made_by):
        advice = "give the model that made them, and the same MAX_PIXELS"
        made = f"made by {row['made_by']}; --model {options.model} is {made_by}"
        raise RecordError(f"{options.predictions}: {made}; {advice}")


def _probes(
    options: argparse.Namespace, checkpoint: Checkpoint | ServedModel, predictions: dict[Path, Prediction]
) -> Iterator[Probe]:
    """A probe of each prediction. The model is loaded when there is a second look to test."""
    testable = {}
    for path, prediction in predictions.items():
        if reason := why_not(prediction):
            yield Probe(str(path), error=reason)
        else:
            testable[path] = prediction
    if not testable:
        return
    asking = Asking(options.samples, CHOOSERS[options.regions], options.leave_out)
    with closing(open_engine(options, checkpoint)) as engine:

        async def probe(path: Path) -> Probe:
            return await probe_image(engine, testable[path], path, asking)

        yield from in_flight(probe, testable, options.concurrency)


def as_text(probes: Sequence[Probe]) -> list[str]:
    """What the probes of a model come to, line by line."""
    errors = [probe.error for probe in probes if probe.error is not None]
    without = sum(probe.error is None and not probe.regions for probe in probes)
    parts = [f"{len(probes) - len(errors) - without} probed"]
    if without:
        parts.append(f"{without} without a region")
    if errors:
        parts.append(f"{len(errors)} not probed; the first: {shown(errors[0])}")
    lines = [f"{counted(len(probes), 'image')}: {', '.join(parts)}"]
    if changes := changes_of(probes):
        lines += _changes_told(changes)
    if depends := depends_of(probes):
        lines.append(_depends_told(depends))
    return lines


def _changes_told(changes: Changes) -> list[str]:
    beside = f"; {changes.overlapping} of them overlap a marked one" if changes.overlapping else ""
    return [
        f'a region hidden  changes the share of "{GENERATED}" by {changes.marked:.3f} '
        f"(mean of {counted(changes.regions, 'region')})",
        f"a random one     by {changes.random:.3f} (of the same size{beside})",
        f"ratio            {changes.ratio_told}",
    ]


def _depends_told(depends: Depends) -> str:
    low, high = depends.interval
    of = f"{depends.marked} of {counted(depends.images, 'verdict')} fall with what was marked"
    return (
        f"faithfulness     {depends.share:.3f} (95%: {low:.3f}..{high:.3f}): {of}, {depends.random} with random regions"
    )


def _status(probes: Sequence[Probe]) -> int:
    """The exit status, as the help has it."""
    errors = sum(probe.error is not None for probe in probes)
    if errors == len(probes):
        return NOTHING_DONE
    return INCOMPLETE if errors else 0
