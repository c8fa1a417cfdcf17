"""What holds for any answer, and for an object wherever it is planted."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from made_images import TURNS
from PIL import Image, ImageDraw
from scripted_dialogue import EXPLANATION, boxes_json, decisions_json, grounded

from swift_zoomin.annotation.dialogue import Annotation, Answer, Seen, annotate
from swift_zoomin.boxes import Size, to_model
from swift_zoomin.control_tokens import CONTROL_TOKEN
from swift_zoomin.families import Frame
from swift_zoomin.pictures import open_upright
from swift_zoomin.records import json_line, read_records
from swift_zoomin.replies import GENERATED, VERDICTS

SIZE = (64, 48)
BOXES = boxes_json([1, 2, 30, 40], [3, 4, 5, 6], [3, 4, 5, 6])
PIECES = [
    *(EXPLANATION, BOXES, BOXES[:30], BOXES[30:], decisions_json("keep", "object"), "[]", "{", "}", "[", "]", '"', ","),
    *('"bbox_2d": ', '"label": ', "NaN", "-1e308", "1e308", "0", "64", "48", "\\ud800", "\ud800", "\x00", "\u202e"),
    *("<verdict>real</verdict>", "</explanation>", "<|im_end|>", "<image>", "<think>", "</think>", "```", "# ", "**"),
]
ANY_TEXT = st.text(st.characters(exclude_categories=()))
SOME_BOX = st.lists(st.one_of(st.integers(-9, 1009), st.floats()), min_size=4, max_size=4)
SOME_BOXES = st.lists(SOME_BOX, min_size=1, max_size=5).flatmap(
    lambda boxes: st.lists(ANY_TEXT, min_size=len(boxes), max_size=len(boxes)).map(
        lambda labels: boxes_json(*boxes, labels=labels)
    )
)
TEXTS = st.one_of(
    ANY_TEXT,
    ANY_TEXT.map(lambda text: f"{EXPLANATION} {text}"),
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    st.sampled_from([EXPLANATION, BOXES, decisions_json(*["keep"] * 5), decisions_json("object", *["keep"] * 4)]),
    SOME_BOXES,
)
FINISH_REASONS = ["stop", "stop", "stop", None, "", "other", "length", "content_filter"]
ANSWERS = st.builds(Answer, TEXTS, st.sampled_from(FINISH_REASONS))
# Anything at all, or something a little like what is asked for, so that records come about too.
SIX_ANSWERS = st.one_of(
    st.lists(ANSWERS, min_size=6, max_size=6),
    st.tuples(SOME_BOXES, SOME_BOXES).map(
        lambda boxes: [
            *(Answer(EXPLANATION), Answer(boxes[0]), Answer(boxes[1]), Answer(decisions_json(*["keep"] * 5))),
            *(Answer(decisions_json("redundant", *["keep"] * 4)), Answer("")),
        ]
    ),
)
SEEN = st.builds(
    Seen,
    label=st.sampled_from(VERDICTS),
    size=st.just(SIZE),
    size_sent=st.sampled_from([(64, 48), (28, 56), (1000, 700)]),
    ground_frame=st.sampled_from(Frame),
    has_filter=st.booleans(),
    filter_frame=st.sampled_from([None, *Frame]),
)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "a.png"
    Image.new("RGB", SIZE).save(path)
    return path


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=SEEN, answers=SIX_ANSWERS)
@example(  # each step once, so that a record with boxes and dropped ones is among them
    Seen(GENERATED, SIZE, SIZE, Frame.ABSOLUTE),
    [Answer(EXPLANATION), Answer(BOXES), Answer(decisions_json("keep", "object")), *[Answer("")] * 3],
)
def test_any_answers_end_in_a_record_that_can_be_read_or_in_a_rejection(
    picture: Path, seen: Seen, answers: list[Answer]
) -> None:
    annotation, prompts = run(seen, answers)
    for prompt in prompts:
        prompt.encode()
        assert not CONTROL_TOKEN.search(prompt)
    json_line({"dropped": [list(dropped.box_px) for dropped in annotation.dropped]}).encode()
    for dropped in annotation.dropped:
        json.dumps(list(dropped.box_px), allow_nan=False)
        f"{dropped.label}{dropped.reason}".encode()
    if annotation.rejected is not None:
        assert annotation.boxes_px == []
        assert annotation.rejected.encode()
        return
    row = {
        "image": picture.name,
        "label": seen.label,
        "explanation": annotation.explanation,
        "boxes": annotation.boxes_px,
        "box_labels": annotation.box_labels,
    }
    file = picture.parent / "records.jsonl"
    file.write_text(json_line(row))
    (record,) = read_records(file, decode=False)
    assert record.boxes_px == annotation.boxes_px
    assert record.explanation


def run(seen: Seen, answers: list[Answer]) -> tuple[Annotation, list[str]]:
    """What becomes of the image, and the questions that were asked: never more than two a step."""
    dialogue = annotate(seen)
    prompts = [next(dialogue).prompt]
    for answer in answers:
        try:
            prompts.append(dialogue.send(answer).prompt)
        except StopIteration as ended:
            return ended.value, prompts
    raise AssertionError("more than two questions a step")


@given(seen=SEEN, answers=SIX_ANSWERS)
@settings(max_examples=20, deadline=None)
def test_the_same_answers_give_the_same_questions_and_the_same_end(seen: Seen, answers: list[Answer]) -> None:
    assert run(seen, answers) == run(seen, answers)


SIDES = st.integers(28, 4000)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), size=st.tuples(SIDES, SIDES), frame=st.sampled_from(Frame))
def test_a_box_comes_back_within_one_pixel_of_the_image_sent(data: st.DataObject, size: Size, frame: Frame) -> None:
    # Servers take up to about two thousand pixels a side, and images are not enlarged beyond recognition.
    size_sent = tuple(data.draw(st.integers(28, min(2000, 30 * side))) for side in size)
    x1, x2 = sorted(data.draw(st.lists(st.integers(0, size[0]), min_size=2, max_size=2, unique=True)))
    y1, y2 = sorted(data.draw(st.lists(st.integers(0, size[1]), min_size=2, max_size=2, unique=True)))
    box_px = [x1, y1, x2, y2]
    answer = boxes_json(to_model(box_px, size, frame.size(size_sent)))
    annotation = grounded(answer, Seen(GENERATED, size, size_sent, frame, has_filter=False))
    (found_px,) = annotation.boxes_px or [annotation.dropped[0].box_px]  # those over half of the image
    for found, planted, side, side_sent in zip(found_px, box_px, size * 2, size_sent * 2, strict=True):
        pixel = side / side_sent
        # Where one thousandth is wider than a pixel, that is the limit of the frame.
        assert abs(found - planted) <= max(pixel, side / 1000 if frame is Frame.NORM1000 else 0) + 0.01


@pytest.mark.parametrize("frame", Frame)
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("size", [(90, 61), (640, 480), (1500, 700)])
def test_a_planted_object_is_found_where_it_is(tmp_path: Path, size: Size, orientation: int, frame: Frame) -> None:
    """A model that sees the red object in what it is sent, and says where, against the place it was painted in."""
    width, height = size
    planted = [width // 5, height // 4, width // 2, height // 2]
    upright = Image.new("RGB", size, "white")
    ImageDraw.Draw(upright).rectangle([planted[0], planted[1], planted[2] - 1, planted[3] - 1], fill="red")
    path = tmp_path / "photo.png"
    save_turned(upright, path, orientation)

    picture = open_upright(path)
    size_sent = (504, 392)
    answer = boxes_json(
        to_model(red_box(picture.resize(size_sent, Image.Resampling.BICUBIC)), size_sent, frame.size(size_sent))
    )
    seen = Seen(GENERATED, picture.size, size_sent, frame, has_filter=False)
    (found,) = grounded(answer, seen).boxes_px
    for corner, coordinate in enumerate(found):
        side, side_sent = size[corner % 2], size_sent[corner % 2]
        # One pixel sent for the edge that the model sees, one for what it writes in whole numbers.
        assert abs(coordinate - planted[corner]) <= 2 * side / side_sent + 0.01


def save_turned(upright: Image.Image, path: Path, orientation: int) -> None:
    """Save a picture so that EXIF's orientation turns it upright."""
    stored = upright
    if orientation in TURNS:
        back = {
            Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
            Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
        }
        turn = TURNS[orientation]
        stored = upright.transpose(back.get(turn, turn))
    data = Image.Exif()
    data[0x0112] = orientation
    file = io.BytesIO()
    stored.save(file, "PNG", exif=data)
    path.write_bytes(file.getvalue())


def red_box(picture: Image.Image) -> list[float]:
    """Where a picture is more red than white."""
    mask = picture.getchannel("G").point(lambda value: 255 if value < 128 else 0)
    box = mask.getbbox()
    assert box
    return list(box)
