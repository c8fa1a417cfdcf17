"""How well a record's label can be guessed without a look at its pixels.

    the number of regions gives labels away: 1.00 guessed right, 0.50 by chance (on average: real 0.00, generated
    2.30); mark regions on both classes alike, as the paper does

A model that is trained on such records learns that instead of the picture: where only generated images have regions, a
second look that gets crops means "generated", whatever they show. Each property below is measured alone: a decision
tree (for words a logistic regression) guesses the labels of records that it has not seen. The share guessed right is
the mean of both classes' shares, so chance is 0.50 however many records each class has.

Not covered: the words of explanations, which are reasons and may give the verdict away, and whatever pixels show, such
as compression.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from swift_zoomin.records import Record
from swift_zoomin.replies import VERDICTS

LABEL_WORDS = "the wording of region labels"
IMAGE_SIZE = "the size of the image"
_CHANCE = 0.5
_WORTH_SAYING = 0.55  # share guessed right; below it a model has better things to learn
_BY_CHANCE = 0.001  # how probable as many right guesses are by chance alone, at most
_FOLDS = 5


@dataclass(frozen=True)
class Shortcut:
    """A property that tells the labels apart. `right`: share of labels guessed right from it alone, 0.55 to 1."""

    name: str
    right: float
    averages: str
    advice: str

    def __str__(self) -> str:
        share = f"{self.right:.2f} guessed right, {_CHANCE:.2f} by chance"
        return f"{self.name} gives labels away: {share}{self.averages}; {self.advice}"


@dataclass(frozen=True)
class _Property:
    """Something that a model is told of a record besides pixels. It is measured on records that have it."""

    name: str
    has: Callable[[Record], bool]
    measure: Callable[[Record], Any]  # numbers, of which the first is shown as a mean of each class; or a text
    shown: str | None  # what that first number is
    advice: str

    def averages(self, records: list[Record]) -> str:
        if self.shown is None:
            return ""
        means = []
        for label in VERDICTS:
            mean = np.mean([self.measure(record)[0] for record in records if record.label == label])
            means.append(f"{label} {mean:.2f}")
        return f" ({self.shown}, on average: {', '.join(means)})"


def find_shortcuts(records: list[Record], without: tuple[str, ...] = ()) -> list[Shortcut]:
    """The properties that give labels away, but for those named in `without`; the clearest first.

    A handful of records is too few to tell from chance: up to six of each class, nothing is found. The size of an
    image is that which the model sees where its reference carries limits, else that of the original.
    """
    found = []
    for kind in _PROPERTIES:
        having = [record for record in records if kind.has(record)]
        if kind.name in without:
            continue
        right = _guessed_right([kind.measure(record) for record in having], [record.label for record in having])
        if right is not None:
            found.append(Shortcut(kind.name, right, kind.averages(having), kind.advice))
    return sorted(found, key=lambda shortcut: -shortcut.right)


def _guessed_right(values: list[Any], labels: list[str]) -> float | None:
    """The share of labels that unseen records' values give away; None where it may well be chance."""
    fewest = min(labels.count(label) for label in VERDICTS)
    if fewest < 2:
        return None

    # Slow to import, and records of one class do without it.
    from scipy.stats import fisher_exact
    from sklearn.metrics import balanced_accuracy_score, confusion_matrix
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(min(_FOLDS, fewest), shuffle=True, random_state=0)
    guesses = cross_val_predict(_guesser(values), values, labels, cv=folds)
    right = float(balanced_accuracy_score(labels, guesses))
    by_chance = fisher_exact(confusion_matrix(labels, guesses), alternative="greater").pvalue
    return right if right >= _WORTH_SAYING and by_chance <= _BY_CHANCE else None


def _guesser(values: list[Any]) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeClassifier

    if isinstance(values[0], str):
        words = CountVectorizer(token_pattern=r"\S+", binary=True, max_features=2000)  # in any script
        return make_pipeline(words, LogisticRegression(class_weight="balanced", max_iter=300))
    leaf = max(1, len(values) // 100)  # a tree may not learn records by heart
    return DecisionTreeClassifier(max_depth=6, min_samples_leaf=leaf, class_weight="balanced", random_state=0)


def _image_size(record: Record) -> list[int]:
    return list(record.image.size_model if record.image.limits else record.image.size)


def _number(record: Record) -> list[int]:
    return [len(record.boxes_px or [])]


def _shares(record: Record) -> Any:
    """The boxes as shares of the image, (regions, 4)."""
    width, height = record.image.size
    return np.array(record.boxes_px) / [width, height, width, height]


def _region_sizes(record: Record) -> list[float]:
    """Area, width and height of the regions, each as mean, least and most."""
    x1, y1, x2, y2 = _shares(record).T
    sizes = ((x2 - x1) * (y2 - y1), x2 - x1, y2 - y1)
    return [float(value) for size in sizes for value in (size.mean(), size.min(), size.max())]


def _region_places(record: Record) -> list[float]:
    """The middles of the regions, x and y, each as mean, least and most."""
    x1, y1, x2, y2 = _shares(record).T
    middles = ((x1 + x2) / 2, (y1 + y2) / 2)
    return [float(value) for middle in middles for value in (middle.mean(), middle.min(), middle.max())]


def _region_order(record: Record) -> list[float]:
    """Whether the regions are sorted: how their rank correlates with x and y of their middles, and with their area."""
    x1, y1, x2, y2 = _shares(record).T
    return [_correlation_with_rank(values) for values in (x1 + x2, y1 + y2, (x2 - x1) * (y2 - y1))]


def _correlation_with_rank(values: Any) -> float:
    if np.ptp(values) == 0:
        return 0.0
    return float(np.corrcoef(np.arange(len(values)), values)[0, 1])


def _label_words(record: Record) -> str:
    return " ".join(record.box_labels)


def _always(record: Record) -> bool:
    return True


def _has_regions(record: Record) -> bool:
    return bool(record.boxes_px)


def _has_several(record: Record) -> bool:
    return len(record.boxes_px or []) > 1


def _has_label_words(record: Record) -> bool:
    return any(text.strip() for text in record.box_labels)


_SIZES = "bring the images of both classes to the same sizes (zoomin convert square)"
_REGIONS = "mark regions on both classes alike, as the paper does"
_WORDS = "rows of purpose sft hide them behind another record's; sft_joint teaches a second look to repeat them"
_PROPERTIES = (
    _Property(IMAGE_SIZE, _always, _image_size, "width in pixels", _SIZES),
    _Property("the number of regions", _always, _number, "regions", _REGIONS),
    _Property("the size of regions", _has_regions, _region_sizes, "share of the image", _REGIONS),
    _Property("the place of regions", _has_regions, _region_places, "middle from the left, as a share", _REGIONS),
    _Property("the order of regions", _has_several, _region_order, None, _REGIONS),
    _Property(LABEL_WORDS, _has_label_words, _label_words, None, _WORDS),
)
REGIONS = tuple(kind.name for kind in _PROPERTIES if kind.measure is not _image_size)
