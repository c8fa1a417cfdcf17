"""Copies of pictures are found, different pictures are not taken for copies, and groups hold what is connected."""

import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from sklearn.datasets import load_sample_images

from swift_zoomin.images import ImageError
from swift_zoomin.near_duplicates import (
    Fingerprints,
    Groups,
    exact_duplicates,
    fingerprints,
    near_duplicates,
)
from swift_zoomin.records import _SHOWN_FAULTS

PHOTOS = [Image.fromarray(pixels) for pixels in load_sample_images().images]


def saved(image: Image.Image, kind: str, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    return Image.open(file).convert("RGB")


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)))


def cut(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    left, top = width * share, height * share
    return image.crop((round(left), round(top), round(width - left), round(height - top)))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg 90": lambda image: saved(image, "JPEG", 90),
    "jpeg 30": lambda image: saved(image, "JPEG", 30),
    "webp 50": lambda image: saved(image, "WEBP", 50),
    "half the size, jpeg 50": lambda image: saved(scaled(image, 0.5), "JPEG", 50),
    "twice the size": lambda image: scaled(image, 2),
    "a square": lambda image: image.resize((512, 512)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "lighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "cut by 1 in 100 on each side": lambda image: cut(image, 0.01),
}
NO_COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "a mirror image": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned": lambda image: image.rotate(90, expand=True),
    "the middle": lambda image: cut(image, 0.25),
}


def save_all(folder: Path, images: list[Image.Image]) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        image.save(path, compress_level=1)
    return paths


@pytest.mark.parametrize("photo", PHOTOS, ids=["china", "flower"])
def test_copies_of_a_photograph_are_found(tmp_path: Path, photo: Image.Image) -> None:
    copies = [photo, *(copy(photo) for copy in COPIES.values())]
    groups = near_duplicates(fingerprints(save_all(tmp_path, copies)))
    assert groups == [list(range(len(copies)))]


def test_what_is_not_found_is_what_the_module_says(tmp_path: Path) -> None:
    images = [PHOTOS[0], *(change(PHOTOS[0]) for change in NO_COPIES.values())]
    assert near_duplicates(fingerprints(save_all(tmp_path, images))) == []


def test_parts_of_photographs_are_different_pictures(tmp_path: Path) -> None:
    parts = [
        photo.crop((column * 160, row * 142, column * 160 + 160, row * 142 + 142))
        for photo in PHOTOS
        for column in range(4)
        for row in range(3)
    ]
    assert near_duplicates(fingerprints(save_all(tmp_path, parts))) == []


def test_a_turned_file_is_compared_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    PHOTOS[0].save(tmp_path / "0.png")
    PHOTOS[0].transpose(Image.Transpose.ROTATE_90).save(tmp_path / "1.png", exif=exif)
    assert near_duplicates(fingerprints([tmp_path / "0.png", tmp_path / "1.png"])) == [[0, 1]]


def test_pictures_of_one_colour_are_copies_only_as_equal_files(tmp_path: Path) -> None:
    paths = save_all(tmp_path, [Image.new("RGB", (64, 64), (grey, grey, grey)) for grey in (0, 1, 100, 255, 255)])
    prints = fingerprints(paths)
    assert near_duplicates(prints, 16) == exact_duplicates(prints) == [[3, 4]]


def test_equal_files_are_told_from_equal_pictures(tmp_path: Path) -> None:
    PHOTOS[0].save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    PHOTOS[0].save(tmp_path / "c.bmp")
    prints = fingerprints([tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.bmp"])
    assert exact_duplicates(prints) == [[0, 1]]
    assert near_duplicates(prints, 0) == [[0, 1, 2]]


def test_pictures_that_cannot_be_read_are_all_named_in_a_bounded_list(tmp_path: Path) -> None:
    paths = save_all(tmp_path, [Image.new("RGB", (8, 8))] * 2)
    broken = [tmp_path / f"broken{number}.png" for number in range(_SHOWN_FAULTS + 3)]
    for path in broken[:-1]:
        path.write_text("no image")
    with pytest.raises(ImageError) as caught:
        fingerprints([paths[0], *broken, paths[1]])
    lines = str(caught.value).splitlines()
    assert len(lines) == _SHOWN_FAULTS + 1
    assert str(broken[0]) in lines[0]
    assert lines[-1] == "... and 3 more"


def made_prints(hashes: list[int], thumbnails: list[int] | None = None) -> Fingerprints:
    """Fingerprints of different files. Thumbnails are drawn from their numbers; by default all are one."""
    drawn = [np.random.default_rng(seed).integers(0, 256, 256) for seed in thumbnails or [0] * len(hashes)]
    contents = np.arange(1, len(hashes) + 1, dtype=np.uint64)
    return Fingerprints(contents, np.array(hashes, np.uint64), np.array(drawn, np.uint8))


@pytest.mark.parametrize(("distance", "groups"), [(0, []), (1, [[0, 1]]), (2, [[0, 1, 2]]), (3, [[0, 1, 2, 3]])])
def test_a_chain_of_neighbours_is_one_group(distance: int, groups: list[list[int]]) -> None:
    prints = made_prints([0b0, 0b1, 0b111, 0b111111])  # 1, 2 and 3 bits from one to the next
    assert near_duplicates(prints, distance) == groups


def test_equal_hashes_of_pictures_that_look_different_are_no_copies() -> None:
    assert near_duplicates(made_prints([7, 7, 7], [1, 2, 1])) == [[0, 2]]


def one_by_one(prints: Fingerprints, distance: int) -> list[list[int]]:
    """The same groups by the definition: pair by pair, each member visited from its neighbours."""
    number = len(prints)
    correlations = np.corrcoef(prints.thumbnails.astype(float)) if number > 1 else np.ones((1, 1))
    hashes = [int(value) for value in prints.hashes]
    near = {
        one: [
            other
            for other in range(number)
            if (hashes[one] ^ hashes[other]).bit_count() <= distance and correlations[one][other] >= 0.97
        ]
        for one in range(number)
    }
    groups, seen = [], set()
    for start in range(number):
        todo, group = [start], set()
        while todo:
            one = todo.pop()
            if one not in group:
                group.add(one)
                todo += near[one]
        if start not in seen and len(group) > 1:
            groups.append(sorted(group))
        seen |= group
    return sorted(groups, key=lambda group: -len(group))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2**10 - 1), st.integers(0, 1)), min_size=1, max_size=40), st.integers(0, 3))
def test_groups_are_those_of_the_definition(pictures: list[tuple[int, int]], distance: int) -> None:
    prints = made_prints([value for value, _ in pictures], [seed for _, seed in pictures])
    assert near_duplicates(prints, distance) == one_by_one(prints, distance)


def test_pairs_are_found_across_all_blocks() -> None:
    rng = random.Random(0)
    hashes = [rng.getrandbits(64) for _ in range(9000)]  # more than two columns of blocks
    planted = [(rng.randrange(0, 9000, 2), 2 * number + 1) for number in range(0, 4500, 90)]
    for original, copy in planted:
        hashes[copy] = hashes[original] ^ (1 << rng.randrange(64))
    groups = near_duplicates(made_prints(hashes))
    expected: dict[int, set[int]] = {}
    for original, copy in planted:
        expected.setdefault(original, {original}).add(copy)
    assert sorted(groups) == sorted(sorted(group) for group in expected.values())


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12), st.integers(1, 5))
def test_joining_is_transitive_whatever_the_order_and_the_portions(pairs: list[tuple[int, int]], portion: int) -> None:
    groups, sets = Groups(10), [{index} for index in range(10)]
    for start in range(0, len(pairs), portion):
        ones, others = np.array(pairs[start : start + portion]).T
        groups.join(ones, others)
    for one, other in pairs:
        united = sets[one] | sets[other]
        for index in united:
            sets[index] = united
    assert groups.first.tolist() == [min(group) for group in sets]
    assert groups.members() == sorted({frozenset(group): sorted(group) for group in sets}.values())


def test_equal_keys_are_together_and_none_is_no_key() -> None:
    groups = Groups(6)
    groups.join_equal(["a", None, "b", None, "a", 1])
    groups.join_equal([None, None, "x", "x", None, None])
    assert groups.members() == [[0, 4], [1], [2, 3], [5]]


def test_nothing_is_no_group() -> None:
    assert near_duplicates(fingerprints([])) == exact_duplicates(fingerprints([])) == []
