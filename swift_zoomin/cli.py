"""The command `zoomin`: detect, evaluate, check, convert. Training is ms-swift's own command line."""

import argparse
import json
import os
import select
import sys
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path

from tqdm import tqdm

from swift_zoomin.checking import check, counted
from swift_zoomin.checkpoints import Checkpoint, CheckpointError, differences, settings_in_force
from swift_zoomin.detector import Detector, open_checkpoint
from swift_zoomin.episode import CHOOSERS, ONE_TURN
from swift_zoomin.images import ImageError, ImageRef, open_upright, square
from swift_zoomin.listing import list_images
from swift_zoomin.outputs import check_figures_output, make_folder, naming, write_output
from swift_zoomin.predictions import Outcome, Prediction, PredictionsFile, read_predictions, to_prediction
from swift_zoomin.records import RECORDS_SUFFIXES, Record, RecordError, read_records, write_records
from swift_zoomin.summary import EVALUATE_STATUS_HELP, INCOMPLETE, STATUS_HELP, Summary

_INTERRUPTED, _READER_GONE = 130, 141  # 128 + SIGINT and 128 + SIGPIPE, as shells give them
_MOST = 1_000_000  # of images a batch, tokens, GPUs: far beyond any use
_MOST_SIDE_PX = 10_000  # a square of 100 megapixels


def main() -> int:
    parser = argparse.ArgumentParser(prog="zoomin", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_detect, _add_evaluate, _add_check, _add_convert):
        add(commands)
    options = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be more than the terminal can show
    try:
        status: int = options.run(options)
        print(end="", flush=True)  # a full disk or a closed pipe shows here, while it can still be said
    except (RecordError, ImageError, CheckpointError, OSError, KeyboardInterrupt) as error:
        status = _report(error)
    _drop_what_cannot_be_written()
    return status


def _report(error: BaseException) -> int:
    """Say in one line what ended a command; the status it ends with."""
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        return _READER_GONE
    if isinstance(error, KeyboardInterrupt):
        message = "interrupted; what is written stays"
    elif isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        message = str(error)
    try:
        _complain(message)
    except BrokenPipeError:
        return _READER_GONE
    return _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def _complain(message: str) -> None:
    print(f"zoomin: {message}", file=sys.stderr)


def _nobody_reads() -> bool:
    """Whether standard output or error is a pipe whose reader has left, as in `zoomin ... | head -1`."""
    streams = select.poll()
    for descriptor in (1, 2):
        streams.register(descriptor, select.POLLOUT)
    return any(event & select.POLLERR for _, event in streams.poll(0))


def _drop_what_cannot_be_written() -> None:
    """Drop what a failed stream still holds: at exit Python would try to write it again, and print a traceback."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _text(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("empty; is a variable unset?")
    return text


def _path(text: str) -> Path:
    return Path(_text(text))  # an empty one would be the current folder


def _count(text: str, most: int = _MOST) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from 1 to {most}")
    return number


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a share above 0 and at most 1")
    return share


def _side_px(text: str) -> int:
    return _count(text, _MOST_SIDE_PX)


_DETECT_HELP = """\
look at images twice and write a prediction each

The pixel limits are the checkpoint's, unless MAX_PIXELS is set. A second run with the same --out goes on where the
first one stopped, and tries again what it could not read. In folders, images are known by their suffix; what is left
out is counted at the end. One run at a time writes to --out.
"""


def _add_detect(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "detect",
        help="look at images twice and write a prediction each",
        description=_DETECT_HELP,
        epilog=STATUS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("images", nargs="+", type=_path, help="image files, folders of them, or records files")
    command.add_argument("--model", required=True, type=_text, help="model folder, LoRA adapter, or a hub's name")
    command.add_argument(
        "--out", required=True, type=_path, help="predictions, JSON Lines; where it exists, they go on"
    )
    command.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    command.add_argument("--gpus", type=_count, default=1, help="GPUs that vLLM spreads the model over")
    command.add_argument("--memory-share", type=_share, default=0.9, help="share of each GPU's memory that vLLM takes")
    command.add_argument("--batch-size", type=_count, default=32, help="images asked about together")
    command.add_argument("--max-new-tokens", type=_count, default=1024, help="tokens a reply may have")
    command.add_argument("--regions", choices=CHOOSERS, default="first", help="which marked regions to look at again")
    command.add_argument("--one-turn", choices=ONE_TURN, help="ask one question of this kind instead of both queries")
    command.set_defaults(run=_detect)


def _detect(options: argparse.Namespace) -> int:
    listing = list_images(options.images)
    if not listing.images:
        left_out = f"; left out: {listing.summary()}" if listing.left_out else ""
        raise ImageError(f"{', '.join(map(str, options.images))}: no image found{left_out}")
    checkpoint = open_checkpoint(options.model)
    for difference in differences(checkpoint.settings):
        _complain(f"{options.model}: {difference}")
    errors = []
    with PredictionsFile(options.out, _made_by(options, checkpoint)) as out:
        todo = [path for path in listing.images if out.outcomes.get(path, Outcome.UNREAD) == Outcome.UNREAD]
        done = len(listing.images) - len(todo)
        if done:
            print(f"{done} of {len(listing.images)} images are done already", flush=True)
        predictions = _predictions(options, todo)
        out.start(set(todo))
        for prediction in tqdm(predictions, "detecting", len(todo), disable=not todo):
            if out.add(prediction) == Outcome.UNREAD:
                errors.append(prediction["error"])
        outcomes = Counter(out.outcomes[path] for path in listing.images)
    summary = Summary(listing, outcomes, done, errors[0] if errors else "")
    print(summary)
    for fault in summary.faults():
        _complain(fault)
    return summary.status()


def _made_by(options: argparse.Namespace, checkpoint: Checkpoint) -> str:
    """What a prediction depends on besides its image; it stands in each, so that no file mixes two of them."""
    asked = options.one_turn or f"regions {options.regions}"
    settings = settings_in_force(checkpoint.settings)
    limits = f"pixels {settings.limits}|tokens {options.max_new_tokens}"
    ours = f"prompts {settings.prompts}|zoomin {version('swift-zoomin')}"
    return f"model {checkpoint.name}|{asked}|{limits}|{ours}"


def _predictions(options: argparse.Namespace, paths: list[Path]) -> Iterable[Prediction]:
    """A prediction of each image. The model is loaded here, unless not one of the images can be opened."""
    unread = []
    for path in paths:
        try:
            ImageRef.of(path)
        except ImageError as error:
            unread.append(to_prediction(str(path), None, str(error), 0.0, options.one_turn))
        else:
            return _detector(options).detect(map(str, paths))
    return unread


def _detector(options: argparse.Namespace) -> Detector:
    return Detector(
        options.model,
        options.engine,
        options.max_new_tokens,
        options.batch_size,
        CHOOSERS[options.regions],
        options.one_turn,
        options.gpus,
        options.memory_share,
    )


def _add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("evaluate", help="compare predictions with records", epilog=EVALUATE_STATUS_HELP)
    command.add_argument("records", type=_path)
    command.add_argument("predictions", type=_path)
    command.add_argument("--out", type=_path, help="also write the figures here, as JSON; older figures are replaced")
    command.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    if options.out:
        check_figures_output(options.out, (options.records, options.predictions))
    from swift_zoomin.evaluation import evaluate, pair, table  # heavier than all the rest

    records, predictions = read_records(options.records, decode=False), read_predictions(options.predictions)
    if not predictions:
        raise RecordError(f"{options.predictions}: holds no prediction")
    missing = [record.image.path for record, prediction in pair(records, predictions) if prediction is None]
    if len(missing) == len(records):
        names = f"{options.records} names {missing[0]}, and {options.predictions} {next(iter(predictions))}"
        raise RecordError(f"no prediction belongs to a record: {names}; paths are relative to the file they stand in")
    metrics = evaluate(records, predictions)
    print(table(metrics))
    if missing:
        count = f"{len(missing)} of {len(records)}"
        print(f"{count} records have no prediction and count as wrong; the first: {missing[0]}")
    if options.out:
        write_output(options.out, json.dumps(metrics, indent=2) + "\n")
    if metrics["missing"] + metrics["no_verdict"] == metrics["images"]:
        _complain(f"{options.predictions}: no verdict on any record, so all count as wrong")
        return INCOMPLETE
    return 0


def _add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("check", help="check records files and decode every image in them")
    command.add_argument("records", nargs="+", type=_path, help="the files of one run")
    command.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    print(*check(options.records), sep="\n")
    return 0


def _add_convert(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "convert", help="centre-crop and resize the images of a records file, as the paper does for training"
    )
    command.add_argument("records", type=_path)
    command.add_argument("folder", type=_path, help="where records.jsonl and images/ are written")
    command.add_argument("--side-px", type=_side_px, default=512, help="side of the square images in pixels")
    command.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> int:
    rows, lost = [], 0
    records = read_records(options.records)
    _check_target(Path(os.path.realpath(options.folder)), records)
    make_folder(options.folder / "images")
    for number, record in enumerate(tqdm(records, "converting")):
        image, boxes = square(open_upright(record.image.path), record.boxes or [], options.side_px)
        boxes = [[round(number, 2) for number in box] for box in boxes]
        inside = [at for at, box in enumerate(boxes) if box[0] < box[2] and box[1] < box[3]]
        name = f"images/{_converted_name(number)}"
        with naming(options.folder / name):
            image.save(options.folder / name)
        row = {**record.extra, "image": name, "label": record.label, "explanation": record.explanation}
        if record.boxes is not None:
            row["boxes"] = [boxes[at] for at in inside]
            row["box_labels"] = [record.box_labels[at] for at in inside]
        lost += len(boxes) - len(inside)
        rows.append(row)
    write_records(options.folder / "records.jsonl", rows)
    left_out = f"; {counted(lost, 'box', 'boxes')} left out: outside the square, or too small to be seen in it"
    written = f"{counted(len(rows), 'record')} to {options.folder / 'records.jsonl'}"
    print(f"wrote {written}{left_out if lost else ''}")
    return 0


def _converted_name(number: int) -> str:
    return f"{number:06d}.png"  # one lossless format for both classes: no codec tells them apart


def _check_target(folder: Path, records: list[Record]) -> None:
    """Raises RecordError where converting would overwrite a data set, or could not write what it has read."""
    images = Path(os.path.realpath(folder / "images"))  # the folder may hold a link to images elsewhere
    written = [images / _converted_name(number) for number in range(len(records))]
    in_the_way = [path for path in folder.glob("*") if path.suffix in RECORDS_SUFFIXES]
    in_the_way += [path for path in written if os.path.lexists(path)]  # a link would be written through
    in_the_way += [Path(record.image.path) for record in records if images in Path(record.image.path).resolve().parents]
    if in_the_way:
        advice = "choose another folder, or empty this one where an earlier convert was stopped"
        raise RecordError(f"{folder}: holds records or their images already; {advice} ({in_the_way[0]})")
    for record in records:
        for name, value in record.extra.items():
            try:
                json.dumps(value)
            except TypeError as error:
                raise RecordError(f"{record.name}: {name} cannot stand in records.jsonl ({error}); remove it") from None


if __name__ == "__main__":
    sys.exit(main())
