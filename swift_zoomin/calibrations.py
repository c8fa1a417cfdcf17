"""A calibration: what shares of sampled second looks are worth, as `zoomin calibrate` learnt it on held-out images.

    {"made_by": "model checkpoint-30 (weights 47db...)|...|samples 8 at temperature 1.0", "samples": 8,
     "images": {"real": 250, "generated": 250}, "auc": 0.94, "method": "platt",
     "squared_errors": {"platt": 0.091, "isotonic": 0.093}, "probabilities": [0.03, 0.05, ..., 0.96],
     "limits": [{"false_alarms": 0.01, "generated": {"share": 0.9375, "wrong": 1, "wrong_of": 250,
                 "wrong_interval": [0.0001, 0.0221], "right": 180, "right_of": 250}, "real": null}, ...],
     "notes": ["..."], "signature": "..."}

`probabilities` are those of "generated" for the shares 0, 1/2K, 2/2K, ..., 1 (`score.shares`). They hold where real and
generated images are as frequent as in the calibration.

Limits are the shares from which on an image is called "generated", or up to which "real"; between them the answer is
"cannot tell". null says that there is no such share. `wrong` are the images of the other label beyond a share, among
the calibration's; their interval is exact (Clopper and Pearson), 95%. `detection.calibration` has how all of it is
found.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from swift_zoomin.file_kind import parsed_json
from swift_zoomin.predictions import CANNOT_TELL
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED, REAL

CALIBRATED = "calibration "  # how the part of made_by begins that names one


@dataclass(frozen=True)
class Bound:
    """A share from which on (or up to which) a label is said, and what the calibration's images came to beyond it."""

    share: float
    wrong: int  # images of the other label
    wrong_of: int
    wrong_interval: tuple[float, float]
    right: int
    right_of: int


@dataclass(frozen=True)
class Limit:
    """The shares that decide at one rate of false alarms; None where a label is never said."""

    false_alarms: float
    generated: Bound | None
    real: Bound | None

    def decide(self, share: float) -> tuple[str, str | None]:
        """Real, generated or cannot tell; and why it cannot."""
        if self.generated and share >= self.generated.share:
            return GENERATED, None
        if self.real and share <= self.real.share:
            return REAL, None
        generated = f"from {self.generated.share:.3g} on" if self.generated else "at no share"
        real = f"up to {self.real.share:.3g}" if self.real else "at no share"
        return CANNOT_TELL, f"share {share:.3g} of sampled verdicts; {GENERATED} is said {generated}, {REAL} {real}"


@dataclass(frozen=True)
class Calibration:
    """What a calibration file holds; see the head of this module."""

    made_by: str
    samples: int
    images: dict[str, int]
    auc: float
    method: str
    squared_errors: dict[str, float]
    probabilities: list[float]
    limits: list[Limit]
    notes: list[str]
    signature: str

    def probability(self, share: float) -> float:
        """The probability of "generated" of an image with this share of as many samples as were calibrated."""
        return self.probabilities[round(share * 2 * self.samples)]

    def limit(self, false_alarms: float) -> Limit | None:
        return next((limit for limit in self.limits if limit.false_alarms == false_alarms), None)

    def as_part(self, limit: Limit) -> str:
        """What `made_by` says of predictions that this gave a score, and this limit of it a decision."""
        content = hashlib.sha256(as_json(self).encode()).hexdigest()
        return f"{CALIBRATED}{content[:12]} at {limit.false_alarms}"


def as_json(calibration: Calibration) -> str:
    return json.dumps(asdict(calibration), indent=1) + "\n"


def read_calibration(path: Path) -> Calibration:
    """Raises RecordError for a file that holds none, and OSError."""
    value = parsed_json(path.read_bytes())
    try:
        return _from_json(value)
    except (KeyError, TypeError, ValueError) as error:
        fault = f"{type(error).__name__}: {error}"
        raise RecordError(f"{path}: no calibration ({fault}); expected a file that zoomin calibrate wrote") from error


def _from_json(value: Any) -> Calibration:
    limits = [
        Limit(limit["false_alarms"], *(limit[label] and Bound(**limit[label]) for label in (GENERATED, REAL)))
        for limit in value["limits"]
    ]
    calibration = Calibration(**{**value, "limits": limits})
    for limit in limits:
        if limit.generated and limit.real and limit.real.share >= limit.generated.share:
            raise ValueError(f"limits {limit.generated.share} and {limit.real.share} overlap")
    numbers = calibration.probabilities
    if len(numbers) != 2 * calibration.samples + 1 or not all(0 <= number <= 1 for number in numbers):
        raise ValueError(f"probabilities {numbers}; expected 2 * samples + 1 numbers from 0 to 1")
    return calibration
