"""Squares keep the boxes that they show, pixel for pixel."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from swift_zoomin.convert.square import square

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.mark.parametrize(
    ("size", "boxes_px", "expected"),
    [
        ((200, 100), [[120, 10, 140, 20]], [[70, 10, 90, 20]]),  # centre: x from 50 to 150
        ((200, 100), [[0, 10, 20, 30]], [[0, 10, 20, 30]]),  # moved all the way left
        ((200, 100), [[30, 10, 60, 30]], [[0, 10, 30, 30]]),  # moved left by 20, no more
        ((200, 100), [[180, 0, 199.5, 10]], [[80, 0, 99.5, 10]]),  # moved right, to whole pixels
        ((200, 100), [[10, 0, 170, 10]], [[0, 0, 100, 10]]),  # 160 wide: its middle, x from 40 to 140
        ((200, 100), [[0, 0, 20, 9], [190, 0, 200, 9]], [[0, 0, 20, 9], [100, 0, 100, 9]]),  # one of both; no width
        (
            (200, 100),
            [[0, 0, 9, 9], [160, 0, 170, 9], [190, 0, 200, 9]],
            [[0, 0, 0, 9], [60, 0, 70, 9], [90, 0, 100, 9]],
        ),
        ((200, 100), [[0, 0, 80, 9], [70, 0, 160, 9]], [[0, 0, 80, 9], [70, 0, 100, 9]]),  # 1 + 1/3; x from 60: 1/4 + 1
        ((100, 300), [[10, 210, 20, 290]], [[10, 20, 20, 100]]),  # upright: y from 190 to 290
        ((300, 200), [[60, 10, 100, 30]], [[5, 5, 25, 15]]),  # x from 50 to 250, then half the size
    ],
)
def test_a_square_moves_to_keep_its_boxes(size: tuple[int, int], boxes_px: list[Any], expected: list[Any]) -> None:
    image, kept = square(Image.new("RGB", size), boxes_px, 100)
    assert image.size == (100, 100)
    assert kept == [pytest.approx(box) for box in expected]


@given(*[st.integers(40, 300)] * 2, *[st.floats(0, 1)] * 4)
@settings(max_examples=100, deadline=None)
def test_a_squares_boxes_show_what_they_showed(width: int, height: int, x: float, y: float, w: float, h: float) -> None:
    side = min(width, height)
    across, down = int(10 + w * (side - 10)), int(10 + h * (side - 10))  # fits into the square
    left, top = int(x * (width - across)), int(y * (height - down))
    original = Image.new("RGB", (width, height), BLUE)
    original.paste(RED, (left, top, left + across, top + down))
    image, [box] = square(original, [[left, top, left + across, top + down]], 256)
    across_now, down_now = box[2] - box[0], box[3] - box[1]
    assert across_now / down_now == pytest.approx(across / down)
    painted = Image.new("RGB", image.size, BLUE)
    painted.paste(RED, tuple(map(round, box)))
    differing = ImageChops.difference(image, painted).convert("L").point(lambda value: 255 * (value > 60))
    assert differing.histogram()[255] <= 3 * (across_now + down_now)  # no more than its edges, 1.5 pixels wide
