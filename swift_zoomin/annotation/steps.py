"""The words that the parts of an annotation share: what is asked about an image, answered, kept and dropped."""

from dataclasses import dataclass, field
from enum import StrEnum

from swift_zoomin.boxes import Box, Size
from swift_zoomin.families import Frame


class Step(StrEnum):
    """The steps of the paper's pipeline, in their order."""

    EXPLAIN = "explain"
    GROUND = "ground"
    FILTER = "filter"


class Cause(StrEnum):
    """Why a box was dropped, as the head of its reason."""

    UNREADABLE = "unreadable"
    NO_AREA = "no area"
    THIN = "thinner than a unit of the model's frame"
    OUTSIDE = "outside the image"
    TOO_LARGE = "over half of the image"
    DUPLICATE = "near-duplicate"
    WHOLE_OBJECT = "encloses the primary object"
    REDUNDANT = "redundant"


@dataclass(frozen=True)
class Seen:
    """One image as the models see it. Sizes are (width, height) in pixels; `size` is the upright original's.

    `size_sent` is what the grounding model is shown, `filter_size_sent` the filter's.
    """

    label: str
    size: Size
    size_sent: Size
    ground_frame: Frame
    has_filter: bool = True
    filter_frame: Frame | None = None  # None where the filter model writes boxes as the grounding model does
    filter_size_sent: Size | None = None  # None where it is shown the same


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
class Unusable:
    """An answer that cannot be used: a clause that finishes "the answer ...", particulars in brackets."""

    problem: str


@dataclass(frozen=True)
class LabelledBox:
    """A box in pixels of the upright original, inside it, rounded to hundredths; and what it shows."""

    box_px: list[float]
    label: str


@dataclass(frozen=True)
class Dropped:
    """A box that did not become one of the record, in pixels of the upright original, and why.

    `reason` is one of the causes, and after a colon what is particular to this box. `box_px` is empty where the answer
    held no four numbers.
    """

    step: str  # "rule" or "filter"
    box_px: Box
    label: str
    reason: str

    @property
    def cause(self) -> str:
        return self.reason.partition(":")[0]


@dataclass(frozen=True)
class Annotation:
    """What became of the image. With `rejected` it became no record, for this reason, particulars in brackets."""

    explanation: str = ""
    boxes_px: list[list[float]] = field(default_factory=list)
    box_labels: list[str] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    rejected: str | None = None
    boxes_read: int = 0  # that the grounding model wrote
    boxes_beyond: int = 0  # of these, how many reach clearly over an edge of the model's frame
