"""Predictions and records -> the columns of Table 1 of the ZoomIn paper, and what referees ask for beside them.

| figure | of | meaning |
|---|---|---|
| accuracy | all records | final verdict is the label |
| recall_real, recall_generated | records of that label | final verdict is the label |
| balanced_accuracy | all records | mean of the two recalls |
| precision | images called generated | they are |
| f1 | | harmonic mean of precision and recall_generated: 2 TP / (2 TP + FP + FN) |
| i_acc | all records | initial verdict is the label |
| c_cases | all records | share whose initial and final verdict differ |
| c_acc | those cases | final verdict is the label |
| bleu1, bleu2 | records with an explanation | mean sentence BLEU of the final explanation, as in the reward |
| corpus_bleu1, corpus_bleu2 | the same | BLEU of all final explanations as one text |
| rouge_l | records with an explanation | mean sentence ROUGE-L (F1) of the final explanation |
| iou | records with annotated boxes | mean of Eq. 2 over the first reply's boxes: its precision side |
| iou_recall | records with annotated boxes | mean over the annotated boxes of the best IoU: its recall side |
| ap, auc, tpr_at_1, tpr_at_5, ece | images with a score | `curves.py` defines them |
| brier | images with a score | mean squared distance of the score from 1 (generated) or 0 (real) |
| seconds, seconds_sd | images that were looked at | mean and standard deviation (n - 1) of the seconds an image |
| images; missing; no_verdict = unparsed + failed | all records | without a prediction; with one that has no verdict |
| extra, doubled | rows | of images that no record names; of an image that has a row already |

A record without a prediction, or whose prediction has no verdict, counts as wrong for both labels; both are also
counted. A figure is None where the predictions cannot have it (a detector of another kind gives `image` and `verdict`
alone) or the records cannot: where all have one label there is no balanced accuracy, precision, F1, AP, AUC or TPR.

Each figure has a 95% interval that says what another sample of images might give: Wilson's for a share; for others, and
for all where records have a field `group`, the 2.5th and 97.5th percentile of 2,000 resamples of the images, or groups.
None says what another training run might give. Percentile intervals are too narrow where there are few records.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from swift_zoomin import scoring
from swift_zoomin.evaluation import resampling
from swift_zoomin.evaluation.answers import Answers, to_answers
from swift_zoomin.evaluation.columns import NAMES
from swift_zoomin.evaluation.comparisons import compare
from swift_zoomin.evaluation.curves import BINS
from swift_zoomin.evaluation.figures import Figure, values_and_spreads, with_intervals
from swift_zoomin.evaluation.groups import has_one_label, masks
from swift_zoomin.pairing import pair
from swift_zoomin.predictions import Prediction
from swift_zoomin.records import Record


def evaluate(records: Iterable[Record], predictions: dict[Path, Prediction]) -> dict[str, Figure]:
    """All figures of one method by name, shares as 0..1."""
    records = list(records)
    (figures,) = evaluation(records, [to_answers("", pair(records, predictions), predictions)])["methods"].values()
    return figures


def evaluation(records: Sequence[Record], methods: Sequence[Answers]) -> dict[str, Any]:
    """The figures of each method by its name, `pairs` of methods compared, and the `signature` of both."""
    groups = resampling.group_of_each(records)
    are_grouped = groups is not None
    values, spreads = values_and_spreads(methods, groups)
    return {
        "methods": {
            answers.name: _in_order(with_intervals(answers, value, spread, are_grouped))
            for answers, value, spread in zip(methods, values, spreads, strict=True)
        },
        "pairs": compare(methods, values, spreads, groups),
        "signature": signature(are_grouped),
        "made_by": {answers.name: answers.made_by for answers in methods},
        "one_label": has_one_label(methods[0]),
    }


def by_group(by: str, records: Sequence[Record], methods: Sequence[Answers]) -> dict[str, dict[str, dict[str, Figure]]]:
    """The figures of each group of images (`groups.py`), and in it of each method. Methods are not compared there."""
    groups = resampling.group_of_each(records)
    figures: dict[str, dict[str, dict[str, Figure]]] = {}
    for answers in methods:
        for group, mask in masks(by, records, answers).items():
            values, spreads = values_and_spreads([answers.of(mask)], None if groups is None else groups[mask])
            of_group = with_intervals(answers.of(mask), values[0], spreads[0], groups is not None)
            figures.setdefault(group, {})[answers.name] = _in_order(of_group)
    return figures


def _in_order(figures: dict[str, Figure]) -> dict[str, Figure]:
    return {name: figures[name] for name in NAMES}


def as_json(judged: dict[str, Any]) -> dict[str, Any]:
    """An evaluation as metrics.json holds it: each figure as its value and bounds."""
    groups = {by: {group: _named(methods) for group, methods in rows.items()} for by, rows in judged["by"].items()}
    return {**judged, "methods": _named(judged["methods"]), "by": groups}


def _named(methods: dict[str, dict[str, Figure]]) -> dict[str, dict[str, dict[str, Any]]]:
    return {name: {figure: value._asdict() for figure, value in figures.items()} for name, figures in methods.items()}


def signature(are_grouped: bool) -> str:
    """How the figures are computed."""
    drawn = "groups" if are_grouped else "images"
    share = "" if are_grouped else "wilson,"
    return f"{scoring.signature()} intervals:95%,{share}bootstrap={resampling.RESAMPLES},of={drawn} ece:bins={BINS}"
