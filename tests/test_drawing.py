"""Texts that fit, and numbers that stand beside their boxes and not on one another."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor, ImageFont

from swift_zoomin.drawing import (
    BOX_COLOURS,
    NUMBER_PX,
    Line,
    Panel,
    draw_page,
    fitted,
    mark_boxes,
    plain_line,
    wrapped,
)

FONT = ImageFont.load_default(20)


@given(st.text(alphabet="ab cdé屋 \n", max_size=200), st.integers(30, 300))
@settings(max_examples=50, deadline=None)
def test_lines_fit_and_no_character_is_lost(text: str, width: int) -> None:
    lines = list(wrapped(text, FONT, width))
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(FONT.getlength(line) <= width for line in lines)


def test_a_line_is_broken_between_words_and_a_long_word_within_itself() -> None:
    assert list(wrapped("one two", FONT, round(FONT.getlength("one tw")))) == ["one", "two"]
    first, *_ = wrapped("mmmmmmmm", FONT, round(FONT.getlength("mmm")) + 1)
    assert first == "mmm"


def test_plain_lines_hold_what_can_be_drawn() -> None:
    assert plain_line("a\n\tb — c\u202ed\xa0e") == "a b - cd e"


def contrast_with_white(colour: str) -> float:
    """As WCAG 2 has it."""
    channels = np.array(ImageColor.getrgb(colour)) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return 1.05 / (float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)


@pytest.mark.parametrize("colour", BOX_COLOURS)
def test_a_white_number_is_read_on_each_colour(colour: str) -> None:
    assert contrast_with_white(colour) >= 4.5


SIDES = st.tuples(st.integers(0, 380), st.integers(0, 280), st.integers(1, 400), st.integers(1, 300))


@given(st.lists(SIDES, min_size=1, max_size=4))
@example([(0, 272, 1, 1), (0, 271, 1, 1)])  # in a corner, one over the other
@settings(max_examples=30, deadline=None)
def test_every_box_shows_its_number_inside_the_picture(places: list[tuple[int, int, int, int]]) -> None:
    """Up to four, for which there is always room: each number's square is seen whole, but for the digits on it."""
    boxes = [(x, y, min(400, x + width), min(300, y + height)) for x, y, width, height in places]
    picture = Image.new("RGB", (400, 300))
    mark_boxes(picture, boxes, BOX_COLOURS)
    pixels = np.asarray(picture)
    for colour in BOX_COLOURS[: len(boxes)]:
        rows = (pixels == ImageColor.getrgb(colour)).all(-1)
        solid = np.lib.stride_tricks.sliding_window_view(rows, (2, NUMBER_PX)).all((-1, -2))
        assert solid.any()  # the upper edge of the square, two pixels thick or more


def test_numbers_of_equal_boxes_stand_apart() -> None:
    picture = Image.new("RGB", (400, 300))
    mark_boxes(picture, [[100, 100, 200, 200]] * 3, BOX_COLOURS)
    pixels = np.asarray(picture)
    counts = [int((pixels == ImageColor.getrgb(colour)).all(-1).sum()) for colour in BOX_COLOURS[:3]]
    assert min(counts) > NUMBER_PX * NUMBER_PX * 0.7


def test_pictures_are_fitted_into_a_square_whatever_their_shape() -> None:
    assert fitted(Image.new("RGB", (1000, 500)), 400).size == (400, 200)
    assert fitted(Image.new("RGB", (1, 2000)), 400).size == (1, 400)
    assert fitted(Image.new("RGB", (10, 5)), 400).size == (400, 200)


def test_a_long_text_ends_in_dots_where_its_lines_are_counted() -> None:
    picture = Image.new("RGB", (10, 10))
    heights = []
    for most_lines in (1, 2, None):
        line = Line("word " * 100, most_lines=most_lines)
        heights.append(draw_page([Panel("t", picture, [line])], 1).height)
    one, two, all_lines = heights
    assert two - one == 26  # 20 pixels of text and 6 between lines
    assert all_lines > two + 5 * 26
