"""The command `zoomin`: detect, evaluate, check, convert. Training is ms-swift's own command line."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from swift_zoomin.checking import check
from swift_zoomin.detector import Detector
from swift_zoomin.episode import CHOOSERS, ONE_TURN
from swift_zoomin.evaluation import evaluate, read_predictions, table
from swift_zoomin.images import ImageError, open_upright, square
from swift_zoomin.records import Record, RecordError, json_line, read_records, write_records


def main() -> int:
    parser = argparse.ArgumentParser(prog="zoomin", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_detect, _add_evaluate, _add_check, _add_convert):
        add(commands)
    options = parser.parse_args()
    try:
        return options.run(options)
    except (RecordError, ImageError) as error:
        print(f"zoomin: {error}", file=sys.stderr)
        return 1


def _add_detect(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "detect",
        help="look at images twice and write a prediction each",
        description="Set MAX_PIXELS as in training. Run again, it goes on where it stopped.",
    )
    command.add_argument("images", nargs="+", type=Path, help="image files, folders of them, or records files")
    command.add_argument("--model", required=True, help="model folder or checkpoint")
    command.add_argument("--out", required=True, type=Path, help="predictions, JSON Lines; appended to")
    command.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    command.add_argument("--gpus", type=int, default=1, help="GPUs that vLLM spreads the model over")
    command.add_argument("--batch-size", type=int, default=32, help="images asked about together")
    command.add_argument("--max-new-tokens", type=int, default=1024, help="tokens a reply may have")
    command.add_argument("--regions", choices=CHOOSERS, default="first", help="which marked regions to look at again")
    command.add_argument("--one-turn", choices=ONE_TURN, help="ask one question of this kind instead of both queries")
    command.set_defaults(run=_detect)


def _detect(options: argparse.Namespace) -> int:
    images = list(dict.fromkeys(path.resolve() for path in _image_files(options.images)))
    if not images:
        raise ImageError(f"{', '.join(map(str, options.images))}: no image found")
    made_by = _made_by(options)
    done = _done(options.out, made_by) if options.out.exists() else set()
    todo = [str(path) for path in images if path not in done]
    if done:
        print(f"{len(images) - len(todo)} of {len(images)} images are done already")
    if not todo:
        return 0
    detector = Detector(
        options.model,
        options.engine,
        options.max_new_tokens,
        options.batch_size,
        CHOOSERS[options.regions],
        options.one_turn,
        options.gpus,
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    home = options.out.parent.resolve()
    with options.out.open("a", encoding="utf-8") as out:
        for prediction in tqdm(detector.detect(todo), "detecting", len(todo)):
            prediction["image"] = os.path.relpath(prediction["image"], home)
            out.write(json_line({**prediction, "made_by": made_by}))
            out.flush()
    return 0


def _made_by(options: argparse.Namespace) -> str:
    """What a prediction depends on besides its image; it stands in each, so that no file mixes two of them."""
    asked = options.one_turn or f"regions {options.regions}"
    limits = f"MAX_PIXELS {os.environ.get('MAX_PIXELS', 'default')}|tokens {options.max_new_tokens}"
    return f"model {options.model}|{asked}|{limits}|zoomin {version('swift-zoomin')}"


def _done(out: Path, made_by: str) -> set[Path]:
    """Images that an earlier run has answered for, not those that it could not read; a line cut short is removed."""
    with out.open("r+b") as lines:
        lines.truncate(sum(len(line) for line in lines if line.endswith(b"\n")))
    predictions = read_predictions(out)
    for prediction in predictions.values():
        if (other := prediction.get("made_by")) != made_by:
            raise RecordError(f"{out}: holds predictions made by {other}; this is {made_by}; choose another --out")
    return {path for path, prediction in predictions.items() if prediction["replies"]}


def _image_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Image files named, below a folder (by suffix), or listed in a records file."""
    for path in paths:
        if path.suffix in (".jsonl", ".parquet"):
            yield from (Path(record.image.path) for record in read_records(path, decode=False))
        elif path.is_dir():
            suffixes = Image.registered_extensions()
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes)
        else:
            yield path


def _add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("evaluate", help="compare predictions with records")
    command.add_argument("records", type=Path)
    command.add_argument("predictions", type=Path)
    command.add_argument("--out", type=Path, help="also write the figures here, as JSON")
    command.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    metrics = evaluate(read_records(options.records, decode=False), read_predictions(options.predictions))
    print(table(metrics))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return 0


def _add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("check", help="check a records file and decode every image in it")
    command.add_argument("records", type=Path)
    command.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    print(*check(options.records), sep="\n")
    return 0


def _add_convert(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "convert", help="centre-crop and resize the images of a records file, as the paper does for training"
    )
    command.add_argument("records", type=Path)
    command.add_argument("folder", type=Path, help="where records.jsonl and images/ are written")
    command.add_argument("--side-px", type=int, default=512, help="side of the square images in pixels")
    command.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> int:
    rows, lost = [], 0
    records = read_records(options.records)
    _check_target(options.folder.resolve(), records)
    (options.folder / "images").mkdir(parents=True, exist_ok=True)
    for number, record in enumerate(tqdm(records, "converting")):
        image, boxes = square(open_upright(record.image.path), record.boxes or [], options.side_px)
        boxes = [[round(number, 2) for number in box] for box in boxes]
        inside = [at for at, box in enumerate(boxes) if box[0] < box[2] and box[1] < box[3]]
        name = f"images/{number:06d}.png"  # one lossless format for both classes: no codec tells them apart
        image.save(options.folder / name)
        row = {**record.extra, "image": name, "label": record.label, "explanation": record.explanation}
        if record.boxes is not None:
            row["boxes"] = [boxes[at] for at in inside]
            row["box_labels"] = [record.box_labels[at] for at in inside]
        lost += len(boxes) - len(inside)
        rows.append(row)
    write_records(options.folder / "records.jsonl", rows)
    outside = f"; {lost} boxes left out, which no square shows together with the others" if lost else ""
    print(f"wrote {len(rows)} records to {options.folder / 'records.jsonl'}{outside}")
    return 0


def _check_target(folder: Path, records: list[Record]) -> None:
    """Raises RecordError where converting would overwrite a data set, or could not write what it has read."""
    images = folder / "images"
    if (folder / "records.jsonl").exists() or any(images in Path(r.image.path).resolve().parents for r in records):
        raise RecordError(f"{folder}: holds records or their images already; choose another folder")
    for record in records:
        for name, value in record.extra.items():
            try:
                json.dumps(value)
            except TypeError as error:
                raise RecordError(f"{record.name}: {name} cannot stand in records.jsonl ({error}); remove it") from None


if __name__ == "__main__":
    sys.exit(main())
