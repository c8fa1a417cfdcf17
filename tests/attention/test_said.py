"""Which tokens of a reply are its verdict, its regions and its words."""

from collections.abc import Sequence

import pytest

from swift_zoomin.attention.words import Said, Spoken
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED, REAL

FIRST = (
    *("<explanation>", "The", " let", "ters", " on", " the", " sign", " are", " ga", "rb", "led", ": the", " letters"),
    *(" melt", ".", "</explanation>\n<regions>[", '{"bbox_2d": [', "1", "2", ", ", "8", ", ", "6", "0", ", ", "90"),
    *('], "label": "', "sign", " 3", '"}', ", ", '{"bbox_2d": [', "0", ", 0, ", "7", ", ", "7", "]}", "]</regions>\n"),
    *("<verdict>", "gene", "rated", "</verdict>", "<|im_end|>"),
)


class Tokenizer:
    """Each id is the place of a piece of text, or of some bytes."""

    def __init__(self, pieces: Sequence[str | bytes]) -> None:
        self._pieces = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]

    def decode(self, ids: list[int], **_: bool) -> str:
        return b"".join(self._pieces[token] for token in ids).decode(errors="replace")


def spoken(pieces: Sequence[str | bytes]) -> Spoken:
    return Spoken(range(len(pieces)), Tokenizer(pieces))


def pieces_of(said: Said, pieces: Sequence[str]) -> tuple[str, list[str]]:
    return said.text, [pieces[token] for token in said.tokens]


def test_a_verdict_of_two_tokens_is_both() -> None:
    [verdict] = spoken(FIRST).verdict()
    assert pieces_of(verdict, FIRST) == (f"verdict: {GENERATED}", ["gene", "rated"])


def test_a_reply_without_a_verdict_has_none_to_explain() -> None:
    assert spoken(["<explanation>", "It", " melts", "</explanation>"]).verdict() == []


def test_a_verdict_is_looked_for_in_its_tag_whatever_was_said_before() -> None:
    pieces = ("<explanation>A generated", " sign.", "</explanation>", "<VERDICT> **", "Generated", "**</VERDICT>")
    [verdict] = spoken(pieces).verdict()
    assert pieces_of(verdict, pieces)[1] == ["Generated"]


def test_a_region_is_its_numbers_and_its_label() -> None:
    first, second = spoken(FIRST).regions()
    assert pieces_of(first, FIRST) == ("1. sign 3", ["1", "2", "8", "6", "0", "90", "sign", " 3"])
    assert pieces_of(second, FIRST) == ("2.", ["0", ", 0, ", "7", "7"])


@pytest.mark.slow  # loads scikit-learn's stop words
def test_content_words_are_found_where_they_are_said_first() -> None:
    words = [pieces_of(said, FIRST) for said in spoken(FIRST).words()]
    assert words == [
        ("letters", [" let", "ters"]),
        ("sign", [" sign"]),
        ("garbled", [" ga", "rb", "led"]),
        ("melt", [" melt"]),
    ]


def test_named_words_may_be_any_of_the_explanation() -> None:
    named = spoken(FIRST).named(["Melt", "on"])
    assert [pieces_of(said, FIRST) for said in named] == [("on", [" on"]), ("melt", [" melt"])]


def test_a_word_that_was_not_said_is_refused_in_one_line() -> None:
    expected = r'\A--words: "hands" is no word of the explanation: The letters on the sign are garbled: .*melt\.\Z'
    with pytest.raises(RecordError, match=expected):
        spoken(FIRST).named(["melt", "hands"])


@pytest.mark.slow
def test_a_character_cut_into_two_tokens_moves_no_word() -> None:
    snow = "☃".encode()
    pieces = ("<explanation>", "A ", snow[:1], snow[1:], " melts", " away", "</explanation>")
    assert [(said.text, said.tokens) for said in spoken(pieces).words()] == [("melts", [4]), ("away", [5])]


@pytest.mark.parametrize("rest", ["<verdict>", "<verdict>fake</verdict>", f"<think><verdict>{REAL}</verdict></think>"])
def test_a_tag_without_a_verdict_behind_it_changes_nothing(rest: str) -> None:
    pieces = ("İİİ ", "<verdict>", GENERATED, "</verdict>", rest)
    [verdict] = spoken(pieces).verdict()
    assert pieces_of(verdict, pieces)[1] == [GENERATED]


def test_an_explanation_put_together_of_pieces_is_not_guessed_at() -> None:
    reply = spoken(("The sign", '[{"bbox_2d": [1, 2, 3, 4]}]', " melts", f"<verdict>{GENERATED}</verdict>"))
    assert reply.reply.explanation not in reply.text
    assert reply.words() == []
