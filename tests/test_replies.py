"""What the parser makes of a reply, and what it refuses."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reply_texts import CANONICAL, PIECES, TOKENS

from swift_zoomin.replies import VERDICTS, Reply, parse_reply, render_reply, text_problem

ONE = [[120, 88, 260, 190]]
TWO = [*ONE, [1, 2, 3, 4]]

FORMS = {
    "canonical": (CANONICAL, TWO),
    "fenced": ('<regions>```json\n[{"bbox_2d": [120, 88, 260, 190]}]\n```</regions>', ONE),
    "bare JSON": ('[{"bbox_2d": [120, 88, 260, 190]}, {"bbox_2d": [1, 2, 3, 4]}]', TWO),
    "a single object": ('<regions>{"bbox_2d": [120, 88, 260, 190]}</regions>', ONE),
    "an object around the list": ('<regions>{"regions": [{"bbox_2d": [120, 88, 260, 190]}]}</regions>', ONE),
    "other keys": ('[{"bbox": [120, 88, 260, 190]}, {"box": [1, 2, 3, 4]}]', TWO),
    "box tokens": (TOKENS, ONE),
    "box tokens, spaced, twice": ("<|box_start|>( 120 , 88 ) , (260,190)<|box_end|> and (1,2),(3,4)", TWO),
    "a plain list": ("<regions>[120, 88, 260, 190]</regions>", ONE),
    "plain lists": ("<regions>[[120, 88, 260, 190], [1, 2, 3, 4]]</regions>", TWO),
    "plain lists in a row": ("[120, 88, 260, 190], [1, 2, 3, 4]", TWO),
    "a tuple in a sentence": ("The sign at (120, 88, 260, 190) melts.", ONE),
    "floats": ("at (.5, 88.25, 260., 190.0)", [[0.5, 88.25, 260, 190]]),
    "swapped corners": ("[260, 190, 120, 88], [1, 4, 3, 2]", TWO),  # both axes, one axis
    "negative": ("[-5, -7, 10, 20]", [[-5, -7, 10, 20]]),  # clipped later, when the image is known
    "scientific": ("[1.2e2, 8.8E+1, 2600e-1, 1.9e2]", ONE),
    "cut JSON": ('<regions>[{"bbox_2d": [120, 88, 260, 190], "label": "sign"}, {"bbox_2d": [1, 2, 3', ONE),
    "cut after a number": ("[[120, 88, 260, 190], [1, 2, 3, 4", ONE),  # 4 could have become 42
    "a trailing comma": ('[{"bbox_2d": [120, 88, 260, 190],}, {"bbox_2d": [1, 2, 3, 4],},]', TWO),
    "unclosed tags": ("<explanation>It melts.\n<regions>[120, 88, 260, 190]\n<verdict>real", ONE),
    "no tags at all": ("It melts at [120, 88, 260, 190].", ONE),
    "NaN and Infinity": ("[[NaN, 1, 2, 3], [0, 0, Infinity, 9], [120, 88, 260, 190]]", ONE),
    "beyond every float": (f"[[0, 0, 1e999, 9], [0, 0, {'9' * 400}, 9], [120, 88, 260, 190]]", ONE),
    "more digits than Python reads": (f"[[0, 0, {'9' * 5000}, 9], [120, 88, 260, 190]]", ONE),
    "truth values": ("[true, false, true, true]", []),
    "too few, too many, none": ("[1, 2, 3] [1, 2, 3, 4, 5] []", []),
}


@pytest.mark.parametrize(("text", "boxes"), FORMS.values(), ids=FORMS)
def test_boxes_are_read_from_every_form_that_models_use(text: str, boxes: list) -> None:
    reply = parse_reply(text)
    assert reply.boxes_model == boxes
    assert len(reply.box_labels) == len(boxes)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (CANONICAL, ["sign", "entrée"]),
        ('[{"bbox_2d": [1, 2, 3, 4]}, {"bbox_2d": [5, 6, 7, 8], "label": 7}]', ["", ""]),  # absent, not text
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "a \\"sign\\""}, {"bbox_2d": [5, 6', ['a "sign"']),  # cut
        ('[{"bbox_2d": [1, 2, 3, 4]}, {"bbox_2d": [5, 6, 7, 8], "label": "b"}, ', ["", "b"]),  # the nearest one
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "bad \\escape"}', ["bad \\escape"]),
    ],
)
def test_labels_stay_with_their_boxes(text: str, labels: list[str]) -> None:
    assert parse_reply(text).box_labels == labels


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("<verdict>real</verdict>", "real"),
        ("<verdict>generated</verdict>", "generated"),
        ("<VERDICT>\n Generated\t</Verdict>", "generated"),  # case and whitespace
        ("<verdict>real</verdict> so <verdict>Real</verdict>", "real"),  # one distinct verdict
        ("<verdict>real</verdict><verdict>generated</verdict>", None),
        ("<verdict>real or generated</verdict>", None),  # the prompt copied
        ("<verdict>not real</verdict>", None),
        ("<verdict>fake</verdict>", None),
        ("<verdict>generated", None),  # unclosed
        ("It is clearly generated.", None),  # no tag: the text is never searched
        ("", None),
    ],
)
def test_only_one_distinct_valid_verdict_tag_counts(text: str, verdict: str | None) -> None:
    assert parse_reply(text).verdict == verdict


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        (CANONICAL, "The letters on the sign melt."),
        ("It melts. <verdict>real</verdict>", "It melts."),
        ('```json\n[{"bbox_2d": [1, 2, 3, 4]}]\n``` It melts.', "It melts."),
        (f"It melts. {TOKENS[TOKENS.index('<|box_start') :]}", "It melts."),
        ("[[1, 2, 3, 4], [5, 6, 7, 8]]", ""),  # brackets alone are no words
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "sign"}]', ""),
        ("<explanation>It melts.\n<verdict>real</verdict>", "It melts."),  # ends at the next tag
        ("<explanation>A <regions> tag</explanation>", "A <regions> tag"),  # other tags inside stay text
        ("<explanation>one</explanation><explanation>two</explanation>", "one"),
    ],
)
def test_an_explanation_holds_words_and_no_boxes(text: str, explanation: str) -> None:
    assert parse_reply(text).explanation == explanation


@pytest.mark.parametrize("text", ["<regionſ>", "<verdıct>real</verdıct>", "<VERDİCT>x", "</explanatıon>"])
def test_a_tag_in_letters_that_only_look_alike_is_text(text: str) -> None:
    assert parse_reply(text) == Reply(explanation=text)  # ſ, ı and İ match s and i where case is ignored


SAID = "<explanation>Odd.</explanation><regions>[1, 2, 3, 4]</regions><verdict>real</verdict>"
THOUGHT = "<explanation>No.</explanation> [120, 88, 260, 190] <verdict>generated</verdict>"


@pytest.mark.parametrize(
    "text",
    [
        f"<think>{THOUGHT}</think>{SAID}",
        f"<think>\n\n</think>\n\n{SAID}",  # none
        f"{THOUGHT}</think>{SAID}",  # they began in the prompt
        f"{SAID}<think>{THOUGHT}</think>",
        f"{SAID}<THINK>{THOUGHT}",  # cut
        f"<think>a</think>{SAID[:40]}<think>b <think>{THOUGHT}</think>{SAID[40:]}",
        f"<think>a <think>b</think> {THOUGHT}</think>{SAID}",  # one inside the other, both closed
    ],
)
def test_thoughts_count_for_nothing(text: str) -> None:
    assert parse_reply(text) == parse_reply(SAID) == Reply("real", [[1, 2, 3, 4]], [""], "Odd.")


@pytest.mark.parametrize("text", [f"<think>{THOUGHT}", f"{THOUGHT}</think>", f"<think>{THOUGHT}</think>"])
def test_a_reply_of_thoughts_alone_says_nothing(text: str) -> None:
    assert parse_reply(text) == Reply()


def test_a_closing_tag_that_closes_nothing_stays() -> None:
    assert parse_reply("<think>x</think>a</think>b").explanation == "a</think>b"


printable = st.characters(exclude_categories=("Cs", "Cc"))
texts = st.lists(st.sampled_from(PIECES) | printable, max_size=12).map("".join).filter(lambda t: not text_problem(t))
finite = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9999, 9999).map(float)
boxes = st.tuples(finite, finite, finite, finite).map(
    lambda b: [min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])]
)
regions = st.lists(st.tuples(boxes, texts), max_size=5)


@given(st.sampled_from(VERDICTS), regions, texts.map(str.strip))
def test_a_rendered_reply_parses_back(verdict: str, marked: list, explanation: str) -> None:
    reply = Reply(verdict, [box for box, _ in marked], [label for _, label in marked], explanation)
    assert parse_reply(render_reply(reply)) == reply


def test_the_canonical_form_is_what_is_rendered() -> None:
    assert render_reply(parse_reply(CANONICAL)) == CANONICAL


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(None), "verdict None; expected one of real, generated"),
        (Reply("real", explanation="see <regions>"), "holds the tag <regions>; remove it"),
        (Reply("real", explanation="a </think> b"), "holds the tag </think>; remove it"),
        (Reply("real", [[1, 2, 3, 4]], ["</Verdict>"]), "holds the tag </Verdict>; remove it"),
    ],
)
def test_a_reply_that_would_not_parse_back_is_not_rendered(reply: Reply, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render_reply(reply)


@example('[{"bbox_2d": [1, 2, 3, 4], "label": "\\ud800"}]')  # half a character, as JSON
@example('[{"bbox_2d": [1, 2, 3, 4], "label": "\\ud800"')  # cut
@given(st.lists(st.sampled_from([*PIECES, "explanation", '{"bbox_2d":', '"label":']) | st.text()).map("".join))
def test_what_is_read_from_a_text_can_be_written_as_utf_8(text: str) -> None:
    reply = parse_reply(text)
    read = [reply.explanation, *reply.box_labels]
    assert json.loads(json.dumps(read, ensure_ascii=False).encode()) == read


LONG = [
    part * (200_000 // len(part))
    for part in ("<explanation>", "[", "{", '{"bbox_2d":', '"label":"', "[1,1,", "<think>", "</think>")
]
LONG += ["[" + " " * 200_000, "[" * 99_999 + "]" * 99_999, "[" + "1" * 5000, "(1" + "1" * 1000 + " " * 50_000]


@pytest.mark.slow
@pytest.mark.parametrize("text", LONG, ids=lambda text: text[:12])
def test_reading_takes_time_linear_in_the_text(text: str) -> None:
    start = time.thread_time()
    assert parse_reply(text).verdict is None
    assert time.thread_time() - start < 0.9  # a reader quadratic in digits takes seconds for 5000
