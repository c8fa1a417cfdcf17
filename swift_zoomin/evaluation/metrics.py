"""Predictions and records -> the columns of Table 1 of the ZoomIn paper.

| figure | of | meaning |
|---|---|---|
| accuracy | all records | final verdict is the label |
| i_acc | all records | initial verdict is the label |
| c_cases | all records | share whose initial and final verdict differ |
| c_acc | those cases | final verdict is the label |
| bleu1, bleu2 | records with an explanation | mean sentence BLEU of the final explanation |
| rouge_l | records with an explanation | mean sentence ROUGE-L (F1) of the final explanation |
| iou | records with annotated boxes | mean of Eq. 2 over the first reply's boxes |

A record without a prediction, or whose prediction has no verdict, counts as wrong; both are also counted. A figure is
None where the predictions cannot have it (a detector of another kind gives `image` and `verdict` alone).

Each figure has a 95% interval that says what another sample of images might give: Wilson's for a share; for a mean, the
2.5th and 97.5th percentile of the means of 2,000 resamples of its records, drawn with a fixed seed. Neither says what
another training run might give. The interval of a mean is too narrow where there are few records.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from swift_zoomin import scoring
from swift_zoomin.files import plain_path
from swift_zoomin.predictions import Prediction
from swift_zoomin.records import Record

_RESAMPLES = 2000

Pair = tuple[Record, Prediction | None]  # None where the record has no prediction
Answered = tuple[Record, Prediction]  # an empty one instead


def pair(records: Iterable[Record], predictions: dict[Path, Prediction]) -> list[Pair]:
    """Each record with its prediction: of the same path, or else of the same file behind links."""
    pairs = [(record, predictions.get(plain_path(record.image.path))) for record in records]
    if all(prediction is not None for _, prediction in pairs):
        return pairs
    by_file = {os.path.realpath(path): prediction for path, prediction in predictions.items()}
    return [
        (record, by_file.get(os.path.realpath(record.image.path)) if prediction is None else prediction)
        for record, prediction in pairs
    ]


def evaluate(records: Iterable[Record], predictions: dict[Path, Prediction]) -> dict[str, Any]:
    """All figures by name, as `figures` has them."""
    return figures(pair(records, predictions))


def figures(pairs: Sequence[Pair]) -> dict[str, Any]:
    """All figures by name, shares as 0..1, and under `intervals` the bounds of each, [low, high].

    A figure that is not applicable is None, and so are its bounds.
    """
    # A record without a prediction counts like one whose prediction says nothing.
    answered = [(record, prediction or {}) for record, prediction in pairs]
    shares = _verdict_hits(answered)
    means = {**_text_scores(answered), "iou": _iou_scores(answered)}
    intervals: dict[str, list[float] | None] = {}
    for name, hits in shares.items():
        intervals[name] = _wilson(hits) if hits else None
    for name, scores in means.items():
        intervals[name] = _bootstrap(scores) if scores else None
    return {
        "images": len(pairs),
        **{name: _mean(hits) for name, hits in shares.items()},
        **{name: _mean(scores) for name, scores in means.items()},
        "missing": sum(prediction is None for _, prediction in pairs),
        "no_verdict": sum(prediction is not None and prediction["verdict"] is None for _, prediction in pairs),
        "signature": scoring.signature(),
        "made_by": _made_by(answered),
        "intervals": intervals,
    }


def _verdict_hits(answered: Sequence[Answered]) -> dict[str, list[bool]]:
    """By figure, whether each record that it counts is a hit. Two-turn figures count none of a one-turn detector."""
    labels = [record.label for record, _ in answered]
    last = [prediction.get("verdict") for _, prediction in answered]
    hits = {"accuracy": [verdict == label for verdict, label in zip(last, labels, strict=True)]}
    two_turn = answered if _any_has("initial_verdict", answered) else []
    hits["i_acc"] = [prediction.get("initial_verdict") == record.label for record, prediction in two_turn]
    hits["c_cases"] = [_is_changed(prediction) for _, prediction in two_turn]
    changed = [(record, prediction) for record, prediction in two_turn if _is_changed(prediction)]
    hits["c_acc"] = [prediction["verdict"] == record.label for record, prediction in changed]
    return hits


def _is_changed(prediction: Prediction) -> bool:
    return "initial_verdict" in prediction and prediction["initial_verdict"] != prediction["verdict"]


def _text_scores(answered: Sequence[Answered]) -> dict[str, list[float]]:
    """By figure, the score of each record that has an explanation; none where no answer can have one."""
    texts = []
    if _any_has("explanation", answered):
        for record, prediction in answered:
            if scoring.has_words(record.explanation):
                texts.append((prediction.get("explanation") or "", record.explanation))
    return {
        "bleu1": [scoring.bleu(said, reference, 1) for said, reference in texts],
        "bleu2": [scoring.bleu(said, reference, 2) for said, reference in texts],
        "rouge_l": [scoring.rouge_l(said, reference) for said, reference in texts],
    }


def _iou_scores(answered: Sequence[Answered]) -> list[float]:
    """The score of each record whose boxes are annotated; none where no answer can have boxes."""
    if not _any_has("boxes", answered):
        return []
    scores = [scoring.iou_reward(_first_boxes(prediction), record.boxes_px) for record, prediction in answered]
    return [score for score in scores if score is not None]


def _first_boxes(prediction: Prediction) -> list[list[float]] | None:
    """The boxes of the first reply; None where it cannot be read, which another detector's verdict tells as well."""
    verdict = prediction.get("initial_verdict", prediction.get("verdict"))
    return scoring.readable_boxes(prediction.get("boxes") or [], verdict)


def _any_has(field: str, answered: Sequence[Answered]) -> bool:
    return any(field in prediction for _, prediction in answered)


def _made_by(answered: Sequence[Answered]) -> str | None:
    makers = {str(prediction["made_by"]) for _, prediction in answered if "made_by" in prediction}
    return "; ".join(sorted(makers)) or None


def _mean(scores: Sequence[float]) -> float | None:
    return sum(scores) / len(scores) if scores else None


def _wilson(hits: Sequence[bool]) -> list[float]:
    """The 95% interval of a share (Wilson 1927)."""
    from scipy.stats import binomtest  # takes a second, and only evaluation needs it

    return [float(bound) for bound in binomtest(sum(hits), len(hits)).proportion_ci(0.95, "wilson")]


def _bootstrap(scores: Sequence[float]) -> list[float]:
    """The 95% percentile interval of a mean. One seed for all, so scores of the same records share their resamples."""
    rng, values = np.random.default_rng(0), np.asarray(scores)
    means = [rng.choice(values, len(values)).mean() for _ in range(_RESAMPLES)]
    return [float(bound) for bound in np.quantile(means, [0.025, 0.975])]


def table(metrics: dict[str, Any]) -> str:
    """The figures as aligned lines, each with its interval; a dash where one is not applicable."""
    lines = []
    for name, value in metrics.items():
        if name == "intervals":
            continue
        bounds = metrics["intervals"].get(name)
        interval = f"  {bounds[0]:.3f}..{bounds[1]:.3f}" if bounds else ""
        lines.append(f"{name:<12}{_shown(value)}{interval}")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
