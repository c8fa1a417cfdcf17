"""What a scripted server answers about one image, step by step, and what must come of it."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marked_images import OBJECT, SIZE, object_in
from scripted_server import Call, Reply, completion

from swift_zoomin.boxes import Box, Size

TIMEOUT_S, RETRIES = 15, 2  # of the command in these tests: a call that always fails is sent three times
SENT = 1 + RETRIES
EXPLANATION = (
    "The red panel has no shadow although light falls from the left. "
    "Its edges are perfectly sharp while everything around it is soft."
)
LABEL = "red panel without a shadow"

Answer = Reply | Callable[[Call], Reply]  # a Reply, or what makes one of the call


def grounded(*boxes: Sequence[float], label: str = LABEL) -> Reply:
    """Boxes as Qwen2.5-VL writes them, in pixels of the image that was sent."""
    return completion(json.dumps([{"bbox_2d": list(box), "label": label} for box in boxes]))


def found(call: Call) -> Reply:
    """The red rectangle, where it is in the picture that came."""
    return grounded(object_in(call.picture))


def decided(*decisions: str) -> Reply:
    """The filter's word on each box in turn."""
    rows = [
        {"number": number, "decision": decision, "reason": "as asked"} for number, decision in enumerate(decisions, 1)
    ]
    return completion(json.dumps(rows))


def kept(call: Call) -> Reply:
    """Every box that the question numbers is kept."""
    return decided(*["keep"] * len(re.findall(r'^{"number": ', call.prompt, re.MULTILINE)))


EXPLAINED = completion(EXPLANATION)


@dataclass(frozen=True)
class Scenario:
    """For each step its answers in turn, of which the last is given again and again, and the outcome.

    `boxes` are those of the record, in pixels of the original; with `rejected` there is no record, and these words
    stand in the reason. `calls` are how many each step gets: explain, ground, filter.
    """

    explain: Sequence[Answer] = (EXPLAINED,)
    ground: Sequence[Answer] = (found,)
    filter: Sequence[Answer] = (kept,)
    boxes: Sequence[Box] = (OBJECT,)
    rejected: str = ""
    calls: tuple[int, int, int] = (1, 1, 1)
    explanation: str = EXPLANATION
    labels: Sequence[str] | None = None  # of the boxes, where they matter
    size: Size = SIZE  # of the picture, upright
    orientation: int = 1  # by which its file is turned

    def answer(self, call: Call) -> Reply:
        answers: Sequence[Answer] = getattr(self, call.step)
        answer = answers[min(call.attempt, len(answers)) - 1]
        return answer if isinstance(answer, Reply) else answer(call)
