"""The columns of one method -> its figures, under weights of the images, and their intervals.

A figure under weights of 1 is its value; under the weights of a resample it is what another sample might give. So the
value and its interval come from one definition.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from swift_zoomin import scoring
from swift_zoomin.evaluation import resampling
from swift_zoomin.evaluation.answers import Answers
from swift_zoomin.evaluation.curves import ScoreFigures
from swift_zoomin.wilson import wilson

# A mean of hits and misses: Wilson's interval needs no resampling, where images are independent.
SHARES = ("accuracy", "recall_real", "recall_generated", "precision", "i_acc", "c_cases", "c_acc")
_CORPUS_BLEU = {"corpus_bleu1": 1, "corpus_bleu2": 2}
_TAILS = (0.025, 0.975)

Bounds = tuple[float, float] | tuple[None, None]
Spread = dict[str, np.ndarray]  # a figure's value in each resample; NaN where it has none


class Figure(NamedTuple):
    """A figure and its 95% interval; None where it is not applicable, or has no interval."""

    value: float | int | None
    low: float | None = None
    high: float | None = None


class MethodUnderWeights:
    """What can be said of one method for any weights of its images."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self._means = np.stack(list(answers.means.values()), axis=1)  # (images, figures)
        self._counted = (~np.isnan(self._means)).astype(float)
        self._means = np.nan_to_num(self._means)
        self._scores = ScoreFigures(answers.scores, answers.is_generated)
        self._has_texts = bool(answers.bleu_counts.any())

    def under(self, weights: np.ndarray) -> Spread:
        """Each figure for each row of weights, (rows, images) of them."""
        names = list(self.answers.means)
        sums, totals = weights @ self._means, weights @ self._counted
        with np.errstate(invalid="ignore", divide="ignore"):
            means = dict(zip(names, (sums / totals).T, strict=True))
            found, said = (array[:, names.index("precision")] for array in (sums, totals))
            in_class = totals[:, names.index("recall_generated")]
            f1 = np.where(in_class > 0, 2 * found / (said + in_class), np.nan)
        means["balanced_accuracy"] = (means["recall_real"] + means["recall_generated"]) / 2
        lacks_a_class = np.isnan(means["balanced_accuracy"])
        means["f1"] = np.where(lacks_a_class, np.nan, f1)
        means["precision"] = np.where(lacks_a_class, np.nan, means["precision"])
        return {**means, **self._scores.under(weights), **self._corpus_bleu(weights)}

    def _corpus_bleu(self, weights: np.ndarray) -> Spread:
        if not self._has_texts:
            return {name: np.full(len(weights), np.nan) for name in _CORPUS_BLEU}
        counts = (weights @ self.answers.bleu_counts).astype(int).tolist()
        return {
            name: np.array([scoring.bleu_of_counts(row, order, is_corpus=True) for row in counts])
            for name, order in _CORPUS_BLEU.items()
        }


def values_and_spreads(
    methods: Sequence[Answers], groups: np.ndarray | None = None
) -> tuple[list[dict[str, float]], list[Spread]]:
    """Of each method, the value of each figure, and its values in the resamples, which all methods share."""
    weighted = [MethodUnderWeights(answers) for answers in methods]
    images = len(methods[0])
    values = [
        {name: float(figure[0]) for name, figure in method.under(np.ones((1, images))).items()} for method in weighted
    ]
    if groups is not None and _has_one_group(groups):
        nothing = np.full(resampling.RESAMPLES, np.nan)
        return values, [dict.fromkeys(of_method, nothing) for of_method in values]
    blocks: list[list[Spread]] = [[] for _ in methods]
    for weights in resampling.resamples(images, groups):
        for method, of_method in zip(weighted, blocks, strict=True):
            of_method.append(method.under(weights))
    return values, [_joined(of_method) for of_method in blocks]


def _has_one_group(groups: np.ndarray) -> bool:
    """Whether all images have one original: they say nothing of another sample."""
    return bool((groups == groups[0]).all())


def _joined(blocks: list[Spread]) -> Spread:
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def with_intervals(answers: Answers, values: dict[str, float], spread: Spread, are_grouped: bool) -> dict[str, Figure]:
    """All figures of a method by name. A share of independent images has Wilson's interval, all others percentiles."""
    figures = {name: Figure(int(column.sum())) for name, column in answers.counts.items()}
    figures = {"images": Figure(len(answers)), **figures}
    for name, value in values.items():
        if np.isnan(value):
            figures[name] = Figure(None)
        elif name in SHARES and not are_grouped:
            figures[name] = Figure(value, *_wilson(answers.means[name]))
        elif name == "ece":
            figures[name] = Figure(value, *_around(value, spread[name]))
        else:
            figures[name] = Figure(value, *percentiles(spread[name]))
    seconds = answers.means["seconds"]
    timed = int((~np.isnan(seconds)).sum())
    deviation = float(np.nanstd(seconds, ddof=1)) if timed > 1 else None
    figures["seconds_sd"] = Figure(deviation)
    figures |= {"timed": Figure(timed), "scored": Figure(int((~np.isnan(answers.scores)).sum()))}
    figures |= {name: Figure(count) for name, count in answers.strays.items()}
    figures["looks"] = Figure(answers.looks)
    return figures


def share(hits: np.ndarray, groups: np.ndarray | None = None) -> Figure:
    """The share of hits (1 or 0; NaN counts nowhere) and its interval, as a method's own shares have it."""
    counted = ~np.isnan(hits)
    if not counted.any():
        return Figure(None)
    value = float(hits[counted].mean())
    if groups is None:
        return Figure(value, *_wilson(hits))
    if _has_one_group(groups):
        return Figure(value)
    blocks = [weights[:, counted] for weights in resampling.resamples(len(hits), groups)]
    with np.errstate(invalid="ignore"):
        spread = np.concatenate([weights @ hits[counted] / weights.sum(axis=1) for weights in blocks])
    return Figure(value, *percentiles(spread))


def _wilson(hits: np.ndarray) -> tuple[float, float]:
    counted = hits[~np.isnan(hits)]
    return wilson(int(counted.sum()), len(counted))


def _around(value: float, spread: np.ndarray) -> Bounds:
    """The percentile interval of a figure that resampling raises, moved down by as much.

    Drawing images twice makes bins uneven, so the calibration error of a resample is too high on average, and the
    percentiles may all lie above the value.
    """
    present = spread[~np.isnan(spread)]
    if not len(present):
        return None, None
    shifted = spread - (present.mean() - value)
    return percentiles(np.clip(shifted, 0.0, 1.0))


def percentiles(spread: np.ndarray) -> Bounds:
    """The 95% percentile interval. Resamples in which a figure has no value are left out.

    Where they are more than half there is no interval: what is left would say nothing of another sample.
    """
    present = spread[~np.isnan(spread)]
    if len(present) <= resampling.RESAMPLES / 2:
        return None, None
    low, high = np.quantile(present, _TAILS)
    return float(low), float(high)
