"""What the end of `zoomin detect` says, and what is on disk then: rows, a status, no traceback."""

import os
import resource
from pathlib import Path

import pytest
from scripted_commands import REPLY, files, make_images, rows

from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.images import ImageError
from swift_zoomin.records import write_records


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_images(tmp_path / "data")


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
    assert sorted((row["image"], len(row["replies"])) for row in rows(out)) == [("a.png", 1), ("b.png", 2)]
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
    assert sorted(row["image"] for row in rows(out)) == ["a.png", "b.png", "c.png", "link.png"]
    assert zoomin(*command)[1].startswith(f"{out}: 4 images done already\n")
    status, printed, _ = zoomin("evaluate", data / "records.jsonl", out)
    assert (status, "accuracy           1.000" in printed) == (0, True)


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
