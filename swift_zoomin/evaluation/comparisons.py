"""Whether two methods differ by more than another sample of images would make them.

The accuracy of two methods on the same images is compared by McNemar's exact test. All other figures, and the accuracy
too where images come in groups, are compared by the paired bootstrap: in how many resamples does the difference lie at
least as far from its mean as the measured one lies from zero (with 1 added to both counts, as sacrebleu does)? AP and
AUC are compared only where both methods give scores to the same images. P values are corrected after Holm (1979) over
all pairs of methods, for each figure by itself.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from swift_zoomin.evaluation.answers import Answers
from swift_zoomin.evaluation.figures import Spread, percentiles

COMPARED = ("accuracy", "balanced_accuracy", "f1", "bleu1", "bleu2", "rouge_l", "iou", "iou_recall", "auc", "ap")
OF_SCORES = ("auc", "ap")
MCNEMAR, BOOTSTRAP = "McNemar, exact", "paired bootstrap"


def compare(
    methods: Sequence[Answers], values: list[dict[str, float]], spreads: list[Spread], groups: np.ndarray | None
) -> list[dict[str, Any]]:
    """A row for each figure and each pair of methods that both have it."""
    rows = []
    for figure in COMPARED:
        of_figure: list[dict[str, Any]] = []
        for first, second in combinations(range(len(methods)), 2):
            difference = values[first][figure] - values[second][figure]
            if np.isnan(difference) or (figure in OF_SCORES and not _score_the_same(methods[first], methods[second])):
                continue
            differences = spreads[first][figure] - spreads[second][figure]
            use_mcnemar = figure == "accuracy" and groups is None
            if use_mcnemar:
                p = _mcnemar(methods[first], methods[second])
            else:
                p = max(bootstrap_p(differences, difference), _least_p(methods[first], figure, groups))
            low, high = percentiles(differences)
            row = {"figure": figure, "first": methods[first].name, "second": methods[second].name}
            of_figure.append({**row, "difference": difference, "low": low, "high": high, "p": p})
            of_figure[-1]["test"] = MCNEMAR if use_mcnemar else BOOTSTRAP
        corrected = holm([row["p"] for row in of_figure])
        rows += [{**row, "p_holm": p} for row, p in zip(of_figure, corrected, strict=True)]
    return rows


def _score_the_same(first: Answers, second: Answers) -> bool:
    return bool((np.isnan(first.scores) == np.isnan(second.scores)).all())


def _mcnemar(first: Answers, second: Answers) -> float:
    """The two-sided p of McNemar's exact test: of the images that one gets right, does either win more than half?"""
    from scipy.stats import binomtest

    wins, losses = (
        first.means["accuracy"] > second.means["accuracy"],
        first.means["accuracy"] < second.means["accuracy"],
    )
    disputed = int(wins.sum() + losses.sum())
    return float(binomtest(int(wins.sum()), disputed).pvalue) if disputed else 1.0


def bootstrap_p(differences: np.ndarray, difference: float) -> float:
    """The two-sided p of a difference, given the differences in the resamples."""
    present = differences[~np.isnan(differences)]
    if not difference or not len(present):
        return 1.0
    as_far = np.abs(present - present.mean()) >= abs(difference)
    return float((as_far.sum() + 1) / (len(present) + 1))


def _least_p(answers: Answers, figure: str, groups: np.ndarray | None) -> float:
    """What no two-sided test of so few images or groups falls below: that chance puts all of them on one side."""
    counted = ~np.isnan(answers.means.get(figure, answers.is_generated))
    units = counted.sum() if groups is None else len(np.unique(groups[counted]))
    return float(min(1.0, 2.0 ** (1 - units)))


def holm(p_values: list[float]) -> list[float]:
    """P values corrected for their number (Holm 1979), in the same order."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected
