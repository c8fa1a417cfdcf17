"""Which boxes stay, by hand arithmetic on images of 1000x800 and 100x100 pixels."""

import json

import pytest
from scripted_dialogue import EXPLANATION, SEEN, answer_to, boxes_json, decisions_json

from swift_zoomin.annotation.dialogue import Annotation, Answer, Dropped
from swift_zoomin.annotation.purify import apply_rules, read_decisions
from swift_zoomin.annotation.steps import LabelledBox
from swift_zoomin.boxes import iou


def labelled(*boxes: list[float]) -> list[LabelledBox]:
    return [LabelledBox(box, label) for box, label in zip(boxes, "abcdefgh", strict=False)]


@pytest.mark.parametrize(
    "box_px",
    [
        [0, 0, 998, 400],  # 399,200 of 800,000: 49.9%
        [0, 0, 1000, 400],  # exactly half is not over half
        [0, 0, 800, 500],
    ],
)
def test_a_box_of_up_to_half_the_image_stays(box_px: list[float]) -> None:
    assert apply_rules(labelled(box_px), (1000, 800)) == (labelled(box_px), [])


@pytest.mark.parametrize(
    ("box_px", "share"),
    [
        ([0, 0, 1000, 400.8], "50.1%"),  # 400,800 of 800,000
        ([0, 0, 1000, 400.01], "50.0%"),
        ([0, 0, 1000, 800], "100.0%"),
    ],
)
def test_a_box_over_half_the_image_is_dropped(box_px: list[float], share: str) -> None:
    dropped = [Dropped("rule", box_px, "a", f"over half of the image: {share}")]
    assert apply_rules(labelled(box_px), (1000, 800)) == ([], dropped)


def test_of_near_duplicates_the_first_stays_with_the_labels_of_both() -> None:
    # 10x10 and 9x10 inside it: 90 of 100 is exactly 0.9.
    first, second = [0, 0, 10, 10], [0, 0, 9, 10]
    kept, dropped = apply_rules(labelled(first, second), (100, 100))
    assert kept == [LabelledBox(first, "a; b")]
    assert dropped == [Dropped("rule", second, "b", 'near-duplicate: IoU 0.90 with "a"')]


def test_boxes_that_overlap_less_both_stay() -> None:
    boxes = labelled([0, 0, 100, 10], [0, 0, 89, 10])  # 890 of 1000: 0.89
    assert apply_rules(boxes, (1000, 800)) == (boxes, [])


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("six fingers", "six fingers", "six fingers"),
        ("Hand with six fingers", "six Fingers", "Hand with six fingers"),
        ("hand", "left hand", "left hand"),
        ("", "hand", "hand"),
        ("hand", "", "hand"),
        ("hand", "ring", "hand; ring"),
        ("x" * 100, "y" * 100, "x" * 100 + "; " + "y" * 17 + "…"),  # 120 characters
    ],
)
def test_labels_are_joined_unless_one_says_the_other(first: str, second: str, joined: str) -> None:
    boxes = [LabelledBox([0, 0, 10, 10], first), LabelledBox([0, 0, 10, 10], second)]
    assert apply_rules(boxes, (100, 100))[0] == [LabelledBox([0, 0, 10, 10], joined)]


def test_a_duplicate_is_merged_with_the_box_that_it_is_closest_to() -> None:
    # The third has IoU 0.95 with the second and 0.9025 with the first; these two have 0.857 and stay apart.
    boxes = labelled([0, 0, 1000, 10], [0, 0, 857, 10], [0, 0, 902.5, 10])
    assert iou(boxes[0].box_px, boxes[2].box_px) == pytest.approx(0.9025)
    assert iou(boxes[1].box_px, boxes[2].box_px) == pytest.approx(0.9496, abs=1e-4)
    kept, dropped = apply_rules(boxes, (1000, 800))
    assert [box.label for box in kept] == ["a", "b; c"]
    assert dropped[0].reason == 'near-duplicate: IoU 0.95 with "b"'


def test_a_box_too_large_takes_no_duplicate_with_it() -> None:
    # Of 100x100: 51% is dropped; 49% inside it has IoU 0.96 with it and stays.
    kept, dropped = apply_rules(labelled([0, 0, 100, 51], [0, 0, 100, 49]), (100, 100))
    assert [box.label for box in kept] == ["b"]
    assert [box.cause for box in dropped] == ["over half of the image"]


def test_the_filter_model_drops_whole_objects_and_redundant_boxes() -> None:
    answers = [
        EXPLANATION,
        boxes_json([0, 0, 100, 300], [10, 10, 30, 30], [12, 10, 40, 30]),
        decisions_json("object", "keep", "redundant"),
    ]
    annotation, questions = answer_to(SEEN, answers)
    assert annotation.boxes_px == [[20, 20, 60, 60]]
    assert annotation.box_labels == ["b"]
    assert annotation.dropped == [
        Dropped("filter", [0, 0, 200, 600], "a", "encloses the primary object: why"),
        Dropped("filter", [24, 20, 80, 60], "c", "redundant: why"),
    ]
    # The boxes are put to the filter model as the grounding model wrote them.
    assert '{"number": 3, "bbox_2d": [12, 10, 40, 30], "label": "c"}' in questions[-1].prompt


def test_the_record_stays_where_the_filter_drops_all_boxes() -> None:
    annotation, _ = answer_to(SEEN, [EXPLANATION, boxes_json([0, 0, 100, 300]), decisions_json("object")])
    assert annotation.rejected is None
    assert (annotation.explanation, annotation.boxes_px) == (EXPLANATION, [])


def test_where_the_rules_leave_no_box_the_record_stays_and_the_filter_is_not_asked() -> None:
    annotation, questions = answer_to(SEEN, [EXPLANATION, boxes_json([0, 0, 500, 400])])
    assert annotation == Annotation(
        EXPLANATION,
        dropped=[Dropped("rule", [0, 0, 1000, 800], "a", "over half of the image: 100.0%")],
        boxes_read=1,
    )
    assert len(questions) == 2


ROWS = [{"number": 1, "decision": "keep", "reason": "small"}, {"number": 2, "decision": "object", "reason": "a {dog}"}]
CLEAN = json.dumps(ROWS)
READABLE = {
    "clean": CLEAN,
    "prose around": f"My decisions:\n```json\n{CLEAN}\n```\nBox 1 stays [see above].",
    "in any order": json.dumps(ROWS[::-1]),
    "in capitals, numbers as text": json.dumps(
        [{"number": "1", "decision": "KEEP"}, {"number": "2", "decision": "Object"}]
    ),
    "trailing commas": '[{"number": 1, "decision": "keep",}, {"number": 2, "decision": "object", "reason": "dog",},]',
    "single quotes": "[{'number': 1, 'decision': 'keep'}, {'number': 2, 'decision': 'object'}]",
    "in an object": json.dumps({"decisions": ROWS}),
    "by number of the whole": json.dumps({"boxes": 2, "rows": {"a": ROWS[0], "b": ROWS[1]}}),
    "an object a line": "\n".join(json.dumps(row).replace("{dog}", "dog") for row in ROWS),
    "more numbers than boxes": json.dumps([*ROWS, {"number": 3, "decision": "redundant"}]),
    "twice the same": json.dumps([*ROWS, ROWS[0]]),
}


@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE)
def test_decisions_are_read_however_they_are_written(text: str) -> None:
    decisions = read_decisions(Answer(text), boxes=2)
    assert isinstance(decisions, list)
    assert [decision.decision for decision in decisions] == ["keep", "object"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (CLEAN, "a {dog}"),
        (READABLE["trailing commas"], "dog"),
        (READABLE["single quotes"], ""),
        (CLEAN.replace("a {dog}", "line\\nbreak\\u0000 <|im_end|>"), "line break im_end"),
    ],
)
def test_the_reason_of_a_decision_is_kept(text: str, reason: str) -> None:
    decisions = read_decisions(Answer(text), boxes=2)
    assert isinstance(decisions, list)
    assert decisions[1].reason == reason
