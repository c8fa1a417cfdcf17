"""What is asked next, given an image and the replies so far."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qwen_vl_utils import vision_process

from swift_zoomin import prompts
from swift_zoomin.boxes import MIN_CROP_SIDE_PX
from swift_zoomin.episode import MAX_CROPS, Episode, first_boxes
from swift_zoomin.images import ImageRef
from swift_zoomin.replies import Reply, render_reply

IMAGE = ImageRef("/images/a.png", (1000, 700))  # seen as 532 x 364: 19 x 13 = 247 of 256 tokens
NEEDED = ["<explanation>", "<regions>", "<verdict>", "bbox_2d"]


@pytest.fixture(scope="module", autouse=True)
def _at_most_256_image_tokens():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vision_process, "IMAGE_MAX_TOKEN_NUM", 256)
        yield


def reply(*boxes: list[float], verdict: str = "real") -> str:
    """A first reply with these boxes, in model pixels."""
    return render_reply(Reply(verdict, list(boxes), ["part"] * len(boxes), "It melts."))


def grid(count: int) -> list[list[float]]:
    return [[40 * n, 10, 40 * n + 40, 50] for n in range(count)]


def test_query_1_shows_the_whole_image_and_names_the_form() -> None:
    question = Episode(IMAGE).next_question()
    assert question
    assert question.text == prompts.QUERY1
    assert question.images == [IMAGE]
    assert question.text.count("<image>") == 1
    assert all(part in question.text for part in NEEDED)


@pytest.mark.parametrize("count", [0, 1, 3, 6, 7, 12])
def test_query_2_has_as_many_image_tags_as_crops_and_at_most_six(count: int) -> None:
    question = Episode(IMAGE, [reply(*grid(count))]).next_question()
    assert question
    assert len(question.images) == question.text.count("<image>") == min(count, MAX_CROPS, 6)
    assert question.text == prompts.query2(min(count, 6))
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
    assert (right - left, bottom - top) == (MIN_CROP_SIDE_PX, MIN_CROP_SIDE_PX)
    assert left <= 100 * 1000 / 532 < right  # 187.97
    assert top <= 100 * 700 / 364 < bottom  # 192.31


def test_there_is_no_third_question() -> None:
    assert Episode(IMAGE, [reply(), reply()]).next_question() is None
    assert Episode(IMAGE, ["", ""]).next_question() is None


def test_choose_picks_from_the_usable_boxes_in_original_pixels() -> None:
    given_boxes = []

    def last_one(boxes_px: list[list[float]]) -> list[list[float]]:
        given_boxes.extend(boxes_px)
        return boxes_px[-1:]

    first = reply([0, 0, 266, 182], [600, 400, 700, 500], [266, 182, 532, 364])
    question = Episode(IMAGE, [first], choose=last_one).next_question()
    assert question
    assert given_boxes == [pytest.approx([0, 0, 500, 350]), pytest.approx([500, 350, 1000, 700])]
    assert [image.window for image in question.images] == [(500, 350, 1000, 700)]
    assert question.text == prompts.query2(1)


def test_the_regions_named_first_are_looked_at_by_default() -> None:
    assert first_boxes(grid(9)) == grid(6)
    assert first_boxes([]) == []


@given(st.text(), st.sampled_from(["<image>", "<|im_end|>", "<bbox>", "[1, 2, 30, 40]", reply([1, 2, 30, 40])]))
def test_no_text_of_the_model_enters_query_2(text: str, piece: str) -> None:
    question = Episode(IMAGE, [f"{text}{piece}{text}"]).next_question()
    assert question
    assert question.text in [prompts.query2(crops) for crops in range(MAX_CROPS + 1)]
    assert question == Episode(IMAGE, [f"{text}{piece}{text}"]).next_question()  # nothing but the reply decides


@given(st.integers(60, 3000), st.integers(60, 3000))
def test_the_whole_image_named_in_any_numbers_is_the_whole_image(width: int, height: int) -> None:
    episode = Episode(ImageRef("/images/a.png", (width, height)), [reply([-1e308, -7, 1e308, 99999])])
    assert episode.boxes_px == [[0, 0, width, height]]  # not a rounding error beyond the edge


@pytest.mark.parametrize("prompt", [prompts.QUERY1, prompts.GROUND, prompts.EXPLAIN, prompts.VERDICT])
def test_every_first_prompt_has_one_image_and_asks_for_a_verdict(prompt: str) -> None:
    assert prompt.count("<image>") == 1
    assert prompt.startswith("<image>")
    assert "<verdict>real or generated</verdict>" in prompt
