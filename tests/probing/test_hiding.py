"""Regions hidden in a picture: nothing of them is left to read, and nothing around them changes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from swift_zoomin.probing.hiding import blurred, random_regions, whole_pixels

SIZE = (400, 300)


def waves(width: int, height: int, period_px: float, is_upright: bool) -> Image.Image:
    """Light that swings from 0 to 255 and back every `period_px`."""
    across = np.arange(width)[None, :] if is_upright else np.arange(height)[:, None]
    light = np.broadcast_to(127.5 + 127.5 * np.sin(2 * math.pi * across / period_px), (height, width))
    return Image.fromarray(light.round().astype(np.uint8)).convert("RGB")


@pytest.mark.parametrize(("width", "height"), [(200, 200), (300, 60), (60, 300), (40, 40)])
@pytest.mark.parametrize("of_longer_side", [1 / 2, 1 / 3, 1 / 10])
@pytest.mark.parametrize("is_upright", [True, False])
def test_what_repeats_within_half_of_the_longer_side_is_not_left(
    width: int, height: int, of_longer_side: float, is_upright: bool
) -> None:
    picture = waves(width, height, max(width, height) * of_longer_side, is_upright)
    light = np.asarray(blurred(picture, [[0, 0, width, height]]).convert("L"), dtype=float)
    # A part of a wave at an edge is brighter or darker than the rest, and stays so: a slope, no wave.
    line = light[height // 2] if is_upright else light[:, width // 2]
    slope = np.polynomial.Polynomial.fit(np.arange(len(line)), line, 3)(np.arange(len(line)))
    assert np.ptp(line - slope) <= 0.02 * 255


def test_nothing_outside_a_region_changes_and_nothing_comes_in() -> None:
    picture = Image.new("RGB", SIZE, "white")
    picture.paste("black", (100, 50, 200, 150))
    assert ImageChops.difference(picture, blurred(picture, [[100, 50, 200, 150]])).getbbox() is None
    noise = Image.effect_noise(SIZE, 80).convert("RGB")
    changed = ImageChops.difference(noise, blurred(noise, [[100.4, 50.6, 199.5, 149.2]])).getbbox()
    assert changed == (100, 50, 200, 150)


def test_the_picture_given_stays_as_it_is() -> None:
    noise = Image.effect_noise(SIZE, 80).convert("RGB")
    before = noise.tobytes()
    blurred(noise, [[0, 0, 100, 100]])
    assert noise.tobytes() == before


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ([10, 20, 30, 40], (10, 20, 30, 40)),
        ([10.1, 20.9, 29.2, 39.9], (10, 20, 30, 40)),  # each pixel that is touched
        ([-5, -5, 20, 20], (0, 0, 20, 20)),  # clipped
        ([10, 10, 10, 10], (10, 10, 11, 11)),  # at least one
        ([400, 300, 400, 300], (399, 299, 400, 300)),  # in the corner too
    ],
)
def test_a_region_is_the_pixels_that_its_box_touches(box: list[float], pixels: tuple[int, ...]) -> None:
    assert whole_pixels(box, SIZE) == pixels


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 380), st.floats(0, 280), st.floats(1, 400), st.floats(1, 300)), max_size=3))
def test_random_regions_have_the_sizes_of_the_marked_and_lie_inside(
    corners: list[tuple[float, float, float, float]],
) -> None:
    boxes = [[x, y, min(400, x + width), min(300, y + height)] for x, y, width, height in corners]
    placed = random_regions(boxes, boxes, SIZE, "a.png")
    for box, (left, top, right, bottom) in zip(boxes, placed, strict=True):
        pixels = whole_pixels(box, SIZE)
        assert (right - left, bottom - top) == (pixels[2] - pixels[0], pixels[3] - pixels[1])
        assert 0 <= left < right <= 400
        assert 0 <= top < bottom <= 300


def test_random_regions_lie_beside_all_that_is_marked_and_beside_each_other() -> None:
    boxes = [[0, 0, 100, 100], [300, 200, 400, 300]]
    for seed in "abcdefghij":
        regions = [*boxes, [150, 0, 250, 300], *random_regions(boxes, [*boxes, [150, 0, 250, 300]], SIZE, seed)]
        drawn = np.zeros((300, 400), dtype=int)
        for left, top, right, bottom in regions:
            drawn[int(top) : int(bottom), int(left) : int(right)] += 1
        assert drawn.max() == 1, seed


def test_the_seed_alone_says_where() -> None:
    boxes = [[0, 0, 100, 100]]
    assert random_regions(boxes, boxes, SIZE, "a.png") == random_regions(boxes, boxes, SIZE, "a.png")
    assert random_regions(boxes, boxes, SIZE, "a.png") != random_regions(boxes, boxes, SIZE, "b.png")


def test_without_room_a_random_region_overlaps_as_little_as_it_can() -> None:
    boxes = [[0, 0, 400, 180]]
    (region,) = random_regions(boxes, boxes, SIZE, "a.png")
    assert region == (0, 120, 400, 300)
    whole = [[0, 0, 400, 300]]
    assert random_regions(whole, whole, SIZE, "a.png") == [(0, 0, 400, 300)]
