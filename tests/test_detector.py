"""Detection against an engine that answers from a script: two turns, and what ends an exchange."""

import asyncio
import gc
import json
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from scripted_engine import ScriptedEngine, answer, by_name, five_images

from swift_zoomin import prompts
from swift_zoomin.detection import Detector
from swift_zoomin.episode import Answer, Conversation, largest_boxes, random_boxes
from swift_zoomin.evaluation.metrics import evaluate
from swift_zoomin.families import Frame
from swift_zoomin.images import ImageError, ImageRef
from swift_zoomin.records import Record
from swift_zoomin.replies import parse_reply

FIELDS = [
    *("image", "verdict", "initial_verdict", "boxes", "box_labels", "explanation", "initial_explanation"),
    *("replies", "width", "height", "seconds", "error"),
]


@pytest.fixture
def images(tmp_path: Path) -> dict[str, str]:
    return five_images(tmp_path)


def test_a_prediction_has_the_fields_and_frames_of_the_format(images: dict[str, str]) -> None:
    # 1000 / 532 across and 700 / 364 down
    first = answer("real", [53.2, 36.4, 266, 182], [600, 0, 700, 9], explanation="A clean photo.")
    engine = ScriptedEngine({"a": [first, answer("generated", explanation="The sign melts.")]})
    (prediction,) = Detector(engine=engine).detect([images["a"]])
    assert list(prediction) == FIELDS
    assert 0 <= prediction.pop("seconds") < 60
    assert prediction == {
        "image": images["a"],
        "verdict": "generated",
        "initial_verdict": "real",
        "boxes": [[100.0, 70.0, 500.0, 350.0], [1000.0, 0.0, 1000.0, 17.31]],  # 9 * 700 / 364; outside, no area
        "box_labels": ["part", "part"],
        "explanation": "The sign melts.",
        "initial_explanation": "A clean photo.",
        "replies": [first.text, answer("generated", explanation="The sign melts.").text],
        "width": 1000,
        "height": 700,
        "error": None,
    }
    assert json.loads(json.dumps(prediction)) == prediction


def test_the_second_turn_sends_crops_and_the_sampled_ids(images: dict[str, str]) -> None:
    first = answer("real", [53.2, 36.4, 266, 182], [266, 182, 532, 364])
    engine = ScriptedEngine({"a": [first, answer("generated")]})
    list(Detector(engine=engine).detect([images["a"]]))
    turn1, turn2 = engine.asked
    user = {"role": "user", "content": prompts.query1(Frame.ABSOLUTE)}
    assert turn1.messages == [user]
    assert [image.window for image in turn1.images] == [None]
    said = {"role": "assistant", "content": first.token_ids}  # not the text: it may tokenise otherwise
    assert turn2.messages == [user, said, {"role": "user", "content": prompts.query2(2)}]
    assert [image.window for image in turn2.images] == [None, (100, 70, 500, 350), (500, 350, 1000, 700)]


def test_no_image_gives_no_prediction() -> None:
    engine = ScriptedEngine({})
    assert list(Detector(engine=engine).detect([])) == []
    assert engine.asked == []


def test_a_cut_first_reply_ends_the_exchange_without_a_verdict(images: dict[str, str]) -> None:
    cut = answer("generated", [53.2, 36.4, 266, 182], cut=True)
    engine = ScriptedEngine({"a": [cut], "b": [answer("real"), answer("generated")]})
    first, second = by_name(Detector(engine=engine, concurrency=1), [images["a"], images["b"]])
    assert engine.names() == "abb"
    assert first["error"] == "reply 1 was cut by the length limit"
    assert (first["verdict"], first["initial_verdict"]) == (None, "generated")
    assert (first["explanation"], first["initial_explanation"]) == ("", "Melted.")
    assert first["boxes"] == [[100.0, 70.0, 500.0, 350.0]]
    assert first["replies"] == [cut.text]
    assert (second["verdict"], second["error"]) == ("generated", None)


def test_a_cut_second_reply_is_kept_and_reported(images: dict[str, str]) -> None:
    engine = ScriptedEngine({"a": [answer("real"), Answer("<explanation>On and on and", [1], cut=True)]})
    (prediction,) = Detector(engine=engine).detect([images["a"]])
    assert prediction["error"] == "reply 2 was cut by the length limit"
    assert (prediction["verdict"], prediction["initial_verdict"]) == (None, "real")
    assert prediction["explanation"] == "On and on and"


def test_an_unreadable_image_stops_nothing(images: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    engine = ScriptedEngine({"a": [answer("real"), answer("real")], "b": [answer("real"), answer("real")]})
    paths = [str(tmp_path / "text.png"), images["a"], str(tmp_path / "absent.png"), images["b"]]
    predictions = by_name(Detector(engine=engine), paths)
    assert [prediction["verdict"] for prediction in predictions] == [None, "real", None, "real"]
    assert "text.png: not a readable image" in predictions[0]["error"]
    assert "absent.png: no such image file" in predictions[2]["error"]
    assert sorted(engine.names()) == ["a", "a", "b", "b"]


@pytest.mark.parametrize("size", [(1, 201), (6711, 36)])  # the second would be shown as 6720 x 28
def test_an_image_that_the_model_cannot_be_shown_never_reaches_the_engine(
    images: dict[str, str], tmp_path: Path, size: tuple[int, int]
) -> None:
    Image.new("RGB", size).save(tmp_path / "strip.png")
    engine = ScriptedEngine({"a": [answer("real"), answer("real")]})
    strip, other = by_name(Detector(engine=engine), [str(tmp_path / "strip.png"), images["a"]])
    assert strip["error"].startswith(f"{tmp_path / 'strip.png'}: ")
    assert (strip["verdict"], strip["replies"], other["verdict"]) == (None, [], "real")
    assert engine.names() == "aa"


def test_a_missing_path_that_is_base64_too_is_a_missing_path() -> None:
    """JPEG in base64 begins with /9j/4AAQ."""
    (prediction,) = Detector(engine=ScriptedEngine({})).detect(["/9j/4AAQSkZJRgABAQ=="])
    assert prediction["error"] == "/9j/4AAQSkZJRgABAQ==: no such image file"


def test_a_batch_of_unreadable_images_asks_nothing(tmp_path: Path) -> None:
    engine = ScriptedEngine({})
    predictions = by_name(Detector(engine=engine), [str(tmp_path / "1.png"), str(tmp_path / "2.png")])
    assert [prediction["verdict"] for prediction in predictions] == [None, None]
    assert all("no such image file" in prediction["error"] for prediction in predictions)
    assert engine.asked == []


@pytest.mark.parametrize("turn", [1, 2])
def test_an_image_that_the_engine_cannot_read_ends_one_exchange_only(images: dict[str, str], turn: int) -> None:
    damaged = ImageError("a.png: damaged image")
    engine = ScriptedEngine(
        {"a": [answer("real"), damaged] if turn == 2 else [damaged], "b": [answer("real"), answer("generated")]}
    )
    first, second = by_name(Detector(engine=engine), [images["a"], images["b"]])
    assert list(first) == FIELDS
    assert first["error"] == "a.png: damaged image"
    assert first["verdict"] is None
    assert first["initial_verdict"] == ("real" if turn == 2 else None)
    assert len(first["replies"]) == turn - 1
    assert (second["verdict"], second["error"]) == ("generated", None)
    assert sorted(engine.names()) == sorted("aabb" if turn == 2 else "abb")


def test_a_reply_that_cannot_be_read_is_followed_by_query_2(images: dict[str, str]) -> None:
    engine = ScriptedEngine({"a": [Answer("<image><|im_end|>\x00", [1], False), answer("generated")]})
    (prediction,) = Detector(engine=engine).detect([images["a"]])
    assert engine.asked[1].messages[-1]["content"] == prompts.query2(0)
    assert len(engine.asked[1].images) == 1
    assert (prediction["initial_verdict"], prediction["verdict"], prediction["error"]) == (None, "generated", None)
    assert prediction["boxes"] == []


def test_choose_decides_what_is_looked_at_again(images: dict[str, str]) -> None:
    first = answer("real", [53.2, 36.4, 266, 182], [266, 182, 532, 364])
    engine = ScriptedEngine({"a": [first, answer("real")]})
    (prediction,) = Detector(engine=engine, choose=lambda boxes_px, image: boxes_px[1:]).detect([images["a"]])
    assert [image.window for image in engine.asked[1].images] == [None, (500, 350, 1000, 700)]
    assert len(prediction["boxes"]) == len(parse_reply(first.text).boxes_model) == 2


def test_the_same_image_twice_is_asked_about_twice(images: dict[str, str]) -> None:
    engine = ScriptedEngine({"a": [answer("real"), answer("generated")]})
    predictions = list(Detector(engine=engine).detect([images["a"]] * 2))
    assert [prediction["verdict"] for prediction in predictions] == ["generated"] * 2
    assert predictions[0]["replies"] is not predictions[1]["replies"]


def test_the_largest_regions_and_random_ones_are_cut_from_the_same_marks(images: dict[str, str]) -> None:
    first = answer("real", [53.2, 36.4, 106.4, 72.8], [266, 182, 532, 364])  # 100 x 70 and 500 x 350 pixels
    windows, marked = {}, []
    for name, choose in (("largest", largest_boxes(1)), ("random", random_boxes)):
        engine = ScriptedEngine({"a": [first, answer("real")]})
        (prediction,) = Detector(engine=engine, choose=choose).detect([images["a"]])
        windows[name] = [image.window for image in engine.asked[1].images[1:]]
        marked.append(prediction["boxes"])
    assert windows["largest"] == [(500, 350, 1000, 700)]
    assert [(right - left, bottom - top) for left, top, right, bottom in windows["random"]] == [
        (pytest.approx(100, abs=1), pytest.approx(70, abs=1)),  # cut at whole pixels
        (pytest.approx(500, abs=1), pytest.approx(350, abs=1)),
    ]
    assert not {(100, 70, 200, 140), (500, 350, 1000, 700)} & set(windows["random"])
    assert marked == [[[100.0, 70.0, 200.0, 140.0], [500.0, 350.0, 1000.0, 700.0]]] * 2


ASKED = {"explain": prompts.EXPLAIN, "ground": prompts.ground(Frame.ABSOLUTE), "verdict": prompts.VERDICT}
ONE_TURN_FIELDS = {
    "explain": ["image", "verdict", "explanation", "replies", "width", "height", "seconds", "error"],
    "ground": [
        *("image", "verdict", "boxes", "box_labels", "explanation", "replies", "width", "height", "seconds", "error"),
    ],
    "verdict": ["image", "verdict", "replies", "width", "height", "seconds", "error"],
}


@pytest.mark.parametrize("name", ASKED)
def test_a_one_turn_prediction_has_the_fields_that_were_asked_for(images: dict[str, str], name: str) -> None:
    # The reply says more than a variant asks for; a second answer would be an IndexError
    said = answer("generated", [53.2, 36.4, 266, 182], explanation="The sign melts.")
    engine = ScriptedEngine({"a": [said], "b": [answer("real")]})
    prediction, other = by_name(Detector(engine=engine, one_turn=name), [images["a"], images["b"]])
    assert sorted(engine.names()) == ["a", "b"]
    assert [c.messages for c in engine.asked] == [[{"role": "user", "content": ASKED[name]}]] * 2
    assert [[image.window for image in c.images] for c in engine.asked] == [[None]] * 2
    assert list(prediction) == list(other) == ONE_TURN_FIELDS[name]
    expected = {
        "verdict": "generated",
        "boxes": [[100.0, 70.0, 500.0, 350.0]],
        "box_labels": ["part"],
        "explanation": "The sign melts.",
        "replies": [said.text],
        "width": 1000,
        "height": 700,
        "error": None,
    }
    assert {key: prediction[key] for key in expected if key in prediction} == {
        key: value for key, value in expected.items() if key in ONE_TURN_FIELDS[name]
    }
    assert other["verdict"] == "real"


@pytest.mark.parametrize("name", ASKED)
def test_a_one_turn_prediction_that_failed_has_the_same_fields(images: dict[str, str], name: str) -> None:
    engine = ScriptedEngine(
        {
            "a": [answer("generated", cut=True)],
            "b": [ImageError("b.png: damaged image")],
            "c": [Answer("No idea.", [1], False)],
        }
    )
    paths = [images["a"], images["b"], images["c"], images["d"] + ".absent"]
    predictions = by_name(Detector(engine=engine, one_turn=name), paths)
    assert [list(prediction) for prediction in predictions] == [ONE_TURN_FIELDS[name]] * 4
    assert [prediction["verdict"] for prediction in predictions] == ["generated", None, None, None]
    assert [prediction["error"] for prediction in predictions] == [
        "reply 1 was cut by the length limit",
        "b.png: damaged image",
        None,
        f"{images['d']}.absent: no such image file",
    ]
    assert sorted(engine.names()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("explain", {"accuracy": 0.5, "bleu2": 0.5, "rouge_l": 0.5, "iou": None}),
        ("ground", {"accuracy": 0.5, "bleu2": 0.5, "rouge_l": 0.5, "iou": 0.5}),
        ("verdict", {"accuracy": 0.5, "bleu2": None, "rouge_l": None, "iou": None}),
    ],
)
def test_one_turn_predictions_are_judged_by_what_was_asked(
    images: dict[str, str], name: str, figures: dict[str, float | None]
) -> None:
    right = answer("generated", [53.2, 36.4, 266, 182], explanation="The sign melts.")
    engine = ScriptedEngine({"a": [right], "b": [answer("real", explanation="Sharp edges")]})
    predictions = Detector(engine=engine, one_turn=name).detect([images["a"], images["b"]])
    records = [
        Record(path, ImageRef.of(path), "generated", "The sign melts.", [[100.0, 70.0, 500.0, 350.0]])
        for path in (images["a"], images["b"])
    ]
    by_path = {Path(prediction["image"]).resolve(): prediction for prediction in predictions}
    metrics = {figure: measured.value for figure, measured in evaluate(records, by_path).items()}
    assert {key: metrics[key] for key in figures} == figures
    assert [metrics[key] for key in ("i_acc", "c_cases", "c_acc")] == [None] * 3
    assert (metrics["missing"], metrics["no_verdict"]) == (0, 0)


def test_a_reply_is_heard_before_the_next_question_is_answered(images: dict[str, str]) -> None:
    heard: list[tuple[int, int]] = []  # replies so far, and questions asked by then
    engine = ScriptedEngine({"a": [answer("real", [53.2, 36.4, 266, 182]), answer("generated")]})
    looking = Detector(engine=engine).begin(
        images["a"], lambda exchange: heard.append((len(exchange.episode.replies), len(engine.asked)))
    )
    assert looking.result(10)["verdict"] == "generated"
    assert heard == [(1, 1), (2, 2)]


def test_an_image_that_is_given_up_is_asked_about_no_more(images: dict[str, str]) -> None:
    class Waiting(ScriptedEngine):
        async def answer(self, conversation: Conversation, *how: object) -> Answer | ImageError:
            await asyncio.sleep(0.01)
            return await super().answer(conversation)

    engine = Waiting({name: [answer("real"), answer("generated")] for name in "ab"})
    detector = Detector(engine=engine)
    given_up = detector.begin(images["a"], lambda _: given_up.cancel())
    assert detector.begin(images["b"], lambda _: None).result(10)["verdict"] == "generated"
    with pytest.raises(CancelledError):
        given_up.result(10)
    assert engine.names().count("a") == 1


def test_a_faulty_image_leaves_nothing_for_the_garbage_collector(tmp_path: Path) -> None:
    """Else memory grows with the number of faulty images by what lies between two collections, open files included."""
    files = [tmp_path / f"{number}.png" for number in range(101)]
    for file in files:
        file.write_bytes(b"no image")
    detector = Detector(engine=ScriptedEngine({}))
    list(detector.detect([str(files[0])]))  # what the first use makes of caches
    gc.collect()
    gc.disable()
    try:
        predictions = list(detector.detect(map(str, files[1:])))
        circles = gc.collect()
    finally:
        gc.enable()
    assert all("not a readable image" in prediction["error"] for prediction in predictions)
    assert circles < len(predictions)  # fifty an image, before


def test_an_image_that_is_given_up_takes_no_share_of_the_time_of_others(images: dict[str, str]) -> None:
    engine = ScriptedEngine({"a": [answer("real"), answer("real")]})
    detector = Detector(engine=engine)
    held = asyncio.Event()

    async def never(*_: object) -> Answer:
        await held.wait()
        raise AssertionError

    answers, engine.answer = engine.answer, never  # type: ignore[method-assign, assignment]
    given_up = [detector.begin(images["a"], lambda _: None) for _ in range(9)]
    time.sleep(0.1)
    for look in given_up:
        look.cancel()
    time.sleep(0.1)

    async def slow(*asked: Any) -> Any:
        await asyncio.sleep(0.2)
        return await answers(*asked)

    engine.answer = slow  # type: ignore[method-assign]
    assert detector.begin(images["a"], lambda _: None).result(10)["seconds"] >= 0.4


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt])
def test_what_would_end_a_program_ends_one_look_alone(images: dict[str, str], raised: type[BaseException]) -> None:
    engine = ScriptedEngine({"a": [answer("real"), answer("real")]})
    detector = Detector(engine=engine)

    async def raises(*_: object) -> Answer:
        raise raised

    answers, engine.answer = engine.answer, raises  # type: ignore[method-assign, assignment]
    with pytest.raises(RuntimeError, match=raised.__name__):
        detector.begin(images["a"], lambda _: None).result(10)
    engine.answer = answers  # type: ignore[method-assign]
    assert detector.begin(images["a"], lambda _: None).result(10)["error"] is None
