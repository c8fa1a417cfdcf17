"""Scores of explanations: what an evaluation takes longest for, so equal texts are scored once."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from swift_zoomin import scoring

Explained = tuple[str, str]  # what was said, and the reference
_NAMES = ("bleu1", "bleu2", "rouge_l")
_BLEU_COUNTS = 6  # unigrams and bigrams found, all unigrams and bigrams, words said, words of the reference


class TextScores(NamedTuple):
    """Sentence scores by figure, NaN for an image without a reference, and the counts that make a corpus BLEU."""

    columns: dict[str, np.ndarray]  # each (images,)
    bleu_counts: np.ndarray  # (images, _BLEU_COUNTS), zeros without a reference


def score_texts(texts: Sequence[Explained | None]) -> TextScores:
    """Scores of each final explanation; None is an image without a reference."""
    scores = np.full((len(texts), len(_NAMES)), np.nan)
    bleu_counts = np.zeros((len(texts), _BLEU_COUNTS), dtype=np.int64)
    for index, text in enumerate(texts):
        if text is not None:
            scores[index], bleu_counts[index] = _score(*text)
    return TextScores(dict(zip(_NAMES, scores.T, strict=True)), bleu_counts)


@lru_cache(1 << 16)
def _score(said: str, reference: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The scores of one explanation as _NAMES orders them, and its counts."""
    second = scoring.bleu_counts(said, reference, order=2)
    counts = (*second.counts, *second.totals, second.sys_len, second.ref_len)
    bleu1, bleu2 = (scoring.bleu_of_counts(counts, order) for order in (1, 2))
    return (bleu1, bleu2, scoring.rouge_l(said, reference)), counts
