"""`zoomin evaluate` with predictions or an `--out` that are not what they should be: one line and a status."""

import json
import resource
from pathlib import Path

import pytest
from scripted_commands import evaluation, files, make_images

from swift_zoomin.records import json_line


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_images(tmp_path / "data")


def test_predictions_of_other_paths_are_named_instead_of_a_table_of_zeros(zoomin, data: Path) -> None:
    status, out, err = zoomin(*evaluation(data, "no/such/a.png"), "--out", data / "out")
    assert (status, out, (data / "out").exists()) == (1, "", False)
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
    said = "2 of 3 records have no prediction and count as wrong; the first: a.png"
    assert said in out.splitlines()
    assert "missing            2" in out


@pytest.mark.parametrize("images", ["abc", "b"])
def test_predictions_without_any_verdict_are_no_success(zoomin, data: Path, images: str) -> None:
    """A verdict on an image that no record names does not count."""
    lines = [{"image": f"{name}.png", "verdict": None} for name in images]
    lines += [{"image": "other.png", "verdict": "real"}]
    (data / "p.jsonl").write_text("".join(map(json_line, lines)))
    command = ("evaluate", data / "records.jsonl", data / "p.jsonl", "--out", data / "out")
    status, out, err = zoomin(*command)
    assert (status, err) == (3, f"zoomin: {data / 'p.jsonl'}: no verdict on any record, so all count as wrong\n")
    assert "accuracy           0.000" in out
    assert written(data / "out")["accuracy"]["value"] == 0
    assert "3 figures without any verdict" in zoomin("evaluate", "--help")[1].replace("\n", " ")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("metrics.json", '["signature"]', "exists, and holds no figures of an earlier evaluation"),
        (
            "metrics.json",
            '{"image": "a.png", "verdict": "real"}',
            "exists, and holds no figures of an earlier evaluation",
        ),
        ("metrics.json", '{"signature": ""' + " " * (1 << 10) + "}", "exists, and holds no figures of an earlier"),
        ("table.md", "my notes", "exists, and holds no figures of an earlier evaluation"),
        ("table.csv", "a,b", "exists, and holds no figures of an earlier evaluation"),
    ],
)
def test_figures_replace_nothing_that_is_none(
    zoomin, data: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, reason: str
) -> None:
    monkeypatch.setattr("swift_zoomin.outputs._MOST_FIGURES_BYTES", 1 << 10)  # larger than that is not read
    command = evaluation(data, "a.png", "b.png", "c.png")
    (data / "out").mkdir()
    (data / "out" / name).write_text(content)
    before = files(data)
    status, printed, err = zoomin(*command, "--out", data / "out")
    assert (status, printed, files(data)) == (1, "", before)
    assert err.startswith(f"zoomin: {data / 'out' / name}: {reason}")
    assert err.endswith("; choose another --out\n")


@pytest.mark.parametrize("source", ["p.jsonl", "records.jsonl"])
def test_no_input_is_replaced(zoomin, data: Path, source: str) -> None:
    command = evaluation(data, "a.png", "b.png", "c.png")
    assert zoomin(*command, "--out", data / "out")[0] == 0
    (data / "out" / "table.md").unlink()
    (data / "out" / "table.md").hardlink_to(data / source)
    before = files(data)
    status, printed, err = zoomin(*command, "--out", data / "out")
    expected = f"zoomin: {data}/out/table.md: the same file as {data / source}, which is read; choose another --out\n"
    assert (status, printed, err, files(data)) == (1, "", expected, before)


@pytest.mark.parametrize("out", ["a.png", "new.json", "records.jsonl"])
def test_an_out_that_is_a_file_is_said_before_anything_is_read(zoomin, data: Path, out: str) -> None:
    """Also one that would become a folder, but is called as the file that `--out` was in earlier versions."""
    (data / "p.jsonl").write_text("no predictions")
    before = files(data)
    status, printed, err = zoomin("evaluate", data / "records.jsonl", data / "p.jsonl", "--out", data / out)
    names = "metrics.json, table.md, table.tex, table.csv"
    expected = f"zoomin: {data / out}: --out is a folder, for {names}; expected one, not a file\n"
    assert (status, printed, err, files(data)) == (1, "", expected, before)


def test_figures_of_an_earlier_evaluation_are_replaced(zoomin, data: Path) -> None:
    (data / "out").mkdir()
    (data / "out" / "metrics.json").touch()  # as mktemp leaves it
    for images in ("a", "abc"):
        command = evaluation(data, *(f"{name}.png" for name in images))
        assert zoomin(*command, "--out", data / "out")[0] == 0
        assert written(data / "out")["missing"]["value"] == 3 - len(images)
        assert {path.name for path in (data / "out").iterdir()} == {
            *("metrics.json", "table.md", "table.tex", "table.csv")
        }


@pytest.mark.parametrize("before", [b'{"signature": "of older figures"}', None])
def test_figures_are_written_whole_or_not_at_all(zoomin, data: Path, before: bytes | None) -> None:
    command = evaluation(data, "a.png", "b.png", "c.png")
    (data / "run").mkdir()
    if before:
        (data / "run" / "metrics.json").write_bytes(before)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        status, _, err = zoomin(*command, "--out", data / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (status, err) == (1, f"zoomin: {data / 'run' / 'metrics.json'}: File too large\n")
    assert files(data / "run") == ({data / "run" / "metrics.json": before} if before else {})


def test_a_folder_that_cannot_be_made_is_named(zoomin, data: Path) -> None:
    command = evaluation(data, "a.png", "b.png", "c.png")
    before = files(data)
    status, _, err = zoomin(*command, "--out", data / "a.png" / "out")
    assert (status, err) == (1, f"zoomin: {data / 'a.png' / 'out'}: Not a directory\n")
    assert files(data) == before


def test_figures_go_through_a_link(zoomin, data: Path) -> None:
    (data / "there").mkdir()
    (data / "out").symlink_to("there")
    (data / "there" / "metrics.json").symlink_to("elsewhere.json")
    (data / "there" / "elsewhere.json").touch()
    assert zoomin(*evaluation(data, "a.png"), "--out", data / "out")[0] == 0
    assert (data / "out" / "metrics.json").is_symlink()
    assert "p" in json.loads((data / "there" / "elsewhere.json").read_text())["methods"]


def written(folder: Path) -> dict[str, dict[str, float | None]]:
    """The figures of the method p."""
    return json.loads((folder / "metrics.json").read_text())["methods"]["p"]
