"""What the probes of a model come to: how much its regions change, and how often its verdicts rest on them.

    changes   the mean change of the share of "generated", in 0..1, when a marked region is hidden, and when a random
              one of the same size is; and the ratio of the two, with a 95% interval over resamples of the images
    depends   of how many images the verdict does not hold once all that was marked is hidden: the model's faithfulness
              to its regions, with Wilson's 95% interval; and of how many not once as many random ones are

Hiding all that an explanation names, and looking whether the answer falls, is what ERASER calls comprehensiveness
(DeYoung et al., ACL 2020); here the answer is a verdict, so that what is counted are verdicts, not differences. All
regions at once, because where two show the same, hiding either alone changes nothing. What random regions do belongs
beside it: a verdict that any change upsets does not rest on what was marked.

A model that repeats its first verdict comes to 0. One that looks nowhere but at its regions need not come to 1: where
it sees nothing it still says one of two words, and a verdict that is this word holds.

An image without a region, without a verdict (a share of one half) or with an error is in neither figure of `depends`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from swift_zoomin.boxes import iou
from swift_zoomin.probes import Probe
from swift_zoomin.wilson import wilson

_RESAMPLES, _SEED = 2000, 0
_ENDS = (0.025, 0.975)

Interval = tuple[float, float]


@dataclass(frozen=True)
class Changes:
    """Mean changes over `regions` regions; `overlapping` of the random ones had no room beside what was marked."""

    regions: int
    marked: float
    random: float
    overlapping: int
    ratio: float | None  # None where no region changes anything, infinite where only marked ones do
    ratio_interval: Interval | None

    @property
    def ratio_told(self) -> str:
        """`10.5 (95%: 4.0..30.0)`"""
        if self.ratio is None or self.ratio_interval is None:
            return "none: neither changes anything"
        if math.isinf(self.ratio):
            return "infinite: no random one changes anything"
        low, high = self.ratio_interval
        interval = f"{low:.1f} or more" if math.isinf(high) else f"{low:.1f}..{high:.1f}"
        return f"{self.ratio:.1f} (95%: {interval})"


@dataclass(frozen=True)
class Depends:
    """Of `images` with a verdict and regions, how many verdicts fall with what was marked, and with random regions."""

    images: int
    marked: int
    random: int

    @property
    def share(self) -> float:
        """The model's faithfulness, 0..1."""
        return self.marked / self.images

    @property
    def interval(self) -> Interval:
        return wilson(self.marked, self.images)


def changes_of(probes: Iterable[Probe]) -> Changes | None:
    """None where no region was probed."""
    probed = [(probe, probe.share) for probe in probes if probe.share is not None and probe.regions]
    if not probed:
        return None
    numbers = np.array([len(probe.regions) for probe, _ in probed])
    marked = np.array([sum(abs(region.share - share) for region in probe.regions) for probe, share in probed])
    random = np.array([sum(abs(region.random_share - share) for region in probe.regions) for probe, share in probed])
    overlapping = sum(_overlaps(probe, region.random_box) for probe, _ in probed for region in probe.regions)
    regions = int(numbers.sum())
    ratio = _ratio(marked.sum(), random.sum())
    interval = None if ratio is None else _ratio_interval(marked, random)
    means = float(marked.sum() / regions), float(random.sum() / regions)
    return Changes(regions, *means, overlapping, ratio, interval)


def _overlaps(probe: Probe, random_box: Sequence[float]) -> bool:
    return any(iou(random_box, region.box) > 0 for region in probe.regions)


def _ratio(marked: float, random: float) -> float | None:
    if random:
        return float(marked / random)
    return np.inf if marked else None


def _ratio_interval(marked: np.ndarray, random: np.ndarray) -> Interval | None:
    """Percentiles over resamples of images, whose regions stay together. Those in which nothing changes are left out.

    Values that were met, not means of two: one of them may be infinite.
    """
    rng = np.random.default_rng(_SEED)
    drawn = (rng.integers(len(marked), size=len(marked)) for _ in range(_RESAMPLES))
    ratios = [_ratio(marked[images].sum(), random[images].sum()) for images in drawn]
    known = [ratio for ratio in ratios if ratio is not None]
    low, high = np.quantile(known, _ENDS, method="inverted_cdf")
    return float(low), float(high)


def depends_of(probes: Iterable[Probe]) -> Depends | None:
    """None where no image has a verdict and a region."""
    counted = [probe for probe in probes if probe.depends is not None]
    if not counted:
        return None
    random = sum(probe.depends_on_random is True for probe in counted)
    return Depends(len(counted), sum(probe.depends is True for probe in counted), random)
