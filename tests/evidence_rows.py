"""Rows of a predictions file with their pictures, as `zoomin detect` writes them, and what may stand beside a row."""

import random
from functools import cache
from pathlib import Path
from typing import Any

from made_images import encoded
from PIL import Image

from swift_zoomin.boxes import Box, PixelLimits
from swift_zoomin.calibrations import Bound, Calibration, Limit
from swift_zoomin.episode import Episode
from swift_zoomin.families import QWEN2_5_VL
from swift_zoomin.images import ImageRef
from swift_zoomin.predictions import Prediction, to_prediction
from swift_zoomin.probes import Probe, ProbedRegion
from swift_zoomin.replies import GENERATED, REAL, Reply, render_reply

LIMITS = PixelLimits(4 * 784, 256 * 784, QWEN2_5_VL)
MADE_BY = f"model toy (weights 0123456789ab)|regions first|pixels {LIMITS}|tokens 1024|prompts 04feac84|zoomin 0.1.0"
SIZE = (1000, 700)  # which the model sees as 532 x 364
BOX_MODEL, BOX_PX = [56, 28, 156, 128], [105.26, 53.85, 293.23, 246.15]


def picture(file: Path, size: tuple[int, int] = SIZE) -> Path:
    """A smooth picture in which each place has its own colours."""
    file.write_bytes(_png(size))
    return file


@cache
def _png(size: tuple[int, int]) -> bytes:
    small = Image.frombytes("RGB", (8, 6), random.Random(1).randbytes(8 * 6 * 3))
    return encoded(small.resize(size, Image.Resampling.BICUBIC), "PNG", compress_level=1)


def reply(verdict: str, *boxes: Box, label: str = "sign", explanation: str = "Melted.") -> str:
    """A reply; boxes in the model's frame."""
    boxes_model = [list(box) for box in boxes]
    return render_reply(Reply(verdict, boxes_model, [label] * len(boxes), explanation))


def row(file: Path, *replies: str, **changes: Any) -> Prediction:
    """The row of a picture; without replies of one that was looked at twice, and called generated at the second."""
    given = list(replies) or [reply(REAL, BOX_MODEL, explanation="Clean."), reply(GENERATED)]
    episode = Episode(ImageRef.of(file).under(LIMITS), given)
    prediction = to_prediction(str(file), episode, None, 1.9)
    return {**prediction, "made_by": MADE_BY, **changes}


def calibration() -> Calibration:
    """One that decides at 1% false alarms, and never says real."""
    bound = Bound(0.9375, 1, 250, (0.0001, 0.0221), 180, 250)
    limits = [Limit(0.01, bound, None), Limit(0.05, bound, None)]
    probabilities = [0.04 + 0.92 * step / 16 for step in range(17)]
    made_by = f"{MADE_BY}|samples 8 at temperature 1.0"
    errors = {"platt": 0.09}
    return Calibration(
        made_by, 8, {REAL: 250, GENERATED: 250}, 0.94, "platt", errors, probabilities, limits, ["few images"], "-"
    )


def scored(file: Path, **changes: Any) -> Prediction:
    """A row with samples, a score and a decision."""
    known = calibration()
    further = {"sampled_verdicts": [GENERATED] * 7 + [None], "score": 0.93, "decision": GENERATED}
    made_by = f"{known.made_by}|{known.as_part(known.limits[0])}"
    return row(file, **further, decision_reason=None, made_by=made_by, **changes)


def probe(*, depends: bool = True) -> Probe:
    """Of the row above: hiding its region takes the verdict away, or changes nothing."""
    share = 0.1 if depends else 0.95
    region = ProbedRegion(BOX_PX, share, [400.0, 400.0, 588.0, 592.0], 0.9)
    made_by = f"{MADE_BY}|close-ups blurred|samples 8 at temperature 1.0"
    return Probe("a.png", 0.95, [region], share, 0.9, made_by=made_by)
