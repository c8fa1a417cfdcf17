"""The raw score of an image: what share of its sampled second looks says "generated".

The question that the last look answers is asked again, K times, at temperature 1: the model's own distribution, not a
sharpened one. The exchange up to it stays as it was, so that an engine with a prefix cache reads it once. Seeds come
from the image's file name and the number of the sample: another run samples alike, another image does not.

A sample without a verdict stays in the denominator, and speaks for neither side: it counts as half a vote. A row keeps
all verdicts as `sampled_verdicts`, null where there was none, so it can be seen how many they were.

The share is no probability: it is overconfident until `calibration.py` has seen held-out images. Not covered: sampling
the first look too, which ranks worse (tests/benchmarks/score.py measures both).
"""

import zlib
from collections.abc import Sequence
from pathlib import PurePath

from swift_zoomin.replies import GENERATED

TEMPERATURE = 1.0
CALIBRATED, STABLE = "calibration ", "stable "  # how those parts of made_by begin that no sample depends on
SampledVerdicts = Sequence[str | None]


def share(sampled: SampledVerdicts) -> float:
    """The share of "generated" in 0..1, one of the 2K + 1 of `shares`; a sample without a verdict is half a vote."""
    halves = 2 * sum(verdict == GENERATED for verdict in sampled) + sum(verdict is None for verdict in sampled)
    return halves / (2 * len(sampled))


def shares(samples: int) -> list[float]:
    """Every share that so many samples can have, lowest first."""
    return [halves / (2 * samples) for halves in range(2 * samples + 1)]


def seed_of(image: str, number: int) -> int:
    """The seed of an image's sample, of 31 bits, which every engine takes."""
    return zlib.crc32(f"{PurePath(image).name} {number}".encode(errors="surrogateescape")) >> 1


def how_sampled(samples: int) -> str:
    """What `made_by` says of the samples."""
    return f"samples {samples} at temperature {TEMPERATURE}"


def made_samples(made_by: str) -> str:
    """The parts of `made_by` that sampled verdicts depend on."""
    parts = [part for part in made_by.split("|") if not part.startswith((CALIBRATED, STABLE))]
    return "|".join(parts)
