"""What would be asked, without asking: the prompts for one image, and the number of calls."""

from collections.abc import Iterator

from swift_zoomin.annotation import prompts
from swift_zoomin.annotation.inputs import LabelledImage
from swift_zoomin.annotation.sent import look
from swift_zoomin.annotation.settings import Settings
from swift_zoomin.annotation.steps import LabelledBox, Step
from swift_zoomin.arguments import counted
from swift_zoomin.boxes import Size
from swift_zoomin.pictures import ImageError

_EXPLANATION = "(the explanation that came of the first step)"
_LABEL = "(what the box shows)"


def print_dry_run(images: Iterator[LabelledImage], count: int, settings: Settings) -> None:
    """Print the prompts for the first of the images that can be sent; a run would reject those before it.

    Where answers belong, words in parentheses stand. Raises ImageError where none can be sent.
    """
    fault = None
    for image in images:
        try:
            size = look(image.path).size
            sizes_sent = settings.sizes_sent(size)
        except ImageError as error:
            fault = fault or error
            continue
        _print_prompts(image, size, sizes_sent, settings)
        break
    else:
        raise fault or ImageError("no image found")
    steps = len(settings.models)
    calls = counted(count * steps, "call")
    print(f"\n{counted(count, 'image')}, {counted(steps, 'step')} each: {calls}; more where an answer is of no use,")
    print("fewer where the ledger has it already, or where no box is left to filter")


def _print_prompts(image: LabelledImage, size: Size, sizes_sent: dict[Step, Size], settings: Settings) -> None:
    width, height = size
    frame = settings.ground_frame
    box = LabelledBox([0, 0, size[0] / 2, size[1] / 2], _LABEL)
    texts = {
        Step.EXPLAIN: prompts.explain(image.label),
        Step.GROUND: prompts.ground(_EXPLANATION, frame, sizes_sent[Step.GROUND]),
    }
    if settings.has_filter:
        filter_frame = settings.filter_frame or frame
        texts[Step.FILTER] = prompts.filter_boxes([box], filter_frame, size, sizes_sent[Step.FILTER])
    print(f"{image.path}: {width}x{height} pixels")
    for step, text in texts.items():
        width, height = sizes_sent[step]
        print(f"\n--- {step}: {settings.models[step].name}, image sent as {width}x{height}\n{text}")
