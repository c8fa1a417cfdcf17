"""The numbers of summary.json, by hand."""

import json

import pytest

from swift_zoomin.annotation.dialogue import Annotation, Dropped
from swift_zoomin.annotation.statistics import Statistics
from swift_zoomin.keywords import keywords
from swift_zoomin.replies import GENERATED, REAL

BOX = [1.0, 2.0, 3.0, 4.0]


def counted(*annotations: tuple[str, Annotation]) -> Statistics:
    found = Statistics()
    for label, annotation in annotations:
        found.add(label, annotation)
    return found


def dropped(reason: str) -> Dropped:
    return Dropped("rule", BOX, "a", reason)


TOO_LARGE, REDUNDANT = dropped("over half of the image: 51.0%"), dropped("redundant: twice")
COUNTED = [
    (REAL, Annotation("The texture and the shadow.", [BOX] * 3, ["a"] * 3, boxes_read=3)),
    (REAL, Annotation("A shadow; the Shadow, again the shadow.", [], [], [dropped(TOO_LARGE.cause)], boxes_read=1)),
    (GENERATED, Annotation("No shadows.", [BOX] * 2, ["a"] * 2, [TOO_LARGE, REDUNDANT, REDUNDANT], None, 5, 2)),
    (GENERATED, Annotation(rejected="ground: the answer gives more than 50 boxes (51), asked 2 times")),
    (GENERATED, Annotation(rejected="ground: the answer gives more than 50 boxes (99), asked 2 times")),
    (REAL, Annotation(rejected="explain: the answer is empty, asked 2 times")),
]


def test_statistics_equal_a_hand_count() -> None:
    assert counted(*COUNTED).summary() == {
        "images": 3,
        "share_with_boxes": 2 / 3,
        "boxes_per_image": 5 / 3,  # over all three, the one without a box too
        "by_label": {
            GENERATED: {"images": 1, "share_with_boxes": 1.0, "boxes_per_image": 2.0},
            REAL: {"images": 2, "share_with_boxes": 0.5, "boxes_per_image": 1.5},
        },
        "rejected": {
            "ground: the answer gives more than 50 boxes, asked 2 times": 2,
            "explain: the answer is empty, asked 2 times": 1,
        },
        "dropped_boxes": {"over half of the image": 2, "redundant": 2},
        "keywords": {"shadow": 2, "shadows": 1, "texture": 1},  # explanations, not occurrences
        "boxes_read": 9,
        "share_beyond_frame": 2 / 9,
    }


def test_nothing_counted_has_no_shares() -> None:
    summary = Statistics().summary()
    assert summary["images"] == 0
    assert summary["share_with_boxes"] is summary["boxes_per_image"] is summary["share_beyond_frame"] is None
    assert json.loads(json.dumps(summary)) == summary


def test_keywords_are_words_without_stop_words_and_numbers() -> None:
    assert keywords("The 6 FINGERS of a hand, in 1998: it's x-shaped; naïve. " + "x" * 41) == {
        *("fingers", "hand", "shaped", "naïve"),
    }


def test_at_most_fifty_keywords_are_shown_the_most_frequent_first() -> None:
    names = [f"word{number:03}" for number in range(60)]
    found = counted(*((REAL, Annotation(" ".join(names[:length]))) for length in range(1, 61)))
    shown = found.summary()["keywords"]
    assert list(shown) == names[:50]
    assert shown["word000"] == 60


@pytest.mark.parametrize(("beyond", "warned"), [(0, False), (10, False), (11, True), (20, True)])
def test_most_boxes_beyond_the_image_name_the_frame_as_probably_wrong(beyond: int, warned: bool) -> None:
    found = counted((REAL, Annotation(boxes_read=20, boxes_beyond=beyond)))
    warning = found.frame_warning("absolute")
    assert bool(warning) == warned
    if warning:
        assert warning.startswith(f"{beyond} of 20 boxes reach beyond the image; --ground-frame absolute is probably")


def test_a_few_boxes_warn_of_nothing() -> None:
    assert counted((REAL, Annotation(boxes_read=19, boxes_beyond=19))).frame_warning("absolute") is None


CUT = "explain: the answer was cut for its length, asked 2 times"
MANY = "ground: the answer gives more than 50 boxes ({}), asked 2 times"
REJECTED_FOR_ONE_CAUSE = [
    ([CUT] * 19, None),
    ([CUT] * 10 + [None] * 10, None),
    (
        [CUT] * 11 + [None] * 9,
        f"11 of 20 images were rejected for one cause: {CUT}; "
        "turn the model's reasoning off at its server, or take another --explain-model",
    ),
    (
        [MANY.format(number) for number in range(51, 66)] + [CUT] * 10,
        "15 of 25 images were rejected for one cause: ground: the answer gives more than 50 boxes, asked 2 times; "
        "read its answers in audit.jsonl, and take another --ground-model",
    ),
    ([CUT] * 12 + [MANY.format(51)] * 12, None),
    (
        ["not a readable image"] * 20,
        "20 of 20 images were rejected for one cause: not a readable image; rejected.jsonl names the files",
    ),
]


@pytest.mark.parametrize(("reasons", "warning"), REJECTED_FOR_ONE_CAUSE)
def test_one_cause_that_rejects_most_images_is_said_with_what_to_do(
    reasons: list[str | None], warning: str | None
) -> None:
    found = counted(*((REAL, Annotation(rejected=reason)) for reason in reasons))
    assert found.rejection_warning() == warning
    assert found.warnings("absolute") == [warning] * (warning is not None)
