"""Which boxes stay (paper, "Data Purification"): first two rules, then the word of the filter model.

A box over half of the image marks the image, not evidence in it. Of near-duplicates the one that the model wrote first
stays, unchanged, and takes over the labels of the others that say something else. The filter model drops boxes that
enclose the primary object, a fall back to object detection, and redundant ones.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from swift_zoomin.annotation.answers import clean_label, usable_text
from swift_zoomin.annotation.prompts import DECISIONS
from swift_zoomin.annotation.steps import Answer, Cause, Dropped, LabelledBox, Unusable
from swift_zoomin.boxes import Size, box_area, iou

MAX_SHARE = 0.5  # of the image's area; a box of exactly this share stays ("over 50%")
DUPLICATE_IOU = 0.9

Purified = tuple[list[LabelledBox], list[Dropped]]  # what stays, in the order given, and what does not

_CAUSES = {"object": Cause.WHOLE_OBJECT, "redundant": Cause.REDUNDANT}
_MOST_BRACES = 400  # a few for each box; what a text of nothing but braces costs stays bounded
_OBJECT = re.compile(r"\{[^{}]*\}")
_FIELDS = {
    "number": re.compile(r"\bnumber[\"']?\s*+:\s*+[\"']?(?P<value>\d+)", re.IGNORECASE),
    "decision": re.compile(r"\bdecision[\"']?\s*+:\s*+[\"']?(?P<value>[a-z]+)", re.IGNORECASE),
    # Bounded, so that a reason without an end costs little.
    "reason": re.compile(
        r"\breason[\"']?\s*+:\s*+(?P<quote>[\"'])(?P<value>.{0,300}?)(?P=quote)\s*+[,}]", re.IGNORECASE
    ),
}


class Decision(NamedTuple):
    """The filter model's word on one box."""

    decision: str
    reason: str


def apply_rules(boxes: Sequence[LabelledBox], size: Size) -> Purified:
    """Drop boxes over half of an image of `size` and merge near-duplicates."""
    kept: list[LabelledBox] = []
    dropped: list[Dropped] = []
    for box in boxes:
        if reason := _size_problem(box, size):
            dropped.append(Dropped("rule", box.box_px, box.label, reason))
            continue
        overlaps = [iou(box.box_px, other.box_px) for other in kept]
        closest = max(overlaps, default=0.0)
        if closest < DUPLICATE_IOU:
            kept.append(box)
            continue
        first = kept[overlaps.index(closest)]
        kept[overlaps.index(closest)] = LabelledBox(first.box_px, _joined(first.label, box.label))
        reason = f'{Cause.DUPLICATE}: IoU {closest:.2f} with "{first.label}"'
        dropped.append(Dropped("rule", box.box_px, box.label, reason))
    return kept, dropped


def _size_problem(box: LabelledBox, size: Size) -> str | None:
    share = box_area(box.box_px) / (size[0] * size[1])
    return f"{Cause.TOO_LARGE}: {share:.1%}" if share > MAX_SHARE else None


def _joined(first: str, other: str) -> str:
    """Both labels, unless one already says the other."""
    if other.casefold() in first.casefold():
        return first
    if first.casefold() in other.casefold():
        return other
    return clean_label(f"{first}; {other}")


def read_decisions(answer: Answer, boxes: int) -> list[Decision] | Unusable:
    """The filter model's word on each of `boxes` boxes in order, or why its answer cannot be used."""
    text = usable_text(answer)
    if isinstance(text, Unusable):
        return text
    decisions: dict[int, Decision] = {}
    for number, decision in _decisions_in(text):
        given = decisions.setdefault(number, decision)
        if given.decision != decision.decision:
            return Unusable(f"decides differently about one box (number {number})")
    missing = [str(number) for number in range(1, boxes + 1) if number not in decisions]
    if len(missing) == boxes:
        return Unusable("holds no readable decision")
    if missing:
        return Unusable(f"lacks a readable decision about a box (number {', '.join(missing)})")
    return [decisions[number] for number in range(1, boxes + 1)]


def _decisions_in(text: str) -> Iterator[tuple[int, Decision]]:
    """The decisions of a text with the number of their box; what is none of DECISIONS is passed over."""
    for row in _objects_in(text):
        number, decision, reason = (str(row.get(key, "")).strip() for key in ("number", "decision", "reason"))
        if re.fullmatch("[0-9]{1,4}", number) and decision.lower() in DECISIONS:
            yield int(number), Decision(decision.lower(), clean_label(reason))


def _objects_in(text: str) -> Iterator[dict[str, Any]]:
    """The objects with a number that a text holds, in whatever list, object or prose they stand.

    One that is no JSON (trailing commas, single quotes) is read as far as its fields can be found in it.
    """
    position = text.find("{")
    for _ in range(_MOST_BRACES):
        if position < 0:
            return
        row, end = _object_at(text, position)
        if "number" in row:
            yield row
        else:  # perhaps an object around others
            end = position + 1
        position = text.find("{", end)


def _object_at(text: str, position: int) -> tuple[dict[str, Any], int]:
    """The object that begins at a brace, and where it ends; empty where there is none."""
    with suppress(ValueError, RecursionError):
        row, end = json.JSONDecoder().raw_decode(text, position)
        return row, end
    match = _OBJECT.match(text, position)
    if not match:
        return {}, position
    fields = {name: pattern.search(match.group()) for name, pattern in _FIELDS.items()}
    return {name: found.group("value") for name, found in fields.items() if found}, match.end()


def apply_decisions(boxes: Sequence[LabelledBox], decisions: Sequence[Decision]) -> Purified:
    """Drop the boxes that the filter model does not keep."""
    kept: list[LabelledBox] = []
    dropped: list[Dropped] = []
    for box, (decision, words) in zip(boxes, decisions, strict=True):
        cause = _CAUSES.get(decision)
        if cause is None:
            kept.append(box)
            continue
        reason = f"{cause}: {words}" if words else cause
        dropped.append(Dropped("filter", box.box_px, box.label, reason))
    return kept, dropped
