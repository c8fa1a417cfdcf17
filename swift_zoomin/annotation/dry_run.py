"""What would be asked, without asking: the prompts for one image, and the number of calls."""

from swift_zoomin.annotation import prompts
from swift_zoomin.annotation.inputs import LabelledImage
from swift_zoomin.annotation.sent import look, size_to_send
from swift_zoomin.annotation.settings import Settings
from swift_zoomin.annotation.steps import LabelledBox, Step
from swift_zoomin.arguments import counted

_EXPLANATION = "(the explanation that came of the first step)"
_LABEL = "(what the box shows)"


def print_dry_run(image: LabelledImage, images: int, settings: Settings) -> None:
    """Print the prompts; where answers belong, words in parentheses stand. Raises ImageError."""
    size = look(image.path).size
    size_sent = size_to_send(size, settings.patch_px, settings.max_pixels)
    frame = settings.ground_frame
    box = LabelledBox([0, 0, size[0] / 2, size[1] / 2], _LABEL)
    texts = {
        Step.EXPLAIN: prompts.explain(image.label),
        Step.GROUND: prompts.ground(_EXPLANATION, frame, size_sent),
        Step.FILTER: prompts.filter_boxes([box], settings.filter_frame or frame, size, size_sent),
    }
    print(f"{image.path}: {size[0]}x{size[1]} pixels, sent as {size_sent[0]}x{size_sent[1]}")
    for step, model in settings.models.items():
        print(f"\n--- {step}: {model.name}\n{texts[step]}")
    steps = len(settings.models)
    calls = counted(images * steps, "call")
    print(f"\n{counted(images, 'image')}, {counted(steps, 'step')} each: {calls}; more where an answer is of no use,")
    print("fewer where the ledger has it already, or where no box is left to filter")
