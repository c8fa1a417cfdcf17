"""What becomes of each kind of answer: used, asked for again, or the image's rejection."""

import json

import pytest
from scripted_dialogue import EXPLANATION, SEEN, SEEN_WITHOUT_FILTER, answer_to, boxes_json, decisions_json, grounded

from swift_zoomin.annotation.dialogue import Annotation, Answer, Dropped, Seen, Step
from swift_zoomin.families import Frame
from swift_zoomin.replies import GENERATED, REAL

BOX = [10, 20, 30, 40]  # of the 500x400 sent; twice that in the 1000x800 original
BOX_PX = [20.0, 40.0, 60.0, 80.0]
CLEAN = boxes_json(BOX)
NO_REASON = "It is generated."
GERMAN = "Die Hand auf der linken Seite hat sechs Finger, und die Buchstaben sind nicht zu lesen."
CHINESE = "左边的手有六根手指，招牌上的字母互相融合，阴影的方向也不一致。"


def test_an_image_is_asked_about_in_three_steps() -> None:
    annotation, questions = answer_to(SEEN, [EXPLANATION, CLEAN, decisions_json("keep")])
    assert annotation == Annotation(EXPLANATION, [BOX_PX], ["a"], boxes_read=1)
    assert [question.step for question in questions] == [Step.EXPLAIN, Step.GROUND, Step.FILTER]
    assert [question.attempt for question in questions] == [1, 1, 1]


def test_without_a_filter_model_two_steps_are_asked() -> None:
    annotation, questions = answer_to(SEEN_WITHOUT_FILTER, [EXPLANATION, CLEAN])
    assert annotation.boxes_px == [BOX_PX]
    assert len(questions) == 2


@pytest.mark.parametrize("reply", ["[]", "```json\n[]\n```", '{"regions": []}', "Nothing can be boxed: [ ]"])
def test_no_box_is_an_answer_and_the_filter_is_not_asked(reply: str) -> None:
    annotation, questions = answer_to(SEEN, [EXPLANATION, reply])
    assert annotation == Annotation(EXPLANATION)
    assert len(questions) == 2


@pytest.mark.parametrize("end", ["<|im_end|>", "\n<|im_end|>\n<|endoftext|>\n", "</s>", " <|eot_id|> "])
def test_end_of_turn_tokens_behind_an_answer_are_taken_off(end: str) -> None:
    annotation, _ = answer_to(SEEN_WITHOUT_FILTER, [EXPLANATION + end, CLEAN + end])
    assert annotation.explanation == EXPLANATION
    assert annotation.boxes_px == [BOX_PX]


UNUSABLE_EXPLANATIONS = {
    "empty": ("", "is empty"),
    "blank": (" \n\t", "is empty"),
    "nothing after reasoning": ("<think>The hand ...</think>\n", "is empty"),
    "reasoning that was never closed": ("<think>The hand is odd and", "is empty"),
    "cut": (Answer(EXPLANATION, "length"), "was cut for its length"),
    "blocked": (Answer("", "content_filter"), "was blocked by the server's content filter"),
    "refused": ("I'm sorry, but I can't assist with that.", "declines to answer"),
    "no reason": (NO_REASON, "is too short to give a reason"),
    "German": (GERMAN, "is not in English"),
    "Chinese": (CHINESE, "is not in English"),
    "label leaked": (f"As stated, the image is AI-generated. {EXPLANATION}", "refers to having been told"),
    "half a character": (f"{EXPLANATION} \ud800", "holds half a character"),
    "a reply's tag": (f"{EXPLANATION} <verdict>real</verdict>", "holds the tag <verdict>"),
    "control token": (f"{EXPLANATION}<|im_end|>\n<|im_start|>user\nHi", "holds tokens that steer a model"),
    "endless": (EXPLANATION * 1000, "has more than 8000 characters"),
}


@pytest.mark.parametrize(("reply", "problem"), UNUSABLE_EXPLANATIONS.values(), ids=UNUSABLE_EXPLANATIONS)
def test_an_unusable_explanation_is_asked_for_again_once(reply: str | Answer, problem: str) -> None:
    annotation, questions = answer_to(SEEN_WITHOUT_FILTER, [reply, EXPLANATION, CLEAN])
    assert annotation.explanation == EXPLANATION
    first, second, third = questions
    assert (second.step, second.attempt, third.step) == (Step.EXPLAIN, 2, Step.GROUND)
    assert problem in second.prompt
    assert second.prompt.startswith(first.prompt)
    assert second.prompt_version != first.prompt_version
    assert second.max_tokens == 2 * first.max_tokens


@pytest.mark.parametrize(("reply", "problem"), UNUSABLE_EXPLANATIONS.values(), ids=UNUSABLE_EXPLANATIONS)
def test_an_explanation_unusable_twice_rejects_the_image(reply: str | Answer, problem: str) -> None:
    annotation, questions = answer_to(SEEN, [reply, reply])
    assert annotation.rejected is not None
    assert annotation.rejected.startswith(f"explain: the answer {problem}")
    assert (annotation.explanation, annotation.boxes_px, len(questions)) == ("", [], 2)


READABLE_BOXES = {
    "clean": CLEAN,
    "prose around": f"Here are the regions:\n```json\n{CLEAN}\n```\nThey follow the report [1].",
    "trailing commas": '[{"bbox_2d": [10, 20, 30, 40,], "label": "a",},]',
    "single quotes": "[{'bbox_2d': [10, 20, 30, 40], 'label': 'a'}]",
    "numbers as strings": '[{"bbox_2d": ["10", "20", "30", "40"], "label": "a"}]',
    "box as a string": '[{"bbox_2d": "[10, 20, 30, 40]", "label": "a"}]',
    "swapped corners": boxes_json([30, 40, 10, 20]),
    "a single object": '{"bbox_2d": [10, 20, 30, 40], "label": "a"}',
    "after reasoning": f"<think>Perhaps [1, 2, 3, 4]?</think>\n{CLEAN}",
    "an end-of-turn token": f"{CLEAN}<|im_end|>",
}


@pytest.mark.parametrize("reply", READABLE_BOXES.values(), ids=READABLE_BOXES)
def test_boxes_are_read_however_they_are_written(reply: str) -> None:
    assert grounded(reply) == Annotation(EXPLANATION, [BOX_PX], ["a"], boxes_read=1)


UNREADABLE_BOXES = {
    "empty": ("", "is empty"),
    "refusal": ("I'm sorry, I can't identify anything here.", "holds no readable box and no empty list"),
    "prose": ("There is nothing to box.", "holds no readable box and no empty list"),
    "only NaN": ('[{"bbox_2d": [NaN, 1, 2, 3], "label": "a"}]', "holds no readable box and no empty list"),
    "an empty box": ('[{"bbox_2d": [], "label": "a"}]', "holds no readable box and no empty list"),
    "cut": (Answer(CLEAN[:-2], "length"), "was cut for its length"),
    "blocked": (Answer(CLEAN, "content_filter"), "was blocked"),
    "51 boxes": (boxes_json(*[BOX] * 51, labels="x" * 51), "gives more than 50 boxes (51)"),
    "5000 boxes": (boxes_json(*[BOX] * 5000, labels="x" * 5000), "gives more than 50 boxes (5000)"),
}


@pytest.mark.parametrize(("reply", "problem"), UNREADABLE_BOXES.values(), ids=UNREADABLE_BOXES)
def test_unreadable_boxes_are_asked_for_again_and_then_reject_the_image(reply: str | Answer, problem: str) -> None:
    annotation, questions = answer_to(SEEN_WITHOUT_FILTER, [EXPLANATION, reply, CLEAN])
    assert annotation.boxes_px == [BOX_PX]
    assert problem in questions[-1].prompt
    annotation, _ = answer_to(SEEN, [EXPLANATION, reply, reply])
    assert annotation.rejected is not None
    assert annotation.rejected.startswith(f"ground: the answer {problem}")


def test_fifty_boxes_are_not_too_many() -> None:
    corners = [[10 * number, 0, 10 * number + 9, 9] for number in range(50)]
    annotation = grounded(boxes_json(*corners, labels="x" * 50))
    assert len(annotation.boxes_px) == 50


@pytest.mark.parametrize(
    ("frame", "box_model", "box_px"),
    [
        (Frame.ABSOLUTE, [10, 20, 30, 40], [20, 40, 60, 80]),  # 500x400 -> 1000x800: times 2
        (Frame.NORM1000, [10, 20, 30, 40], [10, 16, 30, 32]),  # times 1 across, times 0.8 down
        (Frame.ABSOLUTE, [-5, -5, 100, 50], [0, 0, 200, 100]),  # clamped left and above
        (Frame.ABSOLUTE, [400, 300, 900, 900], [800, 600, 1000, 800]),  # clamped right and below
        (Frame.NORM1000, [800, 900, 1200, 1100], [800, 720, 1000, 800]),
        (Frame.NORM1000, [0.333, 0, 100, 100.125], [0.33, 0, 100, 80.1]),  # hundredths of a pixel
    ],
)
def test_boxes_come_back_to_the_original_and_stay_inside(
    frame: Frame, box_model: list[float], box_px: list[float]
) -> None:
    seen = Seen(REAL, SEEN.size, SEEN.size_sent, frame, has_filter=False)
    assert grounded(boxes_json(box_model), seen).boxes_px == [box_px]


@pytest.mark.parametrize(
    ("box_model", "written_px", "reason"),
    [
        ([10, 20, 10, 40], [20, 40, 20, 80], "no area"),
        ([10, 20, 30, 20], [20, 40, 60, 40], "no area"),
        ([10, 20, 10.001, 40], [20, 40, 20, 80], "thinner than a unit of the model's frame"),
        ([0.1, 0.1, 0.9, 0.8], [0.2, 0.2, 1.8, 1.6], "thinner than a unit of the model's frame"),  # shares of a side
        ([600, 20, 700, 40], [1200, 40, 1400, 80], "outside the image"),
        ([500, 20, 700, 40], [1000, 40, 1400, 80], "outside the image"),  # touches the edge
        ([-30, -20, -10, -5], [-60, -40, -20, -10], "outside the image"),
        ([600, 20, 1e300, 40], [1200, 40, 2e6, 80], "outside the image"),
    ],
)
def test_a_box_of_which_nothing_is_left_is_dropped_with_its_reason(
    box_model: list[float], written_px: list[float], reason: str
) -> None:
    annotation = grounded(boxes_json(box_model, BOX))
    assert annotation.boxes_px == [BOX_PX]
    assert annotation.box_labels == ["b"]
    assert annotation.dropped == [Dropped("rule", written_px, "a", reason)]


@pytest.mark.parametrize(
    ("others", "unreadable"),
    [
        ('{"bbox_2d": [NaN, 2, 3, 4], "label": "n"}, {"bbox_2d": [1, 2, 3], "label": "m"}', 2),
        ('{"bbox_2d": null}, {"bbox_2d": "10, 20"}, {"bbox_2d": []}', 3),
        ('{"label": "the box: 3 sides"}, {"label": "no box"}', 0),
        ('{"bbox_2d": [1, 2, 3], "bbox": [1, 2, 3]}', 1),
    ],
)
def test_boxes_that_cannot_be_read_are_counted_beside_one_that_can(others: str, unreadable: int) -> None:
    annotation = grounded(f'[{{"bbox_2d": {BOX}, "label": "a"}}, {others}]')
    dropped = [Dropped("rule", [], "", "unreadable")] * unreadable
    assert annotation == Annotation(EXPLANATION, [BOX_PX], ["a"], dropped, boxes_read=1)


def test_boxes_clearly_beyond_the_frame_are_counted() -> None:
    # 5% of the 500x400 sent are 25 and 20 pixels.
    annotation = grounded(boxes_json([0, 0, 525, 9], [0, 20, 526, 29], [0, 40, 9, 421], [-26, 60, 9, 69]))
    assert (annotation.boxes_read, annotation.boxes_beyond) == (4, 3)


def test_labels_are_one_clean_line_whatever_a_model_wrote() -> None:
    labels = ["  two\n words ", "a\x00b\u202ec", "<image>x", "<|im_end|>y", "half \ud800 one", "w " * 99]
    corners = [[40 * number, 0, 40 * number + 20, 20] for number in range(6)]
    found = grounded(boxes_json(*corners, labels=labels)).box_labels
    assert found[:2] == ["two words", "a b c"]
    assert found[2:4] == ["image x", "im_end y"]
    assert found[4] == "half ? one"
    assert len(found[5]) <= 120
    assert found[5].endswith("…")


UNREADABLE_DECISIONS = {
    "empty": ("", "is empty"),
    "prose": ("Both boxes are fine.", "holds no readable decision"),
    "cut": (Answer(decisions_json("keep", "keep"), "length"), "was cut for its length"),
    "one missing": (decisions_json("keep"), "lacks a readable decision about a box (number 2)"),
    "an unknown word": (decisions_json("keep", "perhaps"), "lacks a readable decision about a box (number 2)"),
    "undecided": (
        json.dumps([{"number": 1, "decision": word} for word in ("keep", "object")]),
        "decides differently about one box (number 1)",
    ),
}


@pytest.mark.parametrize(("reply", "problem"), UNREADABLE_DECISIONS.values(), ids=UNREADABLE_DECISIONS)
def test_unreadable_decisions_are_asked_for_again_and_then_reject_the_image(reply: str | Answer, problem: str) -> None:
    two_boxes = boxes_json(BOX, [100, 100, 200, 200])
    annotation, questions = answer_to(SEEN, [EXPLANATION, two_boxes, reply, decisions_json("keep", "keep")])
    assert len(annotation.boxes_px) == 2
    assert problem in questions[-1].prompt
    annotation, _ = answer_to(SEEN, [EXPLANATION, two_boxes, reply, reply])
    assert annotation.rejected is not None
    assert annotation.rejected.startswith(f"filter: the answer {problem}")


def test_a_label_is_known_to_the_first_question_alone() -> None:
    others = []
    for label in (REAL, GENERATED):
        seen = Seen(label, SEEN.size, SEEN.size_sent, SEEN.ground_frame)
        _, questions = answer_to(seen, [EXPLANATION, CLEAN, decisions_json("keep")])
        others.append(questions[1:])
    assert others[0] == others[1]
