"""Figures of scores by hand arithmetic, at the ends of what scores can be."""

import numpy as np
import pytest

from swift_zoomin.evaluation.curves import ScoreFigures

NAMES = ("ap", "auc", "tpr_at_1", "tpr_at_5", "ece")


def figures(scores: list[float | None], labels: str) -> dict[str, float | None]:
    """The figures of these scores; labels are g (generated) and r (real)."""
    column = np.array(scores, dtype=float)
    is_generated = np.array([label == "g" for label in labels], dtype=float)
    of_all = ScoreFigures(column, is_generated).under(np.ones((1, len(labels))))
    return {name: None if np.isnan(figure[0]) else float(figure[0]) for name, figure in of_all.items()}


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        # All equal: one threshold, which all reach. ECE: mean score 0.5 against 2 of 4 generated.
        ([0.5] * 4, "grgr", {"ap": 0.5, "auc": 0.5, "tpr_at_1": 0.0, "tpr_at_5": 0.0, "ece": 0.0}),
        ([0.9] * 4, "grrr", {"ap": 0.25, "auc": 0.5, "tpr_at_1": 0.0, "tpr_at_5": 0.0, "ece": 0.65}),
        # 0 and 1, all right and all wrong
        ([1.0, 1.0, 0.0, 0.0], "ggrr", {"ap": 1.0, "auc": 1.0, "tpr_at_1": 1.0, "tpr_at_5": 1.0, "ece": 0.0}),
        ([0.0, 0.0, 1.0, 1.0], "ggrr", {"ap": 0.5, "auc": 0.0, "tpr_at_1": 0.0, "tpr_at_5": 0.0, "ece": 1.0}),
        # g 0.8, r 0.6, g 0.4, r 0.2: of 4 pairs 3 in order; AP 1/2 * 1 + 1/2 * 2/3. ECE: |0.8 - 1| and so on, / 4.
        (
            [0.8, 0.6, 0.4, 0.2],
            "grgr",
            {"ap": 5 / 6, "auc": 3 / 4, "tpr_at_1": 0.5, "tpr_at_5": 0.5, "ece": (0.2 + 0.6 + 0.6 + 0.2) / 4},
        ),
        # Those without a score are left out.
        ([1.0, None, 0.0, None], "grrg", {"ap": 1.0, "auc": 1.0, "tpr_at_1": 1.0, "tpr_at_5": 1.0, "ece": 0.0}),
        # One class: a curve needs both.
        ([0.25, 0.75], "gg", {"ap": None, "auc": None, "tpr_at_1": None, "tpr_at_5": None, "ece": 0.5}),
        ([0.25, 0.75], "rr", {"ap": None, "auc": None, "tpr_at_1": None, "tpr_at_5": None, "ece": 0.5}),
        ([None, None], "gr", dict.fromkeys(NAMES)),
    ],
)
def test_score_figures_by_hand(scores: list, labels: str, expected: dict[str, float | None]) -> None:
    assert figures(scores, labels) == pytest.approx(expected)


def test_a_rate_at_few_false_alarms_takes_whole_images() -> None:
    """Of 40 real images, two above a threshold are 5% and three are more: no line is drawn between the two."""
    scores = [0.9, 0.8] + [0.1] * 38 + [0.95, 0.85, 0.75, 0.05]
    of_all = figures(scores, "r" * 40 + "g" * 4)
    assert of_all["tpr_at_1"] == 1 / 4  # 0.95 alone
    assert of_all["tpr_at_5"] == 3 / 4  # 0.75 lies below two real images


@pytest.mark.parametrize(("score", "neighbour"), [(1 / 15, 0.01), (0.4, 0.34), (1.0, 0.94), (0.0, 0.06)])
def test_an_edge_belongs_to_the_bin_below(score: float, neighbour: float) -> None:
    """In one bin the errors of a real and a generated image cancel out."""
    middle = (score + neighbour) / 2
    assert figures([score, neighbour], "gr")["ece"] == pytest.approx(abs(middle - 0.5))
