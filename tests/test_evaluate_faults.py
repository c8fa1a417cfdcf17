"""`zoomin evaluate` with predictions or an `--out` that are not what they should be: one line and a status."""

import json
import os
import resource
from pathlib import Path

import pytest
from scripted_commands import evaluation, files, make_images

from swift_zoomin.records import json_line


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_images(tmp_path / "data")


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
