"""Scores of explanations: what an evaluation takes longest for. So equal texts are scored once, on all cores.

Many texts are shared out to processes where the caller asks for some. They are spawned, which runs the caller's main
module once more: the command asks for them, and a script that calls from Python does not get them unasked.
"""

import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

from swift_zoomin import scoring

Explained = tuple[str, str]  # what was said, and the reference
Scored = tuple[tuple[float, ...], tuple[int, ...]]  # scores as _NAMES orders them, and counts of BLEU

_NAMES = ("bleu1", "bleu2", "rouge_l")
_BLEU_COUNTS = 6  # unigrams and bigrams found, all unigrams and bigrams, words said, words of the reference
_TEXTS_WORTH_PROCESSES = 4000  # two seconds of work; starting them takes one
_TEXTS_A_TASK = 250


class TextScores(NamedTuple):
    """Sentence scores by figure, NaN for an image without a reference, and the counts that make a corpus BLEU."""

    columns: dict[str, np.ndarray]  # each (images,)
    bleu_counts: np.ndarray  # (images, _BLEU_COUNTS), zeros without a reference


def score_texts(texts: Sequence[Explained | None], processes: int = 1) -> TextScores:
    """Scores of each final explanation; None is an image without a reference."""
    distinct = list(dict.fromkeys(text for text in texts if text is not None))
    scored = dict(zip(distinct, _score_all(distinct, processes), strict=True))
    scores = np.full((len(texts), len(_NAMES)), np.nan)
    bleu_counts = np.zeros((len(texts), _BLEU_COUNTS), dtype=np.int64)
    for index, text in enumerate(texts):
        if text is not None:
            scores[index], bleu_counts[index] = scored[text]
    return TextScores(dict(zip(_NAMES, scores.T, strict=True)), bleu_counts)


def _score_all(texts: Sequence[Explained], processes: int) -> list[Scored]:
    if processes == 1 or len(texts) < _TEXTS_WORTH_PROCESSES:
        return [_score(text) for text in texts]
    with ProcessPoolExecutor(processes, get_context("spawn"), _leave_interrupts_to_the_caller) as pool:
        return list(pool.map(_score, texts, chunksize=_TEXTS_A_TASK))


def _leave_interrupts_to_the_caller() -> None:
    """Ctrl-C reaches every process of a terminal; one line about it is enough."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _score(text: Explained) -> Scored:
    said, reference = text
    second = scoring.bleu_counts(said, reference, order=2)
    counts = (*second.counts, *second.totals, second.sys_len, second.ref_len)
    bleu1, bleu2 = (scoring.bleu_of_counts(counts, order) for order in (1, 2))
    return (bleu1, bleu2, scoring.rouge_l(said, reference)), counts
