"""Every figure of 2,000 predictions against scikit-learn, scipy, statsmodels, sacrebleu, rouge-score and shapely.

The references are computed from the rows, without any of our code; the metrics of our own making are checked to 1e-9.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import shapely
from made_predictions import by_path, prediction_rows, record_rows, to_records
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from swift_zoomin.evaluation import metrics
from swift_zoomin.evaluation.answers import to_answers
from swift_zoomin.evaluation.columns import NAMES
from swift_zoomin.evaluation.comparisons import bootstrap_p, holm
from swift_zoomin.evaluation.figures import SHARES, MethodUnderWeights
from swift_zoomin.pairing import pair

COUNT = 2000
RECORDS = record_rows(COUNT, words=10)
NAMES_OF_METHODS = ("zoomin", "other")
PREDICTIONS = {
    name: prediction_rows(RECORDS, seed=seed, right=0.7 + seed / 20) for seed, name in enumerate(NAMES_OF_METHODS)
}
BY_IMAGE = {name: {row["image"]: row for row in rows} for name, rows in PREDICTIONS.items()}
PAIRS = [(record, BY_IMAGE["zoomin"].get(record["image"])) for record in RECORDS]
SAID = [(record, prediction or {}) for record, prediction in PAIRS]


@pytest.fixture(scope="module")
def judged() -> dict[str, Any]:
    records = to_records(RECORDS)
    methods = [to_answers(name, pair(records, by_path(rows)), by_path(rows)) for name, rows in PREDICTIONS.items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("swift_zoomin.evaluation.resampling.RESAMPLES", 50)  # only intervals and tests hang on them
        return metrics.evaluation(records, methods)


@pytest.fixture(scope="module")
def values(judged: dict[str, Any]) -> dict[str, float]:
    return {name: figure.value for name, figure in judged["methods"]["zoomin"].items()}


LABELS = np.array([record["label"] for record in RECORDS])
VERDICTS = np.array([prediction.get("verdict") or "none" for _, prediction in SAID])
FIRST = np.array([prediction.get("initial_verdict") or "none" for _, prediction in SAID])
# A missing row says nothing twice, which is no change.
CHANGED = np.array(["verdict" in prediction for _, prediction in SAID]) & (FIRST != VERDICTS)
SCORED = np.array([prediction.get("score") is not None for _, prediction in SAID])
SCORES = np.array([prediction["score"] for _, prediction in SAID if prediction.get("score") is not None])
TRUTHS = (LABELS == "generated")[SCORED].astype(int)
TEXTS = [
    (prediction.get("explanation", ""), record["explanation"])
    for record, prediction in SAID
    if record.get("explanation")
]


def rate(most: float) -> float:
    """The true-positive rate at a false-positive rate of at most this."""
    false_alarms, hits, _ = roc_curve(TRUTHS, SCORES, drop_intermediate=False)
    return hits[false_alarms <= most].max()


def calibration_error() -> float:
    shares, means = calibration_curve(TRUTHS, SCORES, n_bins=15, strategy="uniform")
    sizes = np.histogram(np.searchsorted(np.linspace(0, 1, 16)[1:-1], SCORES), np.arange(16))[0]
    return float(np.sum(sizes[sizes > 0] * np.abs(shares - means)) / len(SCORES))


def bleu(order: int) -> float:
    scorer = BLEU(max_ngram_order=order, effective_order=True)
    return float(np.mean([scorer.sentence_score(said, [reference]).score / 100 for said, reference in TEXTS]))


def corpus_bleu(order: int) -> float:
    said, references = zip(*TEXTS, strict=True)
    return BLEU(max_ngram_order=order).corpus_score(said, [references]).score / 100


def rouge() -> float:
    scorer = RougeScorer(["rougeL"])
    return float(np.mean([scorer.score(reference, said)["rougeL"].fmeasure for said, reference in TEXTS]))


def overlap(recall: bool) -> float:
    """Eq. 2, or its recall side, with shapely's polygons."""
    scores = []
    for record, prediction in SAID:
        if "boxes" not in record:
            continue
        sides = [prediction.get("boxes", []), record["boxes"]]
        if not all(sides):
            is_readable = bool(sides[0]) or prediction.get("initial_verdict") is not None
            scores.append(float(is_readable and not any(sides)))
            continue
        marked, annotated = ([shapely.box(*box) for box in boxes] for boxes in sides)
        ours, theirs = (annotated, marked) if recall else (marked, annotated)
        best = [max(one.intersection(two).area / one.union(two).area for two in theirs) for one in ours]
        scores.append(sum(best) / len(best))
    return float(np.mean(scores))


SECONDS = [row["seconds"] for row in PREDICTIONS["zoomin"] if row.get("error") != "no such image file"]
REFERENCES: dict[str, Callable[[], float]] = {
    "accuracy": lambda: accuracy_score(LABELS, VERDICTS),
    "balanced_accuracy": lambda: np.mean(recall_score(LABELS, VERDICTS, labels=["real", "generated"], average=None)),
    "recall_real": lambda: recall_score(LABELS, VERDICTS, labels=["real"], average=None)[0],
    "recall_generated": lambda: recall_score(LABELS, VERDICTS, labels=["generated"], average=None)[0],
    "precision": lambda: precision_score(LABELS, VERDICTS, labels=["generated"], average=None)[0],
    "f1": lambda: f1_score(LABELS, VERDICTS, labels=["generated"], average=None)[0],
    "i_acc": lambda: accuracy_score(LABELS, FIRST),
    "c_cases": lambda: CHANGED.mean(),
    "c_acc": lambda: accuracy_score(LABELS[CHANGED], VERDICTS[CHANGED]),
    "bleu1": lambda: bleu(1),
    "bleu2": lambda: bleu(2),
    "corpus_bleu1": lambda: corpus_bleu(1),
    "corpus_bleu2": lambda: corpus_bleu(2),
    "rouge_l": rouge,
    "iou": lambda: overlap(recall=False),
    "iou_recall": lambda: overlap(recall=True),
    "ap": lambda: average_precision_score(TRUTHS, SCORES),
    "auc": lambda: roc_auc_score(TRUTHS, SCORES),
    "tpr_at_1": lambda: rate(0.01),
    "tpr_at_5": lambda: rate(0.05),
    "brier": lambda: brier_score_loss(TRUTHS, SCORES),
    "ece": calibration_error,
    "seconds": lambda: np.mean(SECONDS),
    "seconds_sd": lambda: np.std(SECONDS, ddof=1),
    "images": lambda: COUNT,
    "missing": lambda: COUNT - len(PREDICTIONS["zoomin"]),
    "no_verdict": lambda: sum(row["verdict"] is None for row in PREDICTIONS["zoomin"]),
    "failed": lambda: sum(row.get("error") == "no such image file" for row in PREDICTIONS["zoomin"]),
    "scored": lambda: len(SCORES),
    "timed": lambda: len(SECONDS),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCES)
def test_a_figure_equals_that_of_another_library(values: dict[str, float], name: str) -> None:
    assert values[name] == pytest.approx(float(REFERENCES[name]()), abs=1e-9)


def test_nothing_is_left_without_a_reference() -> None:
    """The others are counted by hand in `test_evaluation.py`, or the sum of two that are here."""
    assert set(NAMES) - set(REFERENCES) == {"unparsed", "extra", "doubled", "looks"}
    assert 0 in SCORES
    assert 1 in SCORES


@pytest.mark.parametrize("name", SHARES)
def test_the_interval_of_a_share_is_that_of_statsmodels(judged: dict[str, Any], name: str) -> None:
    counted = {
        **dict.fromkeys(("accuracy", "i_acc", "c_cases"), COUNT),
        "recall_real": (LABELS == "real").sum(),
        "recall_generated": (LABELS == "generated").sum(),
        "precision": (VERDICTS == "generated").sum(),
        "c_acc": CHANGED.sum(),
    }
    figure = judged["methods"]["zoomin"][name]
    bounds = proportion_confint(round(figure.value * counted[name]), counted[name], method="wilson")
    assert (figure.low, figure.high) == pytest.approx(bounds, abs=1e-9)


def test_a_figure_under_weights_is_that_of_the_images_drawn_so_often() -> None:
    """The bootstrap rests on this: drawing an image three times weighs it three times."""
    records, rows = to_records(RECORDS[:300]), by_path(PREDICTIONS["zoomin"])
    answers = to_answers("zoomin", pair(records, rows), rows)
    drawn = np.random.default_rng(1).integers(300, size=(4, 300))
    weights = np.array([np.bincount(row, minlength=300) for row in drawn], dtype=float)
    weighted = MethodUnderWeights(answers).under(weights)
    for index, row in enumerate(drawn):
        repeated = MethodUnderWeights(answers.of(row)).under(np.ones((1, 300)))
        assert set(repeated) == set(weighted)
        for name, figure in repeated.items():
            assert weighted[name][index] == pytest.approx(figure[0], abs=1e-9), name
        is_scored = ~np.isnan(answers.scores)
        auc = roc_auc_score(
            answers.is_generated[is_scored], answers.scores[is_scored], sample_weight=weights[index][is_scored]
        )
        assert weighted["auc"][index] == pytest.approx(auc, abs=1e-9)


def test_accuracies_are_compared_as_statsmodels_does(judged: dict[str, Any]) -> None:
    (row,) = [row for row in judged["pairs"] if row["figure"] == "accuracy"]
    right = [
        np.array([BY_IMAGE[name].get(record["image"], {}).get("verdict") == record["label"] for record in RECORDS])
        for name in NAMES_OF_METHODS
    ]
    table = [[np.sum((right[0] == a) & (right[1] == b)) for b in (True, False)] for a in (True, False)]
    assert row["p"] == pytest.approx(mcnemar(table, exact=True).pvalue, abs=1e-9)
    assert row["difference"] == pytest.approx(right[0].mean() - right[1].mean(), abs=1e-9)
    assert row["test"] == "McNemar, exact"


@pytest.mark.slow
@pytest.mark.parametrize("p_values", [[0.01, 0.04, 0.03], [0.5, 0.6], [0.2], [0.001, 0.001, 0.9, 0.02], []])
def test_p_values_are_corrected_as_statsmodels_does(p_values: list[float]) -> None:
    expected = list(multipletests(p_values, method="holm")[1]) if p_values else []
    assert holm(p_values) == pytest.approx(expected, abs=1e-12)


def test_the_paired_bootstrap_counts_as_sacrebleu_does() -> None:
    from sacrebleu.significance import _compute_p_value

    differences = np.random.default_rng(2).normal(0.02, 0.01, 999)
    distances = np.abs(differences - differences.mean())  # it gives absolute differences, which hide their side
    p = bootstrap_p(differences, 0.02)
    assert p == _compute_p_value(distances, 0.02)
    assert 0.02 < p < 0.08  # two standard deviations: 0.0455
