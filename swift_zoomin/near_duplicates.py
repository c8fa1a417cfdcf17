"""Pictures that are copies of each other: byte for byte, or saved again, scaled, made lighter, cut a little.

    prints = fingerprints(paths)
    near_duplicates(prints)         [[0, 7], [3, 12, 40]], indices of the paths

Two pictures are near-duplicates where their perceptual hashes (pHash, 64 bits: the signs of the lowest frequencies)
differ in at most `distance` bits and their thumbnails correlate by at least 0.97. A group holds all that are connected
so, hence the ends of a chain may differ more.

A distance of 8 separates (measured by tests/benchmarks/near_duplicates.py on photographs and parts of them): of copies
it finds, as JPEG of quality 90 or at half the size, all; of JPEG 30, WebP 50, other brightness or contrast, and 1 in
100 cut off on each side, 92% to 98%; with 2.5 in 100 cut off 61%. Of 30,000 pairs of different photographs and parts,
scikit-image's samples among them, it joined none. Drawings made by one program are more alike: of 600 images of the
quick benchmark 61 have a look-alike, of the full one 16. Not found: mirrored or turned copies, larger crops, pictures
pasted into others. Pictures without structure (one colour) have no hash worth comparing: only equal files of them are
copies.

All pairs are compared: 20,000 pictures take a second, 100,000 some 12 s, a million (extrapolated) about 20 minutes
and 300 MB. Decoding them takes longer.
"""

import hashlib
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from swift_zoomin.pictures import ImageError, open_upright
from swift_zoomin.records import list_faults

DISTANCE = 8  # bits of 64
_LEAST_CORRELATION = 0.97
_THUMBNAIL_PX = 16
_FLAT_LEVELS = 2.0  # standard deviation of a thumbnail's grey values, of 255
_BATCH = 1024  # images handed to the threads at once
_ROWS, _COLUMNS = 32, 4096  # of a block of pairs: 1 MB, which stays in a processor's cache

Array = Any  # a numpy array; its docstring says of what
Fingerprint = tuple[int, int, Array]  # a row of Fingerprints


@dataclass(frozen=True)
class Fingerprints:
    """What pictures are compared by, a row each.

    `contents`: (n,) uint64, of the file's bytes. `hashes`: (n,) uint64. `thumbnails`: (n, 256) uint8, grey.
    """

    contents: Array
    hashes: Array
    thumbnails: Array

    def __len__(self) -> int:
        return len(self.contents)


class Groups:
    """Which of `number` things belong together. `first`: (n,), for each thing the least index in its group."""

    def __init__(self, number: int) -> None:
        self.first = np.arange(number)

    def join(self, ones: Array, others: Array) -> None:
        """Put the things of each pair, and so their groups, together. Two arrays of indices, of one length."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        joined, places = np.unique(self.first[np.concatenate([ones, others])], return_inverse=True)
        one, other = np.split(places, 2)
        edges = coo_array((np.ones(len(one), bool), (one, other)), shape=(len(joined), len(joined)))
        _, component = connected_components(edges, directed=False)
        _, leaders = np.unique(component, return_index=True)  # `joined` ascends, so a leader is the least of its group
        leader_of = np.arange(len(self.first))
        leader_of[joined] = joined[leaders[component]]
        self.first = leader_of[self.first]

    def join_equal(self, keys: Sequence[Hashable | None]) -> None:
        """Put things of one key together; None is no key."""
        holders: dict[Hashable, int] = {}
        pairs = [(holders.setdefault(key, index), index) for index, key in enumerate(keys) if key is not None]
        if pairs:
            self.join(*np.array(pairs).T)

    def members(self) -> list[list[int]]:
        """The groups, single things too, in the order of their first members; each ascends."""
        by_first: dict[int, list[int]] = {}
        for index, first in enumerate(self.first.tolist()):
            by_first.setdefault(first, []).append(index)
        return list(by_first.values())


def fingerprints(paths: Sequence[Path | str]) -> Fingerprints:
    """Decode pictures, in threads, and take their fingerprints. Raises ImageError with all that cannot be read."""
    number = len(paths)
    prints = Fingerprints(
        np.zeros(number, np.uint64), np.zeros(number, np.uint64), np.zeros((number, _THUMBNAIL_PX**2), np.uint8)
    )
    faults = []
    with ThreadPoolExecutor() as pool, tqdm(total=number, desc="comparing", disable=number < 1000) as progress:
        for start in range(0, number, _BATCH):
            for index, found in enumerate(pool.map(_fingerprint, paths[start : start + _BATCH]), start):
                progress.update()
                if isinstance(found, ImageError):
                    faults.append(str(found))
                else:
                    prints.contents[index], prints.hashes[index], prints.thumbnails[index] = found
    if faults:
        raise ImageError(list_faults(faults))
    return prints


def _fingerprint(path: Path | str) -> Fingerprint | ImageError:
    try:
        return fingerprint(open_upright(path), path)
    except ImageError as error:
        return error.as_value()


def fingerprint(image: Image.Image, path: Path | str) -> Fingerprint:
    """The row of a decoded picture, and of the file that it stands in. Raises ImageError."""
    from imagehash import phash

    try:
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from error
    grey = image.convert("L")
    thumbnail = grey.resize((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.BOX)
    return int.from_bytes(content[:8]), int(str(phash(grey)), 16), np.asarray(thumbnail).reshape(-1)


def near_duplicates(prints: Fingerprints, distance: int = DISTANCE) -> list[list[int]]:
    """Groups of two or more pictures that are near-duplicates, equal files among them; the largest first."""
    groups = Groups(len(prints))
    join_near_duplicates(groups, prints, distance)
    return _several(groups)


def exact_duplicates(prints: Fingerprints) -> list[list[int]]:
    """Groups of two or more pictures whose files are equal byte for byte; the largest first."""
    groups = Groups(len(prints))
    groups.join_equal(prints.contents.tolist())
    return _several(groups)


def _several(groups: Groups) -> list[list[int]]:
    by_first: dict[int, list[int]] = {}
    sizes = np.bincount(groups.first, minlength=len(groups.first))
    for index in np.flatnonzero(sizes[groups.first] > 1).tolist():
        by_first.setdefault(int(groups.first[index]), []).append(index)
    return sorted(by_first.values(), key=lambda members: -len(members))


def join_near_duplicates(groups: Groups, prints: Fingerprints, distance: int = DISTANCE) -> None:
    """Put near-duplicates together, beside what `groups` holds together already."""
    _, different, which = np.unique(prints.contents, return_index=True, return_inverse=True)
    again = np.flatnonzero(different[which] != np.arange(len(prints)))
    if len(again):
        groups.join(different[which[again]], again)
    compared = different[~_are_flat(prints.thumbnails)[different]]
    compared = compared[np.argsort(prints.hashes[compared], kind="stable")]  # equal hashes side by side: few blocks
    for top in range(0, len(compared), _ROWS):
        rows = compared[top : top + _ROWS]
        for left in range(top, len(compared), _COLUMNS):
            _join_block(groups, prints, rows, compared[left : left + _COLUMNS], distance)


def _join_block(groups: Groups, prints: Fingerprints, rows: Array, columns: Array, distance: int) -> None:
    """Put the near-duplicates among all pairs of a picture of `rows` and one of `columns` together."""
    differences = np.bitwise_count(prints.hashes[rows, None] ^ prints.hashes[None, columns])
    is_close = differences <= distance
    if not is_close.any():
        return
    is_close &= groups.first[rows, None] != groups.first[None, columns]  # a picture and itself, and what is known
    rows_left, columns_left = is_close.any(axis=1), is_close.any(axis=0)
    rows, columns = rows[rows_left], columns[columns_left]
    correlations = _normalised(prints.thumbnails[rows]) @ _normalised(prints.thumbnails[columns]).T
    is_alike = is_close[np.ix_(rows_left, columns_left)] & (correlations >= _LEAST_CORRELATION)
    if is_alike.any():
        ones, others = np.nonzero(is_alike)
        groups.join(rows[ones], columns[others])


def copies_of(prints: Fingerprints, known: Fingerprints, distance: int = DISTANCE) -> Array:
    """Whether each picture is a near-duplicate of one of the known ones, or its file is equal: (n,) bool."""
    is_copy = np.isin(prints.contents, known.contents)
    rows = np.flatnonzero(~is_copy & ~_are_flat(prints.thumbnails))
    columns = np.flatnonzero(~_are_flat(known.thumbnails))
    for top, left in product(range(0, len(rows), _ROWS), range(0, len(columns), _COLUMNS)):
        in_rows, in_columns = rows[top : top + _ROWS], columns[left : left + _COLUMNS]
        differences = np.bitwise_count(prints.hashes[in_rows, None] ^ known.hashes[None, in_columns])
        ones, others = np.nonzero(differences <= distance)
        ones, others = in_rows[ones], in_columns[others]
        products = _normalised(prints.thumbnails[ones]) * _normalised(known.thumbnails[others])
        is_copy[ones[products.sum(axis=1) >= _LEAST_CORRELATION]] = True
    return is_copy


def _are_flat(thumbnails: Array) -> Array:
    """For each of (n, 256) thumbnails whether it shows next to nothing: (n,) bool."""
    are_flat = np.zeros(len(thumbnails), bool)
    for start in range(0, len(thumbnails), _COLUMNS):  # a deviation is computed of floats, eight bytes a pixel
        part = slice(start, start + _COLUMNS)
        are_flat[part] = thumbnails[part].std(axis=1) < _FLAT_LEVELS
    return are_flat


def _normalised(thumbnails: Array) -> Array:
    """Thumbnails, none of them flat, as vectors whose products are their correlations."""
    values = thumbnails.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    return values / np.linalg.norm(values, axis=1, keepdims=True)
