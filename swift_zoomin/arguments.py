"""What the commands share: types of arguments, exit statuses, and words for what they print."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

NOTHING_DONE, INCOMPLETE = 1, 3  # exit statuses; 2 is argparse's own
_MOST = 1_000_000  # of images a batch, tokens, GPUs: far beyond any use
_NAMED = 3  # of many things that one line is about

_T = TypeVar("_T")


def complain(message: str) -> None:
    print(f"zoomin: {message}", file=sys.stderr)


def text(value: str) -> str:
    """Raises ArgumentTypeError for an empty one."""
    if not value:
        raise argparse.ArgumentTypeError("empty; is a variable unset?")
    return value


def path(value: str) -> Path:
    """Raises ArgumentTypeError for an empty one, which would be the current folder."""
    return Path(text(value))


def count(value: str, most: int = _MOST) -> int:
    """A whole number from 1. Raises ArgumentTypeError."""
    try:
        number = int(value)
    except ValueError:
        number = 0
    if not 1 <= number <= most:
        raise argparse.ArgumentTypeError(f"{value!r}; expected a whole number from 1 to {most}")
    return number


def share(value: str) -> float:
    """A number above 0 and at most 1. Raises ArgumentTypeError."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"{value!r}; expected a share above 0 and at most 1")
    return number


def first_few(things: Sequence[_T], name: Callable[[_T], str]) -> str:
    """The names of the first things, and whether there are more: `a.png, b.png, c.png, ...`."""
    names = [name(thing) for thing in things[:_NAMED]]
    if len(things) > _NAMED:
        names.append("...")
    return ", ".join(names)


class Found:
    """Things that one line is about, of which only the first few are kept: `str` names them as `first_few` does."""

    def __init__(self) -> None:
        self.number = 0
        self._first: list[str] = []

    def add(self, name: str) -> None:
        self.number += 1
        if len(self._first) <= _NAMED:  # one more than is named, which says that there are more
            self._first.append(name)

    def __str__(self) -> str:
        return first_few(self._first, str)


def counted(number: int, one: str, more: str = "") -> str:
    """`1 box`, `2 boxes`."""
    return f"{number} {one if number == 1 else more or one + 's'}"
