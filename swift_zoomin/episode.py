"""The two-turn exchange as a state machine, without I/O: what to ask next, given the replies so far.

    query 1   the whole image                  -> explanation, suspicious regions, initial verdict
    query 2   close-ups cut from the original  -> refined explanation, final verdict

SFT rows, rollouts and inference all ask through this one class, so their prompts are equal. Query 2 depends on nothing
but the image and the text of the first reply. The one-turn variants of Table 1 ask a single question instead.

An engine of your own is any object that is an `Engine`: it is shown a `Conversation` and gives an `Answer`.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Protocol

from swift_zoomin import prompts
from swift_zoomin.boxes import PixelLimits, box_area, to_original
from swift_zoomin.images import ImageError, ImageRef
from swift_zoomin.replies import PARTS, Reply, parse_reply

MAX_CROPS = 6  # the paper's models mark two to four regions on average; more only costs tokens

# One-turn variants (`prompts.one_turn`), and the parts of a reply that each asks for.
ONE_TURN: dict[str, tuple[str, ...]] = {
    "explain": ("explanation", "verdict"),
    "ground": PARTS,
    "verdict": ("verdict",),
}

BoxChooser = Callable[[list[list[float]], ImageRef], list[list[float]]]


@dataclass(frozen=True)
class Question:
    """A user turn: its text and the images that it adds to the conversation, in the order of their `<image>` tags."""

    text: str
    images: list[ImageRef]


def first_boxes(boxes_px: list[list[float]], image: ImageRef) -> list[list[float]]:
    """The regions to look at again, by default: those named first."""
    return boxes_px[:MAX_CROPS]


def largest_boxes(count: int) -> BoxChooser:
    """The `count` largest regions, in the order they were named ("Largest n Bboxes" of Table 1)."""

    def choose(boxes_px: list[list[float]], image: ImageRef) -> list[list[float]]:
        largest_first = sorted(range(len(boxes_px)), key=lambda index: -box_area(boxes_px[index]))
        chosen = largest_first[: min(count, MAX_CROPS)]
        return [boxes_px[index] for index in sorted(chosen)]

    return choose


def random_boxes(boxes_px: list[list[float]], image: ImageRef) -> list[list[float]]:
    """As many regions of the same sizes, anywhere ("Random Cropping" of Table 1); the file's name is the seed."""
    rng = random.Random(PurePath(image.path).name)
    moved = []
    for x1, y1, x2, y2 in boxes_px[:MAX_CROPS]:
        left = rng.uniform(0, image.size[0] - (x2 - x1))
        top = rng.uniform(0, image.size[1] - (y2 - y1))
        moved.append([left, top, left + x2 - x1, top + y2 - y1])
    return moved


CHOOSERS = {
    "first": first_boxes,
    "largest-3": largest_boxes(3),
    "largest-4": largest_boxes(4),
    "random": random_boxes,
}


@dataclass
class Episode:
    """One image and the replies to it so far. `choose` picks the boxes (original pixels) to cut for query 2.

    `one_turn` names a variant of ONE_TURN to ask instead of both queries.
    """

    image: ImageRef
    replies: list[str] = field(default_factory=list)
    choose: BoxChooser = first_boxes
    one_turn: str | None = None

    def next_question(self) -> Question | None:
        """What to ask now; None when all is asked. The image must say its model's pixel limits, and so its family."""
        if not self.replies:
            return Question(first_question(self.image, self.one_turn), [self.image])
        if len(self.replies) > 1 or self.one_turn:
            return None
        crops = [crop for _, crop in self.close_ups]
        return Question(prompts.query2(len(crops)), crops)

    @property
    def close_ups(self) -> list[tuple[list[float], ImageRef]]:
        """The regions that query 2 shows: of each its box in pixels of the original, and its crop."""
        usable = [box for box in self.boxes_px if box_area(box) > 0]
        cut = [(box, self.image.crop(box)) for box in self.choose(usable, self.image)]
        return [(box, crop) for box, crop in cut if crop.fault is None]

    @property
    def first(self) -> Reply:
        """The first reply, its boxes in the model's frame."""
        return parse_reply(self.replies[0])

    @property
    def boxes_px(self) -> list[list[float]]:
        """All boxes of the first reply in pixels of the original, clipped to it; one outside has no area."""
        return to_original_boxes(self.first, self.image)


def first_question(image: ImageRef, one_turn: str | None = None) -> str:
    """Query 1, or a one-turn variant's question, in the frame of the model that the image is shown to."""
    frame = image.limits_known.family.frame
    return prompts.one_turn(one_turn, frame) if one_turn else prompts.query1(frame)


def to_original_boxes(reply: Reply, image: ImageRef) -> list[list[float]]:
    """A raw reply's boxes (in the model's frame) in pixels of the original, clipped to it."""
    size_in_frame = image.size_in_frame
    return [to_original(box, image.size, size_in_frame) for box in reply.boxes_model]


def cut_error(turn: int) -> str:
    """The error of an exchange that ended because this reply (1 or 2) was cut."""
    return f"reply {turn} was cut by the length limit"


@dataclass(frozen=True)
class Answer:
    """What an engine said: text, the sampled token ids, and whether the length limit cut it."""

    text: str
    token_ids: list[int]
    cut: bool


@dataclass
class Conversation:
    """One image's exchange so far, as ms-swift messages.

    Earlier replies stand in it as the ids that were sampled, or as text where these are not known any more.
    """

    episode: Episode
    messages: list[dict[str, Any]] = field(default_factory=list)
    images: list[ImageRef] = field(default_factory=list)
    error: str | None = None
    done: bool = False

    def ask(self) -> None:
        question = self.episode.next_question()
        if question is None:
            self.done = True
            return
        self.messages.append({"role": "user", "content": question.text})
        self.images += question.images

    def take(self, answer: Answer | ImageError) -> None:
        if isinstance(answer, ImageError):
            self.error, self.done = str(answer), True
            return
        self.messages.append({"role": "assistant", "content": answer.token_ids})
        self.episode.replies.append(answer.text)
        if answer.cut:  # as in training, a cut reply ends the exchange
            self.error, self.done = cut_error(len(self.episode.replies)), True


class Engine(Protocol):
    """Anything that answers a conversation; where it cannot read an image, with its ImageError.

    `limits` are the pixels of an image that its model is shown: boxes and crops are worked out with them. Many
    conversations wait for their answers at the same time, all in one event loop.
    """

    @property
    def limits(self) -> PixelLimits: ...

    async def answer(
        self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None
    ) -> Answer | ImageError:
        """The reply to the conversation's last question: the likeliest one, or one drawn at a temperature above 0."""

    def close(self) -> None:
        """Let go of the model. Nothing is asked afterwards."""
