"""A prediction as a person reads it, in the terminal or in a pipe:

    photos/sign.jpg
      verdict    generated (at first sight: real)
      score      0.93
      regions    1. garbled letters on the sign, at 120,88 to 260,190
      reasons    The letters melt into each other.
      at first   A clean photograph.

Lines are as wide as the terminal, or 80 columns; a path stays whole, to be copied. Control
characters of replies and names are shown as escapes. The verdict has a colour on a terminal alone, and not where
NO_COLOR is set (https://no-color.org).
"""

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from swift_zoomin.listing import shown_path
from swift_zoomin.predictions import Outcome, Prediction, outcome
from swift_zoomin.replies import GENERATED, REAL

_NAMES_WIDTH = 10  # of "decision"
_INDENT, _BETWEEN = "  ", "  "
_NARROWEST = 20  # columns of text beside the names, however narrow the terminal
_COLOURS = {True: "\033[1;32m", False: "\033[1;31m"}  # bold green for real, bold red for all else
_PLAIN = "\033[0m"
# What stays on one line, with the space before it: a word, or one character of a script that has no spaces.
_UNSPACED = "\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uffdc"  # Chinese, Japanese, Yi, Korean, and full widths
_WORDS = re.compile(f"( ?)([^ {_UNSPACED}]+|[{_UNSPACED}])")


class Printed:
    """In the place of a file of predictions: each is printed as soon as it is made. Nothing was done before."""

    answered = 0

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._has_colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""

    def became(self, image: Path) -> None:
        """No image has an answer yet."""

    def add(self, prediction: Prediction) -> Outcome:
        width = shutil.get_terminal_size().columns
        self._write(as_text(prediction, width, self._has_colours))
        return outcome(prediction)


def as_text(prediction: Prediction, width: int, has_colours: bool) -> str:
    """The lines of the module's example, with an empty line behind.

    Each but the path has at most `width` columns, or those that names and _NARROWEST take.
    """
    lines = [shown_path(Path(prediction["image"]))]
    for name, text in _parts(prediction):
        wrapped = _wrapped(text, max(_NARROWEST, width - len(_INDENT) - _NAMES_WIDTH - len(_BETWEEN)))
        if name == "verdict" and has_colours:
            wrapped[0] = _coloured(wrapped[0], prediction["verdict"])
        for head, line in zip([name, *[""] * len(wrapped)], wrapped, strict=False):
            lines.append(f"{_INDENT}{head:{_NAMES_WIDTH}}{_BETWEEN}{line}".rstrip())
    return "\n".join(lines) + "\n\n"


def _parts(prediction: Prediction) -> Iterator[tuple[str, str]]:
    """What there is to say, each with the name that stands before it."""
    if prediction["replies"]:
        yield "verdict", _verdicts(prediction)
    if prediction.get("score") is not None:
        yield "score", f"{prediction['score']:.2f}"
    elif prediction.get("sampled_verdicts"):
        yield "samples", _samples(prediction["sampled_verdicts"])
    if prediction.get("decision") is not None:
        reason = prediction.get("decision_reason")
        yield "decision", f"{prediction['decision']} ({reason})" if reason else prediction["decision"]
    regions = list(zip(prediction.get("boxes", []), prediction.get("box_labels", []), strict=False))
    for number, (box, label) in enumerate(regions, 1):
        x1, y1, x2, y2 = (f"{corner:.0f}" for corner in box)
        place = f"at {x1},{y1} to {x2},{y2}"
        yield "" if number > 1 else "regions", f"{number}. {label}, {place}" if label else f"{number}. {place}"
    if prediction.get("explanation"):
        yield "reasons", prediction["explanation"]
    if prediction.get("initial_explanation"):
        yield "at first", prediction["initial_explanation"]
    if prediction["error"]:
        yield "error", prediction["error"]


def _verdicts(prediction: Prediction) -> str:
    verdict = prediction["verdict"] or "none in the reply"
    if "initial_verdict" not in prediction:  # one question was asked
        return verdict
    return f"{verdict} (at first sight: {prediction['initial_verdict'] or 'none'})"


def _samples(verdicts: list[str | None]) -> str:
    """`6 of 8 sampled looks say generated`, and how many say nothing."""
    said = f"{verdicts.count(GENERATED)} of {len(verdicts)} sampled looks say {GENERATED}"
    return f"{said}, {verdicts.count(None)} without a verdict" if None in verdicts else said


def _coloured(line: str, verdict: str | None) -> str:
    if verdict is None:
        return line
    return _COLOURS[verdict == REAL] + verdict + _PLAIN + line.removeprefix(verdict)


def _wrapped(text: str, width: int) -> list[str]:
    """The lines of a text, of which no character moves the terminal's cursor or changes its colours."""
    harmless = "".join(map(_harmless, " ".join(text.split())))
    lines, used = [""], 0
    for space, word in _WORDS.findall(harmless):
        for piece in _pieces(word, width):
            if used + len(space) + _columns(piece) > width:
                lines.append("")
                used, space = 0, ""
            lines[-1] += space + piece
            used += len(space) + _columns(piece)
            space = ""
    return lines if lines[0] else lines[1:] or [""]


def _pieces(word: str, width: int) -> list[str]:
    """A word, or the parts of one that has more columns than a line."""
    pieces, used = [""], 0
    for character in word:
        columns = _columns(character)
        if used + columns > width:
            pieces.append("")
            used = 0
        pieces[-1] += character
        used += columns
    return pieces


def _harmless(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode()


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
