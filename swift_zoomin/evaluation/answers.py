"""What one method said of every image, as columns of numbers: an entry an image, NaN where a figure leaves it out.

All that a figure needs of a prediction is in these columns, so resampling images is weighing entries, and the texts
and boxes of a file need not stay in memory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from swift_zoomin import scoring
from swift_zoomin.evaluation.texts import Explained, score_texts
from swift_zoomin.pairing import Pair, extra_images
from swift_zoomin.predictions import Prediction, has_failed
from swift_zoomin.records import Record
from swift_zoomin.replies import GENERATED, REAL, as_box

Column = np.ndarray  # (images,), floats
Answered = tuple[Record, Prediction]  # an empty prediction where there is none: it says nothing


@dataclass(frozen=True)
class Answers:
    """The columns of one method. `means` are figures that are the mean of their entries."""

    name: str
    is_generated: Column  # by the label: 1 or 0
    means: dict[str, Column]
    counts: dict[str, Column]  # what is missing, and why: 1 or 0
    scores: Column  # how probable it is that the image is generated
    regions: Column  # how many the first look marked
    bleu_counts: np.ndarray  # (images, 6), as `scoring.bleu_of_counts` wants them; zeros without a reference
    strays: dict[str, int]  # rows that count nowhere
    looks: int  # verdicts an image
    made_by: str | None

    def __len__(self) -> int:
        return len(self.is_generated)

    def of(self, chosen: np.ndarray) -> "Answers":
        """The same of some images, chosen by a mask or by indices."""
        return replace(
            self,
            is_generated=self.is_generated[chosen],
            means={name: column[chosen] for name, column in self.means.items()},
            counts={name: column[chosen] for name, column in self.counts.items()},
            scores=self.scores[chosen],
            regions=self.regions[chosen],
            bleu_counts=self.bleu_counts[chosen],
        )


def to_answers(name: str, pairs: Sequence[Pair], predictions: dict[Path, Prediction], processes: int = 1) -> Answers:
    """The columns of a method, given its predictions and the records that they belong to.

    `processes` may score the texts, if they are many (`texts.py`).
    """
    answered = [(record, prediction or {}) for record, prediction in pairs]
    is_generated = _column(record.label == GENERATED for record, _ in answered)
    scores = _column(prediction.get("score") for _, prediction in answered)
    texts = score_texts(_explained(answered), processes)
    return Answers(
        name,
        is_generated,
        means={
            **_verdict_columns(answered),
            **texts.columns,
            **_box_columns(answered),
            "brier": (scores - is_generated) ** 2,
            "seconds": _column(_seconds(prediction) for _, prediction in answered),
        },
        counts=_counts(pairs),
        scores=scores,
        regions=_column(_region_count(prediction) for _, prediction in answered),
        bleu_counts=texts.bleu_counts,
        strays={"extra": extra_images(pairs, predictions), "doubled": getattr(predictions, "doubled", 0)},
        looks=2 if _any_has("initial_verdict", answered) else 1,
        made_by=_made_by(answered),
    )


def _column(values: Iterable[float | None]) -> Column:
    return np.array(list(values), dtype=float)  # None becomes NaN


def _counts(pairs: Sequence[Pair]) -> dict[str, Column]:
    """What has no verdict: it counts as wrong for both classes. `no_verdict` are the unparsed and the failed."""
    missing = _column(prediction is None for _, prediction in pairs)
    no_verdict = _column(prediction is not None and prediction["verdict"] is None for _, prediction in pairs)
    has_error = _column(prediction is not None and has_failed(prediction) for _, prediction in pairs)
    failed = no_verdict * has_error
    return {"missing": missing, "no_verdict": no_verdict, "unparsed": no_verdict - failed, "failed": failed}


def _verdict_columns(answered: Sequence[Answered]) -> dict[str, Column]:
    """Whether each image that a figure counts is a hit. Two-turn figures count none of a one-turn detector."""
    labels = [record.label for record, _ in answered]
    right = _column(prediction.get("verdict") == record.label for record, prediction in answered)
    is_real = np.array([label == REAL for label in labels])
    said_generated = np.array([prediction.get("verdict") == GENERATED for _, prediction in answered])
    both_classes = 0 < is_real.sum() < len(labels)
    is_two_turn = _any_has("initial_verdict", answered)
    right_at_first = _column(prediction.get("initial_verdict") == record.label for record, prediction in answered)
    changed = np.array([_is_changed(prediction) for _, prediction in answered])
    return {
        "accuracy": right,
        "recall_real": _only(is_real, right),
        "recall_generated": _only(~is_real, right),
        "precision": _only(said_generated & both_classes, right),  # without real images it would be 1 whatever is said
        "i_acc": _only(is_two_turn, right_at_first),
        "c_cases": _only(is_two_turn, changed.astype(float)),
        "c_acc": _only(is_two_turn & changed, right),
    }


def _only(counted: np.ndarray | bool, column: Column) -> Column:
    return np.where(counted, column, np.nan)


def _is_changed(prediction: Prediction) -> bool:
    return "initial_verdict" in prediction and prediction["initial_verdict"] != prediction["verdict"]


def _explained(answered: Sequence[Answered]) -> list[Explained | None]:
    """The final explanation and the reference of each image that has one; none where no answer can have a text."""
    if not _any_has("explanation", answered):
        return [None] * len(answered)
    return [
        (prediction.get("explanation") or "", record.explanation) if scoring.has_words(record.explanation) else None
        for record, prediction in answered
    ]


def _box_columns(answered: Sequence[Answered]) -> dict[str, Column]:
    """Eq. 2 and its recall side, of each image whose boxes are annotated; none where no answer can have boxes."""
    if not _any_has("boxes", answered):
        return {name: np.full(len(answered), np.nan) for name in ("iou", "iou_recall")}
    sides = [(_first_boxes(prediction), record.boxes_px) for record, prediction in answered]
    return {
        "iou": _column(scoring.iou_reward(marked, annotated) for marked, annotated in sides),
        "iou_recall": _column(_iou_recall(marked, annotated) for marked, annotated in sides),
    }


def _iou_recall(marked: list[list[float]] | None, annotated: list[list[float]] | None) -> float | None:
    """Mean over the annotated boxes of the best IoU with a marked one; empty cases as in `scoring.iou_reward`."""
    if annotated is None or marked is None:
        return None if annotated is None else 0.0
    return scoring.iou_reward(annotated, marked)


def _first_boxes(prediction: Prediction) -> list[list[float]] | None:
    """The boxes of the first reply; None where it cannot be read, which another detector's verdict tells as well."""
    verdict = prediction.get("initial_verdict", prediction.get("verdict"))
    boxes = [box for raw in prediction.get("boxes") or [] if (box := as_box(raw))]
    return scoring.readable_boxes(boxes, verdict)


def _region_count(prediction: Prediction) -> int | None:
    marked = _first_boxes(prediction)
    return len(marked) if "boxes" in prediction and marked is not None else None


def _seconds(prediction: Prediction) -> float | None:
    """How long an image took; what failed was not looked at."""
    return None if has_failed(prediction) else prediction.get("seconds")


def _any_has(field: str, answered: Sequence[Answered]) -> bool:
    return any(field in prediction for _, prediction in answered)


def _made_by(answered: Sequence[Answered]) -> str | None:
    makers = {str(prediction["made_by"]) for _, prediction in answered if "made_by" in prediction}
    return "; ".join(sorted(makers)) or None
