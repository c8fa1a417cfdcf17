"""The command `zoomin detect`."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from swift_zoomin import arguments
from swift_zoomin.arguments import complain, counted
from swift_zoomin.checkpoints import Checkpoint, CheckpointError, differences, settings_in_force
from swift_zoomin.detection import deciding
from swift_zoomin.detection.detector import CONCURRENCY, Detector, open_checkpoint
from swift_zoomin.detection.large_blocks import give_large_blocks_back
from swift_zoomin.detection.printed import Printed
from swift_zoomin.detection.progress import Bar, write
from swift_zoomin.detection.quiet import quiet_libraries
from swift_zoomin.detection.served_model import TIMEOUT_S, ServedModel, open_served
from swift_zoomin.detection.summary import STATUS_HELP, Summary
from swift_zoomin.episode import CHOOSERS, ONE_TURN, Engine
from swift_zoomin.families import QWEN2_5_VL, Frame
from swift_zoomin.images import ImageError, ImageRef
from swift_zoomin.listing import LeftOut, Names, Source, images_of_records, is_records_file, walk_images
from swift_zoomin.predictions import Prediction, to_prediction
from swift_zoomin.predictions_file import PredictionsFile
from swift_zoomin.predictions_parquet import SUFFIX, ParquetPredictions
from swift_zoomin.records import RecordError

_STDIN = "-"
_HELP = """\
look at images twice, and print what is seen or write a prediction each

The pixel limits are the checkpoint's, unless MAX_PIXELS is set. A second run with the same --out goes on where the
first one stopped, and tries again what it could not read. In folders, images are known by their suffix; what is left
out is counted at the end. One run at a time writes to --out.

--engine endpoint asks a model behind any OpenAI-compatible address (vllm serve, swift deploy, hosted). Its key is read
from OPENAI_API_KEY. There a checkpoint that is not named by its folder needs the MAX_PIXELS of its training.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = _HELP, STATUS_HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    kinds = "image files, folders of them, or records files; - reads names of image files from standard input"
    parser.add_argument("images", nargs="+", type=_image_source, help=kinds)
    parser.add_argument("-0", "--null", action="store_true", help="these names end in NUL, as find -print0 has them")
    parser.add_argument(
        "--out",
        type=arguments.path,
        help="file of predictions: JSON Lines, or Parquet if named .parquet; where it exists, they go on",
    )
    add_engine_arguments(parser)
    parser.add_argument("--max-new-tokens", type=arguments.count, default=1024, help="tokens a reply may have")
    parser.add_argument("--regions", choices=CHOOSERS, default="first", help="which marked regions to look at again")
    parser.add_argument("--one-turn", choices=ONE_TURN, help="ask one question of this kind instead of both queries")
    deciding.add_arguments(parser)
    parser.add_argument(
        "--report",
        type=arguments.path,
        metavar="FILE",
        help="also the evidence on the one image: a page, or its annotated picture if FILE ends in .png",
    )


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model is asked, and by what: the options of `open_model` and `open_engine`."""
    parser.add_argument(
        "--model", required=True, type=arguments.text, help="model folder, LoRA adapter, a hub's name, or an endpoint's"
    )
    parser.add_argument("--engine", choices=("transformers", "vllm", "endpoint"), default="transformers")
    parser.add_argument("--url", type=arguments.text, help="the endpoint's address, as http://localhost:8000/v1")
    parser.add_argument("--frame", choices=tuple(Frame), help="how its model writes boxes; else by the model's name")
    parser.add_argument(
        "--timeout", type=arguments.count, metavar="SECONDS", help=f"for one request to an endpoint ({TIMEOUT_S})"
    )
    parser.add_argument("--gpus", type=arguments.count, default=1, help="GPUs that vLLM spreads the model over")
    parser.add_argument(
        "--memory-share", type=arguments.share, default=0.9, help="share of each GPU's memory that vLLM takes"
    )
    parser.add_argument("--concurrency", type=arguments.count, default=CONCURRENCY, help="images in flight at a time")


def _image_source(value: str) -> Path | str:
    """`-` alone is standard input, and `./-` a file."""
    return value if value == _STDIN else arguments.path(value)


def run(options: argparse.Namespace) -> int:
    check_options(options)
    give_large_blocks_back()
    sources, summary = sources_of(options), Summary()
    images = found_images(options, sources, summary)
    checkpoint = open_model(options)
    for difference in differences(checkpoint.settings):
        complain(f"{options.model}: {difference}")
    made_by = made_by_of(options, checkpoint)
    options.deciding = deciding.read_deciding(options, made_by)
    try:
        with _destination(options, made_by + options.deciding.made_by()) as out:
            if out.answered:
                print(f"{options.out}: {counted(out.answered, 'image')} done already", flush=True)
            todo = (image for image in images if summary.is_todo(out.became(image)))
            with quiet_libraries(), Bar(_count(sources)) as bar:
                for prediction in _predictions(options, checkpoint, todo):
                    summary.add(out.add(prediction), prediction["error"])
                    if options.report:
                        _write_report(options, prediction, made_by)
                    bar.update(summary.done_before)
    except (RecordError, ImageError, CheckpointError, OSError):  # what was done is said before what ended it
        if summary.outcomes.total() > (options.out is None):
            print(summary, flush=True)
        raise
    if options.out or summary.outcomes.total() > 1:
        print(summary)
    for fault in summary.faults():
        complain(fault)
    return summary.status()


def check_options(options: argparse.Namespace) -> None:
    """Raises RecordError for what was asked for and would do nothing."""
    check_model_options(options)
    if options.null and _STDIN not in options.images:
        raise RecordError("-0 is about names from standard input; leave it out, or read them with -")
    if options.false_alarms is not None and options.calibration is None:
        raise RecordError("--false-alarms is about --calibration; leave it out, or set that")
    if options.report:
        _check_report(options)


def _check_report(options: argparse.Namespace) -> None:
    """Raises RecordError, before a model is loaded, for a report that could not be written."""
    from swift_zoomin.report.rendering import check_packages
    from swift_zoomin.report.targets import check_target

    (first, *others) = options.images
    is_one = not others and isinstance(first, Path) and not first.is_dir() and not is_records_file(first)
    if options.out or not is_one:
        raise RecordError("--report is about one image file without --out; else: zoomin report PREDICTIONS --out DIR")
    check_packages()
    check_target(options.report)


def _write_report(options: argparse.Namespace, prediction: Prediction, made_by: str) -> None:
    from swift_zoomin.report.evidence import Evidence
    from swift_zoomin.report.targets import write_evidence

    row = {**prediction, "made_by": made_by + options.deciding.made_by()}
    calibration = options.deciding.calibration
    write_evidence(options.report, Evidence(row, Path(prediction["image"]), calibration=calibration))
    write(f"wrote {options.report}\n")


def check_model_options(options: argparse.Namespace) -> None:
    if options.engine != "endpoint" and (options.url or options.frame or options.timeout):
        raise RecordError("--url, --frame and --timeout are about --engine endpoint; leave them out, or set that")


def sources_of(options: argparse.Namespace) -> list[Source]:
    """What holds images. A faulty records file is said before a model is loaded."""
    end = b"\0" if options.null else b"\n"
    sources: list[Source] = []
    for source in options.images:
        if source == _STDIN:
            sources.append(Names(sys.stdin.buffer, end))
        elif is_records_file(source):
            sources.append(images_of_records(source))
        else:
            sources.append(source)
    return sources


def found_images(options: argparse.Namespace, sources: list[Source], summary: Summary) -> Iterator[Path]:
    """The images of the sources. Raises ImageError where there is none, before anything is loaded."""
    images = walk_images(sources, summary.left_out)
    first = next(images, None)
    if first is None:
        left_out = summary.left_out.summary()
        end = f"; left out: {left_out}" if left_out else ""
        raise ImageError(f"{', '.join(map(str, options.images))}: no image found{end}")
    return chain([first], images)


def _destination(options: argparse.Namespace, made_by: str) -> Printed | PredictionsFile:
    if options.out is None:
        return Printed(write)
    if options.out.suffix == SUFFIX:
        return ParquetPredictions(options.out, made_by)
    return PredictionsFile(options.out, made_by)


def _count(sources: list[Source]) -> Callable[[], int] | None:
    """Counts the images; None where their list comes through a pipe, or where there is but one."""
    is_one = len(sources) == 1 and isinstance(sources[0], Path) and not sources[0].is_dir()
    if is_one or any(isinstance(source, Names) for source in sources):
        return None
    return lambda: sum(1 for _ in walk_images(sources, LeftOut()))


def open_model(options: argparse.Namespace) -> Checkpoint | ServedModel:
    """Looked at before it is loaded, or asked."""
    if options.engine == "endpoint":
        return open_served(options.model, options.url, options.frame)
    return open_checkpoint(options.model)


def made_by_of(options: argparse.Namespace, checkpoint: Checkpoint | ServedModel) -> str:
    """What a prediction depends on besides its image; it stands in each, so that no file mixes two of them."""
    asked = options.one_turn or f"regions {options.regions}"
    settings = settings_in_force(checkpoint.settings)
    family = settings.limits.family
    told = "" if family == QWEN2_5_VL else f"family {family.name}|"  # no family is told in older predictions
    limits = f"{told}pixels {settings.limits}|tokens {options.max_new_tokens}"
    ours = f"prompts {settings.prompts}|zoomin {version('swift-zoomin')}"
    return f"model {checkpoint.name_with_hash()}|{asked}|{limits}|{ours}"


def _predictions(
    options: argparse.Namespace, checkpoint: Checkpoint | ServedModel, paths: Iterator[Path]
) -> Iterator[Prediction]:
    """A prediction of each image. The model is loaded when the first comes that can be opened."""
    for path in paths:
        try:
            ImageRef.of(path)
        except ImageError as error:
            unread = to_prediction(str(path), None, str(error), 0.0, options.one_turn)
            yield unread | options.deciding.unread_fields()
        else:
            with ExitStack() as opened:
                engine: str | Engine = options.engine
                if isinstance(checkpoint, ServedModel):
                    engine = opened.enter_context(closing(_endpoint(options, checkpoint)))
                detector = opened.enter_context(closing(detector_of(options, engine)))
                yield from detector.detect(map(str, chain([path], paths)))


def open_engine(options: argparse.Namespace, checkpoint: Checkpoint | ServedModel) -> Engine:
    """For a caller without a Detector, which is to close it. Raises CheckpointError."""
    if isinstance(checkpoint, ServedModel):
        return _endpoint(options, checkpoint)
    from swift_zoomin.detection.engine import SwiftEngine

    return SwiftEngine(checkpoint, options.engine, options.max_new_tokens, options.gpus, options.memory_share)


def _endpoint(options: argparse.Namespace, served: ServedModel) -> Engine:
    from swift_zoomin.detection.endpoint import EndpointEngine

    limits = settings_in_force(served.settings).limits
    timeout_s = options.timeout or TIMEOUT_S
    return EndpointEngine(served.model, limits, options.max_new_tokens, timeout_s, concurrency=options.concurrency)


def detector_of(options: argparse.Namespace, engine: str | Engine) -> Detector:
    return Detector(
        options.model,
        engine,
        options.max_new_tokens,
        options.concurrency,
        CHOOSERS[options.regions],
        options.one_turn,
        options.gpus,
        options.memory_share,
        options.deciding,
    )
