"""The words that explanations turn on, for counts as in Fig. 7 of the ZoomIn paper.

A text counts once for each of its words, so that one that repeats itself weighs no more than others; English stop words
are scikit-learn's; "shadow" and "shadows" are two words.
"""

import re
from collections.abc import Iterator
from functools import cache

_LONGEST_WORD = 40  # characters; what is longer is no word
_WORD = re.compile(r"\b\w\w+\b")  # as scikit-learn's vectorizers read words


def keywords(explanation: str) -> set[str]:
    """The words of an explanation, in lower case, without English stop words and numbers."""
    words = {word for word in _WORD.findall(explanation.lower()) if len(word) <= _LONGEST_WORD}
    return {word for word in words - _stop_words() if not word.isdecimal()}


def word_spans(text: str) -> Iterator[tuple[int, int, str]]:
    """The words of a text in their order: first character, one past the last, and the word in lower case."""
    for match in _WORD.finditer(text):
        yield match.start(), match.end(), match.group().lower()


@cache
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)
