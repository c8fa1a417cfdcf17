"""Images of another machine: which record a path belongs to, by the longest end that both have in common.

    /data03/xzp/CASIA1+/image/a.jpg      of a detector's file
    benchmark/CASIA1+/image/a.jpg        of a record: they share CASIA1+/image/a.jpg

Nothing is guessed: a path that fits several records equally well is refused, and so are several paths that fit one. A
base name that several paths have tells nothing by itself: theirs must also agree up to a folder that all paths share.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from swift_zoomin.records import RecordError

Tail = tuple[str, ...]  # the parts of a path, the last one first


def match_tails(names: Sequence[str], images: Sequence[str]) -> dict[str, str]:
    """The image of each name that has one. Raises RecordError where a name or an image could be matched in two ways."""
    tails = sorted((_tail(image), image) for image in dict.fromkeys(images))
    base_names = Counter(_tail(name)[:1] for name in set(names))
    depth = len(_shared_folder(names))
    best: dict[str, list[tuple[int, str]]] = {}  # by image, the names that fit it, each with the parts they share
    for name in dict.fromkeys(names):
        tail = _tail(name)
        length, fitting = _longest(tail, tails)
        is_telling = base_names[tail[:1]] == 1 or len(tail) - length <= depth
        if not length or not is_telling:
            continue
        if len(fitting) > 1:
            raise RecordError(f"{name} could be {fitting[0]} or {fitting[1]}; write more of its path")
        best.setdefault(fitting[0], []).append((length, name))
    return dict(_winner(image, candidates) for image, candidates in best.items())


def _winner(image: str, candidates: list[tuple[int, str]]) -> tuple[str, str]:
    """The name that shares most with an image, and the image. Raises RecordError where that is not one."""
    candidates.sort(reverse=True)
    (length, name), *others = candidates
    if others and others[0][0] == length:
        raise RecordError(f"{name} and {others[0][1]} could both be {image}; write more of their paths")
    return name, image


def _tail(path: str) -> Tail:
    """Also of a path as Windows writes it; steps up at its beginning say nothing here."""
    parts: list[str] = []
    for part in re.split(r"[/\\]+", path):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return tuple(reversed(parts))


def _shared_folder(names: Sequence[str]) -> Tail:
    """The parts of the folder that all names are in, the first one first."""
    folders = [tuple(reversed(_tail(name)[1:])) for name in names]
    first, last = min(folders, default=()), max(folders, default=())
    return first[: _common(first, last)]


def _longest(tail: Tail, tails: Sequence[tuple[Tail, str]]) -> tuple[int, list[str]]:
    """How many parts the best images share with a path, and two of these images, or the one that there is.

    In sorted order those that share most stand beside the place where the path itself would.
    """
    place = bisect_left(tails, (tail, ""))
    near = tails[max(place - 2, 0) : place + 2]
    lengths = [_common(tail, other) for other, _ in near]
    most = max(lengths, default=0)
    return most, [image for (_, image), length in zip(near, lengths, strict=True) if length == most][:2]


def _common(one: Tail, other: Tail) -> int:
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return length
