"""The predictions file: what detection goes on with, what it refuses and leaves alone, and who may write."""

import errno
import fcntl
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from full_disks import at_most
from hypothesis import given, settings
from hypothesis import strategies as st

from swift_zoomin import locked_files
from swift_zoomin.predictions import Outcome, cut_error, outcome, read_predictions
from swift_zoomin.predictions_file import PredictionsFile
from swift_zoomin.records import RecordError, json_line

ME = "model m"
TERMINAL = os.openpty()[1]  # a device that nobody misses, if a broken command replaces it


def row(name: str, *replies: str, verdict: str | None = "real", error: str | None = None, **more: Any) -> dict:
    """A row as `zoomin detect` writes it; `name` is an absolute path."""
    return {"image": name, "verdict": verdict, "replies": list(replies), "seconds": 0.1, "error": error, **more}


def answered(name: str) -> dict:
    return row(name, "one", "two")


def unread(name: str, *replies: str) -> dict:
    return row(name, *replies, verdict=None, error=f"{name}: no such image file")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run" / "predictions.jsonl"


def write(out: Path, *rows: dict) -> bytes:
    """Let a run write rows of images beside the file's folder."""
    with PredictionsFile(out, ME) as file:
        for prediction in rows:
            file.add({**prediction, "image": str(out.parent.parent / prediction["image"])})
    return out.read_bytes()


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (row("a", "one", "two"), Outcome.VERDICT),
        (row("a", "one", verdict=None), Outcome.NO_VERDICT),
        (row("a", "one", verdict=None, error=cut_error(1)), Outcome.CUT),
        (row("a", "one", "two", verdict=None, error=cut_error(2)), Outcome.CUT),
        (row("a", "one", "two", error=cut_error(2)), Outcome.VERDICT),  # it was cut after its verdict
        (row("a", verdict=None, error="a: no such image file"), Outcome.UNREAD),
        (row("a", "one", verdict=None, error="a: no such image file"), Outcome.UNREAD),  # gone between the looks
        (row("a", "one", verdict=None, error="reply 1 was cut by the length limit.png: damaged"), Outcome.UNREAD),
        (row("a", verdict=None), Outcome.UNREAD),
    ],
)
def test_a_cut_reply_is_an_answer_and_an_unreadable_image_is_not(prediction: dict, expected: Outcome) -> None:
    assert outcome(prediction) == expected


def test_rows_are_relative_to_the_file_and_say_what_made_them(out: Path) -> None:
    (line,) = write(out, answered("data/a.png")).splitlines()
    assert json.loads(line) == {**answered("../data/a.png"), "made_by": ME}
    assert list(read_predictions(out)) == [out.parent.parent / "data" / "a.png"]


def test_a_run_goes_on_with_what_stands_there(out: Path) -> None:
    before = write(out, answered("a.png"), unread("b.png"), unread("c.png", "one"))
    first, _, third = before.splitlines(keepends=True)
    a, b, c = (out.parent.parent / f"{name}.png" for name in "abc")
    with PredictionsFile(out, ME) as file:
        became = [Outcome.VERDICT, Outcome.UNREAD, Outcome.UNREAD]
        assert [*map(file.became, (a, b, c)), file.became(a.parent), file.answered] == [*became, None, 1]
        file.add(answered(str(b)))
        assert out.read_bytes().startswith(before)  # until the run has ended no row is lost, whatever ends it
        assert file.became(b) == Outcome.VERDICT
    lines = out.read_bytes().splitlines(keepends=True)
    assert lines[:2] == [first, third]  # c.png was not tried again, so its row stays
    assert [json.loads(line)["image"] for line in lines] == [f"../{x}.png" for x in "acb"]
    assert list(out.parent.iterdir()) == [out]


def test_each_prediction_stands_in_the_file_as_soon_as_it_is_made(out: Path) -> None:
    """So that a machine that fails loses no answer that was given."""
    with PredictionsFile(out, ME) as file:
        for count, name in enumerate("abc", 1):
            file.add(answered(str(out.parent.parent / f"{name}.png")))
            assert [json.loads(line)["image"] for line in out.read_text().splitlines()] == [
                f"../{each}.png" for each in "abc"[:count]
            ]


RECORDS = b'{"image":"../odd/base.jpg","label":"real"}\n{"image":"../odd/mpo.jpg","label":"generated"}'
THEIRS = json_line({"image": "a.png", "verdict": "real"}).encode()
OURS = json_line({**answered("a.png"), "made_by": ME}).encode()
FOREIGN = {
    "records without a last line end": RECORDS,
    "records": RECORDS + b"\n",
    "records, cut": RECORDS[:60],
    "the first record, cut": b'{"image": "a.png", "label": "re',
    "a picture": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)),
    "a picture without a line end": b"\xff\xd8\xff\xe0" + bytes(range(20, 80)),
    "text": b"shopping list",
    "a number": b"7\n",
    "null": b"null\n",
    "JSON over many lines": b'{\n"image": "a.png",\n"verdict": "real"\n}\n',
    "another detector's": THEIRS,
    "another detector's without a line end": THEIRS.rstrip(),
    "another model's": json_line({**answered("a.png"), "made_by": "model n"}).encode(),
    "ours with a fault inside": OURS + OURS[:30] + b"\n" + OURS,
    "ours and records": OURS + RECORDS,
    "ours without replies": json_line({"image": "a", "verdict": None, "error": None, "made_by": ME}).encode(),
    "ours with an odd error": json_line({**row("a", "one"), "error": 7, "made_by": ME}).encode(),
    "a path only": b'{"image": "a.png',
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_that_is_something_else_is_refused_and_left_byte_for_byte(out: Path, kind: str) -> None:
    out.parent.mkdir()
    out.write_bytes(FOREIGN[kind])
    state = out.stat()
    with pytest.raises(RecordError, match=r"choose another --out") as caught, PredictionsFile(out, ME):
        pass
    assert str(caught.value).startswith(f"{out}: ")
    assert len(str(caught.value).splitlines()) == 1
    assert (files(out.parent), out.stat().st_mtime_ns) == ({out: FOREIGN[kind]}, state.st_mtime_ns)
    with out.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # and nobody holds it


@pytest.mark.parametrize("cut", [1, 30, 100])
def test_a_line_cut_short_is_left_out_when_work_starts(out: Path, cut: int) -> None:
    whole = write(out, answered("a.png"), answered("b.png"))
    out.write_bytes(whole[:-cut] if cut > 1 else whole + b"\0" * 50)  # zeros, as a file system leaves them
    torn = out.read_bytes()
    first = whole.splitlines(keepends=True)[0]
    with PredictionsFile(out, ME) as file:
        assert file.answered == (2 if cut == 1 else 1)
        assert out.read_bytes() == torn
        file.add(answered(str(out.parent.parent / "c.png")))
        assert out.read_bytes().startswith((whole if cut == 1 else first) + b'{"image": "../c.png"')


def test_a_whole_last_row_without_its_line_end_is_kept(out: Path) -> None:
    whole = write(out, answered("a.png"), answered("b.png"))
    out.write_bytes(whole.rstrip())
    with PredictionsFile(out, ME):
        pass
    assert out.read_bytes() == whole


def test_a_first_row_that_was_cut_is_known_by_its_verdict(out: Path) -> None:
    out.parent.mkdir()
    out.write_bytes(b'{"image": "a \\" b.png", "verdict": nu')
    assert write(out, answered("a.png")).count(b"\n") == 1


def test_rows_that_an_image_has_too_many_of_become_one(out: Path) -> None:
    """An earlier version left a row at every attempt, and two runs at once left all rows twice."""
    lines = [{**make(name), "made_by": ME} for make, name in ((unread, "a"), (answered, "a"), (unread, "a"))]
    lines += [{**unread("b"), "made_by": ME}, {**unread("./b"), "made_by": ME}]
    out.parent.mkdir()
    out.write_text("".join(map(json_line, lines)))
    with PredictionsFile(out, ME):
        pass
    assert [json.loads(line) for line in out.read_text().splitlines()] == [lines[1], lines[4]]


@pytest.mark.parametrize("how", ["itself", "a link", "a hard link", "another way"])
def test_a_second_run_on_one_file_is_refused_in_one_line(out: Path, tmp_path: Path, how: str) -> None:
    before = write(out, answered("a.png"), unread("b.png"))
    other = tmp_path / "other.jsonl"
    if how == "a link":
        other.symlink_to(out)
    elif how == "a hard link":
        os.link(out, other)
    else:
        other = out if how == "itself" else out.parent / ".." / "run" / out.name
    with PredictionsFile(out, ME):
        with pytest.raises(RecordError) as caught, PredictionsFile(other, ME):
            pass
        assert str(caught.value) == f"{other}: another run is writing to it; wait for its end or choose another --out"
        assert out.read_bytes() == before
    with PredictionsFile(out, ME) as file:
        assert file.answered == 1


def test_a_file_is_still_locked_when_it_has_been_replaced(out: Path) -> None:
    line = write(out, answered("a.png"))
    out.write_bytes(line * 2)
    with PredictionsFile(out, ME) as file:
        before = out.stat().st_ino
        file.add(answered(str(out.parent.parent / "c.png")))
        assert out.stat().st_ino != before
        with pytest.raises(RecordError, match="another run is writing to it"), PredictionsFile(out, ME):
            pass
        file.add(answered(str(out.parent.parent / "b.png")))
    assert out.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("other", ["replaces", "removes"])
def test_who_gets_the_lock_of_a_file_that_is_no_longer_there_opens_again(
    out: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """Another run has ended between this one's opening and locking."""
    before = write(out, answered("a.png"))
    lock, locked = locked_files.lock, []

    def lock_late(file: Any, path: Path) -> None:
        if not locked and other == "replaces":
            (out.parent / "new").write_bytes(before + before.replace(b"a.png", b"b.png"))
            (out.parent / "new").replace(out)
        elif not locked:
            out.unlink()
        locked.append(file)
        lock(file, path)

    monkeypatch.setattr(locked_files, "lock", lock_late)
    with PredictionsFile(out, ME) as file:
        assert (len(locked), file.answered) == (2, 2 if other == "replaces" else 0)
        assert locked[0].closed
        file.add(answered(str(out.parent.parent / "c.png")))
    assert len(read_predictions(out)) == (3 if other == "replaces" else 1)


def test_a_file_that_is_never_the_one_that_was_opened_does_not_hang(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems of user space number a file anew at every look."""
    monkeypatch.setattr(locked_files, "is_at", lambda *_: False)
    with pytest.raises(RecordError, match="replaced again and again"), PredictionsFile(out, ME):
        pass


def test_a_file_system_without_locks_is_said_and_used(out: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def flock(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert write(out, answered("a.png")).count(b"\n") == 1
    assert f"zoomin: {out}: no locks on this file system" in capsys.readouterr().err


def test_a_link_to_the_file_stays_a_link_and_its_rights_stay(out: Path, tmp_path: Path) -> None:
    write(out, unread("a.png"))
    out.chmod(0o640)
    (tmp_path / "there").mkdir()
    out.rename(tmp_path / "there" / "real.jsonl")
    out.symlink_to(tmp_path / "there" / "real.jsonl")
    with PredictionsFile(out, ME) as file:
        file.add(answered(str(tmp_path / "a.png")))
    assert out.is_symlink()
    assert stat.S_IMODE((tmp_path / "there" / "real.jsonl").stat().st_mode) == 0o640
    assert list(read_predictions(out)) == [tmp_path / "a.png"]  # relative to where the name stands
    assert sorted(path.name for path in files(tmp_path)) == ["predictions.jsonl", "real.jsonl"]


def test_a_full_disk_keeps_the_finished_rows_whole(out: Path) -> None:
    first = write(out, answered("a.png"))
    with at_most(len(first) + 40), PredictionsFile(out, ME) as file:
        with pytest.raises(OSError, match="File too large") as caught:
            file.add(answered(str(out.parent.parent / "b.png")))
        assert caught.value.filename == str(out)
        assert file.became(out.parent.parent / "b.png") is None
    assert files(out.parent) == {out: first}


def test_a_full_disk_leaves_a_file_that_would_be_replaced(out: Path) -> None:
    before = write(out, answered("a.png")) * 2
    out.write_bytes(before)
    with at_most(40), pytest.raises(OSError, match="File too large") as caught, PredictionsFile(out, ME):
        pass
    assert caught.value.filename == str(out)
    assert files(out.parent) == {out: before}


def test_a_run_without_a_row_leaves_no_file_behind_that_it_made(out: Path) -> None:
    with PredictionsFile(out, ME):
        assert out.exists()
    assert not out.exists()
    out.touch()
    with PredictionsFile(out, ME):
        pass
    assert out.read_bytes() == b""


@pytest.mark.parametrize("how", [Path.unlink, lambda out: out.with_name("new").replace(out)])
def test_a_file_that_is_taken_away_in_mid_run_is_named(out: Path, how: Callable[[Path], Any]) -> None:
    with PredictionsFile(out, ME) as file:
        out.with_name("new").touch()
        how(out)
        with pytest.raises(OSError, match="removed or replaced") as caught:
            file.add(answered(str(out.parent.parent / "a.png")))
        assert caught.value.filename == str(out)


def kinds_of_no_file(tmp_path: Path) -> dict[str, Path]:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("text")
    (tmp_path / "to_nowhere").symlink_to(tmp_path / "absent" / "x")
    below = tmp_path / "file" / "predictions.jsonl"
    names = {"pipe": tmp_path / "pipe", "folder": tmp_path / "folder", "loop": tmp_path / "loop"}
    more = {"long": tmp_path / ("n" * 300), "to nowhere": tmp_path / "to_nowhere", "deeper": below / "x"}
    return {**names, **more, "below a file": below, "device": Path(os.ttyname(TERMINAL))}


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "long", "to nowhere", "deeper", "below a file", "device"])
def test_what_cannot_be_written_is_named(tmp_path: Path, kind: str) -> None:
    path = kinds_of_no_file(tmp_path)[kind]
    before = files(tmp_path)
    with pytest.raises((OSError, RecordError)) as caught, PredictionsFile(path, ME):
        pass
    named = getattr(caught.value, "filename", None) or str(caught.value)
    assert named.startswith((str(path), str(path.parent)))
    assert files(tmp_path) == before


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(0, 400), st.booleans())
def test_any_bytes_are_gone_on_with_or_refused_and_left(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, cut: int, rows: bool
) -> None:
    out = tmp_path_factory.mktemp("out") / "run" / "predictions.jsonl"
    whole = write(out, answered("a.png"), answered("b.png")) if rows else b""
    content = whole[: len(whole) - cut if cut < len(whole) else 0] + tail
    out.parent.mkdir(exist_ok=True)
    out.write_bytes(content)
    try:
        with PredictionsFile(out, ME):
            assert out.read_bytes() == content
    except RecordError:
        assert files(out.parent) == {out: content}
    else:
        kept = [line for line in out.read_bytes().splitlines(keepends=True) if line.strip()]
        assert whole.startswith(b"".join(kept))
        *rows_there, _last = content.split(b"\n")
        assert len(kept) >= len([line for line in rows_there if line.strip()])  # the last line at most is gone
