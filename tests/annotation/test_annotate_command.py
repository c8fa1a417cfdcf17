"""`zoomin annotate` in the tests' own process: what it writes, how it goes on, and faults in one line.

The server answers in turn, so that one image at a time is asked about.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from annotate_in_process import (
    ANSWERS,
    BOX,
    EXPLANATION,
    RESULTS,
    Command,
    annotating,
    arguments,
    contents,
    pictures,
    rows,
)
from answering_server import AnsweringServer, Reply, answering, fault, said
from PIL import Image

from swift_zoomin.records import read_records


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return annotating(monkeypatch, capsys)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return pictures(tmp_path / "images")


def test_every_image_is_a_record_or_a_rejection(zoomin: Command, images: Path, tmp_path: Path) -> None:
    with answering(*ANSWERS, *ANSWERS) as server:
        status, printed, errors = zoomin(*arguments(server, images))
    assert (status, errors) == (0, "")
    assert printed == f"3 images: 2 records, 1 rejected; 6 calls and 600 tokens in this run; in {tmp_path / 'out'}\n"
    models = [body["model"] for body in server.asked]
    assert models == ["gpt-4o", "Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-7B-Instruct"] * 2
    pictures = {body["messages"][0]["content"][0]["image_url"]["url"] for body in server.asked}
    assert len(pictures) == 4, "GPT is sent sides of 32 pixels, the two other steps one picture with sides of 28"
    out = tmp_path / "out"
    own = {"label": "real", "explanation": EXPLANATION, "boxes": [BOX], "box_labels": ["panel"]}
    assert rows(out / "records.jsonl") == [{"image": f"../images/{number}.png", **own} for number in (0, 2)]
    (rejected,) = rows(out / "rejected.jsonl")
    assert rejected.keys() == {"image", "label", "reason"}
    assert rejected["image"] == "../images/1.png"
    assert rejected["reason"].startswith("not a readable image")
    audit = rows(out / "audit.jsonl")
    assert [row["image"] for row in audit] == [f"../images/{number}.png" for number in (0, 1, 2)]
    asked = [[step["step"] for step in row["steps"]] for row in audit]
    assert asked == [["explain", "ground", "filter"], [], ["explain", "ground", "filter"]]
    assert len(read_records(out / "records.jsonl")) == 2


def test_running_again_asks_nothing_and_changes_nothing(zoomin: Command, images: Path, tmp_path: Path) -> None:
    with answering(*ANSWERS, *ANSWERS) as server:
        zoomin(*arguments(server, images))
        before = contents(tmp_path / "out")
        status, printed, _ = zoomin(*arguments(server, images))
    assert status == 0
    assert "0 calls and 0 tokens" in printed
    assert len(server.asked) == 6
    assert contents(tmp_path / "out") == before
    assert before.keys() == set(RESULTS)


def test_a_budget_stops_the_run_and_the_next_one_ends_it(zoomin: Command, images: Path, tmp_path: Path) -> None:
    with answering(*ANSWERS, *ANSWERS) as server:
        status, printed, errors = zoomin(*arguments(server, images, "--budget-calls", 4))
        assert status == 3
        assert printed.startswith("3 images: 1 record, 1 rejected, 1 left; 4 calls")
        stopped = "zoomin: stopped: the budget of 4 calls is spent; 1 image left, run the same again to go on\n"
        assert errors == stopped
        assert len(server.asked) == 4
        first = contents(tmp_path / "out")["records.jsonl"]
        # A shorter run takes nothing away from what a longer one has done.
        status, printed, _ = zoomin(*arguments(server, images, "--budget-calls", 1))
        assert printed.startswith("3 images: 1 record, 1 rejected, 1 left; 1 call ")
        assert contents(tmp_path / "out")["records.jsonl"] == first
        status, printed, _ = zoomin(*arguments(server, images))
    assert status == 0
    assert printed.startswith("3 images: 2 records, 1 rejected; 1 call ")
    assert len(server.asked) == 6


def test_what_failed_at_the_server_is_asked_again_by_the_next_run(
    zoomin: Command, images: Path, tmp_path: Path
) -> None:
    down = fault(503, "down")
    with answering(ANSWERS[0], down, *ANSWERS, ANSWERS[1], ANSWERS[2]) as server:
        status, printed, _ = zoomin(*arguments(server, images))
        assert status == 0
        assert "1 record, 1 rejected, 1 failed at the server and asked again by the next run" in printed
        reasons = {row["image"]: row["reason"] for row in rows(tmp_path / "out/rejected.jsonl")}
        assert reasons["../images/0.png"] == "the server: 503 down (asked once)"
        status, printed, _ = zoomin(*arguments(server, images))
    assert "2 records, 1 rejected; 2 calls" in printed


@pytest.mark.slow
def test_twenty_failures_in_a_row_stop_the_run(zoomin: Command, images: Path) -> None:
    for number in range(3, 40):
        Image.new("RGB", (60, 48), (number, 0, 0)).save(images / f"{number}.png")
    with answering(*ANSWERS, fault(500, "broken")) as server:
        status, printed, errors = zoomin(*arguments(server, images))
    assert status == 3
    assert len(server.asked) == 3 + 20
    assert errors.startswith(
        "zoomin: stopped: 20 images in a row failed at the server of the step explain; the last: 500"
    )
    assert "1 record, 1 rejected, 20 failed at the server and asked again by the next run, 18 left" in printed


@pytest.mark.slow
def test_answers_that_are_all_cut_are_complained_of(zoomin: Command, images: Path) -> None:
    for number in range(3, 23):
        Image.new("RGB", (60, 48), (number, 0, 0)).save(images / f"{number}.png")
    with answering(said(EXPLANATION, finish_reason="length")) as server:
        status, printed, errors = zoomin(*arguments(server, images))
    assert status == 0
    assert printed.startswith("23 images: 0 records, 23 rejected; 44 calls")
    assert errors.startswith("zoomin: 22 of 23 images were rejected for one cause: explain: the answer was cut for its")
    assert errors.count("\n") == 1


def test_no_record_leaves_no_records_file(zoomin: Command, images: Path, tmp_path: Path) -> None:
    with answering(fault(400, "unsupported image")) as server:
        status, printed, _ = zoomin(*arguments(server, images))
    assert status == 0
    assert "no records.jsonl in" in printed
    assert contents(tmp_path / "out").keys() == {"rejected.jsonl", "audit.jsonl", "summary.json"}


def test_two_files_of_one_content_are_two_records_of_one_price(zoomin: Command, images: Path) -> None:
    (images / "3.png").write_bytes((images / "0.png").read_bytes())
    with answering(*ANSWERS, *ANSWERS) as server:
        _, printed, _ = zoomin(*arguments(server, images, "--concurrency", 4))
    assert printed.startswith("4 images: 3 records, 1 rejected; 6 calls")


def test_further_columns_stay(zoomin: Command, images: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,label,source\nimages/0.png,generated,sdxl\n")
    with answering(*ANSWERS) as server:
        call = arguments(server, images / "0.png")
        call = [argument for argument in call if argument not in ("--label", "real")]
        call[call.index("--out") + 1] = tmp_path / "out"
        status, _, errors = zoomin(*call, "--labels", tmp_path / "labels.csv")
    assert (status, errors) == (0, "")
    (row,) = rows(tmp_path / "out/records.jsonl")
    assert (row["label"], row["source"]) == ("generated", "sdxl")


def test_ctrl_c_keeps_what_is_answered(zoomin: Command, images: Path, tmp_path: Path) -> None:
    def interrupt_after(server: AnsweringServer, calls: int) -> None:
        while len(server.asked) < calls:
            threading.Event().wait(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    with answering(*ANSWERS, *ANSWERS) as server:
        thread = threading.Thread(target=interrupt_after, args=(server, 4))
        thread.start()
        status, printed, errors = zoomin(*arguments(server, images, "--requests-per-minute", 600))
        thread.join()
        assert (status, printed) == (130, "")
        assert errors == "zoomin: interrupted; what is written stays\n"
        assert len(rows(tmp_path / "out/records.jsonl")) == 1
        assert json.loads((tmp_path / "out/summary.json").read_text())["left"] == 1
        status, *_ = zoomin(*arguments(server, images))
    assert status == 0
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (fault(401, "Incorrect API key provided: sk-test-0123456789"), "[key]; the key is that of OPENAI_API_KEY"),
        (fault(404, "The model `gpt-4o` does not exist"), "model gpt-4o: 404 The model `gpt-4o` does not exist"),
        (Reply(404, b"<html>nginx</html>"), "404 <html>nginx</html>; expected the name of one of its models"),
    ],
)
def test_a_wrong_key_or_model_is_one_line(answer: Reply, expected: str, zoomin: Command, images: Path) -> None:
    with answering(answer) as server:
        status, printed, errors = zoomin(*arguments(server, images, "--concurrency", 8))
    assert (status, printed) == (1, "")
    assert errors.count("\n") == 1
    assert expected in errors
    assert len(server.asked) == 1
    assert not (images.parent / "out/summary.json").exists()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--explain-url", "localhost:8000/v1"], "localhost:8000/v1: no address; expected one like"),
        (["--ground-url", "http:///v1"], "http:///v1: no address"),
        (["--ground-url", "ftp://user:secret@host/v1?key=secret"], "zoomin: host/v1: no address"),
        (["--ground-model", "my-model"], "my-model: how it writes boxes is not known; set --ground-frame absolute or"),
    ],
)
def test_a_fault_of_what_was_given_is_one_line(more: list[str], expected: str, zoomin: Command, images: Path) -> None:
    status, printed, errors = zoomin(*arguments("http://127.0.0.1:9/v1", images), *more)
    assert (status, printed) == (1, "")
    assert errors.count("\n") == 1
    assert expected in errors


@pytest.mark.parametrize("option", [["--max-pixels", "1000"], ["--retries", "-1"], ["--budget-calls", "0"]])
def test_a_number_out_of_range_is_refused(option: list[str], zoomin: Command, images: Path) -> None:
    status, _, errors = zoomin(*arguments("http://127.0.0.1:9/v1", images), *option)
    assert status == 2
    assert option[0] in errors


def test_a_key_that_cannot_be_sent_is_named_and_not_shown(
    zoomin: Command, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUND_API_KEY", "sk-secret\nsecond-line")
    status, _, errors = zoomin(*arguments("http://127.0.0.1:9/v1", images))
    assert (status, errors) == (1, "zoomin: GROUND_API_KEY: holds characters that no key has; set it again\n")


def test_the_missing_extra_is_named(zoomin: Command, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    status, _, errors = zoomin(*arguments("http://127.0.0.1:9/v1", images))
    assert (status, errors) == (1, 'zoomin: annotate needs openai; pip install "swift-zoomin[annotate]"\n')


def test_a_dry_run_shows_three_prompts_and_asks_nothing(zoomin: Command, images: Path) -> None:
    status, printed, errors = zoomin(*arguments("http://127.0.0.1:9/v1", images, "--dry-run"))
    assert (status, errors) == (0, "")
    assert "0.png: 560x448 pixels\n" in printed
    assert "--- explain: gpt-4o, image sent as 576x480\n" in printed
    for step in ("ground", "filter"):
        assert f"--- {step}: Qwen2.5-VL-7B-Instruct, image sent as 560x448\n" in printed
    assert "3 images, 3 steps each: 9 calls" in printed
    assert not (images.parent / "out").exists()


def test_a_model_that_was_not_taught_boxes_is_complained_of_before_it_is_asked(zoomin: Command, images: Path) -> None:
    weak = (
        "zoomin: --ground-model gpt-4o was not taught to write boxes, which will often be wrong; give one that was, "
        "as Qwen2.5-VL-72B-Instruct\n"
    )
    given = arguments("http://localhost:1/v1", images, "--dry-run", "--ground-model", "gpt-4o")
    assert zoomin(*given)[::2] == (0, weak)
    assert zoomin(*given, "--ground-model", "Qwen2.5-VL-7B-Instruct")[::2] == (0, "")
    assert zoomin(*given, "--ground-model", "mine", "--ground-frame", "absolute")[::2] == (0, "")


def test_a_dry_run_passes_over_an_image_that_a_run_rejects(zoomin: Command, images: Path) -> None:
    (images / "0.png").write_text("no picture")
    status, printed, errors = zoomin(*arguments("http://127.0.0.1:9/v1", images, "--dry-run"))
    assert (status, errors) == (0, "")
    assert "2.png: 560x448 pixels\n" in printed
    (images / "2.png").write_text("no picture")
    status, printed, errors = zoomin(*arguments("http://127.0.0.1:9/v1", images, "--dry-run"))
    assert (status, printed) == (1, "")
    assert "0.png: not a readable image" in errors


def test_the_help_shows_defaults(zoomin: Command) -> None:
    words = " ".join(zoomin("annotate", "--help")[1].split())
    assert [words.count(f"(default: {value})") for value in (8, 120, 5, 1280 * 28 * 28)] == [1, 1, 1, 1]


def test_without_a_filter_two_steps_are_asked(zoomin: Command, images: Path) -> None:
    with answering(*ANSWERS[:2], *ANSWERS[:2]) as server:
        status, printed, _ = zoomin(*arguments(server, images, "--filter-model", "none"))
    assert status == 0
    assert "2 records, 1 rejected; 4 calls" in printed


def test_a_sheet_of_an_earlier_run_is_no_image(zoomin: Command, images: Path) -> None:
    with answering(*ANSWERS, *ANSWERS) as server:
        for _ in range(2):
            _, printed, _ = zoomin(*arguments(server, images), "--out", images)
    assert (images / "sheet.png").exists()
    assert printed.startswith("3 images: 2 records, 1 rejected; 0 calls")
