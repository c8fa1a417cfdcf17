"""Boxes and labels of replies as models write them: whole, broken, repeated; a wrong label is worse than none."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swift_zoomin.replies import LABEL_KEYS, VERDICTS, parse_reply

HAND, EAR = [10, 20, 30, 40], [50, 60, 70, 80]
BOTH = ([HAND, EAR], ["hand", "ear"])
FIRST = ([HAND], ["hand"])
SECOND = ([EAR], ["ear"])
UNNAMED = ([HAND], [""])
UNSURE, LAST = ([HAND, EAR], ["", ""]), ([HAND, EAR], ["", "ear"])
NONE: tuple[list, list] = ([], [])

# HAND and EAR in a text stand for their four numbers.
FORMS = {
    # One object for several regions
    "repeated keys": ('{"object_name": "hand", "bbox": HAND, "object_name": "ear", "bbox": EAR}', BOTH),
    "repeated keys, label last": ('{"box": HAND, "label": "hand", "box": EAR, "label": "ear"}', BOTH),
    "repeated keys, one order and the other": (
        '{"box": HAND, "label": "hand", "label": "ear", "box": EAR}', BOTH,
    ),
    "repeated keys, broken": ("{'label': 'hand', 'bbox': HAND, 'label': 'ear', 'bbox': EAR,}", BOTH),
    "repeated keys, one box no box": ('{"label": "hand", "bbox": null, "label": "ear", "bbox": EAR}', SECOND),
    "repeated keys, one box broken": ('{"label": "hand", "bbox": [10, 20, "label": "ear", "bbox": EAR}', SECOND),
    "repeated boxes, one label": ('{"label": "hand", "bbox": HAND, "bbox": EAR}', UNSURE),
    "repeated boxes, one label, broken": ('{"label": "hand", "bbox": HAND, "bbox": EAR,}', UNSURE),
    "one key, two boxes": ('{"label": "hands", "bbox_2d": [HAND, EAR]}', ([HAND, EAR], ["hands"] * 2)),
    "one key, two boxes, broken": (
        '{"label": "hands", "bbox_2d": [HAND, EAR],}', ([HAND, EAR], ["hands"] * 2),
    ),
    # A label and its box in JSON that does not parse
    "label first, broken": ('[{"label": "hand", "bbox_2d": HAND}, {"label": "ear", "bbox_2d": EAR},]', BOTH),
    "label first, cut": ('[{"label": "hand", "bbox_2d": HAND}, {"label": "ear", "bbox_2d": [50, 60', FIRST),
    "label first, cut in the label": ('[{"label": "hand", "bbox_2d": HAND}, {"label": "ea', FIRST),
    "no label, then one": ('[{"bbox_2d": HAND}, {"label": "ear", "bbox_2d": EAR},]', LAST),
    "no closing brace": ('[{"label": "hand", "bbox_2d": HAND, {"label": "ear", "bbox_2d": EAR}]', BOTH),
    "no brace between": ('[{"label": "hand", "bbox_2d": HAND, "label": "ear", "bbox_2d": EAR]', BOTH),
    "a key lost": ('[{"bbox_2d": HAND, <|im_end|>_2d": EAR, "label": "ear"}]', UNSURE),
    "no comma between objects and keys": (
        '[{"bbox_2d": HAND "label": "hand"} {"label": "ear" "bbox_2d": EAR}]', BOTH,
    ),
    "a label of the whole": ('{"regions": [{"bbox": HAND}], "label": "generated",}', UNNAMED),
    "a label never closed": ('[{"bbox": HAND, "label": "hand}, {"bbox": EAR, "label": "ear"}]', LAST),
    # Quotes, commas, comments
    "single quotes": ("[{'bbox_2d': HAND, 'label': 'hand'}, {'label': 'ear', 'bbox_2d': EAR}]", BOTH),
    "an apostrophe": ("[{'bbox_2d': HAND, 'label': 'the man's hand'}]", ([HAND], ["the man's hand"])),
    "an escaped apostrophe": (r"[{'bbox_2d': HAND, 'label': 'the man\'s hand'}]", ([HAND], ["the man's hand"])),
    "quotes in quotes": ('[{"bbox_2d": HAND, "label": "a "STOP" sign"}]', ([HAND], ['a "STOP" sign'])),
    "keys without quotes": ('[{label: "hand", bbox_2d: HAND}]', FIRST),
    "a comma in the box": ('[{"bbox_2d": [10, 20, 30, 40,], "label": "hand"}]', FIRST),
    "commas everywhere": ('[{"bbox_2d": [10, 20, 30, 40,],, "label": "hand",},,]', FIRST),
    "comments": ('[{"bbox_2d": HAND, // the hand\n "label": "hand" /* five fingers */}]', FIRST),
    "comments in the box": ('[{"bbox_2d": [10, // left\n 20, /* top */ 30, # right\n 40], "label": "hand"}]', FIRST),
    "a box in a label": ("[{'bbox_2d': HAND, 'label': 'near [1, 2, 3, 4]'}]", ([HAND], ["near [1, 2, 3, 4]"])),
    "lines": ('- bbox_2d: HAND\n  label: "hand"\n- bbox_2d: EAR\n  label: "ear"\n', BOTH),
    # Numbers as text
    "strings": ('[{"bbox_2d": ["10", "20", "30", "40"], "label": "hand"}]', FIRST),
    "strings, broken": ("[{'bbox_2d': ['10', '20', '30', '40'], 'label': 'hand'}, ", FIRST),
    "some strings, with units": ('[{"bbox_2d": ["10", 20, "30px", "40 pixels"], "label": "hand"}]', FIRST),
    "units": ('[{"bbox_2d": [10px, 20px, 30 px, 40 px], "label": "hand"}]', FIRST),
    "one string": ('[{"bbox_2d": "10, 20, 30, 40", "label": "hand"}]', FIRST),
    "one string, broken": ("[{'label': 'hand', 'bbox_2d': '10,20,30,40'},]", FIRST),
    "one string in a list": ('[{"bbox_2d": ["10, 20, 30, 40"], "label": "hand"}]', FIRST),
    "a list in a string": ('[{"bbox_2d": "HAND", "label": "hand"}]', FIRST),
    "a list in a string, broken": ('[{"bbox_2d": "HAND", "label": "hand"},]', FIRST),
    "NaN in broken JSON": ('[{"bbox": [NaN, 20, 30, 40], "label": "hand"}, {"bbox": EAR, "label": "ear"},]', SECOND),
    "Infinity as text": ('[{"bbox": ["Infinity", 20, 30, 40], "label": "hand"}]', NONE),
    "per cent": ('[{"bbox_2d": ["10%", "20%", "30%", "40%"], "label": "hand"}]', NONE),
    # Named corners
    "corners": ('[{"label": "hand", "bbox_2d": {"x1": 10, "y1": 20, "x2": 30, "y2": 40}}]', FIRST),
    "corners, broken": ("[{'label': 'hand', 'bbox_2d': {'x1': 10, 'y1': '20', 'x2': 30, 'y2': 40,}},]", FIRST),
    "corners beside the label": ('[{"x1": 10, "y1": 20, "x2": 30, "y2": 40, "label": "hand"}]', FIRST),
    "corners after the label": ('[{"label": "ear", "x1": 50, "y1": 60, "x2": 70, "y2": 80}]', SECOND),
    "corners in another order": ('{"bbox": {"ymin": 20, "xmin": 10, "ymax": 40, "xmax": 30}, "label": "hand"}', FIRST),
    "corners with words": ('{"left": 10, "top": 20, "right": 30, "bottom": 40, "name": "hand"}', FIRST),
    "corners with a bar": ('{"x_min": 10, "y_min": 20, "x_max": 30, "y_max": 40, "name": "hand"}', FIRST),
    "three corners": ('{"bbox": {"x1": 10, "y1": 20, "x2": 30, "x1": 40}, "label": "hand"}', NONE),
    "a corner, width and height": ('{"bbox": {"x": 10, "y": 20, "width": 20, "height": 20}, "label": "hand"}', NONE),
    # Several values, other brackets
    "objects in lines": ('{"bbox": HAND, "label": "hand"}\n{"bbox": EAR, "label": "ear"}', BOTH),
    "fences": ('```json\n{"box": HAND, "label": "hand"}\n```\n```python\n[{"box": EAR, "label": "ear"}]\n```', BOTH),
    "tuples": ("[{'bbox_2d': (10, 20, 30, 40), 'label': 'hand'}, {'bbox_2d': (50, 60, 70, 80), 'label': 'ear'}]", BOTH),
    "a tuple of word and box": ('[("hand", (10, 20, 30, 40))]', UNNAMED),
    "lists in lists": ('[[{"bbox": HAND, "label": "hand"}], [[{"bbox": EAR, "label": "ear"}]]]', BOTH),
    # Never guessed
    "numbers of other fields": ('[{"box": HAND, "label": "hand", "note": "[1, 2, 3, 4]", "at": [5, 6, 7, 8]}]', FIRST),
    "five numbers": ('[{"box": [1, 2, 3, 4, 5]}, {"box": "1, 2, 3, 4, 5"}, {"box": ["1", "2", "3", "4", "5"]}]', NONE),
    "three numbers": ('[{"bbox": [1, 2, 3], "label": "a"}, {"bbox": "1, 2, 3"}, {"bbox": ["1", "2", "3"]},]', NONE),
    "a number with a comma in it": ('[{"bbox": [1,000, 20, 30, 40], "label": "hand"}]', NONE),
    "a box without its bracket": ('[{"box": [10, 20, 30, 40, "label": "hand"}, {"box": EAR, "label": "ear"}]', SECOND),
    "four numbers in quotes in a sentence": ('The dial says "10, 20, 30, 40".', NONE),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FORMS.values(), ids=FORMS)
def test_every_box_is_read_with_its_own_label_or_none(text: str, expected: tuple[list, list]) -> None:
    text = text.replace("HAND", str(HAND)).replace("EAR", str(EAR))
    reply = parse_reply(f"<regions>{text}</regions><verdict>generated</verdict>")
    assert (reply.boxes_model, reply.box_labels) == expected
    assert reply.verdict == "generated"


@pytest.mark.parametrize("key", LABEL_KEYS)
@pytest.mark.parametrize("end", ["", ","])
def test_a_label_may_have_another_name_and_the_taught_one_comes_first(key: str, end: str) -> None:
    assert parse_reply(f'[{{"bbox": [10, 20, 30, 40], "{key}": "hand"}}{end}]').box_labels == ["hand"]
    both = f'[{{"description": "long", "bbox": [10, 20, 30, 40], "{key}": "hand"}}{end}]'
    assert parse_reply(both).box_labels == ([""] if key == "description" else ["hand"])


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        *[(form, "real") for form in ("real.", '"real"', "**real**", "_real_", "`real`", "Real!", "'real'.", "“real”")],
        *[(form, "generated") for form in (" ** generated ** ", "***Generated***.", "generated;", "generated。")],
        *[(form, None) for form in ("fake", "AI-generated", "**AI-generated**", "not real", '"not" real', "unreal")],
        *[(form, None) for form in ("real?", "!real", "~~real~~", "real, generated", "real/generated", "re_al", "")],
        *[(form, None) for form in ("real or generated", "**real** or **generated**", '"real" "real"', "**")],
        ("real</verdict><verdict>**generated**", None),  # two distinct verdicts
        ("**real**</verdict><verdict>real.", "real"),
        ("fake</verdict><verdict>`real`", "real"),
    ],
)
def test_a_verdict_may_be_decorated_and_not_reworded(content: str, verdict: str | None) -> None:
    assert parse_reply(f"<explanation>.</explanation><verdict>{content}</verdict>").verdict == verdict


def test_a_decorated_verdict_inside_an_explanation_counts_like_a_plain_one() -> None:
    for inside in ("real", "**real**"):
        text = f"<explanation>I thought <verdict>{inside}</verdict></explanation><verdict>generated</verdict>"
        assert parse_reply(text).verdict is None


# Canonical regions, damaged: unlike numbers tell boxes apart, and each label names its box.
WORDS = ["", "hand", "a {b} [c]", 'the "STOP" sign', "it's", "at [90, 91, 92, 93]", "x1: 1, ", "\\", "ü, "]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, dict[tuple, str]]:
    """Canonical regions with keys swapped, brackets lost, commas added, and perhaps cut; and the label of each box."""
    count = draw(st.integers(1, 4))
    boxes = [[10 * number + 1, 10 * number + 2, 10 * number + 3, 10 * number + 4] for number in range(count)]
    labels = [draw(st.sampled_from(WORDS)) + str(number) for number in range(count)]
    regions = [{"bbox_2d": box, "label": label} for box, label in zip(boxes, labels, strict=True)]
    text = json.dumps([dict(sorted(region.items(), reverse=draw(st.booleans()))) for region in regions])
    structure = [place for place, mark in enumerate(text) if mark in "[]{}" and not _in_label(text, place, labels)]
    for place in sorted(draw(st.sets(st.sampled_from(structure), max_size=4)), reverse=True):
        text = text[:place] + draw(st.sampled_from(["", ",", text[place] + ",", "," + text[place]])) + text[place + 1 :]
    return text[: draw(st.just(len(text)) | st.integers(0, len(text)))], {
        tuple(b): t for b, t in zip(boxes, labels, strict=True)
    }


def _in_label(text: str, place: int, labels: list[str]) -> bool:
    """Whether a position lies inside a label's string."""
    for label in labels:
        start = text.index(json.dumps(label))
        if start < place < start + len(json.dumps(label)):
            return True
    return False


@given(damaged())
@example(('{"bbox_2d": [1, 2, 3, 4], "label": "a"', {(1, 2, 3, 4): "a"}))
def test_what_survives_damage_carries_its_own_label_or_none(reply: tuple[str, dict[tuple, str]]) -> None:
    text, labels = reply
    read = parse_reply(text)
    for box, label in zip(read.boxes_model, read.box_labels, strict=True):
        assert label in ("", labels.get(tuple(box), ""))


def test_damage_to_one_region_leaves_the_others_whole() -> None:
    """Not only safe but useful: with any one bracket lost, at most one box and two labels go with it."""
    regions = [{"bbox_2d": [left, left, left + 5, left + 5], "label": str(left)} for left in (10, 20, 30, 40)]
    text = json.dumps(regions)
    for place in (place for place, mark in enumerate(text) if mark in "[]{}"):
        read = parse_reply(text[:place] + text[place + 1 :])
        assert len(read.boxes_model) >= 3
        assert len(list(filter(None, read.box_labels))) >= 2


PIECES = ["[", "]", "{", "}", "(", '"', "'", "\\", ",", ":", "//", "/*", "*/", "#", "\n", " ", "`", "_", "1,", "px"]
PIECES += ["label:", '"label":', 'name:"', "bbox:", 'bbox:"', "x1:1,", "y2:", "<verdict>", "</verdict>", "real", "NaN"]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40).map("".join) | st.text())
def test_any_text_is_a_reply(text: str) -> None:
    reply = parse_reply(text)
    assert len(reply.boxes_model) == len(reply.box_labels)
    assert reply.verdict in (None, *VERDICTS)
    assert all(len(box) == 4 and box[0] <= box[2] and box[1] <= box[3] for box in reply.boxes_model)


MANY = json.dumps([{"bbox_2d": [n, n, n + 30, n + 30], "label": "x"} for n in range(10_000)])
PARTS = [*PIECES, '["', '"label":"', "[//[\n", "[/*[", 'bbox:"//\n', "label:\"'"]
LONG = [part * (100_000 // len(part)) for part in PARTS]
LONG += ['{"label":"a"' + " " * 50_000, "x1:" * 30_000, "{" * 99_999]
LONG += [MANY[:-5], MANY.replace('"', "'"), MANY.replace("x", "y: '")]


@pytest.mark.slow
@pytest.mark.parametrize("text", LONG, ids=lambda text: f"{text[:9]!a}")
def test_hostile_text_is_read_in_time_linear_in_its_length(text: str) -> None:
    """The best of up to three readings: beside other work a processor is slower, in its own time too."""
    seconds = []
    while len(seconds) < 3 and min(seconds, default=1.0) >= 0.9:
        start = time.thread_time()
        parse_reply(text)
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 0.9  # json-repair needs over 20 s for some
