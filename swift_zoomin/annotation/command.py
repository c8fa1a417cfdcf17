"""The command `zoomin annotate`."""

import argparse
import asyncio
import sqlite3
from dataclasses import fields
from importlib.util import find_spec
from itertools import islice

from swift_zoomin import arguments
from swift_zoomin.annotation.dry_run import print_dry_run
from swift_zoomin.annotation.inputs import FOLDER, LabelledImages, labelled_images
from swift_zoomin.annotation.ledger import NAME, SHEET, Ledger
from swift_zoomin.annotation.sent import LEAST_MAX_PIXELS, MAX_PIXELS
from swift_zoomin.annotation.settings import NO_MODEL, Settings, complain_if_untaught, read_settings
from swift_zoomin.annotation.steps import Step
from swift_zoomin.arguments import NOTHING_DONE, complain, counted
from swift_zoomin.families import Frame
from swift_zoomin.files import plain_path
from swift_zoomin.pictures import ImageError
from swift_zoomin.records import RecordError
from swift_zoomin.replies import VERDICTS

_MOST_NUMBER = 10**12
_DEFAULT = " (default: %(default)s)"
_HELP = """\
make records of labelled pictures: ask vision-language models to explain, ground and filter

Models are asked at OpenAI-compatible addresses: a hosted service, or `vllm serve` and `swift deploy` on one's own GPU.
Keys are read from the environment: EXPLAIN_API_KEY, GROUND_API_KEY, FILTER_API_KEY, else OPENAI_API_KEY,
else that of the step before where the address is the same. Of the environment's other settings a proxy alone is heeded.

Every answer is kept in DIR/ledger.sqlite before it is used. To go on after a stop of any kind, run the same again: what
was answered is not asked twice. Results: DIR/records.jsonl, rejected.jsonl (with reasons), audit.jsonl (all that was
asked and answered), summary.json, sheet.png. One run at a time uses a DIR.
"""
_STATUS_HELP = """\
status  0  every image is a record, or a rejection with its reason
        1  one line says what kept the run from beginning: a fault in what was given, a wrong address, key or model
        2  no such option or value
        3  a budget, the server, or 20 images in a row that failed there stopped the run; what was answered is kept
        130, 141  interrupted, what was answered is kept; the reader of the output has left
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = _HELP, _STATUS_HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    sources = "image files, folders of them, or records files, of which the images alone are taken"
    add("images", nargs="+", type=arguments.path, help=sources)
    labels = parser.add_mutually_exclusive_group(required=True)
    labels.add_argument(
        "--label", choices=(*VERDICTS, FOLDER), help=f"of all images; {FOLDER}: by the name of the folder they lie in"
    )
    labels.add_argument(
        "--labels", type=arguments.path, metavar="FILE", help="CSV or JSON Lines: image, label, and columns to keep"
    )
    add("--out", required=True, type=arguments.path, metavar="DIR", help="where ledger and results are kept")
    _add_models(parser)
    _add_limits(parser)
    add("--limit", type=arguments.count, metavar="N", help="annotate the first N images only")
    add("--max-pixels", type=_max_pixels, default=MAX_PIXELS, help="most pixels of an image that are sent" + _DEFAULT)
    add("--dry-run", action="store_true", help="print the prompts for one image and the number of calls; ask nothing")


def _add_models(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    url = "its address, as http://localhost:8000/v1"
    add("--explain-model", required=True, type=arguments.text, help="says why an image looks real or generated")
    add("--explain-url", required=True, type=arguments.text, help=url)
    add("--ground-model", type=arguments.text, help="draws boxes around what the explanation names; else the same")
    add("--ground-url", type=arguments.text, help=f"{url}; else the same")
    add("--filter-model", type=arguments.text, help=f"drops needless boxes; else the same; {NO_MODEL}: rules only")
    add("--filter-url", type=arguments.text, help=f"{url}; else the same")
    add("--ground-frame", choices=tuple(Frame), help="how the grounding model writes boxes; else by its name")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--concurrency", type=arguments.count, default=8, help="images in flight at a time" + _DEFAULT)
    add("--requests-per-minute", type=_number, help="of all models together")
    add("--tokens-per-minute", type=_number, help="of all models together, prompts and answers")
    add("--budget-calls", type=_number, help="most requests in this run, failed ones too")
    add("--budget-tokens", type=_number, help="most tokens in this run")
    seconds = "for one request" + _DEFAULT
    add("--timeout", dest="timeout_s", type=arguments.count, default=120, metavar="SECONDS", help=seconds)
    add("--retries", type=_retries, default=5, help="further tries where the server fails or asks to wait" + _DEFAULT)


def _number(value: str) -> int:
    return arguments.count(value, _MOST_NUMBER)


def _retries(value: str) -> int:
    return 0 if value == "0" else arguments.count(value, 100)


def _max_pixels(value: str) -> int:
    number = arguments.count(value, 10**9)
    if number < LEAST_MAX_PIXELS:
        raise argparse.ArgumentTypeError(f"{value!r}; expected at least {LEAST_MAX_PIXELS}")
    return number


def run(options: argparse.Namespace) -> int:
    sheet = plain_path(options.out / SHEET)  # of an earlier run, where DIR is among the folders
    is_ours = (options.out / NAME).exists()
    images = labelled_images(options.images, options.label, options.labels, sheet if is_ours else None)
    count = min(images.count, options.limit or images.count)
    if not count:
        left_out = f"; left out: {images.listing.summary()}" if images.listing.left_out else ""
        raise ImageError(f"{', '.join(map(str, options.images))}: no image found{left_out}")
    settings = read_settings(options)
    complain_if_untaught(settings.models[Step.GROUND].name)
    if options.dry_run:
        print_dry_run(islice(images, count), count, settings)
        return 0
    _check_extra()
    try:
        with Ledger(options.out) as ledger:
            return _annotate(options, images, count, settings, ledger)
    except sqlite3.Error as error:
        raise RecordError(f"{options.out / NAME}: {error}; choose another --out, or see to its disk") from error


def _check_extra() -> None:
    """Raises RecordError where the clients of the models are not installed."""
    for name in ("openai", "tenacity"):
        if find_spec(name) is None:
            raise RecordError(f'annotate needs {name}; pip install "swift-zoomin[annotate]"')


def _annotate(
    options: argparse.Namespace, images: LabelledImages, count: int, settings: Settings, ledger: Ledger
) -> int:
    from swift_zoomin.annotation.pipeline import Outcome
    from swift_zoomin.annotation.results import final_line, write_results
    from swift_zoomin.annotation.run import Pacing, annotate_images

    pacing = Pacing(**{field.name: getattr(options, field.name) for field in fields(Pacing)})
    coroutine = annotate_images(islice(images, options.limit), count, settings, pacing, ledger, options.out)
    ended = asyncio.run(coroutine)
    if ended.status == NOTHING_DONE and Outcome.RECORD not in ledger.counts():
        raise RecordError(f"{ended.reason}; nothing was annotated")
    statistics = write_results(options.out, ledger, settings, ended.left)
    if ended.is_interrupted:
        raise KeyboardInterrupt
    print(final_line(ledger, ended, images.listing, options.out))
    for warning in statistics.warnings(settings.ground_frame):
        complain(warning)
    if ended.reason:
        complain(f"stopped: {ended.reason}; {counted(ended.left, 'image')} left, run the same again to go on")
    return ended.status
