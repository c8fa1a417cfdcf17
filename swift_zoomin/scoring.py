"""Scores of one reply: Eq. 1 to 4 of the ZoomIn paper, ROUGE-L, and the signature that says how they were computed.

0.0 means wrong, None means not applicable. A reply without a valid verdict scores 0 for accuracy; it is not left out.

Eq. 2 averages over the predicted boxes, so it is a precision: it does not punish regions left out. Its empty cases,
which the paper leaves open: nothing annotated and nothing predicted 1.0; only one side empty 0.0.
"""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

from sacrebleu.metrics.bleu import BLEU

from swift_zoomin.boxes import Box, iou
from swift_zoomin.replies import Reply


def format_reward(reply: Reply) -> float:
    """Eq. 1: 1 if the output has a valid verdict tag. 0 or 1."""
    return float(reply.verdict is not None)


def iou_reward(predicted: Sequence[Box], annotated: Sequence[Box] | None) -> float | None:
    """Eq. 2: mean over the predicted boxes of the best IoU with an annotated box. 0..1; both in one frame.

    None where the image has no annotation (`annotated` is None), which is not the same as annotated with no box ([]).
    """
    if annotated is None:
        return None
    if not predicted or not annotated:
        return float(not predicted and not annotated)
    return sum(max(iou(box, truth) for truth in annotated) for box in predicted) / len(predicted)


def accuracy_reward(reply: Reply, label: str) -> float:
    """Eq. 3: 1 if the verdict is the label. 0 or 1."""
    return float(reply.verdict == label)


@cache
def _bleu(order: int) -> BLEU:
    return BLEU(max_ngram_order=order, effective_order=True)


def bleu(candidate: str, reference: str, order: int = 2) -> float:
    """Eq. 4: sentence-level BLEU up to `order`-grams of two plain texts, by sacrebleu with effective order. 0..1."""
    return min(1.0, _bleu(order).sentence_score(candidate, [reference]).score / 100)


def bleu_reward(reply: Reply, reference: str | None) -> float | None:
    """Eq. 4 for a reply's explanation, tags and boxes left out; None without a reference explanation."""
    return bleu(reply.explanation, reference) if reference and reference.strip() else None


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # takes seconds, and rewards do without it

    return RougeScorer(["rougeL"])


def rouge_l(candidate: str, reference: str) -> float:
    """Sentence-level ROUGE-L of two plain texts (Lin 2004), the F1 of their longest common subsequence of words. 0..1.

    By rouge-score, without stemming: a word is a run of the letters a to z and digits, in lower case. So neither case
    nor punctuation counts, nor does another alphabet. A text without a word scores 0.0.
    """
    return float(_rouge().score(reference, candidate)["rougeL"].fmeasure)


def signature(order: int = 2) -> str:
    """How these scores are computed, in sacrebleu's notation."""
    bleu("a", "a", order)  # sacrebleu knows the number of references only after a score
    rouge = f"rougeL:[rouge-score:{version('rouge-score')}|stem:no]"
    ours = f"iou:eq2,empty=1,one-empty=0 zoomin:{version('swift-zoomin')}"
    return f"bleu{order}:[{_bleu(order).get_signature()}] {rouge} {ours}"
