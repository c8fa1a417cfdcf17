"""What is asked about one image, and what becomes of the answers. No I/O: who drives it asks and answers.

    dialogue = annotate(seen)
    question = next(dialogue)               # Question("explain", "...")
    question = dialogue.send(Answer(...))   # and so on, until StopIteration, whose value is the Annotation

An answer that cannot be used is asked for once more, saying what was wrong, with twice the room; then the image is
rejected with that reason. No answer raises: what a model writes is a value. The same answers give the same questions.
"""

from collections.abc import Callable, Generator
from functools import partial
from typing import TypeVar

from swift_zoomin.annotation import prompts
from swift_zoomin.annotation.explanations import read_explanation
from swift_zoomin.annotation.grounding import Grounded, read_boxes
from swift_zoomin.annotation.purify import Purified, apply_decisions, apply_rules, read_decisions
from swift_zoomin.annotation.steps import (
    Annotation,
    Answer,
    Dropped,
    LabelledBox,
    Question,
    Seen,
    Step,
    Unusable,
)

__all__ = ["Annotation", "Answer", "Dropped", "Question", "Seen", "Step", "annotate"]

T = TypeVar("T")

# Room for an answer, in tokens: 250 words; 50 boxes of up to 60 tokens; a decision and a reason on each of them.
MAX_TOKENS = {Step.EXPLAIN: 1024, Step.GROUND: 3072, Step.FILTER: 2048}
ATTEMPTS = 2


def annotate(seen: Seen) -> Generator[Question, Answer, Annotation]:
    """Ask the steps about one image, each a second time where an answer cannot be used."""
    explanation = yield from _ask(Step.EXPLAIN, prompts.explain(seen.label), read_explanation)
    if isinstance(explanation, Unusable):
        return Annotation(rejected=explanation.problem)
    prompt = prompts.ground(explanation, seen.ground_frame, seen.size_sent)
    grounded = yield from _ask(Step.GROUND, prompt, partial(read_boxes, seen=seen))
    if isinstance(grounded, Unusable):
        return Annotation(explanation, rejected=grounded.problem)
    boxes, dropped = apply_rules(grounded.boxes, seen.size)
    dropped = [*grounded.dropped, *dropped]
    if seen.has_filter and boxes:
        filtered = yield from _filter(boxes, seen)
        if isinstance(filtered, Unusable):
            return _annotation(explanation, grounded, [], dropped, filtered.problem)
        boxes, dropped_by_filter = filtered
        dropped += dropped_by_filter
    return _annotation(explanation, grounded, boxes, dropped)


def _filter(boxes: list[LabelledBox], seen: Seen) -> Generator[Question, Answer, Purified | Unusable]:
    frame = seen.filter_frame or seen.ground_frame
    prompt = prompts.filter_boxes(boxes, frame, seen.size, seen.filter_size_sent or seen.size_sent)
    decisions = yield from _ask(Step.FILTER, prompt, partial(read_decisions, boxes=len(boxes)))
    if isinstance(decisions, Unusable):
        return decisions
    return apply_decisions(boxes, decisions)


def _ask(step: Step, prompt: str, read: Callable[[Answer], T | Unusable]) -> Generator[Question, Answer, T | Unusable]:
    """What `read` makes of the first answer that can be used, or the problem of the last one."""
    words = prompt
    problem = ""
    for attempt in range(1, ATTEMPTS + 1):
        version = prompts.version(step, attempt)
        answer = yield Question(step, words, version, MAX_TOKENS[step] * attempt, attempt)
        outcome = read(answer)
        if not isinstance(outcome, Unusable):
            return outcome
        problem = outcome.problem
        words = prompts.asked_again(prompt, problem)
    return Unusable(f"{step}: the answer {problem}, asked {ATTEMPTS} times")


def _annotation(
    explanation: str, grounded: Grounded, boxes: list[LabelledBox], dropped: list[Dropped], rejected: str | None = None
) -> Annotation:
    return Annotation(
        explanation=explanation,
        boxes_px=[box.box_px for box in boxes],
        box_labels=[box.label for box in boxes],
        dropped=dropped,
        rejected=rejected,
        boxes_read=grounded.read,
        boxes_beyond=grounded.beyond,
    )
