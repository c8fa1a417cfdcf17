"""The command `zoomin`, run as a user runs it, without a model."""

import datetime
import json
import re
import sys
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import engine_module
from PIL import Image

from swift_zoomin import prompts
from swift_zoomin.checkpoints import QWEN_LIMITS
from swift_zoomin.cli import main
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.images import open_upright
from swift_zoomin.predictions import read_predictions
from swift_zoomin.records import read_records, write_records
from swift_zoomin.replies import Reply, render_reply

BOXED = {"image": "images/0.png", "label": "generated", "explanation": "The sign melts.", "boxes": [[10, 10, 30, 30]]}
ROWS = [
    {**BOXED, "box_labels": ["sign"], "source": "gpt-image-1"},
    {"image": "images/1.png", "label": "real"},
    {"image": "images/2.png", "label": "real", "explanation": "Sharp.", "boxes": []},
]
SIZES = [(60, 40), (40, 60), (30, 30)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "images").mkdir(parents=True)
    for number, size in enumerate(SIZES):
        Image.new("RGB", size, (200, 40 * number, 0)).save(tmp_path / "data" / "images" / f"{number}.png")
    write_records(tmp_path / "data" / "records.jsonl", ROWS)
    return tmp_path / "data"


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command; its exit code, what it printed, and its errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["zoomin", *map(str, arguments)])
        code = main()
        return code, *capsys.readouterr()

    return run


def predict(folder: Path, *verdicts: str | None) -> Path:
    """Predictions for the first images of the data."""
    rows = [{"image": f"../data/images/{at}.png", "verdict": verdict} for at, verdict in enumerate(verdicts)]
    write_records(folder / "predictions.jsonl", rows)
    return folder / "predictions.jsonl"


@pytest.mark.parametrize("command", ["detect", "evaluate", "check", "convert"])
def test_every_command_explains_itself(zoomin, capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as done:
        zoomin(command, "--help")
    assert done.value.code == 0
    assert f"usage: zoomin {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["guess"], ["detect", "a.png"], ["evaluate"], ["convert", "records.jsonl"]])
def test_a_command_line_that_makes_no_sense_is_refused(zoomin, capsys, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as done:
        zoomin(*arguments)
    assert done.value.code == 2
    assert "usage: zoomin" in capsys.readouterr().err


def test_check_counts_what_is_there(zoomin, data: Path) -> None:
    code, out, err = zoomin("check", data / "records.jsonl")
    assert (code, err) == (0, "")
    assert out == "3 records: 2 real, 1 generated, 1 box; no fault\n"


def test_check_reports_all_faults_with_file_and_line(zoomin, data: Path) -> None:
    faulty = [
        ROWS[0],
        {**ROWS[1], "label": "fake"},
        {**ROWS[2], "boxes": [[0, 0, 31, 9]]},
        {**ROWS[1], "image": "3.png"},
    ]
    write_records(data / "records.jsonl", faulty)
    code, out, err = zoomin("check", data / "records.jsonl")
    assert (code, out) == (1, "")
    assert err.startswith("zoomin: ")
    assert 'records.jsonl:2: label "fake"; expected "real" or "generated"' in err
    assert "records.jsonl:3: boxes [0, 0, 31, 9]; expected [x1, y1, x2, y2]" in err
    assert re.search(r"records\.jsonl:4: image .*3\.png: no such image file", err)
    assert "Traceback" not in err


@pytest.mark.parametrize("command", [["check"], ["convert"], ["evaluate"]])
def test_an_absent_records_file_is_named(zoomin, data: Path, command: list[str]) -> None:
    more = {"check": [], "convert": [data / "out"], "evaluate": [predict(data.parent / "run")]}[command[0]]
    code, _, err = zoomin(*command, data / "absent.jsonl", *more)
    assert code == 1
    assert err == f"zoomin: {data / 'absent.jsonl'}: no such records file\n"


def test_evaluate_prints_a_table_and_writes_the_figures(zoomin, data: Path) -> None:
    predictions = predict(data.parent / "run", "generated", "generated")
    out_file = data.parent / "run" / "metrics.json"
    code, out, err = zoomin("evaluate", data / "records.jsonl", predictions, "--out", out_file)
    assert (code, err) == (0, "")
    metrics = json.loads(out_file.read_text())
    assert (metrics["images"], metrics["accuracy"], metrics["missing"]) == (3, pytest.approx(1 / 3), 1)
    assert metrics["iou"] is None
    shown = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (shown["accuracy"], shown["missing"], shown["iou"]) == ("0.333  0.061..0.792", "1", "-")
    assert shown["signature"] == metrics["signature"]


def test_evaluate_reports_a_faulty_prediction(zoomin, data: Path) -> None:
    predictions = predict(data.parent / "run", "generated", "fake")
    code, out, err = zoomin("evaluate", data / "records.jsonl", predictions)
    assert (code, out) == (1, "")
    assert err == f'zoomin: {predictions}:2: verdict \'fake\'; expected "real", "generated" or null\n'


def test_evaluate_names_an_absent_predictions_file(zoomin, data: Path) -> None:
    code, _, err = zoomin("evaluate", data / "records.jsonl", data / "absent.jsonl")
    assert code == 1
    assert err == f"zoomin: {data / 'absent.jsonl'}: no such predictions file\n"


def test_convert_writes_squares_that_pass_the_check(zoomin, data: Path) -> None:
    code, out, _ = zoomin("convert", data / "records.jsonl", data.parent / "square")
    assert code == 0
    assert f"wrote 3 records to {data.parent / 'square' / 'records.jsonl'}" in out
    assert zoomin("check", data.parent / "square" / "records.jsonl")[0] == 0
    records = read_records(data.parent / "square" / "records.jsonl")
    for number, record in enumerate(records):
        with Image.open(record.image.path) as image:
            assert (image.size, image.format) == ((512, 512), "PNG")
            assert image.getpixel((256, 256)) == (200, 40 * number, 0)
    # 60 x 40 keeps columns 10 to 50: [10, 10, 30, 30] is [0, 10, 20, 30] there, times 512 / 40 = 12.8
    assert [record.boxes_px for record in records] == [[[0.0, 128.0, 256.0, 384.0]], None, []]
    assert records[0].box_labels == ["sign"]
    assert records[0].extra == {"source": "gpt-image-1"}
    assert [record.label for record in records] == ["generated", "real", "real"]
    assert [record.explanation for record in records] == ["The sign melts.", "", "Sharp."]


def test_convert_writes_what_a_person_sees_and_no_profile(zoomin, data: Path) -> None:
    red = Path(__file__).parent / "cases" / "p3_red.png"  # in Display P3
    write_records(data / "records.jsonl", [{"image": str(red), "label": "real"}])
    assert zoomin("convert", data / "records.jsonl", data.parent / "square")[0] == 0
    with Image.open(data.parent / "square" / "images" / "000000.png") as image:
        assert image.getpixel((256, 256)) == open_upright(red).getpixel((16, 16))
        assert not image.info


@pytest.mark.parametrize("records", ["records.jsonl", "others.jsonl"])
def test_convert_overwrites_no_data_set(zoomin, data: Path, records: str) -> None:
    """Its images have the very names that converted ones get."""
    if records == "others.jsonl":
        (data / "records.jsonl").rename(data / records)
    before = {file: file.read_bytes() for file in data.rglob("*.*")}
    code, _, err = zoomin("convert", data / records, data)
    assert (code, "holds records or their images already; choose another folder" in err) == (1, True)
    assert err.endswith(f" where an earlier convert was stopped ({data / records})\n")
    assert {file: file.read_bytes() for file in data.rglob("*.*")} == before
    square = data.parent / "square"
    assert [zoomin("convert", data / records, square)[0] for _ in range(2)] == [0, 1]


def test_convert_overwrites_no_images_of_another_data_set(zoomin, data: Path) -> None:
    others = data.parent / "others"
    (others / "images").mkdir(parents=True)
    (others / "images" / "000000.png").write_bytes(b"theirs")
    (others / "train.jsonl").touch()
    assert zoomin("convert", data / "records.jsonl", others)[0] == 1
    assert (others / "images" / "000000.png").read_bytes() == b"theirs"


@pytest.mark.parametrize("kind", ["a link to images", "pictures alone", "a link to a picture", "a broken link"])
def test_convert_overwrites_no_picture_wherever_it_lies(zoomin, data: Path, kind: str) -> None:
    """Photos that have the very names that converted ones get, in a folder without records."""
    photos, square = data.parent / "photos", data.parent / "square"
    photos.mkdir()
    square.mkdir()
    Image.new("RGB", (30, 30)).save(photos / "000002.png")
    if kind == "a link to images":
        (square / "images").symlink_to(photos)
    elif kind == "pictures alone":
        photos = photos.rename(square / "images")
    else:
        (square / "images").mkdir()
        (square / "images" / "000002.png").symlink_to(photos / ("gone.png" if "broken" in kind else "000002.png"))
    before = {file: file.read_bytes() for file in data.parent.rglob("*") if file.is_file()}
    code, _, err = zoomin("convert", data / "records.jsonl", square)
    named = photos if kind == "a link to images" else square / "images"
    assert (code, err.count("\n"), err.endswith(f"({named / '000002.png'})\n")) == (1, 1, True)
    assert {file: file.read_bytes() for file in data.parent.rglob("*") if file.is_file()} == before


def test_convert_overwrites_no_image_that_it_reads_through_a_link_of_folders(zoomin, data: Path) -> None:
    """Their names are others, but what is converted would lie among what it is made from."""
    (data.parent / "square").mkdir()
    (data.parent / "square" / "images").symlink_to(data / "images")
    code, _, err = zoomin("convert", data / "records.jsonl", data.parent / "square")
    assert (code, err.endswith(f"({data / 'images' / '0.png'})\n")) == (1, True)
    assert sorted(path.name for path in (data / "images").iterdir()) == ["0.png", "1.png", "2.png"]


def test_a_convert_that_was_stopped_is_begun_again_in_an_empty_folder(zoomin, data: Path) -> None:
    square = data.parent / "square"
    assert zoomin("convert", data / "records.jsonl", square)[0] == 0
    (square / "records.jsonl").unlink()  # it is written last
    code, _, err = zoomin("convert", data / "records.jsonl", square)
    assert (code, "empty this one where an earlier convert was stopped" in err) == (1, True)
    for image in (square / "images").iterdir():
        image.unlink()
    assert zoomin("convert", data / "records.jsonl", square)[0] == 0


def test_convert_says_of_boxes_that_vanish_in_a_tiny_square_what_is_true(zoomin, data: Path) -> None:
    # Columns 10..50 of 60 x 40 at 1 pixel: a side of 0.1 is 0.1 / 40 = 0.0025, which rounds to nothing.
    boxes = [[10, 10, 10.1, 10.1], [20, 20, 20.1, 20.1]]
    write_records(data / "records.jsonl", [{**BOXED, "boxes": boxes, "box_labels": ["speck", "dot"]}])
    code, out, _ = zoomin("convert", data / "records.jsonl", data.parent / "square", "--side-px", 1)
    assert (code, "; 2 boxes left out: outside the square, or too small to be seen in it\n" in out) == (0, True)


def test_convert_names_a_field_that_no_json_can_hold_before_it_begins(zoomin, data: Path) -> None:
    row = {"image": "images/1.png", "label": "real", "taken": datetime.date(2026, 1, 2)}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), data / "records.parquet")
    code, _, err = zoomin("convert", data / "records.parquet", data.parent / "square")
    assert code == 1
    assert "images/1.png: taken cannot stand in records.jsonl" in err
    assert not (data.parent / "square").exists()


def test_convert_takes_the_side_in_pixels(zoomin, data: Path) -> None:
    assert zoomin("convert", data / "records.jsonl", data.parent / "square", "--side-px", 64)[0] == 0
    records = read_records(data.parent / "square" / "records.jsonl")
    assert [record.image.size for record in records] == [(64, 64)] * 3


def test_convert_drops_a_box_that_rounds_to_nothing(zoomin, data: Path) -> None:
    # Columns 20..60 show two of three boxes: of the first 0.0003 * 12.8 = 0.004 pixels
    boxes = [[0, 0, 20.0003, 40], [30, 0, 60, 40], [40, 0, 60, 40]]
    write_records(data / "records.jsonl", [{**BOXED, "boxes": boxes, "box_labels": ["sliver", "whole", "half"]}])
    code, out, _ = zoomin("convert", data / "records.jsonl", data.parent / "square")
    assert code == 0
    assert "wrote 1 record to " in out
    assert out.endswith("; 1 box left out: outside the square, or too small to be seen in it\n")
    (record,) = read_records(data.parent / "square" / "records.jsonl")
    assert record.boxes_px == [[128.0, 0.0, 512.0, 512.0], [256.0, 0.0, 512.0, 512.0]]  # 30 - 20 = 10, times 12.8
    assert record.box_labels == ["whole", "half"]


def test_detect_reports_a_faulty_predictions_file_before_it_loads_a_model(zoomin, asked, data: Path) -> None:
    predictions = predict(data.parent / "run", "fake")
    code, _, err = zoomin("detect", data / "images", "--model", "hub/none", "--out", predictions)
    assert code == 1
    assert f"{predictions}:1: verdict 'fake'" in err


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

        def ask(self, given: list[Conversation]) -> list[Answer]:
            conversations.extend(given)
            return [Answer(text, [1], False) for _ in given]

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


def test_detect_gives_its_engine_what_was_asked_for(
    zoomin, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made: list[tuple[object, ...]] = []

    class CountingEngine:
        limits = QWEN_LIMITS

        def __init__(self, *options: object) -> None:
            made.append(options[1:])  # after the checkpoint

        def ask(self, given: list[Conversation]) -> list[Answer]:
            asked.append(len(given))
            return [Answer("", [], False) for _ in given]

    asked: list[int] = []
    monkeypatch.setitem(sys.modules, "swift_zoomin.detection.engine", engine_module(CountingEngine, tmp_path_factory))
    command = ("detect", data / "images", "--model", "hub/none", "--out")
    zoomin(*command, data.parent / "1.jsonl")
    options = ("--engine", "vllm", "--gpus", 4, "--memory-share", 0.5, "--max-new-tokens", 77, "--batch-size", 2)
    zoomin(*command, data.parent / "2.jsonl", *options)
    assert made == [("transformers", 1024, 1, 0.9), ("vllm", 77, 4, 0.5)]
    assert asked == [3, 3, 2, 2, 1, 1]  # three images in a batch of 32; then in batches of two


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
    assert (code, out.splitlines()[0]) == (0, "3 of 3 images are done already")
    assert (predictions.read_bytes(), len(asked)) == (before, 6)


def test_detect_goes_on_after_a_line_that_was_cut_short(zoomin, data: Path, asked: list[Conversation]) -> None:
    predictions = data.parent / "run" / "predictions.jsonl"
    command = ("detect", data / "images", "--model", "hub/none", "--out", predictions)
    zoomin(*command)
    whole = predictions.read_bytes()
    first, second, third = whole.splitlines(keepends=True)
    predictions.write_bytes(first + second + third[:-20])
    summary = "3 images: 3 with a verdict; 2 of them done before this run"
    assert zoomin(*command)[:2] == (0, f"2 of 3 images are done already\n{summary}\n")
    assert predictions.read_bytes().startswith(first + second + third[:30])
    images = [json.loads(line)["image"] for line in predictions.read_text().splitlines()]
    assert images == [f"../data/images/{number}.png" for number in range(3)]


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
    assert (code, out.splitlines()[0]) == (0, "1 of 2 images are done already")
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
        ("ground", prompts.GROUND, set()),
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
    zoomin, data: Path, asked: list[Conversation], capsys: pytest.CaptureFixture[str], option: str, choices: str
) -> None:
    with pytest.raises(SystemExit) as done:
        zoomin("detect", data / "images", "--model", "hub/none", "--out", data / "out.jsonl", option, "smallest")
    assert done.value.code == 2
    err = capsys.readouterr().err
    assert f"argument {option}: invalid choice: 'smallest'" in err
    assert choices in err.replace("'", "")  # quoted or not, as the version of Python likes it
    assert asked == []
    assert not (data / "out.jsonl").exists()
