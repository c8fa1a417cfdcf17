"""What a model may answer: parse it, render a gold one.

The canonical form, reasons first so that the verdict follows from them:

    <explanation>The letters on the sign melt into each other.</explanation>
    <regions>[{"bbox_2d": [120, 88, 260, 190], "label": "garbled letters"}]</regions>
    <verdict>generated</verdict>

`parse_reply` is total: any string gives a Reply. It is generous with boxes (fenced, bare, cut or broken JSON, a single
object, box tokens, plain lists) and strict with the verdict. Boxes stay in the frame of the text, which for a
model's reply is model pixels. Not covered: points, polygons, boxes in words.
"""

import json
import math
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

VERDICTS = ("real", "generated")
PARTS = ("explanation", "regions", "verdict")

_NUMBER = r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*"
_FOUR_NUMBERS = re.compile(rf"[\[(]{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}[\])]")
_TWO_POINTS = re.compile(rf"\({_NUMBER},{_NUMBER}\)\s*,\s*\({_NUMBER},{_NUMBER}\)")
_LABEL = re.compile(r'"label"\s*:\s*("(?:[^"\\]|\\.)*")')
_VERDICT = re.compile(r"<verdict>\s*(real|generated)\s*</verdict>", re.IGNORECASE | re.ASCII)
_TAG = re.compile(r"</?(?:explanation|regions|verdict)>", re.IGNORECASE | re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKUP = re.compile(r"```.*?(?:```|$)|\{[^{}]*\}|<\|[a-z_]+\|>", re.DOTALL)


@dataclass(frozen=True)
class Reply:
    """One answer. `verdict` is None where no single valid verdict tag was given; a label is "" where none was."""

    verdict: str | None = None
    boxes: list[list[float]] = field(default_factory=list)
    box_labels: list[str] = field(default_factory=list)
    explanation: str = ""


def parse_reply(text: str) -> Reply:
    """Read any string as a reply; never raises. Boxes have ordered corners and finite numbers, unclipped."""
    sections = dict.fromkeys(PARTS, "")
    rest = _split_sections(text, sections)
    verdicts = {match.lower() for match in _VERDICT.findall(text)}
    regions = sections["regions"] or rest
    found = list(_read_json(regions) or _read_loosely(regions))
    return Reply(
        verdict=verdicts.pop() if len(verdicts) == 1 else None,
        boxes=[box for box, _ in found],
        box_labels=[label.encode("utf-8", "replace").decode() for _, label in found],  # "\\ud800" escapes a surrogate
        explanation=(sections["explanation"] or _without_boxes(rest)).strip(),
    )


def _split_sections(text: str, sections: dict[str, str]) -> str:
    """Fill `sections` with the first text of each tag and return what no tag holds; an unclosed tag ends at the next.

    A section runs up to its own closing tag, so that other tags inside it stay text. Linear in the text.
    """
    tags = list(_TAG.finditer(text))
    closings: dict[str, list[int]] = {name: [] for name in sections}
    for tag in tags:
        if tag.group().startswith("</"):
            closings[tag.group().strip("</>").lower()].append(tag.start())
    rest, position = [], 0
    for tag, following in zip_longest(tags, tags[1:]):
        if tag.start() < position:  # inside a section
            continue
        rest.append(text[position : tag.start()])
        name, position = tag.group().strip("</>").lower(), tag.end()
        if tag.group().startswith("</"):
            continue
        own = closings[name]
        nearest = bisect_left(own, position)
        end = own[nearest] if nearest < len(own) else following.start() if following else len(text)
        sections[name] = sections[name] or text[position:end]
        position = end
    return "".join([*rest, text[position:]])


def _without_boxes(text: str) -> str:
    """What a reply without tags says in words; "" where nothing but boxes and their brackets is left."""
    words = _TWO_POINTS.sub("", _FOUR_NUMBERS.sub("", _MARKUP.sub("", text)))
    return words if re.search(r"\w", words) else ""


def _read_json(text: str) -> list[tuple[list[float], str]]:
    """Boxes of a text that is JSON, or has JSON from its first to its last bracket; empty where it is not."""
    start = min((at for at in (text.find("["), text.find("{")) if at >= 0), default=-1)
    end = max(text.rfind("]"), text.rfind("}")) + 1
    if start < 0 or end <= start:
        return []
    try:
        value = json.loads(text[start:end])
    except (ValueError, RecursionError):  # cut, broken, several values, or nested without end
        return []
    return list(_walk(value))


def _walk(value: Any) -> Iterator[tuple[list[float], str]]:
    """Boxes of a JSON value: an object with a box, four numbers, or a list of either."""
    for item in value if isinstance(value, list) and not as_box(value) else [value]:
        numbers, label = item, ""
        if isinstance(item, dict):
            numbers = next((item[key] for key in ("bbox_2d", "bbox", "box") if key in item), None)
            label = item.get("label", "")
        if box := as_box(numbers):
            yield box, label if isinstance(label, str) else ""


def as_box(numbers: Any) -> list[float] | None:
    """Four finite numbers as a box with ordered corners; None for anything else."""
    if not isinstance(numbers, list) or len(numbers) != 4:
        return None
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        return None
    try:
        x1, y1, x2, y2 = map(float, numbers)
    except OverflowError:  # an integer beyond every float
        return None
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        return None
    return [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]


def _read_loosely(text: str) -> Iterator[tuple[list[float], str]]:
    """Boxes of a text that is no JSON, in order; a box's label is the nearest one before the next box."""
    matches = sorted([*_FOUR_NUMBERS.finditer(text), *_TWO_POINTS.finditer(text)], key=re.Match.start)
    for match, following in zip_longest(matches, matches[1:]):
        if box := as_box([float(number) for number in match.groups()]):
            named = _LABEL.search(text, match.end(), following.start() if following else len(text))
            yield box, _unquote(named.group(1)) if named else ""


def _unquote(quoted: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:  # a bad escape
        return quoted[1:-1]


def text_problem(text: str) -> str | None:
    """Why a text cannot stand inside a reply, or None: one that holds a reply's own tags would not parse back."""
    tag = _TAG.search(text)
    return f"holds the tag {tag.group()}; remove it" if tag else surrogate_problem(text)


def surrogate_problem(text: str) -> str | None:
    """Why a text cannot be written as UTF-8, or None."""
    lone = _SURROGATE.search(text)
    return f"holds half a character ({lone.group()!r}); remove it" if lone else None


def render_reply(reply: Reply, parts: tuple[str, ...] = PARTS) -> str:
    """The canonical text of a reply, restricted to `parts`; boxes are written as they are, in whole numbers if whole.

    Raises ValueError where the text could not be parsed back: no verdict, or an explanation or label with tags in it.
    """
    if reply.verdict not in VERDICTS:
        raise ValueError(f"verdict {reply.verdict!r}; expected one of {', '.join(VERDICTS)}")
    for text in (reply.explanation, *reply.box_labels):
        if problem := text_problem(text):
            raise ValueError(f"text {text!r} {problem}")
    regions = [
        {"bbox_2d": [int(number) if number == int(number) else number for number in box], "label": label}
        for box, label in zip(reply.boxes, reply.box_labels, strict=True)
    ]
    content = {
        "explanation": reply.explanation.strip(),
        "regions": json.dumps(regions, ensure_ascii=False),
        "verdict": reply.verdict,
    }
    return "\n".join(f"<{part}>{content[part]}</{part}>" for part in PARTS if part in parts)
