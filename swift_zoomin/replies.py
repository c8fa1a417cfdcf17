"""What a model may answer: parse it, render a gold one.

The canonical form, reasons first so that the verdict follows from them:

    <explanation>The letters on the sign melt into each other.</explanation>
    <regions>[{"bbox_2d": [120, 88, 260, 190], "label": "garbled letters"}]</regions>
    <verdict>generated</verdict>

The second reply has no regions. `parse_reply` is total: any string gives a Reply. It is generous with boxes (fenced,
bare, cut or broken JSON, a single object, repeated keys, box tokens, plain lists, numbers as text, named corners) and
strict with the verdict. What a model thinks between `<think>` and `</think>` is no part of its reply. Boxes stay in the
frame of the text, which for a model's reply is its family's (`families.Frame`). Not covered:
points, polygons, percentages, widths and heights, boxes in words.

json-repair is not used: it completes a cut box (`70, 8` of `70, 80`), keeps only the last of repeated keys and of
several objects in a row, and needs over 20 seconds for 40 kB of `["`.
"""

import json
import math
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

REAL, GENERATED = VERDICTS = ("real", "generated")
PARTS = ("explanation", "regions", "verdict")
Found = tuple[list[float], str]  # a box and its label

BOX_KEYS = ("bbox_2d", "bbox", "box")
# The taught name first; models write the others where they fall back on other JSON that they know.
LABEL_KEYS = ("label", "object_name", "object", "name", "description")

# Reading stays linear in the text: what repeats is possessive, bounded, or cannot hold what its pattern starts with.
_COMMENTS = r"(?:\s|(?://|#)[^\n()\[\]{}]*+\n|/\*[^*()\[\]{}]*+\*/)*+"
_PIXELS = r"\s*+([+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?)\s*+(?:px|pixels?)?\s*+"
_NUMBER = rf"{_COMMENTS}[\"']?{_PIXELS}[\"']?{_COMMENTS}"
_FOUR_NUMBERS = re.compile(rf"[\[(]{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER},?{_COMMENTS}[\])]")
_TWO_POINTS = re.compile(rf"\({_NUMBER},{_NUMBER}\)\s*,\s*\({_NUMBER},{_NUMBER}\)")
_FOUR_IN_A_STRING = rf"[\"']{_PIXELS},{_PIXELS},{_PIXELS},{_PIXELS}[\"']"

# A string ends at a quote after which JSON goes on. One with bare quotes inside ("the "STOP" sign") holds no bracket:
# a string whose end was forgotten would otherwise run into the next object.
_GOES_ON = r"[ \t]*+(?m:$)|\s*+(?:[,;.}\])/#`<]|(?:\w++|\"\w++\"|'\w++')\s*+:)"
_STRING = rf"(?P<quote>[\"'])(?:(?:(?!(?P=quote))[^\\]|\\.)*+|[^\[\]{{}}\n]{{0,200}}?)(?P=quote)(?={_GOES_ON})"
_TOKEN = re.compile(
    rf"(?P<box>{_FOUR_NUMBERS.pattern}|{_TWO_POINTS.pattern})"
    rf"|(?P<box_key>[\"']?\b(?:{'|'.join(BOX_KEYS)})[\"']?\s*+:\s*+(?:{_FOUR_IN_A_STRING})?)"
    rf"|(?P<label>[\"']?\b(?P<key>{'|'.join(LABEL_KEYS)})[\"']?\s*+:\s*+(?P<string>{_STRING})?)"
    r"|(?P<brace>[{}])"
)
_IN_LIST = re.compile(r"[\s,\[(\"']*+")  # what stands between the boxes of one list

_CORNERS = {"x1": 0, "xmin": 0, "left": 0, "y1": 1, "ymin": 1, "top": 1}
_CORNERS |= {"x2": 2, "xmax": 2, "right": 2, "y2": 3, "ymax": 3, "bottom": 3}
_CORNER = rf"[\"']?\b([xy][12]|[xy]_?(?:min|max)|left|top|right|bottom)[\"']?\s*+:\s*+[\"']?{_PIXELS}[\"']?\s*+"
_NAMED_NUMBER = re.compile(_CORNER)
_FOUR_CORNERS = re.compile(rf"(?P<opened>\{{\s*+)?(?P<corners>(?:{_CORNER},?\s*+){{4}})(?P<closed>\}})?")

# Punctuation, quotes and Markdown around the word; nothing that denies or doubts it ("!real", "~~real~~", "real?").
_AROUND = r"\s*_`\"'“”‘’„«»「」"
_VERDICT = re.compile(
    rf"<verdict>[{_AROUND}]*({'|'.join(VERDICTS)})[{_AROUND}.,;:!。！，]*</verdict>", re.IGNORECASE | re.ASCII
)
_TAG = re.compile(r"</?(?:explanation|regions|verdict)>", re.IGNORECASE | re.ASCII)
_THOUGHT_TAG = re.compile(r"</?think>", re.IGNORECASE | re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKUP = re.compile(r"```.*?(?:```|$)|\{[^{}]*\}|<\|[a-z_]+\|>", re.DOTALL)


@dataclass(frozen=True)
class Reply:
    """One answer. `verdict` is None where no single valid verdict tag was given; a label is "" where none was."""

    verdict: str | None = None
    boxes_model: list[list[float]] = field(default_factory=list)
    box_labels: list[str] = field(default_factory=list)
    explanation: str = ""


def verdict_spans(text: str) -> list[tuple[int, int]]:
    """Where the verdicts of a text stand, from their first to behind their last character, without their tags."""
    return [match.span(1) for match in _VERDICT.finditer(text)]


def parse_reply(text: str) -> Reply:
    """Read any string as a reply; never raises. Boxes have ordered corners and finite numbers, unclipped."""
    text = without_thoughts(text)
    sections = dict.fromkeys(PARTS, "")
    rest = _split_sections(text, sections)
    verdicts = {match.lower() for match in _VERDICT.findall(text)}
    regions = sections["regions"] or rest
    found = list(_read_json(regions) or _read_loosely(regions))
    return Reply(
        verdict=verdicts.pop() if len(verdicts) == 1 else None,
        boxes_model=[box for box, _ in found],
        box_labels=[label.encode("utf-8", "replace").decode() for _, label in found],  # "\\ud800" escapes a surrogate
        explanation=(sections["explanation"] or _without_boxes(rest)).strip(),
    )


def without_thoughts(text: str) -> str:
    """The text without what stands between `<think>` and `</think>`, up to its end where it is never closed.

    A closing tag that comes first ends thoughts that began in the prompt. Thoughts inside thoughts end at the first
    closing tag, or, where there is one for each, at the last of them. One that closes nothing stays.
    """
    tags = list(_THOUGHT_TAG.finditer(text))
    if not tags:
        return text
    kept = []
    is_thinking, inner = _is_closing(tags[0]), 0
    position = 0  # where the text begins that is kept next
    for tag in tags:
        if _is_closing(tag):
            if is_thinking:
                is_thinking, position = False, tag.end()
            elif inner:
                inner, position = inner - 1, tag.end()
        elif is_thinking:
            inner += 1
        else:
            kept.append(text[position : tag.start()])
            is_thinking, inner = True, 0
    if not is_thinking:
        kept.append(text[position:])
    return "".join(kept)


def _split_sections(text: str, sections: dict[str, str]) -> str:
    """Fill `sections` with the first text of each tag and return what no tag holds; an unclosed tag ends at the next.

    A section runs up to its own closing tag, so that other tags inside it stay text. Linear in the text.
    """
    tags = list(_TAG.finditer(text))
    closings: dict[str, list[int]] = {name: [] for name in sections}
    for tag in tags:
        if _is_closing(tag):
            closings[_tag_name(tag)].append(tag.start())
    rest = []
    position = 0  # all text before it is shared out
    for tag, following in zip_longest(tags, tags[1:]):
        if tag.start() < position:  # inside a section
            continue
        rest.append(text[position : tag.start()])
        position = tag.end()
        if _is_closing(tag):  # a stray one, which opens nothing
            continue
        name = _tag_name(tag)
        next_closing = bisect_left(closings[name], position)
        if next_closing < len(closings[name]):
            end = closings[name][next_closing]
        elif following:
            end = following.start()
        else:
            end = len(text)
        if not sections[name]:
            sections[name] = text[position:end]
        position = end
    rest.append(text[position:])
    return "".join(rest)


def _is_closing(tag: re.Match[str]) -> bool:
    return tag.group().startswith("</")


def _tag_name(tag: re.Match[str]) -> str:
    return tag.group().strip("</>").lower()


def _without_boxes(text: str) -> str:
    """What a reply without tags says in words; "" where nothing but boxes and their brackets is left."""
    words = _TWO_POINTS.sub("", _FOUR_NUMBERS.sub("", _MARKUP.sub("", text)))
    return words if re.search(r"\w", words) else ""


def _read_json(text: str) -> list[Found]:
    """Boxes of a text that is JSON, or has JSON from its first to its last bracket; empty where it is not."""
    openings = [position for position in (text.find("["), text.find("{")) if position >= 0]
    if not openings:
        return []
    start = min(openings)
    end = max(text.rfind("]"), text.rfind("}")) + 1
    if end <= start:
        return []
    try:
        return list(_walk(json.loads(text[start:end], object_pairs_hook=_Object)))
    except (ValueError, RecursionError):  # cut, broken, several values, or nested without end
        return []


class _Object(dict[str, Any]):
    """A JSON object that still knows what its repeated keys held."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def _walk(value: Any) -> Iterator[Found]:
    """Boxes of a JSON value: four numbers, an object with a box, or a list of such values."""
    if box := as_box(value):
        yield box, ""
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item)
    elif isinstance(value, _Object):
        yield from _walk_object(value)


def _walk_object(found: _Object) -> Iterator[Found]:
    """Boxes of an object: those under the first of BOX_KEYS that it has, however often it repeats that key."""
    box_key = next((key for key in BOX_KEYS if key in found), None)
    places = [_boxes_of(value) for key, value in found.pairs if key == box_key]
    labels = [(key, value if isinstance(value, str) else "") for key, value in found.pairs]
    yield from _with_labels(places, labels)


def _boxes_of(value: Any) -> list[list[float]]:
    """What stands under a box key: a box, or what its text gives (numbers as strings, named corners, several boxes)."""
    if box := as_box(value):
        return [box]
    return [box for box, _ in _read_loosely(f"box: {json.dumps(value)}")]


def _with_labels(places: list[list[list[float]]], labels: list[tuple[str, str]]) -> Iterator[Found]:
    """The boxes of one object, each with its label. A place holds the boxes of one key, which share a label.

    The first label is the first place's, and so on, if one key gives as many labels as there are places. Otherwise it
    is not known whose they are, and a wrong label is worse than none.
    """
    names = [""] * len(places)
    for wanted in LABEL_KEYS:
        texts = [text for key, text in labels if key == wanted]
        if len(texts) == len(places):
            names = texts
            break
    for boxes, name in zip(places, names, strict=True):
        for box in boxes:
            yield box, name


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


def _read_loosely(text: str) -> Iterator[Found]:
    """Boxes of a text that is no JSON, in order; a label belongs to a box only where no brace stands between them."""
    text = _FOUR_CORNERS.sub(_corners_in_a_list, text)
    places: list[list[list[float]]] = []
    labels: list[tuple[str, str]] = []
    listed_to: int | None = None  # where the list of a box key ends so far
    for token in _TOKEN.finditer(text):
        if token["brace"]:
            if places:
                yield from _with_labels(places, labels)
            places, labels = [], []
            continue
        if token["label"]:
            labels.append((token["key"], _unquote(token["string"] or "")))
            continue
        is_key = bool(token["box_key"])
        goes_on = listed_to is not None and _IN_LIST.fullmatch(text, listed_to, token.start()) is not None
        if is_key or not goes_on:
            places.append([])
        # Boxes that follow a key in one list share its place; a bare box is a place of its own.
        listed_to = token.end() if is_key or goes_on else None
        if box := _box_of(token):
            places[-1].append(box)
    yield from _with_labels(places, labels)


def _box_of(token: re.Match[str]) -> list[float] | None:
    """The box that a token holds: its last four groups, after the one that names it."""
    _, *numbers = [group for group in token.groups() if group is not None]
    return as_box([float(number) for number in numbers])


def _corners_in_a_list(match: re.Match[str]) -> str:
    """Four named corners, as an object or among an object's other keys, written as a list."""
    numbers = {_CORNERS[name.replace("_", "")]: number for name, number in _NAMED_NUMBER.findall(match["corners"])}
    if len(numbers) < 4:
        return match[0]
    box = f"[{', '.join(numbers[corner] for corner in range(4))}]"
    if match["opened"] and match["closed"]:  # the object holds nothing else
        return box
    return f"{match['opened'] or ''}{box}, {match['closed'] or ''}"


def _unquote(quoted: str) -> str:
    """The text of a quoted string, its escapes resolved if all of them are JSON's."""
    inner = quoted[1:-1]
    try:
        return str(json.loads(f'"{inner}"'))
    except ValueError:  # a bad escape, or a bare quote inside
        return inner.replace("\\'", "'") if quoted[0] == "'" else inner


def text_problem(text: str) -> str | None:
    """Why a text cannot stand inside a reply, or None: one that holds a reply's own tags would not parse back."""
    if tag := _TAG.search(text) or _THOUGHT_TAG.search(text):
        return f"holds the tag {tag.group()}; remove it"
    return surrogate_problem(text)


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
        {"bbox_2d": [_plain_number(number) for number in box], "label": label}
        for box, label in zip(reply.boxes_model, reply.box_labels, strict=True)
    ]
    content = {
        "explanation": reply.explanation.strip(),
        "regions": json.dumps(regions, ensure_ascii=False),
        "verdict": reply.verdict,
    }
    return "\n".join(f"<{part}>{content[part]}</{part}>" for part in PARTS if part in parts)


def _plain_number(number: float) -> float:
    """A whole number without its `.0`."""
    return int(number) if number == int(number) else number
