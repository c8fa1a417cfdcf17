"""The fairness gate: whether labels can be told from what files are, instead of from what they show.

    files: 1.00 of the labels are guessed right from codec, metadata (0.99 to 1.00; 0.50 by chance)
    files: 0.50 of the labels are guessed right (0.47 to 0.53; 0.50 by chance): they give no label away
    files: 15 real and 15 generated images are too few to tell whether they give labels away

A logistic regression guesses the labels of images that it has not seen (five-fold cross-validation) from the traces of
their files (`file_traces`): from all of them, and from each property alone. The share guessed right is the mean of both
classes' shares, so chance is 0.50 however many images each class has. Its interval joins Wilson's intervals of both
shares (the method of variance estimates recovery: Newcombe, Statistics in Medicine 17, 1998), and is wide enough to
hold for all properties at once with 95% (Bonferroni). A property gives labels away where its interval lies above 0.55.

Not covered: what a codec did to pixels stays in them when an image is saved in another one.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

from swift_zoomin.arguments import first_few
from swift_zoomin.checking.file_traces import (
    ASPECT,
    CODEC,
    COLOUR_MODE,
    FILE_NAME,
    METADATA,
    PROPERTIES,
    QUANTISATION,
    SIZE,
    Traces,
)
from swift_zoomin.replies import GENERATED, REAL, VERDICTS

ENOUGH = 50  # images of each class: fewer leave a chance of 0.50 within 0.36 to 0.64, which says nothing
_CHANCE = 0.5
_TELLS = 0.55  # where the interval begins above this, a detector has something to learn beside pixels
_CONFIDENCE = 0.95
_FOLDS = 5

_SAVED_ALIKE = "zoomin convert square saves all images alike"
_ADVICE = {
    CODEC: f"{_SAVED_ALIKE}, but what a codec did stays in the pixels: zoomin degrade --as jpeg90 does it to both",
    QUANTISATION: f"{_SAVED_ALIKE}, but traces of it stay in the pixels: zoomin degrade --as jpeg90 leaves both some",
    SIZE: "zoomin convert square brings all images to one size",
    ASPECT: "zoomin convert square brings all images to one shape",
    COLOUR_MODE: f"{_SAVED_ALIKE}, as RGB",
    METADATA: f"{_SAVED_ALIKE}, without metadata",
    FILE_NAME: f"{_SAVED_ALIKE}, under numbers",
}


@dataclass(frozen=True)
class Share:
    """A share of labels guessed right, and the ends of its interval."""

    value: float
    low: float
    high: float

    @property
    def tells(self) -> bool:
        return self.low > _TELLS

    def __str__(self) -> str:
        return f"{self.low:.2f} to {self.high:.2f}; {_CHANCE:.2f} by chance"


@dataclass(frozen=True)
class Telling:
    """A property of files that gives labels away, and the trace in which the classes differ most."""

    name: str
    share: Share
    trace: str

    def __str__(self) -> str:
        guessed = f"{self.share.value:.2f} guessed right ({self.share})"
        return f"the {self.name} of files gives labels away: {guessed}; {self.trace}; {_ADVICE[self.name]}"


@dataclass(frozen=True)
class Gate:
    """What was measured on the files of images. `together`: from all properties; None where it could not be."""

    counts: Counter[str]
    together: Share | None
    telling: list[Telling] = field(default_factory=list)
    folders: tuple[str, ...] = ()  # names of folders that tell the labels
    of: int = 0  # images there are, where these are a sample

    @property
    def is_closed(self) -> bool:
        """Whether files give labels away."""
        return bool(self.telling) or (self.together is not None and self.together.tells)

    @property
    def summary(self) -> str:
        """One line, whatever was found."""
        parts = [self._finding()]
        if self.of:
            parts.append(f"measured on {self.counts.total()} of {self.of} images")
        if self.folders:
            parts.append(
                f"each class has folders of its own ({first_few(self.folders, str)}), which no detector may see"
            )
        return f"files: {'; '.join(parts)}"

    def _finding(self) -> str:
        present = [label for label in VERDICTS if self.counts[label]]
        if len(present) == 1:
            return f"all images are {present[0]}, so there are no labels to give away"
        if self.is_closed:
            names = ", ".join(telling.name for telling in self.telling) or "all properties together"
            best = max([telling.share for telling in self.telling] + [self.together or _NOTHING], key=_value)
            return f"{best.value:.2f} of the labels are guessed right from {names} ({best})"
        if self.together is None or min(self.counts.values()) < ENOUGH:
            few = " and ".join(f"{self.counts[label]} {label}" for label in VERDICTS)
            return f"{few} images are too few to tell whether they give labels away ({ENOUGH} of each are enough)"
        return f"{self.together.value:.2f} of the labels are guessed right ({self.together}): they give no label away"


def _value(share: Share) -> float:
    return share.value


_NOTHING = Share(0, 0, 1)


def measure(traces: Sequence[Traces], labels: Sequence[str], of: int = 0) -> Gate:
    """What these files give away of their labels. `of`: how many there are, where these are a sample."""
    counts = Counter(labels)
    shares: dict[str, Share] = {}
    telling = []
    for name in PROPERTIES:
        having = [index for index, each in enumerate(traces) if name in each.by_property]
        found = [traces[index].by_property[name] for index in having]
        labels_found = [labels[index] for index in having]
        share = _guessed_right(found, labels_found)
        if share is not None:
            shares[name] = share
        if share is not None and share.tells:
            telling.append(Telling(name, share, _clearest_trace(found, labels_found)))
    everything = [
        [f"{name} {trace}" for name in each.by_property for trace in each.by_property[name]] for each in traces
    ]
    together = _guessed_right(everything, labels) if len(shares) > 1 else next(iter(shares.values()), None)
    telling.sort(key=lambda each: -each.share.value)
    return Gate(counts, together, telling, _telling_folders(traces, labels), of if of > len(traces) else 0)


def _guessed_right(traces: Sequence[Sequence[str]], labels: Sequence[str]) -> Share | None:
    """The share of labels that unseen files' traces give away; None where a class is too small to be left out of."""
    from sklearn.metrics import confusion_matrix
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    counts = Counter(labels)
    fewest = min(counts[label] for label in VERDICTS)
    if fewest < 2:
        return None
    different = len(set(map(tuple, traces)))
    if different == 1:  # nothing to learn, and every guess is the same
        return _interval([counts[REAL], 0], [counts[REAL], counts[GENERATED]])
    folds = StratifiedKFold(min(_FOLDS, fewest), shuffle=True, random_state=0)
    rows = [dict.fromkeys(found, 1) for found in traces]
    guesses = cross_val_predict(_classifier(), rows, labels, cv=folds)
    matrix = confusion_matrix(labels, guesses, labels=list(VERDICTS))
    return _interval(matrix.diagonal().tolist(), matrix.sum(axis=1).tolist())


def _classifier() -> Any:
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(DictVectorizer(), LogisticRegression(class_weight="balanced", max_iter=300))


def _interval(right: Sequence[int], of: Sequence[int]) -> Share:
    """The mean of both classes' shares guessed right, with an interval."""
    comparisons = len(PROPERTIES) + 1
    deviations = NormalDist().inv_cdf(1 - (1 - _CONFIDENCE) / 2 / comparisons)
    shares = [one_right / number for one_right, number in zip(right, of, strict=True)]
    ends = [_wilson(share, number, deviations) for share, number in zip(shares, of, strict=True)]
    mean = sum(shares) / 2
    below = math.hypot(*(share - low for share, (low, _) in zip(shares, ends, strict=True))) / 2
    above = math.hypot(*(high - share for share, (_, high) in zip(shares, ends, strict=True))) / 2
    return Share(mean, mean - below, mean + above)


def _wilson(share: float, number: int, deviations: float) -> tuple[float, float]:
    """Wilson's interval of a share of `number`, so many standard deviations to either side."""
    spread = deviations**2 / number
    middle = (share + spread / 2) / (1 + spread)
    half = deviations * math.sqrt(share * (1 - share) / number + spread / (4 * number)) / (1 + spread)
    return middle - half, middle + half


def _clearest_trace(traces: Sequence[Sequence[str]], labels: Sequence[str]) -> str:
    """The trace in whose shares the classes differ most, in words: `JPEG: real 0%, generated 100%`."""
    counts = Counter(labels)
    holding = {label: Counter[str]() for label in VERDICTS}
    for found, label in zip(traces, labels, strict=True):
        holding[label].update(set(found))

    def difference(trace: str) -> float:
        return abs(holding[REAL][trace] / counts[REAL] - holding[GENERATED][trace] / counts[GENERATED])

    names = dict.fromkeys(trace for found in traces for trace in found)  # in a fixed order: the first of equals wins
    clearest = max(names, key=difference)
    shares = [f"{label} {holding[label][clearest] / counts[label]:.0%}" for label in VERDICTS]
    return f"{clearest}: {', '.join(shares)}"


def _telling_folders(traces: Sequence[Traces], labels: Sequence[str]) -> tuple[str, ...]:
    """Names of folders, where each class has its own: they tell every label."""
    by_label: dict[str, set[str]] = {label: set() for label in VERDICTS}
    for each, label in zip(traces, labels, strict=True):
        by_label[label].add(each.folder)
    real, generated = by_label[REAL], by_label[GENERATED]
    if not real or not generated or real & generated:
        return ()
    return tuple(sorted(real | generated))


def describe(gate: Gate) -> list[str]:
    """A warning a property that gives labels away; one where only all of them together do."""
    if gate.is_closed and not gate.telling and gate.together:
        guessed = f"{gate.together.value:.2f} guessed right ({gate.together})"
        return [f"files give labels away by all properties together: {guessed}; {_SAVED_ALIKE}"]
    return list(map(str, gate.telling))
