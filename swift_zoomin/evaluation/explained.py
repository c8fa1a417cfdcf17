"""What the explanations of one method, or of the annotations, turn on: their keywords, and the faults they name.

Only figures need it, and the texts are gone when they are drawn: it is counted while a predictions file is in memory.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from swift_zoomin import scoring
from swift_zoomin.evaluation.patterns import SUBJECTS, patterns
from swift_zoomin.keywords import keywords
from swift_zoomin.pairing import Pair
from swift_zoomin.records import Record

ANNOTATIONS = "annotations"


@dataclass(frozen=True)
class Explained:
    """Counts over the explanations that have words."""

    name: str
    explanations: int
    keywords: Counter[str]  # in how many explanations each occurs
    patterns: dict[str, np.ndarray]  # each (images,): 1 where it is named, 0 where not, NaN where it is not asked

    def keyword_share(self, word: str) -> float:
        return self.keywords[word] / self.explanations


def explained_by_records(records: Sequence[Record]) -> Explained:
    """The keywords of annotated explanations. Patterns are asked of verdicts, so there are none."""
    counter, explanations = _count_keywords(record.explanation for record in records)
    return Explained(ANNOTATIONS, explanations, counter, {})


def explained_by(name: str, pairs: Sequence[Pair]) -> Explained:
    """What a method's final explanations turn on. Patterns count where the verdict is right, as in the paper."""
    texts = [(prediction or {}).get("explanation") or "" for _, prediction in pairs]
    columns = {pattern: np.full(len(pairs), np.nan) for pattern in SUBJECTS}
    for index, ((record, prediction), text) in enumerate(zip(pairs, texts, strict=True)):
        if prediction and prediction["verdict"] == record.label and scoring.has_words(text):
            named = patterns(text)
            for pattern, column in columns.items():
                column[index] = pattern in named
    counter, explanations = _count_keywords(texts)
    return Explained(name, explanations, counter, columns)


def _count_keywords(texts: Iterable[str]) -> tuple[Counter[str], int]:
    """In how many texts each keyword occurs, and how many texts have words."""
    counter: Counter[str] = Counter()
    explanations = 0
    for text in texts:
        if scoring.has_words(text):
            counter.update(keywords(text))
            explanations += 1
    return counter, explanations
