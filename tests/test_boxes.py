"""Boxes: golden tables worked out by hand, then what must hold for every box, image and pixel limit."""

import subprocess
import sys

import pytest
import shapely
from hypothesis import assume, example, given, reject, settings
from hypothesis import strategies as st
from PIL import Image
from qwen_vl_utils import vision_process

from swift_zoomin.boxes import (
    PixelLimits,
    box_area,
    clip_box,
    crop_window,
    iou,
    model_size,
    scale_box,
    to_model,
    to_original,
)
from swift_zoomin.checkpoints import limits_of_tokens
from swift_zoomin.episode import to_original_boxes
from swift_zoomin.families import QWEN2_5_VL, TRAINED, Family, Frame
from swift_zoomin.images import ImageRef
from swift_zoomin.records import Record
from swift_zoomin.replies import parse_reply, render_reply
from swift_zoomin.rows import gold_reply

TINY = 1e-200  # its square is 0.0
Numbers = tuple[float, ...]
Size = tuple[int, int]
Placed = tuple[Size, list[float]]

sizes = st.tuples(*[st.integers(8, 6000)] * 2).filter(lambda size: max(size) <= 100 * min(size))
any_boxes = st.tuples(*[st.floats(-1e5, 1e5) | st.integers(-9000, 9000)] * 4)
full_boxes = st.tuples(*[st.floats(0.1, 99)] * 4).map(lambda n: (n[0], n[1], n[0] + n[2], n[1] + n[3]))
token_limits = st.tuples(*[st.integers(1, 20000)] * 2).map(sorted)


def limits(min_tokens: int, max_tokens: int, family: Family = QWEN2_5_VL) -> PixelLimits:
    return limits_of_tokens(min_tokens, max_tokens, family)


def box_inside(size: Size, shares: list[float], whole: bool) -> Placed:
    """An image size and a box inside it, with ordered corners, sometimes without area."""
    (x1, x2), (y1, y2) = sorted(shares[:2]), sorted(shares[2:])
    box = [x1 * size[0], y1 * size[1], x2 * size[0], y2 * size[1]]
    return size, [round(number) if whole else number for number in box]


images_with_box = st.builds(box_inside, sizes, st.lists(st.floats(0, 1), min_size=4, max_size=4), st.booleans())


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((10, 20, 30, 40), [10, 20, 30, 40]),  # inside
        ((-5, 0, 40, 40), [0, 0, 40, 40]),  # clamped left
        ((60, -1, 101, 70), [60, 0, 100, 70]),  # clamped top and right; 70 is the height
        ((30, 99, 10, 20), [10, 20, 30, 70]),  # swapped corners, then clamped at the bottom
        ((120, 10, 150, 20), [100, 10, 100, 20]),  # outside: no width left
        ((-9, -9, -1, -1), [0, 0, 0, 0]),  # outside at the upper left corner
        ((0.5, 0.25, 99.5, 70.5), [0.5, 0.25, 99.5, 70]),  # fractions inside stay
    ],
)
def test_a_box_is_clipped_to_its_image(box: Numbers, clipped: list[float]) -> None:
    assert clip_box(box, (100, 70)) == clipped


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (20, 20, 30, 30), 0),  # disjoint: -10 x -10 is no overlap (a fault of mllm-defake)
        ((0, 0, 10, 10), (10, 0, 20, 10), 0),  # touching: x2 is exclusive
        ((0, 0, 10, 10), (0, 0, 10, 10), 1),  # identical
        ((0, 0, 10, 10), (5, 0, 15, 10), 50 / 150),  # 5 x 10 shared; 100 + 100 - 50
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7),  # 1 shared; 4 + 4 - 1
        ((0, 0, 0, 10), (0, 0, 10, 10), 0),  # no width
        ((5, 5, 5, 5), (5, 5, 5, 5), 0),  # two points: no 0 / 0
        ((10, 10, 0, 0), (0, 0, 10, 10), 0),  # swapped corners enclose nothing
        ((0, 0, TINY, TINY), (0, 0, TINY, TINY), 0),  # the area is 0 in floating point: no 0 / 0
    ],
)
def test_iou_is_as_worked_out_by_hand(a: Numbers, b: Numbers, expected: float) -> None:
    assert iou(a, b) == iou(b, a) == pytest.approx(expected)


def test_a_box_scales_with_its_image() -> None:
    assert scale_box([10, 20, 30, 40], (100, 200), (50, 400)) == [5, 40, 15, 80]  # x / 2, y * 2
    assert box_area([1, 2, 4, 6]) == 12  # 3 x 4
    assert box_area([4, 2, 1, 6]) == 0  # swapped


@pytest.mark.parametrize(
    ("box_px", "box_model"),
    [
        ([50, 100, 100, 200], [14, 14, 28, 28]),  # x * 0.28, y * 0.14
        ([10, 100, 20, 150], [3, 14, 6, 21]),  # 2.8 -> 3, 5.6 -> 6
        ([-10, -10, 50, 100], [0, 0, 14, 14]),  # clipped first
        ([50, 100, 51, 101], [14, 14, 15, 15]),  # 14 .. 14.28 would be empty: one pixel
        ([20, 0, 21, 200], [5, 0, 6, 28]),  # 5.6 .. 5.88 both round to 6: the pixel they lie in
        ([99.9, 199.9, 100, 200], [27, 27, 28, 28]),  # 27.97 .. 28: the last pixel
        ([300, 300, 400, 400], [27, 27, 28, 28]),  # outside: the nearest pixel
    ],
)
def test_a_box_becomes_whole_model_pixels(box_px: list[float], box_model: list[int]) -> None:
    assert to_model(box_px, (100, 200), (28, 28)) == box_model


@pytest.mark.parametrize(
    ("box_model", "box_px"),
    [
        ([14, 14, 28, 28], [50, 100, 100, 200]),  # x * 100 / 28, y * 200 / 28
        ([28, 28, 14, 14], [50, 100, 100, 200]),  # swapped corners
        ([-7, 0, 7, 99], [0, 0, 25, 200]),  # clipped to 28 x 28
        ([40, 7, 50, 14], [100, 50, 100, 100]),  # outside: no width
    ],
)
def test_a_models_box_comes_back_to_the_original(box_model: list[float], box_px: list[float]) -> None:
    assert to_original(box_model, (100, 200), (28, 28)) == pytest.approx(box_px)


@pytest.mark.parametrize(
    ("box_px", "size", "window"),
    [
        ((50, 50, 60, 60), (100, 100), (41, 41, 69, 69)),  # 18 missing: 9 before, 9 after
        ((0, 0, 10, 10), (100, 100), (0, 0, 28, 28)),  # at the upper left edge, all context on the other side
        ((95, 95, 100, 100), (100, 100), (72, 72, 100, 100)),  # at the lower right edge
        ((10.2, 20.7, 50.1, 80.9), (100, 100), (10, 20, 51, 81)),  # outward to whole pixels
        ((0, 50, 800, 60), (1000, 1000), (0, 5, 800, 105)),  # 800 / 8 = 100 high: 45 more on either side
        ((50, 0, 60, 800), (1000, 1000), (5, 0, 105, 800)),  # the same, upright
        ((0, 0, 1000, 1), (1000, 60), (0, 0, 1000, 60)),  # 125 wanted, 60 there
        ((2, 2, 4, 4), (10, 20), (0, 0, 10, 20)),  # no side has 28 pixels
        ((-50, -50, 700, 500), (640, 480), (0, 0, 640, 480)),  # clipped to the whole image
        ((640, 0, 700, 9), (640, 480), (612, 0, 640, 28)),  # no area inside: the nearest context
    ],
)
def test_a_small_or_thin_box_gets_context(box_px: Numbers, size: Size, window: Numbers) -> None:
    assert crop_window(box_px, size, 28) == window


@pytest.mark.parametrize(
    ("size", "max_tokens", "expected"),
    [
        ((512, 512), 16384, (504, 504)),  # 512 / 28 = 18.3 -> 18 tokens a side
        ((30, 30), 16384, (56, 56)),  # 1 token < 4: enlarged
        ((1120, 1120), 100, (280, 280)),  # 1600 tokens > 100: a quarter of the side
        ((4000, 3000), 16384, (4004, 2996)),  # 142.9 -> 143, 107.1 -> 107; 15301 tokens fit
    ],
)
def test_the_model_size_is_as_worked_out_by_hand(size: Size, max_tokens: int, expected: Numbers) -> None:
    assert model_size(size, limits(4, max_tokens)) == expected


@pytest.mark.parametrize("max_tokens", [16, 334, 1024, 16384])
@pytest.mark.parametrize("size", [(1, 1), (20, 300), (512, 512), (640, 427), (1001, 77), (1600, 1200)])
def test_the_model_size_is_what_qwen_vl_utils_makes(size: Size, max_tokens: int) -> None:
    asked = {"image": Image.new("RGB", size), "min_pixels": 4 * 784, "max_pixels": max_tokens * 784}
    assert model_size(size, limits(4, max_tokens)) == vision_process.fetch_image(asked).size


@pytest.mark.parametrize(
    ("size", "max_tokens"), [((1000, 4), 16384), ((1120, 28), 16), ((100, 6000), 50), ((6711, 36), 334)]
)
def test_an_image_too_thin_for_its_limits_is_refused_not_made_empty(size: Size, max_tokens: int) -> None:
    with pytest.raises(ValueError, match=r"ratio|thin|limit|pixel"):
        model_size(size, limits(4, max_tokens))


@given(full_boxes, full_boxes)
@settings(max_examples=300, deadline=None)
def test_iou_is_that_of_shapelys_polygons(a: Numbers, b: Numbers) -> None:
    first, second = shapely.box(*a), shapely.box(*b)
    exact = shapely.intersection(first, second).area / shapely.union(first, second).area
    assert iou(a, b) == iou(b, a) == pytest.approx(exact, abs=1e-6)


@given(any_boxes, any_boxes)
@settings(deadline=None)
def test_iou_lies_between_0_and_1_and_never_fails(a: Numbers, b: Numbers) -> None:
    assert 0 <= iou(a, b) <= 1


@given(any_boxes, sizes)
@settings(deadline=None)
def test_clipping_twice_is_clipping_once(box: Numbers, size: Size) -> None:
    clipped = clip_box(box, size)
    assert clip_box(clipped, size) == clipped
    assert 0 <= clipped[0] <= clipped[2] <= size[0]
    assert 0 <= clipped[1] <= clipped[3] <= size[1]


@pytest.mark.slow
@pytest.mark.parametrize("family", TRAINED, ids=lambda family: family.name)
@given(image=images_with_box, token_range=token_limits)
@settings(max_examples=700, deadline=None)
def test_there_and_back_moves_no_corner_by_more_than_one_of_the_models_units(
    image: Placed, token_range: list[int], family: Family
) -> None:
    """A model pixel, or a thousandth of the side; aspect ratios up to 100."""
    size, box_px = image
    assume(token_range[1] > max(size) / min(size))  # fewer tokens cannot show the image at all
    try:
        size_model = model_size(size, limits(*token_range, family))
    except ValueError:  # limits so close that no size lies between them
        reject()
    in_frame = (1000, 1000) if family.frame is Frame.NORM1000 else size_model
    assert ImageRef("a.png", size, limits=limits(*token_range, family)).size_in_frame == in_frame
    box_model = to_model(box_px, size, in_frame)
    assert [type(number) for number in box_model] == [int] * 4
    assert 0 <= box_model[0] < box_model[2] <= in_frame[0]
    assert 0 <= box_model[1] < box_model[3] <= in_frame[1]
    for axis, (before, after) in enumerate(zip(box_px, to_original(box_model, size, in_frame), strict=True)):
        assert abs(before - after) <= size[axis % 2] / in_frame[axis % 2] + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("family", TRAINED, ids=lambda family: family.name)
@given(size=sizes, shares=st.lists(st.floats(0, 1), min_size=4, max_size=4))
@settings(max_examples=500, deadline=None)
def test_a_gold_reply_overlaps_by_nine_tenths_where_boxes_are_of_some_size(
    size: Size, shares: list[float], family: Family
) -> None:
    """At least 28 model pixels, or 30 thousandths, a side."""
    image = ImageRef("a.png", size, limits=limits(4, 256, family))
    least = 30 if family.frame is Frame.NORM1000 else 28
    _, box_px = box_inside(size, shares, whole=False)
    sides = [box_px[axis + 2] - box_px[axis] for axis in (0, 1)]
    in_frame = image.size_in_frame
    assume(all(side * to / of >= least for side, to, of in zip(sides, in_frame, size, strict=True)))
    record = Record(name="a.png", image=image, label="real", boxes_px=[box_px], box_labels=[""], explanation="Sharp.")
    [found] = to_original_boxes(parse_reply(render_reply(gold_reply(record))), image)
    assert iou(found, box_px) >= 0.9


@given(images_with_box)
@example(((1000, 1000), [0.5, 50, 800.5, 60]))  # 801 whole pixels wide
@settings(max_examples=1000, deadline=None)
def test_a_crop_shows_all_of_its_box_and_is_never_a_sliver(image: Placed) -> None:
    (width, height), box_px = image
    left, top, right, bottom = crop_window(box_px, (width, height), 28)
    assert 0 <= left <= box_px[0] <= box_px[2] <= right <= width
    assert 0 <= top <= box_px[1] <= box_px[3] <= bottom <= height
    assert right - left >= min(28, width)
    assert bottom - top >= min(28, height)
    assert right - left <= 8 * (bottom - top) or bottom - top == height
    assert bottom - top <= 8 * (right - left) or right - left == width


@given(sizes, st.integers(1, 2000), st.integers(1, 20000))
@settings(max_examples=500, deadline=None)
def test_a_model_size_keeps_the_limits_and_itself(size: Size, min_tokens: int, spare: int) -> None:
    # smart_resize rounds both sides, so that it keeps its limits only where they lie some way apart.
    max_tokens = max(4 * min_tokens, max(size) // min(size) + 2) + spare
    width, height = model_size(size, limits(min_tokens, max_tokens))
    assert width % 28 == height % 28 == 0
    assert min_tokens <= width * height / 784 <= max_tokens  # 28 x 28 pixels a token
    assert model_size((width, height), limits(min_tokens, max_tokens)) == (width, height)


@pytest.mark.slow
@given(st.tuples(*[st.integers(1, 20000)] * 2), st.integers(16, 16384))
@example((6711, 36), 334)
@settings(max_examples=2000, deadline=None)
def test_whatever_size_is_accepted_is_accepted_by_qwen_vl_utils_too(size: Size, max_tokens: int) -> None:
    try:
        width, height = model_size(size, limits(4, max_tokens))
    except ValueError:
        return
    again = vision_process.smart_resize(height, width, 28, 4 * 784, max_tokens * 784)
    assert again == (height, width)


def of_shape(short_px: int, aspect: float, upright: bool) -> Size:
    long_px = round(short_px * aspect)
    return (short_px, long_px) if upright else (long_px, short_px)


@given(
    st.builds(of_shape, st.integers(1, 200), st.floats(1, 200), st.booleans()),
    st.integers(4, 16),
    st.integers(16, 16384),
    st.sampled_from([0, 224 * 224]),
)
@example((6711, 36), 4, 334, 0)
@example((3, 600), 4, 16384, 0)  # an aspect ratio of 200
@example((200, 1), 16, 16, 0)
@settings(max_examples=60, deadline=None)
def test_fetch_image_leaves_every_accepted_image_at_its_size(
    size: Size, min_tokens: int, max_tokens: int, wanted_pixels: int
) -> None:
    """As ms-swift calls it on what the template hands over: whole images, and crops that were enlarged."""
    within = limits(min_tokens, max_tokens)
    try:
        shown = model_size(size, within, wanted_pixels)
    except ValueError:
        return
    sample = {"image": Image.new("RGB", shown), "min_pixels": within.min_pixels, "max_pixels": within.max_pixels}
    assert vision_process.fetch_image(sample).size == shown


@pytest.mark.parametrize(("size", "is_shown"), [((500, 500), True), ((500, 375), False), ((112, 112), True)])
def test_equal_limits_refuse_what_cannot_fill_just_so_many_tokens_and_say_so(size: Size, is_shown: bool) -> None:
    """16 tokens are 4 x 4; there is no 4:3 of just 16."""
    if is_shown:
        assert model_size(size, limits(16, 16)) == (112, 112)
        return
    with pytest.raises(ValueError, match=r"no size of its shape.* 12544-12544 pixels; raise MAX_PIXELS or lower MIN"):
        model_size(size, limits(16, 16))


@given(st.tuples(st.integers(1, 2000), st.integers(1, 2000)), st.integers(10, 2000))
@example((30, 40), 16)
@settings(max_examples=500, deadline=None)
def test_a_crop_is_enlarged_but_never_above_the_upper_limit(size: Size, max_tokens: int) -> None:
    assume(max(size) <= 8 * min(size))
    width, height = model_size(size, limits(4, max_tokens), 224 * 224)
    assert width % 28 == height % 28 == 0
    assert width * height / 784 <= max_tokens
    assert width * height / 784 >= 64 or max_tokens < 256


def test_importing_replies_takes_less_than_a_tenth_of_a_second() -> None:
    """Of the processor's time, which other programs do not lengthen as they do the clock's; the best of five runs."""
    code = "from time import process_time as now; start = now(); import swift_zoomin.replies; print(now() - start)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(5)]
    assert min(float(run.stdout) for run in runs) < 0.1
