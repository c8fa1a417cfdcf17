"""The two-turn exchange as a state machine, without I/O: what to ask next, given the replies so far.

    query 1   the whole image                  -> explanation, suspicious regions, initial verdict
    query 2   close-ups cut from the original  -> refined explanation, final verdict

SFT rows, rollouts and inference all ask through this one class, so their prompts are equal. Query 2 depends on nothing
but the image and the text of the first reply.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from swift_zoomin import prompts
from swift_zoomin.boxes import box_area, to_original
from swift_zoomin.images import ImageRef
from swift_zoomin.replies import Reply, parse_reply

MAX_CROPS = 6  # the paper's models mark two to four regions on average; more only costs tokens

BoxChooser = Callable[[list[list[float]]], list[list[float]]]


@dataclass(frozen=True)
class Question:
    """A user turn: its text and the images that it adds to the conversation, in the order of their `<image>` tags."""

    text: str
    images: list[ImageRef]


def first_boxes(boxes_px: list[list[float]]) -> list[list[float]]:
    """The regions to look at again, by default: those named first."""
    return boxes_px[:MAX_CROPS]


@dataclass
class Episode:
    """One image and the replies to it so far. `choose` picks the boxes (original pixels) to cut for query 2."""

    image: ImageRef
    replies: list[str] = field(default_factory=list)
    choose: BoxChooser = first_boxes

    def next_question(self) -> Question | None:
        """What to ask now; None after query 2. Reads the pixel limits in force (`boxes.model_size`)."""
        if not self.replies:
            return Question(prompts.QUERY1, [self.image])
        if len(self.replies) > 1:
            return None
        crops = [self.image.crop(box) for box in self.choose([box for box in self.boxes_px if box_area(box) > 0])]
        return Question(prompts.query2(len(crops)), crops)

    @property
    def first(self) -> Reply:
        """The first reply, its boxes in model pixels."""
        return parse_reply(self.replies[0])

    @property
    def boxes_px(self) -> list[list[float]]:
        """All boxes of the first reply in pixels of the original, clipped to it; one outside has no area."""
        return to_original_boxes(self.first, self.image)


def to_original_boxes(reply: Reply, image: ImageRef) -> list[list[float]]:
    """A raw reply's boxes (model pixels) in pixels of the original, clipped to it."""
    size_model = image.size_model
    return [to_original(box, image.size, size_model) for box in reply.boxes]
