"""Images that stand in several records: themselves, byte for byte, saved again, scaled or cut a little."""

import hashlib
import os
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from swift_zoomin.arguments import counted
from swift_zoomin.checking.places import Places
from swift_zoomin.near_duplicates import Fingerprint, Fingerprints, near_duplicates
from swift_zoomin.records import Record
from swift_zoomin.replies import VERDICTS

_THUMBNAIL = 16 * 16


class Copies:
    """What images are compared by, some 300 bytes a record."""

    def __init__(self) -> None:
        self._labels = array("b")
        self._paths = array("Q")  # a hash of each image's own path, links followed
        self._contents = array("Q")
        self._hashes = array("Q")
        self._thumbnails = bytearray()

    def add(self, record: Record, print_: Fingerprint) -> None:
        """Take in the next record, and the fingerprint of its image."""
        content, perceptual, thumbnail = print_
        own_path = os.fsencode(os.path.realpath(record.image.path))
        self._labels.append(VERDICTS.index(record.label))
        self._paths.append(int.from_bytes(hashlib.blake2b(own_path, digest_size=8).digest()))
        self._contents.append(content)
        self._hashes.append(perceptual)
        self._thumbnails += thumbnail.tobytes()

    def warnings(self, places: Places) -> Iterator[str]:
        """A line each about repeated images and about copies; every group is in one of them."""
        contradicted: list[list[int]] = []
        again: list[list[int]] = []
        for group in self._repeated():
            (contradicted if self._has_both_labels(group) else again).append(group)
        if contradicted:
            verb = "has" if len(contradicted) == 1 else "have"
            yield f"{counted(len(contradicted), 'image')} {verb} both labels: {places.groups(contradicted)}"
        if again:
            verb = "stands" if len(again) == 1 else "stand"
            yield f"{counted(len(again), 'image')} {verb} in several records: {places.groups(again)}"
        yield from self._copies(places)

    def _repeated(self) -> list[list[int]]:
        """Records of one image file, in groups."""
        _, places, counts = np.unique(np.frombuffer(self._paths, np.uint64), return_inverse=True, return_counts=True)
        groups = defaultdict(list)
        for number in np.flatnonzero(counts[places] > 1).tolist():
            groups[places[number]].append(number)
        return list(groups.values())

    def _copies(self, places: Places) -> Iterator[str]:
        kinds: dict[str, list[list[int]]] = defaultdict(list)
        for group in near_duplicates(self._fingerprints()):
            different = self._different_files(group)
            if len(different) > 1:
                kinds[self._kind(different, places)].append(different)
        for kind in _KINDS:
            if groups := kinds[kind]:
                number = counted(len(groups), "image")
                yield f"{number} {kind.format(has='has' if len(groups) == 1 else 'have')}: {places.groups(groups)}"

    def _different_files(self, group: Sequence[int]) -> list[int]:
        """The first record of each image file in a group of copies."""
        first: dict[int, int] = {}
        for number in group:
            first.setdefault(self._paths[number], number)
        return list(first.values())

    def _kind(self, group: Sequence[int], places: Places) -> str:
        if self._has_both_labels(group):
            return _BOTH_LABELS
        if len({places.file(number) for number in group}) > 1:
            return _ACROSS_FILES
        return _EXACT if len({self._contents[number] for number in group}) == 1 else _NEAR

    def _has_both_labels(self, group: Sequence[int]) -> bool:
        return len({self._labels[number] for number in group}) > 1

    def _fingerprints(self) -> Fingerprints:
        return Fingerprints(
            np.frombuffer(self._contents, np.uint64),
            np.frombuffer(self._hashes, np.uint64),
            np.frombuffer(self._thumbnails, np.uint8).reshape(-1, _THUMBNAIL),
        )


_BOTH_LABELS = "{has} copies or near-copies with the other label"
_ACROSS_FILES = "{has} copies in several of these files, where one may be trained on and another tested (zoomin split)"
_EXACT = "{has} copies byte for byte"
_NEAR = "{has} near-copies, saved again, scaled or cut a little"
_KINDS = (_BOTH_LABELS, _ACROSS_FILES, _EXACT, _NEAR)
