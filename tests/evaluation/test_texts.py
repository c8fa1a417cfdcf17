"""Scores of explanations: the same on one core and on several, and of equal texts once."""

import numpy as np
import pytest

from swift_zoomin import scoring
from swift_zoomin.evaluation import texts
from swift_zoomin.evaluation.texts import score_texts

SAID = [("the cat sat", "the cat"), None, ("", "the cat"), ("the cat sat", "the cat"), ("北京 Café", "Café 北京 cat")]


def test_scores_are_those_of_the_rewards() -> None:
    scored = score_texts(SAID)
    for index, text in enumerate(SAID):
        row = [scored.columns[name][index] for name in ("bleu1", "bleu2", "rouge_l")]
        if text is None:
            assert np.isnan(row).all()
            assert not scored.bleu_counts[index].any()
        else:
            assert row == [scoring.bleu(*text, order=1), scoring.bleu(*text, order=2), scoring.rouge_l(*text)]


def test_equal_texts_are_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    score = texts._score
    monkeypatch.setattr(texts, "_score", lambda text: asked.append(text) or score(text))
    score_texts(SAID)
    assert asked == [SAID[0], SAID[2], SAID[4]]


def test_many_texts_are_scored_by_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in for the scoring function does not travel to them."""
    monkeypatch.setattr(texts, "_TEXTS_WORTH_PROCESSES", 3)
    expected = score_texts(SAID)
    monkeypatch.setattr(scoring, "bleu_counts", None)
    scored = score_texts(SAID, processes=2)
    for name, column in expected.columns.items():
        assert np.array_equal(scored.columns[name], column, equal_nan=True)
    assert np.array_equal(scored.bleu_counts, expected.bleu_counts)
    with pytest.raises(TypeError):
        score_texts(SAID[:3], processes=2)  # two texts are scored here
