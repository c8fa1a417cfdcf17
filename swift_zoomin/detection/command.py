"""The command `zoomin detect`."""

import argparse
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from swift_zoomin import arguments
from swift_zoomin.arguments import complain
from swift_zoomin.checkpoints import Checkpoint, differences, settings_in_force
from swift_zoomin.detection import deciding
from swift_zoomin.detection.detector import CONCURRENCY, Detector, open_checkpoint
from swift_zoomin.detection.summary import STATUS_HELP, Summary
from swift_zoomin.episode import CHOOSERS, ONE_TURN
from swift_zoomin.images import ImageError, ImageRef
from swift_zoomin.listing import list_images
from swift_zoomin.predictions import Outcome, Prediction, PredictionsFile, to_prediction

_HELP = """\
look at images twice and write a prediction each

The pixel limits are the checkpoint's, unless MAX_PIXELS is set. A second run with the same --out goes on where the
first one stopped, and tries again what it could not read. In folders, images are known by their suffix; what is left
out is counted at the end. One run at a time writes to --out.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = _HELP, STATUS_HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("images", nargs="+", type=arguments.path, help="image files, folders of them, or records files")
    parser.add_argument(
        "--model", required=True, type=arguments.text, help="model folder, LoRA adapter, or a hub's name"
    )
    parser.add_argument(
        "--out", required=True, type=arguments.path, help="predictions, JSON Lines; where it exists, they go on"
    )
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--gpus", type=arguments.count, default=1, help="GPUs that vLLM spreads the model over")
    parser.add_argument(
        "--memory-share", type=arguments.share, default=0.9, help="share of each GPU's memory that vLLM takes"
    )
    parser.add_argument("--concurrency", type=arguments.count, default=CONCURRENCY, help="images in flight at a time")
    parser.add_argument("--max-new-tokens", type=arguments.count, default=1024, help="tokens a reply may have")
    parser.add_argument("--regions", choices=CHOOSERS, default="first", help="which marked regions to look at again")
    parser.add_argument("--one-turn", choices=ONE_TURN, help="ask one question of this kind instead of both queries")
    deciding.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    listing = list_images(options.images)
    if not listing.images:
        left_out = f"; left out: {listing.summary()}" if listing.left_out else ""
        raise ImageError(f"{', '.join(map(str, options.images))}: no image found{left_out}")
    checkpoint = open_checkpoint(options.model)
    for difference in differences(checkpoint.settings):
        complain(f"{options.model}: {difference}")
    errors = []
    options.deciding = deciding.read_deciding(options, made_by(options, checkpoint))
    with PredictionsFile(options.out, made_by(options, checkpoint) + options.deciding.made_by()) as out:
        todo = [path for path in listing.images if out.outcomes.get(path, Outcome.UNREAD) == Outcome.UNREAD]
        done = len(listing.images) - len(todo)
        if done:
            print(f"{done} of {len(listing.images)} images are done already", flush=True)
        predictions = _predictions(options, iter(todo))
        out.start(set(todo))
        for prediction in tqdm(predictions, "detecting", len(todo), disable=not todo):
            if out.add(prediction) == Outcome.UNREAD:
                errors.append(prediction["error"])
        outcomes = Counter(out.outcomes[path] for path in listing.images)
    summary = Summary(listing, outcomes, done, errors[0] if errors else "")
    print(summary)
    for fault in summary.faults():
        complain(fault)
    return summary.status()


def made_by(options: argparse.Namespace, checkpoint: Checkpoint) -> str:
    """What a prediction depends on besides its image; it stands in each, so that no file mixes two of them."""
    asked = options.one_turn or f"regions {options.regions}"
    settings = settings_in_force(checkpoint.settings)
    limits = f"family {settings.limits.family.name}|pixels {settings.limits}|tokens {options.max_new_tokens}"
    ours = f"prompts {settings.prompts}|zoomin {version('swift-zoomin')}"
    return f"model {checkpoint.name_with_hash()}|{asked}|{limits}|{ours}"


def _predictions(options: argparse.Namespace, paths: Iterator[Path]) -> Iterator[Prediction]:
    """A prediction of each image. The model is loaded when the first comes that can be opened."""
    for path in paths:
        try:
            ImageRef.of(path)
        except ImageError as error:
            unread = to_prediction(str(path), None, str(error), 0.0, options.one_turn)
            yield unread | options.deciding.unread_fields()
        else:
            with closing(detector_of(options)) as detector:
                yield from detector.detect(map(str, chain([path], paths)))


def detector_of(options: argparse.Namespace) -> Detector:
    return Detector(
        options.model,
        options.engine,
        options.max_new_tokens,
        options.concurrency,
        CHOOSERS[options.regions],
        options.one_turn,
        options.gpus,
        options.memory_share,
        options.deciding,
    )
