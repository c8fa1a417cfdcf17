"""Detection and evaluation under every fault at once: files as they are, engines as they answer, runs that were torn.

Whatever is combined, there is no traceback, the counts add up to what was listed, no file but `--out` changes, an image
has one row, and the status is the one that `zoomin detect --help` documents.
"""

import io
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from conftest import engine_module
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from swift_zoomin import listing
from swift_zoomin.checkpoints import QWEN_LIMITS
from swift_zoomin.cli import main
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.images import ImageError
from swift_zoomin.records import json_line
from swift_zoomin.replies import Reply, render_reply


def picture(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (30, 30), colour).save(file, "PNG")
    return file.getvalue()


GOOD = picture("red")
REPLY = render_reply(Reply("generated", [[0, 0, 20, 20]], ["sign"], "It melts."))
NOTHING, OUTSIDE = "<explanation>Nothing.</explanation>", "<regions>[[900, 900, 990, 990], 7]</regions>"
ANSWERS = [
    Answer(REPLY, [1], False),
    Answer(REPLY, [1], True),
    Answer("", [], False),
    Answer("<image><|im_end|>\x00\ud800 {[(", [1], False),
    Answer(NOTHING + OUTSIDE, [1], False),
    Answer("<verdict>real</verdict><verdict>generated</verdict>", [1], True),
    ImageError("damaged,\nin two lines"),
]
# What may lie in a folder: how it is looked at, or why it is left out.
LOOKED_AT = ["good", "text", "empty", "gone", "link", "in a folder", "in a linked folder"]
LEFT_OUT = {
    "loop": listing.LOOPS,
    "folder loop": listing.LOOPS,
    "pipe": listing.NO_FILES,
    "hidden": listing.HIDDEN,
    "notes": listing.BY_SUFFIX,
    "locked": listing.UNREADABLE_FOLDERS,
}
STEMS = ["a", "line\nend", "caf\udce9", "q?size=1x1&crop=0,0,1,1", 'quote"', "%41 b", "ürün", "iVBORw0KGgo", "-"]
STEMS += ["a" * 200, "\u2028", "<image>"]
BY_ITSELF = ["good", "scan.pdf", "._hidden.png", "absent", "pipe", "loop", "again"]
GOOD_OUTS = ["new", "in a new folder", "empty", "a link", "among the images"]
BAD_OUTS = ["records", "picture", "text", "folder", "pipe", "below a file", "another model's", "device"]
TERMINAL = os.openpty()[1]  # a device that nobody misses, if a broken command replaces it


@dataclass
class Case:
    """Where one example runs, and what it must come to."""

    folder: Path
    images: list[Path]
    left_out: list[str]
    out: Path

    @property
    def photos(self) -> Path:
        return self.folder / "photos"


def make_entry(photos: Path, kind: str, name: str) -> Path:
    """Put one thing of a kind into the folder; the path by which an image is looked at."""
    path = photos / f"{name}.png"
    if kind in ("good", "text", "empty"):
        path.write_bytes({"good": GOOD, "text": b"no image", "empty": b""}[kind])
    elif kind == "gone":
        path.symlink_to("nowhere.png")
    elif kind == "link":
        path.symlink_to("../good.png")
    elif kind == "in a folder":
        (photos / name / "deeper").mkdir(parents=True)
        path = photos / name / "deeper" / "b.PNG"
        path.write_bytes(GOOD)
    elif kind == "in a linked folder":
        (photos / name).symlink_to("../more")
        path = photos / name / "m.png"
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "folder loop":
        (photos / name).symlink_to(".")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "hidden":
        (photos / f"._{name}.png").write_bytes(GOOD)
    elif kind == "notes":
        (photos / f"{name}.txt").write_text("no image")
    else:
        (photos / f"{name}.locked").mkdir()
        (photos / f"{name}.locked" / "a.png").write_bytes(GOOD)
    return path


def make_by_itself(folder: Path, kind: str) -> Path:
    path = folder / "named" / kind
    if kind in ("scan.pdf", "._hidden.png"):
        path.write_bytes(GOOD)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to("loop")
    return folder / "named" / ".." / "good.png" if kind in ("good", "again") else path


def make_out(folder: Path, kind: str) -> Path:
    out = folder / "run" / "out.jsonl"
    content = {
        "empty": b"",
        "records": b'{"image": "good.png", "label": "real"}\n{"image": "../good.png", "label": "real"}',
        "picture": GOOD,
        "text": b"shopping list",
        "another model's": json_line(
            {"image": "a", "verdict": None, "replies": [], "error": "x", "made_by": "another"}
        ).encode(),
    }
    if kind == "in a new folder":
        return folder / "run" / "x" / "y" / "out.jsonl"
    if kind == "among the images":
        return folder / "photos" / ".out.jsonl"
    if kind == "below a file":
        return folder / "good.png" / "out.jsonl"
    if kind == "device":
        return Path(os.ttyname(TERMINAL))
    if kind == "folder":
        out.mkdir()
    elif kind == "pipe":
        os.mkfifo(out)
    elif kind == "a link":
        out.symlink_to("../elsewhere.jsonl")
    elif kind in content:
        out.write_bytes(content[kind])
    return out


def state(folder: Path, out: Path) -> dict[str, Any]:
    """Everything below the folder but `--out`, where that is a file, and new folders that lead to it."""
    found = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if path == out or path == folder / "elsewhere.jsonl" or (stat.S_ISDIR(mode) and path in out.parents):
            continue
        target = os.readlink(path) if stat.S_ISLNK(mode) else None
        found[str(path)] = (mode, target, path.read_bytes() if stat.S_ISREG(mode) else None)
    return found


def run(*arguments: object) -> tuple[int, list[str], list[str]]:
    """The command's status and the lines of both outputs, without the progress bar; a traceback is a test's failure."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr("sys.argv", ["zoomin", *map(str, arguments)])
        patch.setattr(os, "scandir", scandir)
        status = main()
    lines = [line for line in re.split(r"[\r\n]+", err.getvalue()) if line and not line.startswith("detecting:")]
    assert all(line.startswith("zoomin: ") for line in lines), lines
    return status, out.getvalue().splitlines(), lines


_scandir = os.scandir


def scandir(path: Any) -> Any:
    if str(path).endswith(".locked"):  # the superuser may read everything
        raise PermissionError(13, "Permission denied", path)
    return _scandir(path)


class Scripted:
    """An engine that answers from a script, over and over."""

    limits = QWEN_LIMITS

    answers: Any = cycle(ANSWERS)

    def __init__(self, *_: object) -> None:
        pass

    async def answer(self, conversation: Conversation, *how: object) -> Answer | ImageError:
        reply: Answer | ImageError = next(self.answers)
        return reply

    def close(self) -> None:
        pass


def rows_by_image(out: Path) -> dict[Path, dict[str, Any]]:
    rows = [json.loads(line) for line in out.read_bytes().splitlines()]
    by_image = {Path(os.path.normpath(os.path.join(os.path.realpath(out.parent), row["image"]))): row for row in rows}
    assert len(by_image) == len(rows), "an image has two rows"
    return by_image


def is_unread(row: dict[str, Any]) -> bool:
    return not row["replies"] or not (row["error"] is None or row["error"].endswith("was cut by the length limit"))


def numbers(summary: str) -> dict[str, int]:
    """`3 images: 2 with a verdict, 1 unreadable; ...; left out: 1 hidden (x)` as counts by word."""
    head, _, left_out = summary.partition("; left out: ")
    counted, *_ = head.split("; ")
    total, parts = re.split(r" images?: ", counted)
    counts = {words: int(number) for number, words in (part.split(" ", 1) for part in parts.split(", "))}
    for reason in set(LEFT_OUT.values()):
        if found := re.search(rf"(?:^|, )(\d+) {reason} \(", left_out):
            counts[reason] = int(found[1])
    return {"images": int(total), **counts}


def check_run(case: Case, status: int, printed: list[str], errors: list[str]) -> None:
    rows = rows_by_image(case.out)
    seen = {path: rows[path] for path in case.images}  # a row for every image
    unread = [path for path, row in seen.items() if is_unread(row)]
    silent = [path for path, row in seen.items() if not is_unread(row) and row["verdict"] is None]
    counts = numbers(printed[-1])
    assert counts["images"] == len(seen)
    assert counts.get("unreadable", 0) == len(unread)
    said_nothing = counts.get("without a verdict", 0) + counts.get("cut by the length limit before a verdict", 0)
    assert said_nothing == len(silent)
    assert counts.get("with a verdict", 0) == len(seen) - len(unread) - len(silent)
    for reason in set(LEFT_OUT.values()):
        assert counts.get(reason, 0) == case.left_out.count(reason)
    if len(unread) == len(seen):
        assert status == 1
    elif unread or len(unread) + len(silent) == len(seen) or listing.UNREADABLE_FOLDERS in case.left_out:
        assert status == 3
    else:
        assert status == 0
    assert bool(errors) == (status != 0)


def check_evaluation(case: Case) -> None:
    """Over all images that can be measured, in a records file that names them in its own way."""
    named = [path for path in case.images if path.is_file() and path.read_bytes() == GOOD]
    if not named:
        return
    records, figures = case.folder / "records.jsonl", case.folder / "figures"
    rows = [{"image": os.path.relpath(path, case.folder), "label": "generated"} for path in named]
    records.write_text("".join(map(json_line, rows)))
    predictions = rows_by_image(case.out)
    before, answers = state(case.folder, figures), case.out.read_bytes()
    status, printed, errors = run("evaluate", records, case.out, "--out", figures)
    is_silent = all(predictions[path]["verdict"] is None for path in named)
    assert (status, len(errors)) == ((3, 1) if is_silent else (0, 0))
    written = json.loads((figures / "metrics.json").read_text())
    metrics = {name: figure["value"] for name, figure in written["methods"][case.out.stem].items()}
    right = sum(predictions[path]["verdict"] == "generated" for path in named)
    assert (metrics["images"], metrics["missing"]) == (len(named), 0)
    assert metrics["accuracy"] == pytest.approx(right / len(named))
    assert printed[0].split() == ["images", str(len(named))]
    shutil.rmtree(figures)
    assert run("evaluate", records, case.folder / "good.png")[0] == 1
    for wrong in (records, case.out, case.folder / "good.png"):
        status, printed, errors = run("evaluate", records, case.out, "--out", wrong)
        assert (status, printed, len(errors)) == (1, [], 1)
    assert (state(case.folder, figures), case.out.read_bytes()) == (before, answers)
    records.unlink()


@pytest.fixture(autouse=True)
def _scripted_engine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setitem(sys.modules, "swift_zoomin.detection.engine", engine_module(Scripted, tmp_path_factory))


def build(folder: Path, entries: list[tuple[str, str]], by_itself: list[str], out: str) -> tuple[Case, list[Path]]:
    """The example's files, and what the command line names."""
    for name in ("photos", "more", "named", "run"):
        (folder / name).mkdir()
    for name in ("good.png", "more/m.png"):
        (folder / name).write_bytes(GOOD)
    images, left_out = [], []
    for number, (kind, stem) in enumerate(entries):
        path = make_entry(folder / "photos", kind, f"{stem}{number}")
        if kind in LEFT_OUT:
            left_out.append(LEFT_OUT[kind])
        else:
            images.append(path)
    named = [make_by_itself(folder, kind) for kind in by_itself]
    case = Case(folder, images, left_out, make_out(folder, out))
    case.images += [Path(os.path.normpath(path)) for path in named]
    return case, [case.photos, *named]


entries = st.lists(st.tuples(st.sampled_from([*LOOKED_AT, *LEFT_OUT]), st.sampled_from(STEMS)), max_size=6)
between_runs = st.sampled_from(["nothing", "torn", "torn", "mended", "vanished", "unended"])


def disturb(case: Case, what: str) -> None:
    """What happens to the files between two runs."""
    content = case.out.read_bytes() if case.out.exists() else b""
    if what == "torn" and content.count(b"\n") > 1:
        case.out.write_bytes(content[:-25])
    elif what == "unended":
        case.out.write_bytes(content.rstrip())
    elif what == "mended":
        for path in case.images:
            if path.is_file() and path.suffix == ".png":
                path.write_bytes(GOOD)
    elif what == "vanished":
        victims = [path for path in case.images if path.is_file() and path.parent == case.photos]
        for path in victims[:1]:
            path.unlink()
            path.symlink_to("nowhere.png")


@pytest.mark.slow
@settings(deadline=None)
@given(
    entries,
    st.lists(st.sampled_from(BY_ITSELF), max_size=3),
    st.sampled_from(GOOD_OUTS),
    st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=5),
    st.lists(between_runs, max_size=2),
    st.integers(1, 3),
)
def test_faults_of_files_engines_and_runs_in_any_combination(
    entries: list[tuple[str, str]],
    by_itself: list[str],
    out: str,
    answers: list,
    disturbances: list[str],
    most: int,
) -> None:
    Scripted.answers = cycle(answers)
    by_itself = list(dict.fromkeys(by_itself))
    with tempfile.TemporaryDirectory() as home:
        case, sources = build(Path(os.path.realpath(home)), entries, by_itself, out)
        case.images = list(dict.fromkeys(case.images))
        left_out = list(case.left_out)
        command = ("detect", *sources, "--model", "hub/none", "--out", case.out, "--concurrency", most)
        for what in ["nothing", *disturbances]:
            disturb(case, what)
            answered = before_run(case)
            if out == "among the images" and case.out.exists():
                case.left_out = [*left_out, listing.HIDDEN]
            before = state(case.folder, case.out)
            status, printed, errors = run(*command)
            assert state(case.folder, case.out) == before
            if not case.images:
                assert (status, printed, len(errors)) == (1, [], 1)
                assert "no image found" in errors[0]
                assert case.out.exists() == (out == "empty")
                return
            check_run(case, status, printed, errors)
            assert answered <= set(case.out.read_bytes().splitlines())  # nothing that was done is lost
        check_evaluation(case)


def before_run(case: Case) -> set[bytes]:
    """The whole rows that answer for an image."""
    if not case.out.exists():
        return set()
    lines = case.out.read_bytes().splitlines(keepends=True)
    return {line.rstrip() for line in lines if line.endswith(b"\n") and not is_unread(json.loads(line))}


@settings(deadline=None, max_examples=50)
@given(entries, st.sampled_from(BAD_OUTS))
def test_a_wrong_out_is_one_line_and_changes_nothing(entries: list[tuple[str, str]], out: str) -> None:
    with tempfile.TemporaryDirectory() as home:
        case, sources = build(Path(os.path.realpath(home)), [*entries, ("good", "last")], [], out)
        before = state(case.folder, case.folder)
        status, printed, errors = run("detect", *sources, "--model", "hub/none", "--out", case.out)
        assert (status, printed, len(errors)) == (1, [], 1)
        assert state(case.folder, case.folder) == before
        assert Path(os.ttyname(TERMINAL)).is_char_device()
