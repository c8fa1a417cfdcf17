"""Bad arguments, wrong files and faults of the machine: one line and a status, never a traceback."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import engine_module
from PIL import Image

from swift_zoomin.checkpoints import QWEN_LIMITS
from swift_zoomin.cli import main
from swift_zoomin.detection import Detector
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.images import ImageError
from swift_zoomin.records import json_line, write_records
from swift_zoomin.replies import Reply, render_reply

ROOT = Path(__file__).parent.parent
REPLY = render_reply(Reply("generated", [[0, 0, 20, 20]], ["sign"], "It melts."))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three images and their records."""
    (tmp_path / "data").mkdir()
    for name in "abc":
        Image.new("RGB", (40, 40)).save(tmp_path / "data" / f"{name}.png")
    write_records(tmp_path / "data" / "records.jsonl", [{"image": f"{name}.png", "label": "real"} for name in "abc"])
    return tmp_path / "data"


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command; its exit status, what it printed, and its errors without the progress bar."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["zoomin", *map(str, arguments)])
        try:
            status = main()
        except SystemExit as refused:
            status = refused.code
        out, err = capsys.readouterr()
        lines = [line for line in re.split(r"[\r\n]+", err) if line and not line.startswith("detecting:")]
        return status, out, "".join(f"{line}\n" for line in lines)

    return run


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """In the place of the real one an engine that says what `answer` makes of a conversation."""
    script = SimpleNamespace(answer=lambda conversation: Answer(REPLY, [1], False), made=0)

    class Scripted:
        limits = QWEN_LIMITS

        def __init__(self, *_: object) -> None:
            script.made += 1

        def ask(self, given: list[Conversation]) -> list[Answer | ImageError]:
            return [script.answer(conversation) for conversation in given]

    monkeypatch.setitem(sys.modules, "swift_zoomin.detection.engine", engine_module(Scripted, tmp_path_factory))
    return script


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


DETECT = ["detect", "a.png", "--model", "hub/none", "--out", "out.jsonl"]
CONVERT = ["convert", "records.jsonl", "square"]


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "", "9" * 20, "9" * 5000, "nan"])
@pytest.mark.parametrize(
    ("command", "option"),
    [
        *[(DETECT, option) for option in ("--batch-size", "--max-new-tokens", "--gpus")],
        (CONVERT, "--side-px"),
    ],
)
def test_a_number_that_counts_nothing_is_refused(zoomin, engine, command: list[str], option: str, value: str) -> None:
    status, out, err = zoomin(*command, f"{option}={value}")
    assert (status, out, engine.made) == (2, "", 0)
    assert err.splitlines()[-1].startswith(f"zoomin {command[0]}: error: argument {option}: ")
    assert "; expected a whole number from 1 to " in err.splitlines()[-1]


@pytest.mark.parametrize("command", [["detect", "", *DETECT[2:]], [*DETECT[:-1], ""], ["evaluate", "", "p"]])
def test_an_empty_path_is_refused(zoomin, command: list[str]) -> None:
    """It would be the current folder."""
    status, _, err = zoomin(*command)
    assert (status, err.splitlines()[-1].endswith(": empty; is a variable unset?")) == (2, True)


def test_a_batch_of_none_is_refused_in_python_too() -> None:
    with pytest.raises(ValueError, match="batch_size 0; expected at least 1"):
        Detector(engine=SimpleNamespace(ask=list), batch_size=0)


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ("absent", "no such model folder; expected one, or a hub's name like "),
        ("./hub/none", "no such model folder"),
        ("/absent/model", "no such model folder"),
        ("data/absent", "no such model folder"),  # data is a folder here
        ("output/grpo2/checkpoint-7", "no such model folder"),
        ("data/a.png", "no such model folder"),
        ("data", "holds no model (no config.json, no adapter_config.json)"),
    ],
)
def test_a_wrong_model_is_named_before_anything_is_loaded_or_written(
    zoomin, engine, data: Path, monkeypatch, model: str, fault: str
) -> None:
    monkeypatch.chdir(data.parent)
    before = files(data.parent)
    status, out, err = zoomin("detect", "data", "--model", model, "--out", "run/p.jsonl")
    assert (status, out, engine.made) == (1, "", 0)
    assert err.startswith(f"zoomin: {model}: {fault}")
    assert (err.count("\n"), files(data.parent), (data.parent / "run").exists()) == (1, before, False)


def test_a_folder_with_a_configuration_is_a_model(zoomin, engine, data: Path) -> None:
    (data / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    assert zoomin("detect", data / "a.png", "--model", data, "--out", data / "out.jsonl")[0] == 0


def test_commands_and_a_wrong_model_load_nothing_heavy() -> None:
    """Seconds of loading before a mistyped word is named are seconds lost."""
    heavy = "{'torch', 'transformers', 'swift', 'vllm', 'scipy', 'datasets', 'sacrebleu'}"
    code = f"import sys; from swift_zoomin.cli import main; status = main(); print(status, {heavy} & set(sys.modules))"
    arguments = ["detect", str(ROOT), "--model", "absent/absent/absent", "--out", "/absent/x.jsonl"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.stdout == "1 set()\n", done.stderr


@pytest.mark.parametrize("records", ["folder.jsonl", "pipe.jsonl", "absent.jsonl", "empty.jsonl", "text.parquet"])
@pytest.mark.parametrize("command", ["detect", "evaluate"])
def test_a_records_file_that_is_none_is_named(zoomin, engine, data: Path, records: str, command: str) -> None:
    (data / "folder.jsonl").mkdir()
    os.mkfifo(data / "pipe.jsonl")
    (data / "empty.jsonl").touch()
    (data / "text.parquet").write_text("text")
    (data / "p.jsonl").write_text(json_line({"image": "a.png", "verdict": "real"}))
    more = {"detect": ["--model", "hub/none", "--out", data / "out.jsonl"], "evaluate": [data / "p.jsonl"]}[command]
    status, out, err = zoomin(command, data / records, *more)
    assert (status, out, err.count("\n"), engine.made) == (1, "", 1, 0)
    assert err.startswith(f"zoomin: {data / records}: ")
    assert not (data / "out.jsonl").exists()


def test_records_that_may_not_be_read_are_named(zoomin, data: Path, monkeypatch) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (data / "p.jsonl").write_text(json_line({"image": "a.png", "verdict": "real"}))
    monkeypatch.setattr(Path, "open", refuse)  # the superuser may read everything
    status, out, err = zoomin("evaluate", data / "records.jsonl", data / "p.jsonl")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert str(data / "records.jsonl") in err
    assert "Permission denied" in err


# Detection: what its end says


def test_a_mistyped_path_leaves_a_row_and_a_status(zoomin, engine, data: Path) -> None:
    out = data / "out.jsonl"
    status, printed, err = zoomin("detect", data / "absent", "--model", "hub/none", "--out", out)
    assert (status, printed, engine.made) == (1, "1 image: 1 unreadable\n", 0)
    missing = f"{data / 'absent'}: no such image file"
    assert err == f"zoomin: no image could be read; the first: {missing}\n"
    assert [row["error"] for row in rows(out)] == [missing]


def test_a_model_is_loaded_only_where_an_image_can_be_opened(zoomin, engine, data: Path) -> None:
    """Loading takes long, and each of these is known before."""
    (data / "text.png").write_text("no image")
    os.mkfifo(data / "pipe.png")
    out = data / "run" / "out.jsonl"
    options = ("--model", "hub/none", "--out", out, "--one-turn", "verdict")
    images = [data / f"{name}.png" for name in ("absent", "text", "pipe")]
    status, printed, _ = zoomin("detect", *images, *options)
    assert (status, printed, engine.made) == (1, "3 images: 3 unreadable\n", 0)
    alone = rows(out)
    status, printed, _ = zoomin("detect", *images, data / "a.png", *options)
    assert (status, printed, engine.made) == (3, "4 images: 1 with a verdict, 3 unreadable\n", 1)
    assert [{**row, "seconds": 0} for row in rows(out)[:3]] == [{**row, "seconds": 0} for row in alone]


def test_a_folder_without_images_says_what_it_left_out(zoomin, engine, data: Path, monkeypatch) -> None:
    (data / "notes").mkdir()
    (data / "notes" / "a.txt").touch()
    monkeypatch.chdir(data)
    status, out, err = zoomin("detect", "notes", "--model", "hub/none", "--out", "out.jsonl")
    assert (status, out, (data / "out.jsonl").exists()) == (1, "", False)
    expected = "zoomin: notes: no image found; left out: 1 without the suffix of an image (notes/a.txt)\n"
    assert err == expected


def test_no_verdict_at_all_is_said_with_the_likely_cause(zoomin, engine, data: Path, monkeypatch) -> None:
    monkeypatch.chdir(data)
    engine.answer = lambda conversation: Answer("I cannot tell.", [1], False)
    command = ("detect", data, "--model", "hub/none", "--out", data / "out.jsonl")
    status, out, err = zoomin(*command)
    left_out = "left out: 1 without the suffix of an image (records.jsonl)\n"
    assert (status, out) == (3, f"3 images: 3 without a verdict; {left_out}")
    cause = "expected a model trained with this package, and no other MAX_PIXELS than in its training"
    assert err == f"zoomin: no reply has a verdict; {cause}\n"
    status, out, again = zoomin(*command)  # asked again, it says the same and asks the model nothing
    assert (status, again, engine.made) == (3, err, 1)
    assert "3 images: 3 without a verdict; 3 of them done before this run; left out: 2 " in out


def test_replies_that_were_cut_are_counted_apart_and_not_tried_again(zoomin, engine, data: Path) -> None:
    def answer(conversation: Conversation) -> Answer:
        is_cut = "a.png" in conversation.images[0].path
        return Answer(REPLY[:30] if is_cut else REPLY, [1], is_cut)

    engine.answer = answer
    command = ("detect", data / "a.png", data / "b.png", "--model", "hub/none", "--out", data / "out.jsonl")
    status, out, err = zoomin(*command)
    assert (status, err) == (0, "")
    assert out == "2 images: 1 with a verdict, 1 cut by the length limit before a verdict\n"
    assert (zoomin(*command)[0], engine.made) == (0, 1)


def test_an_image_that_vanishes_between_the_looks_is_tried_again(zoomin, engine, data: Path) -> None:
    def answer(conversation: Conversation) -> Answer | ImageError:
        path = conversation.images[0].path
        gone = len(conversation.episode.replies) == 1 and "a.png" in path
        return ImageError(f"{path}: no such image file") if gone else Answer(REPLY, [1], False)

    engine.answer = answer
    out = data / "out.jsonl"
    command = ("detect", data / "a.png", data / "b.png", "--model", "hub/none", "--out", out)
    assert zoomin(*command)[:2] == (3, "2 images: 1 with a verdict, 1 unreadable\n")
    assert [(row["image"], len(row["replies"])) for row in rows(out)] == [("a.png", 1), ("b.png", 2)]
    engine.answer = lambda conversation: Answer(REPLY, [1], False)
    assert zoomin(*command)[0] == 0
    assert [(row["image"], row["error"]) for row in rows(out)] == [("b.png", None), ("a.png", None)]


def test_an_unreadable_image_has_one_row_after_any_number_of_runs(zoomin, engine, data: Path) -> None:
    (data / "text.png").write_text("no image")
    out = data / "run" / "out.jsonl"
    command = ("detect", data, data / "absent.png", "--model", "hub/none", "--out", out)
    for _ in range(3):
        assert zoomin(*command)[0] == 3
        assert sorted(row["image"] for row in rows(out)) == [f"../{x}.png" for x in ("a", "absent", "b", "c", "text")]
        assert list(out.parent.iterdir()) == [out]


def test_links_are_images_of_their_own_and_are_found_by_evaluation(zoomin, engine, data: Path) -> None:
    (data / "link.png").symlink_to("a.png")
    write_records(data / "records.jsonl", [{"image": "link.png", "label": "generated"}])
    out = data / "out.jsonl"
    command = ("detect", data, data / "records.jsonl", "--model", "hub/none", "--out", out)
    assert zoomin(*command)[0] == 0
    assert [row["image"] for row in rows(out)] == ["a.png", "b.png", "c.png", "link.png"]
    assert zoomin(*command)[1].startswith("4 of 4 images are done already\n")
    status, printed, _ = zoomin("evaluate", data / "records.jsonl", out)
    assert (status, "accuracy    1.000" in printed) == (0, True)


def test_a_second_run_is_refused_in_one_line(zoomin, engine, data: Path, capsys) -> None:
    out = data / "out.jsonl"
    seen: list[tuple[int, str, str]] = []

    def answer(conversation: Conversation) -> Answer:
        if not seen:
            capsys.readouterr()  # the bar of the first run
            seen.append(zoomin(*command))
        return Answer(REPLY, [1], False)

    command = ("detect", data, "--model", "hub/none", "--out", out)
    engine.answer = answer
    assert zoomin(*command)[0] == 0
    message = f"zoomin: {out}: another run is writing to it; wait for its end or choose another --out\n"
    assert seen == [(1, "", message)]
    assert len(rows(out)) == 3


@pytest.mark.parametrize("out", ["records.jsonl", "a.png", "."])
def test_an_out_that_is_something_else_is_left_byte_for_byte(zoomin, engine, data: Path, out: str) -> None:
    (data / "records.jsonl").write_bytes((data / "records.jsonl").read_bytes().rstrip())
    before = files(data)
    status, printed, err = zoomin("detect", data, "--model", "hub/none", "--out", data / out)
    assert (status, printed, err.count("\n"), engine.made) == (1, "", 1, 0)
    assert err.startswith(f"zoomin: {data / out}: ")
    assert files(data) == before


def test_a_disk_that_fills_up_keeps_the_finished_rows(zoomin, engine, data: Path) -> None:
    out = data / "out.jsonl"
    command = ("detect", data, "--model", "hub/none", "--out", out)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, limits[1]))  # a row and a half
    try:
        status, _, err = zoomin(*command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (status, err) == (1, f"zoomin: {out}: File too large\n")
    before = out.read_bytes()
    assert 1 <= before.count(b"\n") < 3
    assert before.endswith(b"\n")
    assert zoomin(*command)[0] == 0
    assert out.read_bytes().startswith(before)
    assert len(rows(out)) == 3


# Evaluation


def evaluation(data: Path, *images: str) -> tuple[object, ...]:
    lines = "".join(json_line({"image": image, "verdict": "real"}) for image in images)
    (data / "p.jsonl").write_text(lines)
    return "evaluate", data / "records.jsonl", data / "p.jsonl"


def test_predictions_of_other_paths_are_named_instead_of_a_table_of_zeros(zoomin, data: Path) -> None:
    status, out, err = zoomin(*evaluation(data, "no/such/a.png"), "--out", data / "m.json")
    assert (status, out, (data / "m.json").exists()) == (1, "", False)
    ours, theirs = f"{data / 'records.jsonl'} names {data / 'a.png'}", f"{data / 'p.jsonl'} {data / 'no/such/a.png'}"
    assert err == (
        f"zoomin: no prediction belongs to a record: {ours}, and {theirs}; "
        "paths are relative to the file they stand in\n"
    )


def test_a_file_without_predictions_is_named(zoomin, data: Path) -> None:
    status, out, err = zoomin(*evaluation(data))
    assert (status, out, err) == (1, "", f"zoomin: {data / 'p.jsonl'}: holds no prediction\n")


def test_records_without_a_prediction_are_counted_and_said(zoomin, data: Path) -> None:
    status, out, err = zoomin(*evaluation(data, "b.png"))
    assert (status, err) == (0, "")
    said = f"2 of 3 records have no prediction and count as wrong; the first: {data / 'a.png'}"
    assert out.splitlines()[-1] == said
    assert "missing     2" in out


@pytest.mark.parametrize("images", ["abc", "b"])
def test_predictions_without_any_verdict_are_no_success(zoomin, data: Path, images: str) -> None:
    """A verdict on an image that no record names does not count."""
    lines = [{"image": f"{name}.png", "verdict": None} for name in images]
    lines += [{"image": "other.png", "verdict": "real"}]
    (data / "p.jsonl").write_text("".join(map(json_line, lines)))
    command = ("evaluate", data / "records.jsonl", data / "p.jsonl", "--out", data / "m.json")
    status, out, err = zoomin(*command)
    assert (status, err) == (3, f"zoomin: {data / 'p.jsonl'}: no verdict on any record, so all count as wrong\n")
    assert "accuracy    0.000" in out
    assert json.loads((data / "m.json").read_text())["accuracy"] == 0
    assert "3 figures without any verdict" in zoomin("evaluate", "--help")[1].replace("\n", " ")


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("p.jsonl", "the same file as {}/p.jsonl, which is read"),
        ("records.jsonl", "the same file as {}/records.jsonl, which is read"),
        ("link", "the same file as {}/p.jsonl, which is read"),
        ("hard link", "the same file as {}/records.jsonl, which is read"),
        ("a.png", "exists, and holds no figures of an earlier evaluation"),
        ("list.json", "exists, and holds no figures of an earlier evaluation"),
        ("other.json", "exists, and holds no figures of an earlier evaluation"),
        ("large.json", "exists, and holds no figures of an earlier evaluation"),
    ],
)
def test_figures_replace_nothing_that_is_none(zoomin, data: Path, out: str, reason: str) -> None:
    command = evaluation(data, "a.png", "b.png", "c.png")
    (data / "link").symlink_to("p.jsonl")
    (data / "hard link").hardlink_to(data / "records.jsonl")
    (data / "list.json").write_text('["signature"]')
    (data / "other.json").write_text('{"image": "a.png", "verdict": "real"}')
    (data / "large.json").write_text(json.dumps({"signature": "x", "more": "x" * 2_000_000}))
    before = files(data)
    status, printed, err = zoomin(*command, "--out", data / out)
    expected = f"zoomin: {data / out}: {reason.format(data)}; choose another --out\n"
    assert (status, printed, err, files(data)) == (1, "", expected, before)


def test_a_wrong_out_is_said_before_anything_is_read(zoomin, data: Path) -> None:
    (data / "p.jsonl").write_text("no predictions")
    err = zoomin("evaluate", data / "records.jsonl", data / "p.jsonl", "--out", data / "a.png")[2]
    assert err.startswith(f"zoomin: {data / 'a.png'}: exists, and ")


def test_figures_of_an_earlier_evaluation_are_replaced(zoomin, data: Path) -> None:
    (data / "m.json").touch()  # as mktemp leaves it
    for images in ("a", "abc"):
        command = evaluation(data, *(f"{name}.png" for name in images))
        assert zoomin(*command, "--out", data / "m.json")[0] == 0
        assert json.loads((data / "m.json").read_text())["missing"] == 3 - len(images)


@pytest.mark.parametrize("before", [b'{"signature": "of older figures"}', None])
def test_figures_are_written_whole_or_not_at_all(zoomin, data: Path, before: bytes | None) -> None:
    command = evaluation(data, "a.png", "b.png", "c.png")
    (data / "run").mkdir()
    if before:
        (data / "run" / "m.json").write_bytes(before)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        status, _, err = zoomin(*command, "--out", data / "run" / "m.json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (status, err) == (1, f"zoomin: {data / 'run' / 'm.json'}: File too large\n")
    assert files(data / "run") == ({data / "run" / "m.json": before} if before else {})


@pytest.mark.parametrize(
    ("out", "named", "reason"),
    [("folder", "folder", "Is a directory"), ("a.png/m.json", "a.png", "a file; expected a folder")],
)
def test_figures_that_cannot_be_written_are_named(zoomin, data: Path, out: str, named: str, reason: str) -> None:
    (data / "folder").mkdir()
    command = evaluation(data, "a.png", "b.png", "c.png")
    before = sorted(data.rglob("*")), (data / "a.png").read_bytes()
    status, _, err = zoomin(*command, "--out", data / out)
    assert (status, err) == (1, f"zoomin: {data / named}: {reason}\n")
    assert (sorted(data.rglob("*")), (data / "a.png").read_bytes()) == before


def test_what_is_no_file_is_written_and_not_replaced(zoomin, data: Path) -> None:
    """A pipe here; the superuser could replace /dev/null, which no test should put at risk."""
    os.mkfifo(data / "pipe")
    reader = os.open(data / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert zoomin(*evaluation(data, "a.png"), "--out", data / "pipe")[0] == 0
    assert (data / "pipe").is_fifo()
    assert json.loads(os.read(reader, 65536))["images"] == 3
    os.close(reader)


def test_figures_go_through_a_link(zoomin, data: Path) -> None:
    (data / "m.json").symlink_to("there.json")
    assert zoomin(*evaluation(data, "a.png"), "--out", data / "m.json")[0] == 0
    assert (data / "m.json").is_symlink()
    assert json.loads((data / "there.json").read_text())["images"] == 3


def test_a_full_disk_names_the_image_that_convert_could_not_write(zoomin, data: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        status, _, err = zoomin("convert", data / "records.jsonl", data / "square")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (status, err.splitlines()[-1]) == (1, f"zoomin: {data / 'square/images/000000.png'}: File too large")


# Standard output, and Ctrl-C


def in_a_shell(command: str, data: Path, **variables: str) -> tuple[str, str]:
    """What a shell prints of `$zoomin ...`, with its errors."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "zoomin": f"{sys.executable} -m swift_zoomin.cli"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=data, env={**environment, **variables}, capture_output=True, text=True
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_ends_a_command_quietly(data: Path, unbuffered: str) -> None:
    for command in ("check records.jsonl", "check absent.jsonl 2>&1"):
        # The pipe has no reader before anything is written to it.
        piped = f"{{ sleep 0.2; $zoomin {command}; echo $? >status; }} | true; cat status"
        assert in_a_shell(piped, data, PYTHONUNBUFFERED=unbuffered) == ("141\n", "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_said(data: Path, unbuffered: str) -> None:
    out, err = in_a_shell("$zoomin check records.jsonl >/dev/full; echo $?", data, PYTHONUNBUFFERED=unbuffered)
    assert (out, err) == ("1\n", "zoomin: No space left on device\n")
    assert in_a_shell("$zoomin check records.jsonl >&-; echo $?", data)[0] == "0\n"


def test_a_name_that_the_terminal_cannot_show_is_shown_as_it_can(data: Path) -> None:
    (data / "a.png").rename(data / "café.png")
    write_records(data / "records.jsonl", [{"image": f"{name}.png", "label": "real"} for name in ("café", "b")])
    evaluation(data, "b.png")
    out, err = in_a_shell("$zoomin evaluate records.jsonl p.jsonl", data, PYTHONIOENCODING="ascii")
    assert (out.splitlines()[-1].endswith("caf\\xe9.png"), err) == (True, "")
    out, err = in_a_shell("$zoomin evaluate records.jsonl café.jsonl", data, PYTHONIOENCODING="ascii")
    assert (out, err) == ("", "zoomin: caf\\xe9.jsonl: no such predictions file\n")


SLOW = """
import signal, sys, time
from types import SimpleNamespace
from swift_zoomin.checkpoints import QWEN_LIMITS
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
from swift_zoomin.episode import Answer
limits = {"IMAGE_MIN_TOKEN_NUM": 1, "IMAGE_MAX_TOKEN_NUM": 100, "smart_resize": lambda *size: size[:2]}
sys.modules["qwen_vl_utils"] = SimpleNamespace(vision_process=SimpleNamespace(**limits))  # the real one loads torch
class Slow:
    limits = QWEN_LIMITS
    def __init__(self, *_): self.asked = 0
    def ask(self, given):
        self.asked += 1
        if self.asked > 1:
            print("waiting", flush=True)
            time.sleep(60)
        return [Answer("no", [1], True) for _ in given]
sys.modules["swift_zoomin.detection.engine"] = SimpleNamespace(SwiftEngine=Slow)
from swift_zoomin.cli import main
sys.exit(main())
"""


def test_another_process_may_not_write_meanwhile_and_control_c_is_one_line_that_keeps_the_rows(
    zoomin, engine, data: Path
) -> None:
    out = data / "out.jsonl"
    model = data.parent / "a model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    arguments = ["detect", str(data), "--model", str(model), "--batch-size", "1", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    assert len(rows(out)) == 1  # written before the next image is asked about
    status, _, refused = zoomin(*arguments)
    assert (status, refused.startswith(f"zoomin: {out}: another run is writing to it")) == (1, True)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, err = process.communicate()
    assert (process.returncode, time.monotonic() - started < 20) == (130, True)
    assert err.splitlines()[-1] == "zoomin: interrupted; what is written stays"
    assert "Traceback" not in err
    assert [row["image"] for row in rows(out)] == ["a.png"]
