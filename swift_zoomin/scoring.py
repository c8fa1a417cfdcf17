"""Scores of one reply: Eq. 1 to 4 of the ZoomIn paper, ROUGE-L, and the signature that says how they were computed.

0.0 means wrong, None means not applicable. A reply without a valid verdict scores 0 for accuracy; it is not left out.

Eq. 2 averages over the predicted boxes, so it is a precision: it does not punish regions left out, and duplicates of a
good box dilute misses. Its three variants are ours, for those who want to close that door. The empty cases, which the
paper leaves open: nothing annotated and nothing predicted 1.0; only one side empty 0.0; no reply that can be read 0.0.
"""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import TypeGuard

import numpy as np
from sacrebleu.metrics.bleu import BLEU, BLEUScore

from swift_zoomin.boxes import Box, Size, box_area, iou
from swift_zoomin.replies import VERDICTS, Reply


def format_reward(reply: Reply) -> float:
    """Eq. 1: 1 if the output has a valid verdict tag. 0 or 1."""
    return float(reply.verdict is not None)


def iou_reward(predicted: Sequence[Box] | None, annotated: Sequence[Box] | None) -> float | None:
    """Eq. 2: mean over the predicted boxes of the best IoU with an annotated box. 0..1; both in one frame.

    None where the image has no annotation (`annotated` is None), which is not the same as annotated with no box ([]).
    `predicted` is None where nothing could be read (`readable_boxes`), which is not the same as no region either.
    """
    if annotated is None:
        return None
    if not predicted or not annotated:
        both_empty = predicted is not None and not predicted and not annotated
        return 1.0 if both_empty else 0.0
    return sum(max(iou(box, truth) for truth in annotated) for box in predicted) / len(predicted)


def readable_boxes(boxes: list[list[float]] | None, verdict: str | None) -> list[list[float]] | None:
    """A reply's boxes as `iou_reward` wants them: None where it has neither boxes nor a verdict."""
    if not boxes and verdict is None:
        return None
    return boxes


DUPLICATE_IOU = 0.9  # two boxes of one reply that overlap so much mark one region


def iou_unique_reward(predicted: Sequence[Box] | None, annotated: Sequence[Box] | None) -> float | None:
    """Eq. 2 without the boxes that repeat one already counted (IoU of at least DUPLICATE_IOU). As `iou_reward`."""
    if not predicted:
        return iou_reward(predicted, annotated)
    unique: list[Box] = []
    for box in dict.fromkeys(map(tuple, predicted)):  # a reply may repeat one box ten thousand times
        if all(iou(box, earlier) < DUPLICATE_IOU for earlier in unique):
            unique.append(box)
    return iou_reward(unique, annotated)


def iou_f1_reward(predicted: Sequence[Box] | None, annotated: Sequence[Box] | None) -> float | None:
    """Twice the summed IoU of the best one-to-one matching, over the number of boxes on both sides. As `iou_reward`.

    Regions left out and misses lower it; so does a duplicate, unless one box overlaps several regions.
    """
    if not predicted or not annotated:
        return iou_reward(predicted, annotated)
    from scipy.optimize import linear_sum_assignment  # slow to import, and the paper's rewards do without it

    overlaps = np.array([[iou(box, truth) for truth in annotated] for box in predicted])
    best_pairs = linear_sum_assignment(-overlaps)
    matched = float(overlaps[best_pairs].sum())
    return 2 * matched / (len(predicted) + len(annotated))


def iou_union_reward(predicted: Sequence[Box] | None, annotated: Sequence[Box] | None) -> float | None:
    """IoU of the area that the predicted boxes cover together with the annotated one. As `iou_reward`."""
    if not predicted or not annotated:
        return iou_reward(predicted, annotated)
    xs, ys, cell_areas = _cells([*predicted, *annotated])
    in_predicted = _covered(predicted, xs, ys)
    in_annotated = _covered(annotated, xs, ys)
    union = float(cell_areas[in_predicted | in_annotated].sum())
    if not union:
        return 0.0
    intersection = float(cell_areas[in_predicted & in_annotated].sum())
    return min(1.0, intersection / union)


def covered_share(boxes_px: Sequence[Box], size: Size) -> float:
    """The share of an image that boxes inside it cover together. 0..1; boxes in pixels of the image, as `size`."""
    usable = [box for box in dict.fromkeys(map(tuple, boxes_px)) if box_area(box) > 0]
    if not usable:
        return 0.0
    xs, ys, cell_areas = _cells(usable)
    covered = float(cell_areas[_covered(usable, xs, ys)].sum())
    return min(1.0, covered / (size[0] * size[1]))


def _cells(boxes: Sequence[Box]) -> tuple[list[float], list[float], np.ndarray]:
    """The cells into which the edges of all boxes cut the plane; each lies wholly inside or outside of every box.

    Returns the edges across (xs) and down (ys), and the areas of the cells between them: (len(ys) - 1, len(xs) - 1).
    """
    xs = sorted({x for x1, _, x2, _ in boxes for x in (x1, x2)})
    ys = sorted({y for _, y1, _, y2 in boxes for y in (y1, y2)})
    return xs, ys, np.outer(np.diff(ys), np.diff(xs))


def _covered(boxes: Sequence[Box], xs: list[float], ys: list[float]) -> np.ndarray:
    """Which cells between neighbouring edges lie in some box: (len(ys) - 1, len(xs) - 1)."""
    cells = np.zeros((len(ys) - 1, len(xs) - 1), dtype=bool)
    for box in boxes:
        if box_area(box) > 0:
            x1, y1, x2, y2 = box
            cells[ys.index(y1) : ys.index(y2), xs.index(x1) : xs.index(x2)] = True
    return cells


def accuracy_reward(reply: Reply, label: str | None) -> float | None:
    """Eq. 3: 1 if the verdict is the label. 0 or 1; None where the label is no verdict (rows of other data sets)."""
    if label not in VERDICTS:
        return None
    return float(reply.verdict == label)


@cache
def _bleu(order: int) -> BLEU:
    return BLEU(max_ngram_order=order, effective_order=True)


def bleu(candidate: str, reference: str, order: int = 2) -> float:
    """Eq. 4: sentence-level BLEU up to `order`-grams of two plain texts, by sacrebleu with effective order. 0..1."""
    return to_share(bleu_counts(candidate, reference, order))


def bleu_counts(candidate: str, reference: str, order: int = 2) -> BLEUScore:
    """sacrebleu's score of two plain texts, with the counts of n-grams and words that it is made of."""
    return _bleu(order).sentence_score(candidate, [reference])


def bleu_of_counts(counts: Sequence[int], order: int, is_corpus: bool = False) -> float:
    """BLEU up to `order`-grams of what `bleu_counts` counted: its n-grams found, its n-grams, and both lengths. 0..1.

    Counts of two texts give what `bleu` gives; sums of counts give the BLEU of a corpus, for which sacrebleu knows no
    effective order. `counts` holds as many n-grams found as n-grams, then the lengths of candidate and reference.
    """
    *n_grams, candidate_length, reference_length = counts
    orders = len(n_grams) // 2
    found, all_of_them = n_grams[:order], n_grams[orders : orders + order]
    lengths = candidate_length, reference_length
    score = BLEU.compute_bleu(found, all_of_them, *lengths, "exp", effective_order=not is_corpus, max_ngram_order=order)
    return to_share(score)


def to_share(score: BLEUScore) -> float:
    return min(1.0, score.score / 100)


def has_words(reference: str | None) -> TypeGuard[str]:
    """Whether there is a reference explanation; without one a text has no score."""
    return reference is not None and reference.strip() != ""


def bleu_reward(reply: Reply, reference: str | None) -> float | None:
    """Eq. 4 for a reply's explanation, tags and boxes left out; None without a reference explanation."""
    if not has_words(reference):
        return None
    return bleu(reply.explanation, reference)


def rouge_l(candidate: str, reference: str) -> float:
    """Sentence-level ROUGE-L of two plain texts (Lin 2004), the F1 of their longest common subsequence of words. 0..1.

    The words and the value are those of rouge-score, without stemming: a word is a run of the letters a to z and
    digits, in lower case. So neither case nor punctuation counts, nor does another alphabet. A text without a word
    scores 0.0. Only the subsequence is measured here: rouge-score fills a table in Python, 3 ms for two texts of 80
    words where this takes 0.02.
    """
    from rouge_score.tokenize import tokenize  # rewards do without it

    said, wanted = tokenize(candidate, None), tokenize(reference, None)
    common = _common_length(said, wanted)
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def _common_length(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest common subsequence, a row of the table in the bits of one number (Hyyrö 2004)."""
    places: dict[str, int] = {}  # of each word of `first`, as bits
    for index, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << index
    all_bits = (1 << len(first)) - 1
    row = all_bits
    for word in second:
        matched = row & places.get(word, 0)
        row = ((row + matched) | (row - matched)) & all_bits
    return len(first) - row.bit_count()


def signature() -> str:
    """How these scores are computed, in sacrebleu's notation; BLEU-1 differs from BLEU-2 in nothing but its order."""
    bleu("a", "a")  # sacrebleu knows the number of references only after a score
    bleu2 = f"bleu2:[{_bleu(2).get_signature()}]"
    rouge = f"rougeL:[rouge-score:{version('rouge-score')}|stem:no]"
    ours = f"iou:eq2,empty=1,one-empty=0,no-reply=0 zoomin:{version('swift-zoomin')}"
    return f"{bleu2} {rouge} {ours}"
