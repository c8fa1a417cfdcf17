"""One image's verdict, tested: second looks at it again with a region hidden, and with another one of the same size.

The exchange is the stored one. Its first reply stands in every conversation here as the text that it was, so that the
model has said the same and marked the same, whatever is hidden then. Nothing is asked of a first look again. What the
second look sees besides is the whole image and the close-ups:

    as it was         the image; all close-ups
    a region hidden   the image with that region blurred; its close-up blurred too, all others as they were
    another hidden    the image with a region of the same size blurred, at random; all close-ups
    all hidden        the image with all regions blurred; all close-ups blurred
    as many others    the image with as many of the same sizes blurred; all close-ups

So all five have the same words, the same number of pictures of the same sizes, and differ in what can be seen alone.
That is what a reader wants to know: whether the verdict rests on what is to be seen there. A random region is hidden
wherever it is seen, as a marked one is; only that it is seen in no close-up.

`leave_out` leaves the close-up out instead of blurring it. The question then has one picture less and, where none is
left, other words ("You marked no region."), which contradict the first reply and which a model may never have met. What
that does to a verdict counts as the region's. The sandbox's model answers with no verdict at all; and one that copies
its first verdict, whatever it is shown, seemed to depend on its regions in 14 of 60 images, against none with blurred
close-ups (tests/benchmarks/probe.py).

Not covered: what a region shows is not hidden where it is seen in another one's close-up too, because they overlap (all
hidden is); a patch that is blurred can be told as one, as the random one beside it can.

What is compared is the share of "generated" among K sampled answers (`detection.score`), and no calibrated score: a
calibration stretches some changes and flattens others, and is none of the model's. With few samples two shares differ
by chance: by 0.2 on average with 8 of them, if the model says each word half of the time, and by nothing if it is sure.
That adds to what every region changes, random ones too, and brings the ratio of the two nearer to 1.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from PIL import Image

from swift_zoomin import prompts
from swift_zoomin.boxes import Box, box_area
from swift_zoomin.detection.score import sample_answers, share
from swift_zoomin.episode import BoxChooser, Conversation, Engine, Episode, first_boxes, first_question
from swift_zoomin.images import ImageError, ImageRef, shown_at
from swift_zoomin.pictures import open_upright
from swift_zoomin.predictions import Prediction, rounded_box
from swift_zoomin.probes import Probe, ProbedRegion
from swift_zoomin.probing.held import Hold, on_disk
from swift_zoomin.probing.hiding import blurred, random_regions

SAMPLES = 8


@dataclass(frozen=True)
class Asking:
    """How a verdict is tested.

    `choose` is how query 2's regions were chosen when the prediction was made. `leave_out` leaves the close-up of a
    hidden region out, instead of blurring it. `holding` is where pictures with something hidden lie while they are
    asked about.
    """

    samples: int = SAMPLES
    choose: BoxChooser = first_boxes
    leave_out: bool = False
    holding: Callable[[], AbstractContextManager[Hold]] = on_disk


PLAINLY = Asking()


async def probe_image(engine: Engine, prediction: Prediction, image: Path, asking: Asking = PLAINLY) -> Probe:
    """Test the verdict of a row of `zoomin detect`, of the image file at `image`.

    The engine must be the model that made the row, with the same limits. To be awaited in `in_flight.event_loop`. What
    keeps an image from being tested is the `error` of its probe. Raises RecordError where no image can be asked about.
    """
    if reason := why_not(prediction):
        return Probe(str(image), error=reason)
    try:
        episode = await asyncio.to_thread(_episode, prediction, image, engine, asking)
        if not episode.close_ups:
            return Probe(str(image))
        with asking.holding() as hold:
            questions = await asyncio.to_thread(Questions, episode, asking, hold)
            return await _probe(engine, questions, asking.samples)
    except ImageError as error:
        return Probe(str(image), error=str(error))


def why_not(prediction: Prediction) -> str | None:
    """Why there is no second look to test, or None."""
    if len(prediction.get("replies") or []) > 1:
        return None
    return f"there was no second look: {prediction.get('error') or 'no second reply'}"


def _episode(prediction: Prediction, path: Path, engine: Engine, asking: Asking) -> Episode:
    """The exchange when query 2 was to be asked. Raises ImageError."""
    image = ImageRef.of(path).under(engine.limits)
    if image.fault:
        raise ImageError(image.fault)
    size = prediction.get("width"), prediction.get("height")
    if image.size != size:
        now = f"{image.size[0]}x{image.size[1]} pixels now"
        raise ImageError(f"{path}: {now}; the prediction is of {size[0]}x{size[1]}")
    return Episode(image, [prediction["replies"][0]], asking.choose)


async def _probe(engine: Engine, questions: "Questions", samples: int) -> Probe:
    """One question at a time: many images are in flight, and all samples of each."""

    async def ask(question: Conversation) -> float:
        return share(await sample_answers(engine, question, samples))

    as_it_was = await ask(questions.as_it_was)
    regions = []
    for number, (box, other) in enumerate(zip(questions.boxes, questions.others, strict=True)):
        hidden, other_hidden = await ask(questions.hidden[number]), await ask(questions.other_hidden[number])
        regions.append(ProbedRegion(rounded_box(box), hidden, [*other], other_hidden))
    if len(regions) == 1:  # which is all of them
        all_shares = regions[0].share, regions[0].random_share
    else:
        all_shares = await ask(questions.all_hidden), await ask(questions.others_hidden)
    return Probe(questions.as_it_was.images[0].path, as_it_was, regions, *all_shares)


class Questions:
    """Query 2 as it was asked, and with regions hidden; `hold` takes their pictures. Raises ImageError."""

    def __init__(self, episode: Episode, asking: Asking, hold: Hold) -> None:
        self._episode, self._hold = episode, hold
        self._original = open_upright(Path(episode.image.path))
        self._leaves_out = asking.leave_out
        self._crops = [crop for _, crop in episode.close_ups]
        self.boxes = [box for box, _ in episode.close_ups]
        taken = [*self.boxes, *(box for box in episode.boxes_px if box_area(box) > 0)]
        self.others = random_regions(self.boxes, taken, episode.image.size, Path(episode.image.path).name)
        numbers = range(len(self.boxes))
        self.as_it_was = self._asked(episode.image, self._crops)
        self.hidden = [self._without([number]) for number in numbers]
        self.other_hidden = [self._asked(self._whole([other]), self._crops) for other in self.others]
        self.all_hidden = self._without(numbers)
        self.others_hidden = self._asked(self._whole(self.others), self._crops)
        del self._original  # many images are asked about at a time, and it may be large

    def _without(self, numbers: Sequence[int]) -> Conversation:
        """Query 2 with these regions hidden."""
        boxes = [self.boxes[number] for number in numbers]
        crops = []
        for number, crop in enumerate(self._crops):
            if number not in numbers:
                crops.append(crop)
            elif not self._leaves_out:
                crops.append(self._close_up(crop, boxes))
        return self._asked(self._whole(boxes), crops)

    def _whole(self, boxes: Sequence[Box]) -> ImageRef:
        """The image with these boxes blurred, as small as the model sees it: resized again it stays as it is."""
        image = self._episode.image
        return self._saved(shown_at(blurred(self._original, boxes), image.size_model))

    def _close_up(self, crop: ImageRef, boxes: Sequence[Box]) -> ImageRef:
        """What a crop shows where these boxes are blurred."""
        cut = self._saved(blurred(self._original, boxes).crop(crop.window))
        return replace(cut, window=(0, 0, *cut.size))  # a crop is enlarged, and a whole image is not

    def _saved(self, picture: Image.Image) -> ImageRef:
        content = BytesIO()
        picture.save(content, "PNG", compress_level=1)
        file = self._hold(content.getvalue())
        return ImageRef(str(file), picture.size, limits=self._episode.image.limits)

    def _asked(self, whole: ImageRef, crops: Sequence[ImageRef]) -> Conversation:
        """The exchange up to query 2, about these pictures."""
        (first_reply,) = self._episode.replies
        messages = [
            {"role": "user", "content": first_question(self._episode.image)},
            {"role": "assistant", "content": first_reply},
            {"role": "user", "content": prompts.query2(len(crops))},
        ]
        return Conversation(self._episode, messages, [whole, *crops])
