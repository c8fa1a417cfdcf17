"""The command `zoomin report`."""

import argparse
import os
from pathlib import Path

from tqdm import tqdm

from swift_zoomin import arguments
from swift_zoomin.arguments import INCOMPLETE, Found, complain, counted, first_few
from swift_zoomin.calibrations import Calibration, read_calibration
from swift_zoomin.files import plain_path
from swift_zoomin.listing import shown
from swift_zoomin.made_by import parse_made_by
from swift_zoomin.pairing import record_finder
from swift_zoomin.pictures import ImageError
from swift_zoomin.predictions import Prediction, Predictions, named_image
from swift_zoomin.predictions_parquet import read_any_predictions
from swift_zoomin.probes import Probe, read_probes
from swift_zoomin.records import Record, RecordError, read_records
from swift_zoomin.report.evidence import Evidence
from swift_zoomin.report.pictures import safe_name
from swift_zoomin.report.rendering import check_packages
from swift_zoomin.report.run_page import MOST_ENTRIES, write_run_page
from swift_zoomin.report.targets import PICTURE_SUFFIX, check_target, write_evidence
from swift_zoomin.report.words import limit_used

PAGE, PICTURES = "index.html", "pictures"  # in the folder of a run
_MOST_SAMPLED = 5000  # images on one page: some 200 MB, and what a browser still opens
_HELP = """\
write pages that show what a model looked at and what it said

Without --image, the page of a whole run: index.html in the folder --out. With --image, the evidence on one image: a
page to file, or its annotated picture where --out ends in .png. Pages are one file each, load nothing from elsewhere,
and can be read without script and printed.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("predictions", type=arguments.path, help="of zoomin detect, or image and verdict of any other")
    parser.add_argument("--out", type=arguments.path, help="folder of a run's page; of one image, its .html or .png")
    parser.add_argument("--image", type=arguments.text, metavar="NAME", help="as the predictions name it, or its path")
    parser.add_argument("--records", type=arguments.path, metavar="FILE", help="shows the annotation beside it")
    parser.add_argument(
        "--probes", type=arguments.path, metavar="FILE", help="of zoomin probe: what hiding regions did"
    )
    parser.add_argument(
        "--calibration",
        type=arguments.path,
        metavar="FILE",
        help="that the score of --image was made with: shows its error rates",
    )
    parser.add_argument(
        "--sample",
        type=_sample,
        metavar="N",
        help=f"of a run, images on its page at most, drawn from all (default {MOST_ENTRIES}: about 10 to 30 MB)",
    )
    parser.add_argument("--seed", type=int, help="which images are drawn (default 0)")
    parser.add_argument(
        "--pictures", action="store_true", help=f"of a run, also the annotated PNG of each image, in {PICTURES}/"
    )


def _sample(value: str) -> int:
    return arguments.count(value, _MOST_SAMPLED)


def run(options: argparse.Namespace) -> int:
    check_packages()
    _check_options(options)
    predictions = read_any_predictions(options.predictions)
    if not predictions:
        raise RecordError(f"{options.predictions}: holds no prediction")
    records = read_records(options.records, decode=False) if options.records else []
    probes = _probes(options.probes, predictions) if options.probes else {}
    if options.image is None:
        return _report_run(options, predictions, records, probes)
    return _report_image(options, predictions, records, probes)


def _check_options(options: argparse.Namespace) -> None:
    """Raises RecordError for what was asked for and would do nothing."""
    if options.image is None and options.out is None:
        raise RecordError("no --out; expected a folder for the run's page, or --image NAME for the page of one image")
    if options.image is None and options.calibration:
        raise RecordError("--calibration is about --image; leave it out, or name an image")
    if options.image is not None and (options.sample, options.seed) != (None, None):
        raise RecordError("--sample and --seed are about a whole run; leave them out")
    if options.image is not None and options.pictures:
        raise RecordError(f"--pictures is about a whole run; of one image, let --out end in {PICTURE_SUFFIX}")


def _probes(file: Path, predictions: Predictions) -> dict[Path, Probe]:
    """The probes of a file. Raises RecordError where one is of another model, other settings or other regions."""
    probes = read_probes(file)
    for image, probe in probes.items():
        if image in predictions and (fault := _probe_fault(probe, predictions[image])):
            raise RecordError(f"{file}: {shown(probe.image)} {fault}")
    return probes


def _probe_fault(probe: Probe, prediction: Prediction) -> str:
    """Why a probe is not one of a prediction, or nothing."""
    tested, answered = parse_made_by(probe.made_by), parse_made_by(prediction.get("made_by"))
    if tested and answered and tested.exchange != answered.exchange:
        return f"was probed with {shown(probe.made_by)}, and predicted with another"
    are_marked = answered is None or answered.chooser != "random"  # else places that no reply names
    marked = prediction.get("boxes") or []
    if are_marked and not all(region.box in marked for region in probe.regions):
        return "was probed with regions that it has no more; run zoomin probe on these predictions"
    return ""


def _report_run(
    options: argparse.Namespace, predictions: Predictions, records: list[Record], probes: dict[Path, Probe]
) -> int:
    page = options.out / PAGE
    if options.out.exists() and not options.out.is_dir():
        raise RecordError(f"{options.out}: a file; expected a folder for {PAGE}, or --image NAME for one image")
    check_target(page)
    title = options.predictions.name
    held = write_run_page(
        *(predictions.values(), options.predictions.parent, page, records, probes),
        title=title,
        most=options.sample or MOST_ENTRIES,
        seed=options.seed or 0,
    )
    print(f"wrote {page}: {held}")
    return _write_pictures(options.out / PICTURES, predictions) if options.pictures else 0


def _write_pictures(folder: Path, predictions: Predictions) -> int:
    """An annotated picture of each image that can be read."""
    unread, written = Found(), 0
    for image, prediction in tqdm(predictions.items(), "drawing", disable=len(predictions) < 100):
        try:
            out = folder / f"{safe_name(prediction['image'])}{PICTURE_SUFFIX}"
            write_evidence(out, Evidence(prediction, image))
            written += 1
        except ImageError:
            unread.add(shown(prediction["image"]))
    print(f"wrote {counted(written, 'annotated picture')} to {folder}")
    if unread.number:
        complain(f"{counted(unread.number, 'image')} cannot be read, and have no picture: {unread}")
    return INCOMPLETE if unread.number else 0


def _report_image(
    options: argparse.Namespace, predictions: Predictions, records: list[Record], probes: dict[Path, Probe]
) -> int:
    image = _find(predictions, options.predictions, options.image)
    prediction = predictions[image]
    out = options.out or options.predictions.with_name(f"report-{safe_name(prediction['image'])}.html")
    record = record_finder(records)(image)
    if options.records and record is None:
        raise RecordError(f"{options.records}: has no record of {shown(prediction['image'])}")
    if options.probes and image not in probes:
        raise RecordError(f"{options.probes}: has no probe of {shown(prediction['image'])}")
    calibration = _calibration(options.calibration, prediction) if options.calibration else None
    write_evidence(out, Evidence(prediction, image, record, probes.get(image), calibration))
    print(f"wrote {out}")
    return 0


def _find(predictions: Predictions, file: Path, name: str) -> Path:
    """The image of a name: as the file has it, or a path from here, or the end of one. Raises RecordError."""
    for path in (named_image(file, name), plain_path(name)):
        if path in predictions:
            return path
    ends = [path for path in predictions if f"{os.sep}{path}".endswith(f"{os.sep}{name}")]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise RecordError(f"{file}: --image {shown(name)} is the end of {len(ends)} names: {first_few(ends, _shown)}")
    held = first_few([prediction["image"] for prediction in predictions.values()], shown)
    raise RecordError(f"{file}: has no prediction of {shown(name)}; it has {held}")


def _shown(path: Path) -> str:
    return shown(str(path))


def _calibration(file: Path, prediction: Prediction) -> Calibration:
    """The calibration that a row was scored with. Raises RecordError for another one."""
    calibration = read_calibration(file)
    if limit_used(prediction, calibration) is None:
        made_by = shown(str(prediction.get("made_by")))
        raise RecordError(f"{file}: not the calibration of this prediction, which was made by {made_by}")
    return calibration
