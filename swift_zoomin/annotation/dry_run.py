"""What would be asked, without asking: the prompts for one image, and the number of calls."""

from swift_zoomin.annotation import prompts
from swift_zoomin.annotation.inputs import LabelledImage
from swift_zoomin.annotation.sent import look
from swift_zoomin.annotation.settings import Settings
from swift_zoomin.annotation.steps import LabelledBox, Step
from swift_zoomin.arguments import counted

_EXPLANATION = "(the explanation that came of the first step)"
_LABEL = "(what the box shows)"


def print_dry_run(image: LabelledImage, images: int, settings: Settings) -> None:
    """Print the prompts; where answers belong, words in parentheses stand. Raises ImageError."""
    size = look(image.path).size
    sizes_sent = settings.sizes_sent(size)
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
    steps = len(settings.models)
    calls = counted(images * steps, "call")
    print(f"\n{counted(images, 'image')}, {counted(steps, 'step')} each: {calls}; more where an answer is of no use,")
    print("fewer where the ledger has it already, or where no box is left to filter")
