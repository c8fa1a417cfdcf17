"""Detection on a cluster, but for the cluster: what is asked for, what is gone on with, and what is said at the end."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray_detect
from scripted_commands import make_images, rows

from swift_zoomin.episode import Answer
from swift_zoomin.images import ImageError

Detect = Callable[..., tuple[int, str, str]]


def answer_here(folder: Path, make_detector: ray_detect.MakeDetector, workers: int, gpus: int) -> None:
    """In the place of the cluster, one worker in this process, which answers what has no answer yet."""
    names = pq.read_table(folder / "images")["image"].to_pylist()
    done = pq.read_table(folder / "answers")["image"].to_pylist() if (folder / "answers").exists() else []
    looker = ray_detect.Looker(make_detector)
    (folder / "answers").mkdir(exist_ok=True)
    table = pa.table(looker({"image": [name for name in names if name not in done]}))
    pq.write_table(table, folder / "answers" / f"{len(done)}.parquet")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_images(tmp_path / "data")


@pytest.fixture
def detect(engine: Any, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Detect:
    """The example run with these arguments: its status, and what it printed."""
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=lambda: None, cluster_resources=dict))
    monkeypatch.setattr(ray_detect, "_answer", answer_here)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ray_detect.py", *map(str, arguments), "--model", "hub/none"])
        try:
            status = ray_detect.main()
        except SystemExit as end:
            status = int(str(end.code))
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_it_says_and_ends_as_detect_does(detect: Detect, data: Path, engine: Any) -> None:
    (data / "c.png").write_bytes(b"none")
    (data / "._d.png").touch()
    out = data.parent / "p.jsonl"
    status, printed, errors = detect(data, "--out", out)
    assert status == 3
    counts = "3 images: 2 with a verdict, 1 unreadable; left out: "
    assert printed.startswith(counts)
    assert "1 hidden" in printed
    assert errors.startswith("zoomin: 1 of 3 images could not be read; the first: ")
    assert len(rows(out)) == 3
    status, printed, _ = detect(data, "--out", out)
    assert (status, len(rows(out))) == (3, 3)
    assert printed.startswith(counts.replace("; left", "; 2 of them done before this run; left"))
    assert not (data.parent / "p.jsonl.ray").exists()


def test_no_verdict_at_all_is_no_success(detect: Detect, data: Path, engine: Any) -> None:
    engine.answer = lambda conversation: Answer("I cannot say.", [1], False)
    status, printed, errors = detect(data, "--out", data.parent / "p.jsonl")
    assert (status, printed) == (3, "3 images: 3 without a verdict; left out: " + printed.split("left out: ")[1])
    assert "zoomin: no reply has a verdict" in errors


def test_no_image_is_one_line_and_no_file(detect: Detect, data: Path) -> None:
    (data / "empty").mkdir()
    status, printed, errors = detect(data / "empty", "--out", data.parent / "p.jsonl")
    assert (status, printed) == (1, "")
    assert errors == f"zoomin: {data / 'empty'}: no image found\n"
    assert not (data.parent / "p.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--out", "p.parquet"), "--out: expected a file of predictions, JSON Lines"),
        ((), "--out: expected a file of predictions, JSON Lines"),
        (("--out", "p.jsonl", "--engine", "endpoint", "--url", "http://localhost:1/v1"), "--engine endpoint"),
        (
            ("--out", "p.jsonl", "--url", "http://localhost:1/v1"),
            "--engine endpoint, --url, --frame: ask an address by",
        ),
    ],
)
def test_what_it_cannot_do_is_refused(options: tuple[str, ...], said: str, detect: Detect, data: Path) -> None:
    status, _, errors = detect(data, *options)
    assert status == 2
    assert said in errors


@pytest.mark.parametrize("gone", ["images", "answers", "made_by"])
def test_a_run_killed_while_it_clears_up_is_gone_on_with(
    gone: str, detect: Detect, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of the folder went first."""
    out = data.parent / "p.jsonl"
    remove = shutil.rmtree

    def killed(folder: Path, ignore_errors: bool = False) -> None:
        if (folder / "answers").exists():
            part = folder / gone if (folder / gone).exists() else folder / "listing"
            remove(part) if part.is_dir() else os.remove(part)
            raise KeyboardInterrupt
        remove(folder, ignore_errors=ignore_errors)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            detect(data, "--out", out)
    status, printed, _ = detect(data, "--out", out)
    assert status == 0
    assert printed.startswith("3 images: 3 with a verdict; 3 of them done before this run")
    assert [Path(row["image"]).name for row in rows(out)] == ["a.png", "b.png", "c.png"]


def test_a_run_killed_among_its_answers_counts_each_image_once(
    detect: Detect, data: Path, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path, *how: Any) -> None:
        answer_here(folder, *how)
        raise KeyboardInterrupt

    out = data.parent / "p.jsonl"
    made = engine.answer
    engine.answer = lambda conversation: ImageError("busy") if "a.png" in conversation.images[0].path else made(None)
    with monkeypatch.context() as patch:
        patch.setattr(ray_detect, "_answer", killed)
        with pytest.raises(KeyboardInterrupt):
            detect(data, "--out", out)
    engine.answer = made
    status, printed, errors = detect(data, "--out", out)
    assert status == 0, errors
    assert "going on with an interrupted run" in errors
    assert printed.startswith("3 images: 3 with a verdict; 2 of them done before this run")
    assert sorted(json.loads(line)["image"] for line in out.read_text().splitlines()) == [
        "data/a.png",
        "data/b.png",
        "data/c.png",
    ]
