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


def pair(records: Iterable[Record], predictions: dict[Path, Prediction]) -> list[tuple[Record, Prediction | None]]:
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
    """All figures by name, shares as 0..1, and under `intervals` the bounds of each: [low, high], or None as it is."""
    pairs = pair(records, predictions)
    given = [(record, prediction or {}) for record, prediction in pairs]
    two_turn = any("initial_verdict" in p for _, p in given)
    explained = [(r, p) for r, p in given if r.explanation.strip()] if any("explanation" in p for _, p in given) else []
    boxed = [(r, p) for r, p in given if r.boxes_px is not None] if any("boxes" in p for _, p in given) else []
    texts = [(p.get("explanation") or "", r.explanation) for r, p in explained]
    shares = {
        "accuracy": [p.get("verdict") == r.label for r, p in given],
        "i_acc": [p.get("initial_verdict") == r.label for r, p in given if two_turn],
        "c_cases": [_changed(p) for _, p in given if two_turn],
        "c_acc": [p["verdict"] == r.label for r, p in given if _changed(p)],
    }
    means = {
        "bleu1": [scoring.bleu(*text, 1) for text in texts],
        "bleu2": [scoring.bleu(*text, 2) for text in texts],
        "rouge_l": [scoring.rouge_l(*text) for text in texts],
        "iou": [scoring.iou_reward(_boxes(p), r.boxes_px) or 0.0 for r, p in boxed],
    }
    return {
        "images": len(given),
        **{name: sum(scores) / len(scores) if scores else None for name, scores in (*shares.items(), *means.items())},
        "missing": sum(prediction is None for _, prediction in pairs),
        "no_verdict": sum(prediction is not None and prediction["verdict"] is None for _, prediction in pairs),
        "signature": scoring.signature(),
        "made_by": "; ".join(sorted({str(p["made_by"]) for _, p in given if "made_by" in p})) or None,
        "intervals": {name: _wilson(hits) if hits else None for name, hits in shares.items()}
        | {name: _bootstrap(scores) if scores else None for name, scores in means.items()},
    }


def _boxes(prediction: Prediction) -> list[list[float]] | None:
    verdict = prediction.get("initial_verdict", prediction.get("verdict"))
    return scoring.readable_boxes(prediction.get("boxes") or [], verdict)


def _changed(prediction: Prediction) -> bool:
    return "initial_verdict" in prediction and prediction["initial_verdict"] != prediction["verdict"]


def _wilson(hits: Sequence[bool]) -> list[float]:
    """The 95% interval of a share (Wilson 1927)."""
    from scipy.stats import binomtest  # takes a second, and only evaluation needs it

    return [float(bound) for bound in binomtest(sum(hits), len(hits)).proportion_ci(0.95, "wilson")]


def _bootstrap(scores: Sequence[float]) -> list[float]:
    """The 95% percentile interval of a mean. One seed for all, so scores of the same records share their resamples."""
    rng, given = np.random.default_rng(0), np.asarray(scores)
    means = [rng.choice(given, len(given)).mean() for _ in range(2000)]
    return [float(bound) for bound in np.quantile(means, [0.025, 0.975])]


def table(metrics: dict[str, Any]) -> str:
    """The figures as aligned lines, each with its interval; a dash where one is not applicable."""
    shown = {
        name: "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
        for name, value in metrics.items()
        if name != "intervals"
    }
    ranges = {name: f"  {bounds[0]:.3f}..{bounds[1]:.3f}" for name, bounds in metrics["intervals"].items() if bounds}
    return "\n".join(f"{name:<12}{value}{ranges.get(name, '')}" for name, value in shown.items())
