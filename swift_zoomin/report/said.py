"""What a file says of itself: rows of text, each a source, a field and a value.

    Said("EXIF", "Model", "Canon EOS R5")
    Said("XMP", "fault", "no XML: not well-formed (invalid token): line 1, column 4")

Whoever made the file chose these texts. So each is one line of printable characters and bounded in length: a direction
override becomes `\\u202e`, and what comes behind the first 300 characters is only counted. It still is not HTML.
"""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

LONGEST_VALUE, LONGEST_FIELD = 300, 80  # characters
MOST_ROWS = 40  # of one source
FAULT = "fault"  # the field of a row that says what could not be read
FURTHER = "further fields"  # the field of a row that says what is not shown

_LARGEST_NUMBER_OF_ITEMS = 20  # of a value that is a list


class Said(NamedTuple):
    """One field of one source, as text that can stand in one line."""

    source: str
    field: str
    value: str


def says(source: str, field: str, value: object) -> Said:
    """A row of whatever stands in a file: text, bytes, a number, or a list of those."""
    return Said(source, one_line(as_text(field), LONGEST_FIELD), one_line(as_text(value), LONGEST_VALUE))


def bounded(source: str, rows: Iterable[Said]) -> list[Said]:
    """The first rows that hold anything; how many more there are stands in a last one."""
    filled = (row for row in rows if row.value)
    kept = list(islice(filled, MOST_ROWS))
    more = sum(1 for _ in filled)
    if more:
        kept.append(Said(source, FURTHER, f"{more:,}, not shown"))
    return kept


def as_text(value: object) -> str:
    """Text as its writer meant it: bytes, and text that was read as Latin-1, are UTF-8 where they can be."""
    if isinstance(value, bytes):
        return _decoded(value)
    if isinstance(value, str):
        return _decoded(value.encode("latin-1")) if _is_latin_1(value) else value
    if isinstance(value, tuple | list):
        return ", ".join(map(as_text, value[:_LARGEST_NUMBER_OF_ITEMS]))
    return str(value)


def one_line(text: str, longest: int) -> str:
    """The first characters in one line: white space is a space, and what cannot be seen is written out."""
    text = text.strip("\0 \t\r\n")
    line = " ".join("".join(map(_visible, text[:longest])).split())
    return line if len(text) <= longest else f"{line}... ({len(text):,} characters)"


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if character.isspace():
        return " "
    return character.encode("unicode_escape").decode("ascii")


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _is_latin_1(text: str) -> bool:
    """Whether the text has characters beyond ASCII, and none that Latin-1 lacks."""
    return not text.isascii() and max(text) <= "\xff"
