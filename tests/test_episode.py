"""What is asked next, given an image and the replies so far, and which regions are looked at again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift_zoomin import prompts
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.episode import (
    CHOOSERS,
    MAX_CROPS,
    ONE_TURN,
    BoxChooser,
    Episode,
    Question,
    first_boxes,
    largest_boxes,
    random_boxes,
)
from swift_zoomin.families import QWEN2_5_VL, Frame
from swift_zoomin.images import ImageRef
from swift_zoomin.replies import Reply, render_reply

LIMITS = PixelLimits(4 * 784, 256 * 784, QWEN2_5_VL)  # 28 x 28 pixels a token
IMAGE = ImageRef("/images/a.png", (1000, 700), limits=LIMITS)  # seen as 532 x 364: 19 x 13 = 247 of 256 tokens
NEEDED = ["<explanation>", "<regions>", "<verdict>", "bbox_2d"]


def reply(*boxes: list[float], verdict: str = "real") -> str:
    """A first reply with these boxes, in model pixels."""
    return render_reply(Reply(verdict, list(boxes), ["part"] * len(boxes), "It melts."))


def grid(count: int) -> list[list[float]]:
    return [[40 * n, 10, 40 * n + 40, 50] for n in range(count)]


def test_query_1_shows_the_whole_image_and_names_the_form() -> None:
    question = Episode(IMAGE).next_question()
    assert question
    assert question.text == prompts.query1(Frame.ABSOLUTE)
    assert question.images == [IMAGE]
    assert question.text.count("<image>") == 1
    assert all(part in question.text for part in NEEDED)


@pytest.mark.parametrize("count", [0, 1, MAX_CROPS // 2, MAX_CROPS, MAX_CROPS + 1, 2 * MAX_CROPS])
def test_query_2_has_as_many_image_tags_as_crops_and_at_most_max_crops(count: int) -> None:
    question = Episode(IMAGE, [reply(*grid(count))]).next_question()
    assert question
    assert len(question.images) == question.text.count("<image>") == min(count, MAX_CROPS)
    assert question.text == prompts.query2(min(count, MAX_CROPS))
    assert "<explanation>" in question.text
    assert "<verdict>" in question.text
    assert "<regions>" not in question.text


def test_crops_show_the_boxes_in_order_in_pixels_of_the_original() -> None:
    # 1000 / 532 across and 700 / 364 down: [53.2, 36.4, 266, 182] is [100, 70, 500, 350]
    episode = Episode(IMAGE, [reply([266, 182, 532, 364], [53.2, 36.4, 266, 182])])
    question = episode.next_question()
    assert question
    assert [image.window for image in question.images] == [(500, 350, 1000, 700), (100, 70, 500, 350)]
    assert {image.path for image in question.images} == {IMAGE.path}
    assert episode.boxes_px[1] == pytest.approx([100, 70, 500, 350])


@pytest.mark.parametrize(
    "first",
    [
        reply(),
        "",
        "It is clearly generated.",
        reply([600, 400, 700, 500]),  # outside
        reply([10, 10, 10, 90]),  # no width
        '<regions>[{"bbox_2d": [NaN, 0, 1, 1]}]</regions>',
    ],
)
def test_without_a_usable_region_query_2_is_still_asked(first: str) -> None:
    question = Episode(IMAGE, [first]).next_question()
    assert question
    assert question.images == []
    assert question.text == prompts.query2(0)
    assert "<image>" not in question.text


def test_a_box_outside_the_image_is_kept_without_area_and_not_cut() -> None:
    episode = Episode(IMAGE, [reply([600, 400, 700, 500], [0, 0, 266, 182], [-9, -9, -1, -1])])
    question = episode.next_question()
    assert question
    assert [image.window for image in question.images] == [(0, 0, 500, 350)]
    assert episode.boxes_px == [[1000, 700, 1000, 700], pytest.approx([0, 0, 500, 350]), [0, 0, 0, 0]]


def test_a_box_that_lies_partly_outside_is_clipped() -> None:
    assert Episode(IMAGE, [reply([-50, -50, 266, 9999])]).boxes_px == [pytest.approx([0, 0, 500, 700])]


def test_a_small_box_is_shown_with_its_surroundings_and_not_refused() -> None:
    question = Episode(IMAGE, [reply([100, 100, 101, 101])]).next_question()
    assert question
    left, top, right, bottom = question.images[0].window or (0, 0, 0, 0)
    assert (right - left, bottom - top) == (28, 28)
    assert left <= 100 * 1000 / 532 < right  # 187.97
    assert top <= 100 * 700 / 364 < bottom  # 192.31


def test_there_is_no_third_question() -> None:
    assert Episode(IMAGE, [reply(), reply()]).next_question() is None
    assert Episode(IMAGE, ["", ""]).next_question() is None


def test_choose_picks_from_the_usable_boxes_in_original_pixels() -> None:
    given_boxes, given_images = [], []

    def last_one(boxes_px: list[list[float]], image: ImageRef) -> list[list[float]]:
        given_boxes.extend(boxes_px)
        given_images.append(image)
        return boxes_px[-1:]

    first = reply([0, 0, 266, 182], [600, 400, 700, 500], [266, 182, 532, 364])
    question = Episode(IMAGE, [first], choose=last_one).next_question()
    assert question
    assert given_boxes == [pytest.approx([0, 0, 500, 350]), pytest.approx([500, 350, 1000, 700])]
    assert given_images == [IMAGE]
    assert [image.window for image in question.images] == [(500, 350, 1000, 700)]
    assert question.text == prompts.query2(1)


def test_the_regions_named_first_are_looked_at_by_default() -> None:
    assert first_boxes(grid(9), IMAGE) == grid(6)
    assert first_boxes([], IMAGE) == []
    question = Episode(IMAGE, [reply(*grid(9))]).next_question()
    assert question == Episode(IMAGE, [reply(*grid(9))], choose=CHOOSERS["first"]).next_question()


def areas(*sides: int) -> list[list[float]]:
    """Squares of these sides in pixels, side by side; each is told from the others by where it starts."""
    return [[100 * index, 0, 100 * index + side, side] for index, side in enumerate(sides)]


@pytest.mark.parametrize(
    ("sides", "count", "kept"),
    [
        ((20, 10, 40, 30), 2, (2, 3)),
        ((30, 10, 40, 20), 3, (0, 2, 3)),  # as they were named, not by size
        ((10, 20, 20, 20), 2, (1, 2)),  # the first named of equals
        ((20, 30, 20), 1, (1,)),
        ((20, 10), 4, (0, 1)),
        ((), 3, ()),
        ((1, 2, 3, 4, 5, 6, 7, 8), 8, (2, 3, 4, 5, 6, 7)),  # MAX_CROPS
    ],
)
def test_the_largest_regions_keep_the_order_in_which_they_were_named(
    sides: tuple[int, ...], count: int, kept: tuple[int, ...]
) -> None:
    boxes_px = areas(*sides)
    assert largest_boxes(count)(boxes_px, IMAGE) == [boxes_px[index] for index in kept]
    assert boxes_px == areas(*sides)


def test_a_wide_flat_region_is_not_larger_than_a_square_of_more_pixels() -> None:
    flat, square = [0, 0, 90, 10], [0, 50, 40, 90]  # 900 and 1,600 pixels
    assert largest_boxes(1)([flat, square], IMAGE) == [square]


SIZES = st.tuples(st.integers(1, 4000), st.integers(1, 4000))
CORNERS = st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=9)


def inside(size: tuple[int, int], corners: list[tuple[float, ...]]) -> list[list[float]]:
    """Boxes with an area in an image of this size, from corners as shares of it."""
    (width, height), ends = size, [(sorted((a, c)), sorted((b, d))) for a, b, c, d in corners]
    boxes_px = [[x1 * width, y1 * height, x2 * width, y2 * height] for (x1, x2), (y1, y2) in ends]
    return [box for box in boxes_px if box[0] < box[2] and box[1] < box[3]]


@given(SIZES, CORNERS)
def test_random_regions_have_the_same_sizes_and_lie_inside_the_image(size: tuple[int, int], corners: list) -> None:
    image, boxes_px = ImageRef("/images/a.png", size, limits=LIMITS), inside(size, corners)
    moved = random_boxes(boxes_px, image)
    assert len(moved) == min(len(boxes_px), MAX_CROPS)
    for box, was in zip(moved, boxes_px, strict=False):
        assert (box[2] - box[0], box[3] - box[1]) == pytest.approx((was[2] - was[0], was[3] - was[1]), abs=1e-9)
        assert min(box) >= 0
        assert box[2] <= size[0] + 1e-9  # one rounding error
        assert box[3] <= size[1] + 1e-9
        left, top, right, bottom = image.crop(box).window or (0, 0, 0, 0)
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
    assert random_boxes(boxes_px, image) == moved


def test_random_regions_lie_anywhere_whatever_the_model_marked() -> None:
    images = [ImageRef(f"/images/{n}.png", (1000, 700)) for n in range(400)]
    lefts, tops = zip(*(random_boxes([[0, 0, 200, 100]], image)[0][:2] for image in images), strict=True)
    assert max(lefts) > 780  # of 800: 0.975 ** 400 = 4e-5 is the chance of none above it
    assert min(lefts) < 20
    assert max(tops) > 585  # of 600
    assert min(tops) < 15
    assert sum(lefts) / 400 == pytest.approx(400, abs=35)  # 3 * 800 / sqrt(12 * 400)
    assert sum(tops) / 400 == pytest.approx(300, abs=26)


def test_random_regions_depend_on_the_file_name_alone() -> None:
    def regions(path: str, boxes_px: list[list[float]] | None = None) -> list[list[float]]:
        return random_boxes(boxes_px or grid(4), ImageRef(path, (1000, 700)))

    first = regions("/images/a.png")
    assert first == regions("/images/a.png") == regions("/elsewhere/b/a.png") == regions("a.png")
    assert regions("/images/b.png") != first
    assert regions("/images/a.png", [[500, 300, 540, 340]])[0] == pytest.approx(first[0])  # 40 x 40 as well
    assert len({(box[0], box[1]) for box in first}) == 4  # each its own place
    assert all(box not in grid(4) for box in first)


@pytest.mark.parametrize(("name", "seen"), [("first", 6), ("largest-3", 3), ("largest-4", 4), ("random", 6)])
def test_a_chooser_decides_what_is_cut_and_not_what_was_marked(name: str, seen: int) -> None:
    marked = [[40 * n, 10, 40 * n + 30 + n, 40 + n] for n in range(9)]  # each larger than the one before
    episode = Episode(IMAGE, [reply(*marked)], choose=CHOOSERS[name])
    question = episode.next_question()
    assert question
    assert question.text == prompts.query2(seen)
    assert len(question.images) == seen
    assert len(episode.boxes_px) == 9
    default = Episode(IMAGE, [reply(*marked)]).next_question()
    assert default
    lasts = Episode(IMAGE, [reply(*marked[-seen:])]).next_question()
    assert lasts
    assert (question == default) == (name == "first")
    assert (question == lasts) == name.startswith("largest")


@pytest.mark.parametrize("choose", CHOOSERS.values(), ids=CHOOSERS)
def test_no_chooser_needs_a_region(choose: BoxChooser) -> None:
    assert choose([], IMAGE) == []
    question = Episode(IMAGE, [reply([600, 400, 700, 500])], choose=choose).next_question()  # outside
    assert question
    assert question.text == prompts.query2(0)


ASKED = {"explain": prompts.EXPLAIN, "ground": prompts.ground(Frame.ABSOLUTE), "verdict": prompts.VERDICT}


@pytest.mark.parametrize("name", ONE_TURN)
def test_a_one_turn_variant_asks_its_own_question_for_its_own_parts(name: str) -> None:
    question = Episode(IMAGE, one_turn=name).next_question()
    assert question
    assert question.text == ASKED[name]
    assert question.images == [IMAGE]
    assert ONE_TURN[name] == tuple(
        part for part in ("explanation", "regions", "verdict") if f"<{part}>" in question.text
    )


def test_the_one_turn_variants_are_those_of_the_paper() -> None:
    assert list(ONE_TURN) == list(ASKED)


@given(
    st.sampled_from(list(ONE_TURN)),
    st.text() | st.sampled_from([reply(), reply([1, 2, 30, 40]), "<verdict>real</verdict>"]),
)
def test_a_one_turn_variant_asks_nothing_more_whatever_the_reply(name: str, first: str) -> None:
    assert Episode(IMAGE, [first], one_turn=name).next_question() is None
    assert Episode(IMAGE, [first, first], one_turn=name).next_question() is None


def test_a_crop_that_is_too_thin_for_the_model_is_left_out() -> None:
    # 3 x 350 is shown as 28 x 336, but its window of 3 x 265 would be less than half a token wide at the limit.
    image = ImageRef("/images/thin.png", (3, 350), limits=PixelLimits(4 * 784, 16 * 784, QWEN2_5_VL))
    height = image.size_model[1]
    question = Episode(image, [reply([0, 77 * height / 350, 28, 342 * height / 350])]).next_question()
    assert question == Question(prompts.query2(0), [])


@given(st.text(), st.sampled_from(["<image>", "<|im_end|>", "<bbox>", "[1, 2, 30, 40]", reply([1, 2, 30, 40])]))
def test_no_text_of_the_model_enters_query_2(text: str, piece: str) -> None:
    question = Episode(IMAGE, [f"{text}{piece}{text}"]).next_question()
    assert question
    assert question.text in [prompts.query2(crops) for crops in range(MAX_CROPS + 1)]
    assert question == Episode(IMAGE, [f"{text}{piece}{text}"]).next_question()  # nothing but the reply decides


@given(st.integers(60, 3000), st.integers(60, 3000))
def test_the_whole_image_named_in_any_numbers_is_the_whole_image(width: int, height: int) -> None:
    episode = Episode(ImageRef("/images/a.png", (width, height), limits=LIMITS), [reply([-1e308, -7, 1e308, 99999])])
    assert episode.boxes_px == [[0, 0, width, height]]  # not a rounding error beyond the edge


@pytest.mark.parametrize(
    "prompt", [prompts.query1(Frame.ABSOLUTE), prompts.ground(Frame.ABSOLUTE), prompts.EXPLAIN, prompts.VERDICT]
)
def test_every_first_prompt_has_one_image_and_asks_for_a_verdict(prompt: str) -> None:
    assert prompt.count("<image>") == 1
    assert prompt.startswith("<image>")
    assert "<verdict>real or generated</verdict>" in prompt
