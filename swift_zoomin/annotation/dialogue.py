"""What is asked about one image, and what becomes of the answers. No I/O: who drives it asks and answers.

dialogue = annotate(seen)
question = next(dialogue)               # Question("explain", "...")
question = dialogue.send(Answer(...))   # and so on, until StopIteration, whose value is the Annotation
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from enum import StrEnum

from swift_zoomin.boxes import Box, Size


class Step(StrEnum):
    """The steps of the paper's pipeline, in their order."""

    EXPLAIN = "explain"
    GROUND = "ground"
    FILTER = "filter"


class Frame(StrEnum):
    """How a family of models writes boxes: pixels of the image that was sent, or thousandths of each side."""

    ABSOLUTE = "absolute"
    NORM1000 = "norm1000"


@dataclass(frozen=True)
class Seen:
    """One image as the models see it. Sizes are (width, height) in pixels; `size` is the upright original's."""

    label: str
    size: Size
    size_sent: Size
    ground_frame: Frame
    has_filter: bool = True


@dataclass(frozen=True)
class Question:
    """One call of a step's model. `attempt` is 2 where the first answer could not be used."""

    step: Step
    prompt: str
    prompt_version: str
    max_tokens: int
    attempt: int = 1


@dataclass(frozen=True)
class Answer:
    """What the model said; `finish_reason` as the server gives it ("stop", "length", "content_filter")."""

    text: str
    finish_reason: str | None = "stop"


@dataclass(frozen=True)
class Dropped:
    """A box that did not become one of the record, in pixels of the upright original, and why."""

    step: str  # "rule" or "filter"
    box_px: Box
    label: str
    reason: str


@dataclass(frozen=True)
class Annotation:
    """What became of the image. With `rejected` it became no record, for this reason."""

    explanation: str = ""
    boxes_px: list[list[float]] = field(default_factory=list)
    box_labels: list[str] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    rejected: str | None = None


def annotate(seen: Seen) -> Generator[Question, Answer, Annotation]:
    """Ask the steps about one image, each a second time where an answer cannot be used."""
    raise NotImplementedError
    yield
