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

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from swift_zoomin import scoring
from swift_zoomin.records import Record, RecordError
from swift_zoomin.replies import VERDICTS

Prediction = dict[str, Any]


def read_predictions(path: Path | str) -> dict[Path, Prediction]:
    """Predictions by the real path of their image, which is relative to the file. Raises RecordError."""
    path = Path(path)
    if not path.is_file():
        raise RecordError(f"{path}: no such predictions file")
    predictions, faults = {}, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            prediction = json.loads(line)
            if prediction["verdict"] not in (*VERDICTS, None):
                raise ValueError(f'verdict {prediction["verdict"]!r}; expected "real", "generated" or null')
            predictions[(path.parent / prediction["image"]).resolve()] = prediction
        except KeyError as error:
            faults.append(f"{path}:{number}: field {error} is missing; expected image and verdict")
        except (TypeError, ValueError) as error:
            faults.append(f"{path}:{number}: {error}")
    if faults:
        raise RecordError("\n".join(faults[:20]))
    return predictions


def evaluate(records: Iterable[Record], predictions: dict[Path, Prediction]) -> dict[str, Any]:
    """All figures as one flat dictionary; shares are 0..1."""
    pairs = [(record, predictions.get(Path(record.image.path).resolve())) for record in records]
    given = [(record, prediction or {}) for record, prediction in pairs]
    changed = [(r, p) for r, p in given if "initial_verdict" in p and p["initial_verdict"] != p["verdict"]]
    two_turn = any("initial_verdict" in p for _, p in given)
    explained = [(r, p) for r, p in given if r.explanation] if any("explanation" in p for _, p in given) else []
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
