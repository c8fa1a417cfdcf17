"""What a prediction's `made_by` says, part by part, as `zoomin detect` wrote it.

    model checkpoint-30 (weights 47db0093b3a7)|regions first|pixels 3136-12544|tokens 80|prompts 04feac84|zoomin 0.1.0

Between the question and the pixels a family is named, where it is not Qwen2.5-VL; behind the version follow samples,
calibration and re-encodings, where they were asked for.
"""

import re
from dataclasses import dataclass, replace

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.episode import CHOOSERS, ONE_TURN
from swift_zoomin.families import QWEN2_5_VL, Family, Frame, any_family_named

REGIONS = "regions "  # how the part begins that says which regions were looked at again
_PARTS = re.compile(
    # Below 100 megapixels: what a file says may be wrong, and close-ups are made of that size.
    # A served model's name may hold anything, a bar too; what follows it may not.
    rf"model (?P<model>.*)\|(?P<asked>{REGIONS}(?:{'|'.join(CHOOSERS)})|{'|'.join(ONE_TURN)})"
    r"(?:\|family (?P<family>[^|]+))?\|pixels (?P<fewest>[1-9]\d{0,7})-(?P<most>[1-9]\d{0,7})"
    r"\|tokens (?P<tokens>\d{1,12})"
    r"\|prompts (?P<prompts>\w+)\|zoomin (?P<version>[^|]+)(?P<further>(?:\|[^|]+)*)",
    re.DOTALL,
)
_LONGEST = 10_000  # characters; where somebody has written more, trying all places of a bar would take too long
_SERVED_FRAME = re.compile(rf" \(served, boxes (?P<frame>{'|'.join(Frame)})\)$")


@dataclass(frozen=True)
class MadeBy:
    """The parts. `chooser` is a name of `episode.CHOOSERS`, or None where `one_turn` names the one question asked."""

    model: str
    chooser: str | None
    one_turn: str | None
    limits: PixelLimits
    tokens: int
    prompts: str
    version: str
    further: list[str]

    @property
    def exchange(self) -> "MadeBy":
        """What the two replies depend on: without our version, and without what was asked besides."""
        return replace(self, version="", further=[])


def parse_made_by(text: object) -> MadeBy | None:
    """None where this is no `made_by` of `zoomin detect`, as a foreign detector's, or names a family not known here."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    found = _PARTS.fullmatch(text)
    if found is None:
        return None
    family = _family(found["family"], found["model"])
    if family is None:
        return None
    asked = found["asked"]
    is_two_turns = asked.startswith(REGIONS)
    return MadeBy(
        model=found["model"],
        chooser=asked.removeprefix(REGIONS) if is_two_turns else None,
        one_turn=None if is_two_turns else asked,
        limits=PixelLimits(int(found["fewest"]), int(found["most"]), family),
        tokens=int(found["tokens"]),
        prompts=found["prompts"],
        version=found["version"],
        further=found["further"].split("|")[1:],
    )


def _family(name: str | None, model: str) -> Family | None:
    """The family that a part names; of a served model, with the frame that its user said it writes boxes in."""
    family = any_family_named(name) if name else QWEN2_5_VL
    served = _SERVED_FRAME.search(model)
    if served is None:
        return family
    frame = Frame(served["frame"])
    if family is None:  # one that its name did not tell
        return Family(name or "", frame, QWEN2_5_VL.patch_px)
    return replace(family, frame=frame)
