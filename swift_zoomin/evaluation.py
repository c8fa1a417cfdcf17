"""Predictions and records -> the columns of Table 1 of the ZoomIn paper.

| figure | of | meaning |
|---|---|---|
| accuracy | all records | final verdict is the label |
| i_acc | all records | initial verdict is the label |
| c_cases | all records | share whose initial and final verdict differ |
| c_acc | those cases | final verdict is the label |
| bleu1, bleu2 | records with an explanation | mean sentence BLEU of the final explanation |
| iou | records with annotated boxes | mean of Eq. 2 over the first reply's boxes |

A record without a prediction, or whose prediction has no verdict, counts as wrong; both are also counted. A figure is
None where the predictions cannot have it (a detector of another kind gives `image` and `verdict` alone).
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from swift_zoomin import scoring
from swift_zoomin.records import Record, RecordError, json_rows
from swift_zoomin.replies import VERDICTS, as_box

Prediction = dict[str, Any]


def read_predictions(path: Path | str) -> dict[Path, Prediction]:
    """Predictions by the real path of their image, which is relative to the file. Raises RecordError."""
    path = Path(path)
    if not path.is_file():
        raise RecordError(f"{path}: no such predictions file")
    predictions, faults = {}, []
    for where, prediction in json_rows(path):
        if fault := _fault(prediction):
            faults.append(f"{where}: {fault}")
        else:
            predictions[(path.parent / prediction["image"]).resolve()] = prediction
    if faults:
        raise RecordError("\n".join(faults[:20]))
    return predictions


def _fault(prediction: Any) -> str | None:
    """What is wrong with a prediction, ours or a foreign detector's, or None."""
    if not isinstance(prediction, dict):
        return str(prediction) if isinstance(prediction, ValueError) else "no JSON object"
    for name in ("image", "verdict"):
        if name not in prediction:
            return f"field {name!r} is missing; expected image and verdict"
    if not isinstance(prediction["image"], str) or "\0" in prediction["image"]:
        return f"image {prediction['image']!r}; expected a path relative to the predictions file"
    if prediction["verdict"] not in (*VERDICTS, None):
        return f'verdict {prediction["verdict"]!r}; expected "real", "generated" or null'
    if not isinstance(prediction.get("explanation") or "", str):
        return f"explanation {prediction['explanation']!r}; expected text"
    boxes = prediction.get("boxes") or []
    if not isinstance(boxes, list) or not all(as_box(box) for box in boxes):
        return f"boxes {boxes}; expected a list of [x1, y1, x2, y2]"
    return None


def evaluate(records: Iterable[Record], predictions: dict[Path, Prediction]) -> dict[str, Any]:
    """All figures as one flat dictionary; shares are 0..1."""
    pairs = [(record, predictions.get(Path(record.image.path).resolve())) for record in records]
    given = [(record, prediction or {}) for record, prediction in pairs]
    changed = [(r, p) for r, p in given if "initial_verdict" in p and p["initial_verdict"] != p["verdict"]]
    two_turn = any("initial_verdict" in p for _, p in given)
    explained = [(r, p) for r, p in given if r.explanation.strip()] if any("explanation" in p for _, p in given) else []
    boxed = [(r, p) for r, p in given if r.boxes is not None] if any("boxes" in p for _, p in given) else []
    return {
        "images": len(given),
        "accuracy": _mean(given, lambda r, p: p.get("verdict") == r.label),
        "i_acc": _mean(given, lambda r, p: p.get("initial_verdict") == r.label) if two_turn else None,
        "c_cases": len(changed) / len(given) if two_turn else None,
        "c_acc": _mean(changed, lambda r, p: p["verdict"] == r.label),
        "bleu1": _mean(explained, lambda r, p: scoring.bleu(p.get("explanation") or "", r.explanation, 1)),
        "bleu2": _mean(explained, lambda r, p: scoring.bleu(p.get("explanation") or "", r.explanation, 2)),
        "iou": _mean(boxed, lambda r, p: scoring.iou_reward(p.get("boxes") or [], r.boxes) or 0.0),
        "missing": sum(prediction is None for _, prediction in pairs),
        "no_verdict": sum(prediction is not None and prediction["verdict"] is None for _, prediction in pairs),
        "signature": scoring.signature(),
    }


def _mean(pairs: list[tuple[Record, Prediction]], score: Callable[[Record, Prediction], float]) -> float | None:
    return sum(float(score(*pair)) for pair in pairs) / len(pairs) if pairs else None


def table(metrics: dict[str, Any]) -> str:
    """The figures as aligned lines; a dash where one is not applicable."""
    shown = {
        name: "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
        for name, value in metrics.items()
    }
    return "\n".join(f"{name:<12}{value}" for name, value in shown.items())
