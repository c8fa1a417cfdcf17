"""`--out predictions.parquet`: the same rows in columns, gone on with and evaluated, none of them lost."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet
import pytest
from full_disks import at_most
from scripted_commands import REPLY, make_images, rows

from swift_zoomin import predictions_parquet
from swift_zoomin.episode import ONE_TURN, Answer, Conversation
from swift_zoomin.predictions import Outcome, to_prediction
from swift_zoomin.predictions_parquet import ParquetPredictions, _types, read_rows, write_rows
from swift_zoomin.records import RecordError, json_line


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_images(tmp_path / "data")


def in_columns(path: Path) -> list[dict]:
    return sorted(pyarrow.parquet.read_table(path).to_pylist(), key=lambda row: row["image"])


def without_seconds(rows: list[dict]) -> list[dict]:
    return sorted(({**row, "seconds": 0} for row in rows), key=lambda row: row["image"])


def test_both_files_have_the_same_rows(zoomin, engine, data: Path) -> None:
    (data / "text.png").write_text("no image")
    command = ("detect", data, "--model", "hub/none", "--out")
    for suffix in ("jsonl", "parquet"):
        assert zoomin(*command, data / f"p.{suffix}")[0] == 3
    assert without_seconds(list(read_rows(data / "p.parquet"))) == without_seconds(rows(data / "p.jsonl"))
    (row, *_) = in_columns(data / "p.parquet")
    assert (row["image"], row["boxes"], row["replies"]) == ("a.png", [[0.0, 0.0, 14.29, 14.29]], [REPLY, REPLY])
    assert sorted(path.name for path in data.iterdir() if path.name.startswith("p.")) == ["p.jsonl", "p.parquet"]


def test_a_run_goes_on_with_a_parquet_file_and_tries_again_what_could_not_be_read(zoomin, engine, data: Path) -> None:
    out = data / "run" / "p.parquet"
    command = ("detect", data / "a.png", data / "late.png", data / "b.png", "--model", "hub/none", "--out", out)
    assert zoomin(*command[:3], *command[4:])[0] == 3
    before = list(read_rows(out))
    (data / "c.png").rename(data / "late.png")
    status, printed, _ = zoomin(*command)
    assert (status, printed.splitlines()[0]) == (0, f"{out}: 1 image done already")
    after = {row["image"]: row for row in read_rows(out)}
    assert after.keys() == {"../a.png", "../b.png", "../late.png"}
    assert after["../a.png"] in before
    assert after["../late.png"]["verdict"] == "generated"
    assert list(out.parent.iterdir()) == [out]


def test_what_a_run_has_done_that_ends_early_stands_beside_and_is_gone_on_with(zoomin, engine, data: Path) -> None:
    def answer(conversation: Conversation) -> Answer:
        if "b.png" in conversation.images[0].path:
            raise OSError("the server is gone")
        return Answer(REPLY, [1], False)

    out = data / "run" / "p.parquet"
    command = ("detect", data / "a.png", data / "b.png", "--model", "hub/none", "--concurrency", 1, "--out", out)
    engine.answer = answer
    assert zoomin(*command)[::2] == (1, "zoomin: the server is gone\n")
    (unfinished,) = out.parent.iterdir()
    assert unfinished.name == "p.parquet.unfinished.jsonl"
    assert [row["image"] for row in rows(unfinished)] == ["../a.png"]
    engine.answer = lambda conversation: Answer(REPLY, [1], False)
    assert zoomin(*command)[:2] == (0, f"{unfinished.parent / 'p.parquet'}: 1 image done already\n{SUMMARY}\n")
    assert [row["image"] for row in in_columns(out)] == ["../a.png", "../b.png"]
    assert list(out.parent.iterdir()) == [out]


SUMMARY = "2 images: 2 with a verdict; 1 of them done before this run"


def test_a_name_that_is_no_utf_8_is_evaluated_and_not_looked_at_twice(zoomin, engine, data: Path) -> None:
    (data / "a.png").rename(data / "caf\udce9.png")
    (data / "records.jsonl").write_text(json.dumps({"image": "caf\udce9.png", "label": "generated"}) + "\n")
    out = data / "p.parquet"
    command = ("detect", data / "records.jsonl", "--model", "hub/none", "--out", out)
    assert zoomin(*command)[0] == 0
    (row,) = in_columns(out)
    assert (row["image"], row["image_bytes"]) == (r"caf\udce9.png", b"caf\xe9.png")
    assert zoomin(*command)[1].startswith(f"{out}: 1 image done already\n")
    status, printed, _ = zoomin("evaluate", data / "records.jsonl", out)
    assert (status, "accuracy           1.000" in printed) == (0, True)


@pytest.mark.parametrize("content", [b"", b"no Parquet", None])
def test_another_parquet_file_is_refused_and_left(zoomin, engine, data: Path, content: bytes | None) -> None:
    out = data / "p.parquet"
    if content is None:
        pyarrow.parquet.write_table(pyarrow.table({"image": ["a.png"], "label": ["real"]}), out)
    else:
        out.write_bytes(content)
    before = out.read_bytes()
    status, printed, err = zoomin("detect", data, "--model", "hub/none", "--out", out)
    assert (status, printed, engine.made) == (1, "", 0)
    assert err == f"zoomin: {out}: no Parquet file of predictions; choose another --out\n"
    assert out.read_bytes() == before
    assert not os.path.exists(f"{out}.unfinished.jsonl")


def test_another_models_parquet_is_refused_and_left(zoomin, engine, data: Path) -> None:
    out = data / "run" / "p.parquet"
    zoomin("detect", data, "--model", "hub/none", "--out", out)
    before = out.read_bytes()
    status, _, err = zoomin("detect", data, "--model", "hub/another", "--out", out)
    assert (status, err.startswith(f"zoomin: {out}: holds predictions made by model none")) == (1, True)
    assert out.read_bytes() == before
    assert list(out.parent.iterdir()) == [out]


def finished(out: Path) -> list[dict]:
    """The rows of a Parquet file of more images than are written at a time."""
    made = [to_prediction(f"{number}.png", None, "no such file", 0.1) | {"made_by": ME} for number in range(1100)]
    write_rows(out, made)
    return made


ME = "model m"


def test_a_parquet_file_is_taken_over_in_one_step(tmp_path: Path, monkeypatch) -> None:
    """Whenever a run is killed, the unfinished file has no row or all of them."""
    out = tmp_path / "p.parquet"
    made = finished(out)
    before = out.read_bytes()
    with at_most(len(json_line(made[0])) * 3), pytest.raises(OSError, match="File too large"):
        ParquetPredictions(out, ME).__enter__()
    assert list(tmp_path.iterdir()) == [out]
    unfinished, sizes = tmp_path / "p.parquet.unfinished.jsonl", []
    monkeypatch.setattr(predictions_parquet, "check_row", lambda *_: sizes.append(unfinished.stat().st_size))
    with ParquetPredictions(out, ME) as file:
        assert sizes == [0] * 1100
        assert file.became(tmp_path / "1099.png") == Outcome.UNREAD
        assert out.read_bytes() == before
    assert list(read_rows(out)) == made


@pytest.mark.parametrize("has_added", [False, True])
def test_a_copy_of_the_parquet_file_stays_only_where_it_says_more(tmp_path: Path, has_added: bool) -> None:
    out = tmp_path / "p.parquet"
    (first, *_) = made = finished(out)
    with suppress(KeyboardInterrupt), ParquetPredictions(out, ME) as file:
        if has_added:
            file.add({**first, "image": str(tmp_path / "0.png")})  # a row of the same size in the place of another
        raise KeyboardInterrupt
    assert (len(list(tmp_path.iterdir())) == 2) == has_added
    with ParquetPredictions(out, ME):
        pass
    assert sorted(read_rows(out), key=lambda row: int(row["image"][:-4])) == made


def test_a_parquet_file_without_the_column_of_raw_names_is_read(tmp_path: Path) -> None:
    out = tmp_path / "p.parquet"
    made = finished(out)
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(out).drop_columns(["image_bytes"]), out)
    assert list(read_rows(out)) == made


def test_a_link_to_a_parquet_file_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    real, out = tmp_path / "there" / "real.parquet", tmp_path / "p.parquet"
    out.symlink_to(real)
    for _ in range(2):
        with ParquetPredictions(out, ME) as file:
            file.add(to_prediction(str(tmp_path / "a.png"), None, "no such file", 0.1))
        assert out.is_symlink()
        assert [row["image"] for row in read_rows(real)] == ["a.png"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["p.parquet", "real.parquet", "there"]


def test_rows_are_on_the_disk_before_the_unfinished_file_goes(tmp_path: Path, monkeypatch) -> None:
    done, fsync, unlink = [], os.fsync, Path.unlink
    monkeypatch.setattr(
        os, "fsync", lambda file: done.append(("kept", os.readlink(f"/proc/self/fd/{file}"))) or fsync(file)
    )
    monkeypatch.setattr(Path, "unlink", lambda path, **how: done.append(("gone", str(path))) or unlink(path, **how))
    with ParquetPredictions(tmp_path / "p.parquet", ME) as file:
        file.add(to_prediction(str(tmp_path / "a.png"), None, "no such file", 0.1))
    kept = next(index for index, (what, path) in enumerate(done) if what == "kept" and ".p.parquet." in path)
    assert kept < done.index(("gone", f"{tmp_path / 'p.parquet.unfinished.jsonl'}"))


def test_a_parquet_file_with_a_column_of_somebody_else_is_refused_before_it_costs_anything(tmp_path: Path) -> None:
    out = tmp_path / "p.parquet"
    finished(out)
    table = pyarrow.parquet.read_table(out)
    pyarrow.parquet.write_table(table.append_column("__index_level_0__", [[0] * len(table)]), out)
    with pytest.raises(RecordError, match=r"p\.parquet: column '__index_level_0__' is none of zoomin detect's"):
        ParquetPredictions(out, ME).__enter__()
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("one_turn", [None, *ONE_TURN])
def test_every_field_of_a_prediction_has_a_column(one_turn: str | None) -> None:
    made = to_prediction("a.png", None, "no such file", 0.1, one_turn)
    assert made.keys() <= _types().keys()
