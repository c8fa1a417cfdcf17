"""Figures of scores, the probabilities of "generated": AP, AUC, true-positive rates, calibration error.

A threshold lies at every score that occurs: an image is called generated where its score reaches it. Scores that are
equal pass together.

    auc       area under the ROC curve: true-positive over false-positive rate, by trapezoids
    ap        average precision: sum over the thresholds of (recall - recall before) * precision, no interpolation
    tpr_at_1  highest true-positive rate of a threshold whose false-positive rate is at most 1%, no interpolation;
    tpr_at_5  at most 5%; 0 where every threshold raises more false alarms
    ece       expected calibration error: over 15 bins of equal width, how far the mean score lies from the share of
              generated images, weighted by their images; an edge belongs to the bin below (Guo et al. 2017)

These are the definitions of scikit-learn's `roc_auc_score`, `average_precision_score`, `roc_curve` and
`calibration_curve`, computed here for many weightings of the images at once: of 2,000 resamples of 20,000 images
scikit-learn's own functions take over a minute.
"""

from typing import NamedTuple

import numpy as np

BINS = 15  # as Guo et al. (2017) take
_FALSE_ALARMS = {"tpr_at_1": 0.01, "tpr_at_5": 0.05}


class ScoreFigures:
    """The figures of one method's scores under any weights. Images without a score (NaN) are left out."""

    def __init__(self, scores: np.ndarray, is_generated: np.ndarray) -> None:
        scored = np.flatnonzero(~np.isnan(scores))
        self._order = scored[np.argsort(-scores[scored], kind="stable")]  # highest first
        self._labels = is_generated[self._order]
        falling = scores[self._order]
        is_last = np.append(np.diff(falling) != 0, True)  # of the images that share a score
        self._ends = np.flatnonzero(is_last) if len(falling) else np.array([], dtype=int)
        in_bin = (_bins(falling)[:, None] == np.arange(BINS)).astype(float)  # (scored, BINS)
        self._distances = in_bin * (falling - self._labels)[:, None]

    def under(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Each figure for each row of weights, (rows, images) of them; NaN where it is not applicable."""
        if not len(self._order):
            return dict.fromkeys(("ap", "auc", *_FALSE_ALARMS, "ece"), np.full(len(weights), np.nan))
        weights = weights[:, self._order]
        with np.errstate(divide="ignore", invalid="ignore"):
            ece = np.abs(weights @ self._distances).sum(axis=1) / weights.sum(axis=1)
            return {**self._of_thresholds(weights), "ece": ece}

    def _of_thresholds(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        passed = np.cumsum(weights, axis=1)[:, self._ends]
        hits = np.cumsum(weights * self._labels, axis=1)[:, self._ends]
        alarms = passed - hits
        generated, real = hits[:, -1:], alarms[:, -1:]
        hit_rate, alarm_rate = _from_zero(hits / generated), _from_zero(alarms / real)
        steps = np.diff(hit_rate)
        precision = np.where(passed > 0, hits / passed, 0.0)
        figures = {
            "ap": (steps * precision).sum(axis=1),
            "auc": (np.diff(alarm_rate) * (hit_rate[:, 1:] + hit_rate[:, :-1]) / 2).sum(axis=1),
        }
        for name, most in _FALSE_ALARMS.items():
            figures[name] = np.where(alarm_rate <= most, hit_rate, 0.0).max(axis=1)
        has_both = ((generated > 0) & (real > 0))[:, 0]
        return {name: np.where(has_both, figure, np.nan) for name, figure in figures.items()}


def _from_zero(rates: np.ndarray) -> np.ndarray:
    """Rates of falling thresholds, (rows, thresholds), preceded by the one that nothing reaches."""
    return np.hstack([np.zeros((len(rates), 1)), rates])


def _bins(scores: np.ndarray) -> np.ndarray:
    """The number of the bin that each score lies in."""
    return np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], scores)


class Reliability(NamedTuple):
    """Of each bin that has images, in order: their mean score, the share of them that is generated, their number."""

    mean_scores: np.ndarray
    shares: np.ndarray
    images: np.ndarray


def reliability(scores: np.ndarray, is_generated: np.ndarray) -> Reliability:
    """What the calibration error sums up, of the images that have a score."""
    scored = ~np.isnan(scores)
    scores, is_generated = scores[scored], is_generated[scored]
    used, bins, images = np.unique(_bins(scores), return_inverse=True, return_counts=True)
    sums = (np.bincount(bins, values, len(used)) for values in (scores, is_generated))
    mean_scores, shares = (of_bins / images for of_bins in sums)
    return Reliability(mean_scores, shares, images)


def roc(scores: np.ndarray, is_generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the ROC curve from (0, 0) to (1, 1): false-positive and true-positive rates.

    None of the images that have a score may lack a class.
    """
    from sklearn.metrics import roc_curve  # takes a second, and only a figure needs the curve itself

    scored = ~np.isnan(scores)
    alarm_rates, hit_rates, _ = roc_curve(is_generated[scored], scores[scored], drop_intermediate=True)
    return alarm_rates, hit_rates
