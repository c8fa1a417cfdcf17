"""Texts of other hands on a page: of bounded length, and with nothing in them that reorders or hides what is read.

    page_text("a\\u202egnp.exe")    a\\u202egnp.exe, where the page shows the escape

What they hold of HTML is the template's matter, which escapes it.
"""

import re
from typing import Any

# Controls but line ends and tabs; marks that reorder a line; what separates lines elsewhere; halves of a character.
# Marks that only join letters or say which way one runs are part of writing Arabic, Hebrew, Hindi and emoji.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

_BEFORE_PATH = " \t\n\"'`([<=:,"  # one of these, or nothing
_ABSOLUTE = re.compile(rf"(?<![^{_BEFORE_PATH}])/")


def page_text(value: Any, most: int) -> str:
    """Any JSON value as text of at most `most` characters, besides the words that say how many more there were."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    text = text.replace("\r\n", "\n")
    rest = len(text) - most
    cut = text if rest <= 0 else f"{text[:most]} ... and {rest:,} more characters"
    return _UNSEEN.sub(_escaped, cut)


def without_folders(value: Any, image: str) -> str:
    """Any JSON value as text, without the folders before the name of the file of `image`: nobody's business."""
    name = image.rpartition("/")[2]
    text = "" if value is None else str(value)
    if not name:
        return text
    *before, rest = text.split(f"/{name}")
    return "".join(f"{_without_folder(part)}{name}" for part in before) + rest


def _without_folder(text: str) -> str:
    """What stands before a folder's path that ends a text; an absolute one may have spaces in it."""
    absolute = _ABSOLUTE.search(text)
    return text[: absolute.start() if absolute else max(map(text.rfind, _BEFORE_PATH)) + 1]


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode()
