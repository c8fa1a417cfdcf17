"""`zoomin detect`, run as a user runs it, with an engine that marks regions in place of a model."""

import json
import re
import sys
from pathlib import Path

import pytest
from conftest import engine_module
from PIL import Image
from zoomin_command import make_data, predict

from swift_zoomin import prompts
from swift_zoomin.checkpoints import QWEN_LIMITS
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.families import Frame
from swift_zoomin.predictions import read_predictions
from swift_zoomin.replies import Reply, render_reply


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> list[Conversation]:
    """What `detect` asked, each turn; in the engine's place one that marks seven regions, larger and larger."""
    conversations: list[Conversation] = []
    boxes: list[list[float]] = [[0, 0, 28 + 2 * n, 28 + n] for n in range(7)]
    text = render_reply(Reply("generated", boxes, [str(n) for n in range(7)], "It melts."))

    class MarkingEngine:
        limits = QWEN_LIMITS

        def __init__(self, *_: object) -> None:
            pass

        async def answer(self, conversation: Conversation, *how: object) -> Answer:
            conversations.append(conversation)
            return Answer(text, [1], False)

        def close(self) -> None:
            pass

    monkeypatch.setitem(sys.modules, "swift_zoomin.detection.engine", engine_module(MarkingEngine, tmp_path_factory))
    return conversations


def detect(zoomin, data: Path, *options: str) -> dict:
    """The prediction for one image of 280 x 280, which the model sees as it is."""
    Image.new("RGB", (280, 280), "grey").save(data / "a.png")
    out = data.parent / "run" / "predictions.jsonl"
    code, _, err = zoomin("detect", data / "a.png", "--model", "hub/none", "--out", out, *options)
    assert code == 0, err
    (line,) = out.read_text().splitlines()
    return json.loads(line)


def test_detect_reports_a_faulty_predictions_file_before_it_loads_a_model(zoomin, asked, data: Path) -> None:
    predictions = predict(data.parent / "run", "fake")
    code, _, err = zoomin("detect", data / "images", "--model", "hub/none", "--out", predictions)
    assert code == 1
    assert f"{predictions}:1: verdict 'fake'" in err


def test_detect_gives_its_engine_what_was_asked_for(
    zoomin, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made: list[tuple[object, ...]] = []

    class CountingEngine:
        limits = QWEN_LIMITS

        def __init__(self, *options: object) -> None:
            made.append(options[1:])  # after the checkpoint

        async def answer(self, conversation: Conversation, *how: object) -> Answer:
            return Answer("", [], False)

        def close(self) -> None:
            pass

    monkeypatch.setitem(sys.modules, "swift_zoomin.detection.engine", engine_module(CountingEngine, tmp_path_factory))
    command = ("detect", data / "images", "--model", "hub/none", "--out")
    zoomin(*command, data.parent / "1.jsonl")
    options = ("--engine", "vllm", "--gpus", 4, "--memory-share", 0.5, "--max-new-tokens", 77)
    zoomin(*command, data.parent / "2.jsonl", *options)
    assert made == [("transformers", 1024, 1, 0.9), ("vllm", 77, 4, 0.5)]


def test_detect_finds_images_in_files_folders_and_records_and_does_none_twice(
    zoomin, data: Path, asked: list[Conversation]
) -> None:
    (data / "images" / "notes.txt").write_text("no image")
    predictions = data.parent / "run" / "predictions.jsonl"
    sources = (data / "images" / "1.png", data / "images", data / "records.jsonl")
    command = ("detect", *sources, "--model", "hub/none", "--out", predictions)
    assert zoomin(*command)[0] == 0
    before = predictions.read_bytes()
    assert (before.count(b"\n"), len(asked)) == (3, 6)
    code, out, _ = zoomin(*command)
    assert (code, out.splitlines()[0]) == (0, f"{predictions}: 3 images done already")
    assert (predictions.read_bytes(), len(asked)) == (before, 6)


def test_detect_goes_on_after_a_line_that_was_cut_short(zoomin, data: Path, asked: list[Conversation]) -> None:
    predictions = data.parent / "run" / "predictions.jsonl"
    command = ("detect", data / "images", "--model", "hub/none", "--out", predictions)
    zoomin(*command)
    whole = predictions.read_bytes()
    first, second, third = whole.splitlines(keepends=True)
    predictions.write_bytes(first + second + third[:-20])
    summary = "3 images: 3 with a verdict; 2 of them done before this run"
    assert zoomin(*command)[:2] == (0, f"{predictions}: 2 images done already\n{summary}\n")
    assert predictions.read_bytes().startswith(first + second + third[:30])
    images = [json.loads(line)["image"] for line in predictions.read_text().splitlines()]
    assert sorted(images) == [f"../data/images/{number}.png" for number in range(3)]


@pytest.mark.parametrize("other", [["--model", "hub/another"], ["--regions", "random"], ["--max-new-tokens", "9"]])
def test_detect_mixes_no_settings_in_one_file(
    zoomin, data: Path, asked: list[Conversation], other: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_PIXELS", "200704")
    predictions = data.parent / "run" / "predictions.jsonl"
    zoomin("detect", data / "images" / "0.png", "--model", "hub/none", "--out", predictions)
    before = predictions.read_bytes()
    model, regions, pixels, *_ = json.loads(before)["made_by"].split("|")
    assert re.fullmatch(r"model none \(weights [0-9a-f]{12}\)", model)
    assert (regions, pixels) == ("regions first", "pixels 3136-200704")
    code, _, err = zoomin("detect", data / "images", "--model", "hub/none", "--out", predictions, *other)
    assert code == 1
    assert re.search(r"predictions\.jsonl: holds predictions made by model none \(.*choose another --out", err)
    assert predictions.read_bytes() == before


def test_detect_tries_an_image_again_that_could_not_be_read(zoomin, data: Path, asked: list[Conversation]) -> None:
    predictions = data.parent / "run" / "predictions.jsonl"
    command = ("detect", data / "late.png", data / "images" / "0.png", "--model", "hub/none", "--out", predictions)
    code, out, err = zoomin(*command)
    assert (code, out) == (3, "2 images: 1 with a verdict, 1 unreadable\n")
    missing = f"{data / 'late.png'}: no such image file"
    assert err.splitlines()[-1] == f"zoomin: 1 of 2 images could not be read; the first: {missing}"
    Image.new("RGB", (60, 40)).save(data / "late.png")
    code, out, _ = zoomin(*command)
    assert (code, out.splitlines()[0]) == (0, f"{predictions}: 1 image done already")
    assert predictions.read_bytes().count(b"\n") == 2
    late = read_predictions(predictions)[data / "late.png"]
    assert (late["verdict"], late["error"]) == ("generated", None)


def test_detect_writes_a_file_name_that_is_no_utf_8(zoomin, data: Path, asked: list[Conversation]) -> None:
    path = data / "caf\udce9.png"
    Image.new("RGB", (60, 40)).save(path)
    predictions = data.parent / "run" / "predictions.jsonl"
    assert zoomin("detect", path, "--model", "hub/none", "--out", predictions)[0] == 0
    assert list(read_predictions(predictions)) == [path]


@pytest.mark.parametrize(
    ("options", "sides"),
    [
        ([], (28, 30, 32, 34, 36, 38)),
        (["--regions", "first"], (28, 30, 32, 34, 36, 38)),
        (["--regions", "largest-3"], (36, 38, 40)),
        (["--regions", "largest-4"], (34, 36, 38, 40)),
    ],
)
def test_detect_looks_again_at_the_regions_asked_for(
    zoomin, data: Path, asked: list[Conversation], options: list[str], sides: tuple[int, ...]
) -> None:
    prediction = detect(zoomin, data, *options)
    assert [image.window for image in asked[-1].images] == [None, *((0, 0, side, 14 + side // 2) for side in sides)]
    assert asked[-1].messages[2]["content"] == prompts.query2(len(sides))
    assert (len(prediction["boxes"]), len(prediction["replies"])) == (7, 2)
    assert prediction["initial_verdict"] == "generated"


def test_detect_looks_again_at_random_regions(zoomin, data: Path, asked: list[Conversation]) -> None:
    detect(zoomin, data, "--regions", "random")
    starts = [image.window[:2] for image in asked[-1].images[1:] if image.window]
    assert len(starts) == 6
    assert (0, 0) not in starts


@pytest.mark.parametrize(
    ("name", "prompt", "absent"),
    [
        ("explain", prompts.EXPLAIN, {"boxes", "box_labels"}),
        ("ground", prompts.ground(Frame.ABSOLUTE), set()),
        ("verdict", prompts.VERDICT, {"boxes", "box_labels", "explanation"}),
    ],
)
def test_detect_asks_one_question_where_told_to(
    zoomin, data: Path, asked: list[Conversation], name: str, prompt: str, absent: set[str]
) -> None:
    prediction = detect(zoomin, data, "--one-turn", name)
    assert [conversation.messages[0]["content"] for conversation in asked] == [prompt]
    assert (prediction["verdict"], len(prediction["replies"])) == ("generated", 1)
    both = {"boxes", "box_labels", "explanation", "initial_verdict", "initial_explanation"}
    assert both - set(prediction) == absent | {"initial_verdict", "initial_explanation"}


@pytest.mark.parametrize(
    ("option", "choices"),
    [("--regions", "first, largest-3, largest-4, random"), ("--one-turn", "explain, ground, verdict")],
)
def test_detect_refuses_a_choice_that_does_not_exist(
    zoomin, data: Path, asked: list[Conversation], option: str, choices: str
) -> None:
    command = ("detect", data / "images", "--model", "hub/none", "--out", data / "out.jsonl")
    code, _, err = zoomin(*command, option, "smallest")
    assert code == 2
    assert f"argument {option}: invalid choice: 'smallest'" in err
    assert choices in err.replace("'", "")  # quoted or not, as the version of Python likes it
    assert asked == []
    assert not (data / "out.jsonl").exists()
