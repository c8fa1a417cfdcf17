"""Which faults a sentence names, and which it denies."""

import pytest

from swift_zoomin.evaluation.patterns import PAPER_SHARES, SUBJECTS, patterns
from swift_zoomin.keywords import keywords

LIGHT, ANATOMY, TEXT, PERSPECTIVE = SUBJECTS


@pytest.mark.parametrize(
    ("explanation", "named"),
    [
        ("Unnatural reflections, impossible shadows.", {LIGHT}),  # the paper's own examples, four lines
        ("Distorted fingers, impossible joint positions.", {ANATOMY}),
        ("Unnatural skin textures, warped clothing patterns.", {TEXT}),
        ("Impossible spatial relationships, such as overlapping object parts.", {PERSPECTIVE}),
        ("THE TEXT ON THE SIGN IS GARBLED!", {TEXT}),
        ("The shadows do not match the lamp.", {LIGHT}),
        ("The hand has an extra finger, and the letters melt.", {ANATOMY, TEXT}),
        ("Not only are the fingers fused.", {ANATOMY}),
        ("There is no unnatural shadow, but the hand has an extra finger.", {LIGHT, ANATOMY}),  # sentences, not clauses
    ],
)
def test_a_sentence_with_a_subject_and_a_fault_names_a_pattern(explanation: str, named: set[str]) -> None:
    assert patterns(explanation) == named


@pytest.mark.parametrize(
    "explanation",
    [
        "",
        "Natural light and shadows.",  # no fault
        "The sky looks odd.",  # no subject
        "The light is soft. The sky looks odd.",  # not in one sentence
        "The hands show no visible signs of any distorted fingers.",
        "Skin without artifacts or distortions.",
        "Slightly worn wood is missing.",  # "light" is no word here
        "影子的方向不对。",
    ],
)
def test_what_is_denied_or_fine_names_nothing(explanation: str) -> None:
    assert patterns(explanation) == set()


def test_each_pattern_of_the_paper_has_its_subjects() -> None:
    assert list(PAPER_SHARES) == list(SUBJECTS)


def test_a_keyword_is_no_stop_word_no_number_and_counts_once() -> None:
    assert keywords("The Shadow and the shadow, 1999: it is a FAÇADE") == {"shadow", "façade"}
