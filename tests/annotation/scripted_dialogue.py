"""A dialogue whose answers are given in advance, in the order they are asked for."""

import json
from collections.abc import Sequence
from typing import Any

from swift_zoomin.annotation.dialogue import Annotation, Answer, Question, Seen, annotate
from swift_zoomin.families import Frame
from swift_zoomin.replies import GENERATED

EXPLANATION = "The hand on the left has six fingers, and the letters on the sign melt into each other."
SEEN = Seen(GENERATED, size=(1000, 800), size_sent=(500, 400), ground_frame=Frame.ABSOLUTE)
SEEN_WITHOUT_FILTER = Seen(GENERATED, SEEN.size, SEEN.size_sent, Frame.ABSOLUTE, has_filter=False)


def answer_to(seen: Seen, answers: Sequence[str | Answer]) -> tuple[Annotation, list[Question]]:
    """What becomes of an image when its questions get these answers, all of which must be asked for."""
    dialogue = annotate(seen)
    questions = [next(dialogue)]
    for number, answer in enumerate(answers, 1):
        try:
            questions.append(dialogue.send(Answer(answer) if isinstance(answer, str) else answer))
        except StopIteration as ended:
            assert number == len(answers), f"only {number} of {len(answers)} answers were asked for"
            return ended.value, questions
    raise AssertionError(f"asked on: {questions[-1]}")


def grounded(answer: str | Answer, seen: Seen = SEEN_WITHOUT_FILTER) -> Annotation:
    """What becomes of an image whose first grounding answer is this and can be used."""
    return answer_to(seen, [EXPLANATION, answer])[0]


def boxes_json(*boxes: Sequence[Any], labels: Sequence[str] = ()) -> str:
    """A grounding answer in the form asked for; labels are a, b, c where none are given."""
    labels = labels or "abcdefgh"[: len(boxes)]
    return json.dumps([{"bbox_2d": box, "label": label} for box, label in zip(boxes, labels, strict=True)])


def decisions_json(*decisions: str) -> str:
    """A filter answer in the form asked for, with a word as the reason."""
    rows = [{"number": number, "decision": word, "reason": "why"} for number, word in enumerate(decisions, 1)]
    return json.dumps(rows)
