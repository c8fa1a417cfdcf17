"""The command `zoomin calibrate`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swift_zoomin import arguments
from swift_zoomin.arguments import complain, counted
from swift_zoomin.calibrations import Calibration, Limit, as_json, read_calibration
from swift_zoomin.detection.calibration import calibrate
from swift_zoomin.detection.score import made_samples, share
from swift_zoomin.outputs import write_output
from swift_zoomin.pairing import Pair, pair
from swift_zoomin.predictions_parquet import read_any_predictions
from swift_zoomin.records import RecordError, read_records
from swift_zoomin.replies import GENERATED, REAL, VERDICTS

_HELP = """\
learn from held-out images what the sampled verdicts of `zoomin detect --samples K` are worth

Writes the probability of "generated" for each share of K samples, and the shares from which an image is called
generated or real at 1% and at 5% false alarms, for `zoomin detect --calibration FILE`. It holds for the model and the
settings of PREDICTIONS alone, and for images like those of RECORDS, which the model must not have been trained on.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("records", type=arguments.path, help="held-out images with their labels, at least 50 of each")
    parser.add_argument("predictions", type=arguments.path, help="of these images, by zoomin detect --samples K")
    parser.add_argument("--out", required=True, type=arguments.path, help="the calibration, JSON")


def run(options: argparse.Namespace) -> int:
    _check_out(options.out)
    records = read_records(options.records, decode=False)
    pairs = pair(records, read_any_predictions(options.predictions))
    sampled = [(record.label, row) for record, row in pairs if row and row.get("sampled_verdicts")]
    if not sampled:
        raise RecordError(
            f"{options.predictions}: no sampled verdicts of the images of {options.records}; expected predictions of "
            "them by zoomin detect --samples K"
        )
    try:
        made_by, samples = _one_maker([row for _, row in sampled])
        values = [share(row["sampled_verdicts"]) for _, row in sampled]
        calibration = calibrate(values, [label for label, _ in sampled], samples, made_by)
    except RecordError as error:
        raise RecordError(f"{options.predictions}: {error}") from error
    write_output(options.out, as_json(calibration))
    print("\n".join(_told(calibration, pairs, len(sampled))))
    for note in calibration.notes:
        complain(note)
    return 0


def _check_out(out: Path) -> None:
    """Raises RecordError where writing would destroy anything but an older calibration."""
    if not out.is_file() or out.stat().st_size == 0:
        return
    try:
        read_calibration(out)
    except RecordError as error:
        raise RecordError(f"{out}: exists, and holds no calibration; choose another --out") from error


def _one_maker(rows: Sequence[dict[str, Any]]) -> tuple[str, int]:
    """What made all samples, and how many there are of each image. Raises RecordError."""
    makers = {row.get("made_by") for row in rows}
    if not all(isinstance(maker, str) for maker in makers):
        raise RecordError("a row without made_by; expected predictions as zoomin detect writes them")
    made_by, *others = sorted({made_samples(str(maker)) for maker in makers})
    if others:
        raise RecordError(f"made by {made_by} and by {others[0]}; expected one model with one set of settings")
    numbers = {len(row["sampled_verdicts"]) for row in rows}
    if len(numbers) > 1:
        raise RecordError(f"{min(numbers)} to {max(numbers)} sampled verdicts an image; expected as many of each")
    return made_by, numbers.pop()


def _told(calibration: Calibration, pairs: Sequence[Pair], sampled: int) -> list[str]:
    numbers = ", ".join(f"{calibration.images[label]} {label}" for label in VERDICTS)
    lines = [f"{counted(sampled, 'image')} with {calibration.samples} samples: {numbers}; AUC {calibration.auc:.3f}"]
    if sampled < len(pairs):
        lines.append(f"left out: {counted(len(pairs) - sampled, 'image')} without sampled verdicts")
    errors = ", ".join(f"{name} {error:.4f}" for name, error in calibration.squared_errors.items())
    lines.append(f"{calibration.method}: the smaller mean squared error out of folds ({errors})")
    return lines + [line for limit in calibration.limits for line in _limit_told(limit)]


def _limit_told(limit: Limit) -> list[str]:
    """`  generated from share 0.938 on: wrong 1 of 250 (95%: 0.0%..2.2%), right 180 of 250`, and of real alike."""
    lines = [f"at {limit.false_alarms:.0%} false alarms:"]
    for label, bound, where in ((GENERATED, limit.generated, "from share {} on"), (REAL, limit.real, "up to share {}")):
        if bound is None:
            lines.append(f"  {label} at no share")
            continue
        low, high = bound.wrong_interval
        wrong = f"wrong {bound.wrong} of {bound.wrong_of} (95%: {low:.1%}..{high:.1%})"
        right = f"right {bound.right} of {bound.right_of}"
        lines.append(f"  {label} {where.format(f'{bound.share:.3g}')}: {wrong}, {right}")
    return lines
