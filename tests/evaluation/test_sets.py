"""`zoomin tables`: several sets side by side, by hand arithmetic and against numpy."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SIGNATURE = "bleu2:[x] zoomin:0.1.0"


def figure(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, float | None]:
    return {"value": value, "low": low, "high": high}


def method(accuracy: float, seconds: list[float] | None = None, looks: int = 2, missing: int = 0) -> dict[str, Any]:
    """What `zoomin evaluate` writes of a method, as far as it is read again."""
    timed = seconds or []
    return {
        "accuracy": figure(accuracy, accuracy - 0.01, accuracy + 0.01),
        "seconds": figure(float(np.mean(timed)) if timed else None),
        "seconds_sd": figure(float(np.std(timed, ddof=1)) if len(timed) > 1 else None),
        "timed": figure(len(timed)),
        "looks": figure(looks),
        "images": figure(80),
        "missing": figure(missing),
        "no_verdict": figure(0),
    }


def write(folder: Path, one_label: str | None = None, **methods: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    content = {"methods": methods, "pairs": [], "signature": SIGNATURE, "one_label": one_label}
    (folder / "metrics.json").write_text(json.dumps(content))
    return folder


FIRST, SECOND, THIRD = [1.0, 2.0, 4.0], [8.0], [3.0, 3.5]


@pytest.fixture
def sets(tmp_path: Path) -> list[Path]:
    """The paper's rows in the small: ours everywhere, another on two of three sets."""
    return [
        write(tmp_path / "GenImage", zoomin_7b=method(0.915, FIRST), npr=method(0.859, [0.1, 0.3], looks=1)),
        write(tmp_path / "MMFR", zoomin_7b=method(0.893, SECOND)),
        write(tmp_path / "Synth_Scars", "generated", npr=method(0.9, looks=1), zoomin_7b=method(0.852, THIRD)),
    ]


def table(text: str, first: str) -> dict[str, list[str]]:
    """The rows of the Markdown table with this heading in its second column, by their first cell."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    rows = [[[cell.strip() for cell in line.strip("|").split("|")] for line in block] for block in blocks]
    (found,) = [block for block in rows if block[0][1] == first]
    return {row[0]: row[1:] for row in (found[0], *found[2:])}


def test_methods_stand_by_sets_with_their_average(zoomin, sets: list[Path]) -> None:
    status, out, err = zoomin("tables", *sets)
    assert (status, err) == (0, "")
    rows = table(out, "GenImage")
    assert rows["Method"] == ["GenImage", "MMFR", r"Synth\_Scars", "Average"]
    ours = ["**0.915 (0.905..0.925)**", "**0.893 (0.883..0.903)**", "0.852 (0.842..0.862)", "**0.887**"]
    assert rows[r"zoomin\_7b"] == ours  # (0.915 + 0.893 + 0.852) / 3 = 0.8867
    assert rows["npr"] == ["0.859 (0.849..0.869)", "-", "**0.900 (0.890..0.910)**", "-"]
    assert r"Synth\_Scars: all images are generated, so accuracy is recall" in out
    assert f"Signature of GenImage, MMFR, Synth\\_Scars: `{SIGNATURE}`" in out


def test_seconds_are_pooled_over_all_images(zoomin, sets: list[Path], tmp_path: Path) -> None:
    status, out, _ = zoomin("tables", *sets, "--out", tmp_path / "out")
    assert status == 0
    everything = [*FIRST, *SECOND, *THIRD]
    mean, deviation = np.mean(everything), np.std(everything, ddof=1)
    rows = table(out, "Looks")
    assert rows[r"zoomin\_7b"] == ["two", "6", f"{mean:.3g} ± {deviation:.3g}"]
    assert rows["npr"] == ["one", "2", "0.2 ± 0.141"]
    with (tmp_path / "out" / "seconds.csv").open(newline="") as file:
        ours = next(csv.DictReader(file))
    assert float(ours["seconds"]) == pytest.approx(mean, abs=1e-9)
    assert float(ours["seconds_sd"]) == pytest.approx(deviation, abs=1e-9)


def test_a_method_timed_on_one_image_has_no_deviation(zoomin, tmp_path: Path) -> None:
    out = zoomin("tables", write(tmp_path / "set", ours=method(0.5, [2.0])))[1]
    assert table(out, "Looks")["ours"] == ["two", "1", "2"]


def test_without_any_time_there_is_no_table_of_it(zoomin, tmp_path: Path) -> None:
    write(tmp_path / "set", ours=method(0.5))
    for _ in range(2):  # the second run replaces what the first wrote, a table of seconds without a row among it
        status, out, err = zoomin("tables", tmp_path / "set", "--out", tmp_path / "out")
        assert (status, err) == (0, "")
        assert "Looks" not in out


def test_all_forms_are_written_and_written_again(zoomin, sets: list[Path], tmp_path: Path) -> None:
    for _ in range(2):
        status, printed, _ = zoomin("tables", *sets, "--out", tmp_path / "out")
        assert status == 0
    names = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert set(names) == {"tables.md", "tables.tex", "accuracy.csv", "seconds.csv"}
    assert names["tables.md"] == printed
    assert r"zoomin\_7b & \textbf{0.915 [0.905, 0.925]}" in names["tables.tex"]
    assert r"3.58 $\pm$" in names["tables.tex"]
    assert all(SIGNATURE in content for content in names.values())
    rows = list(csv.DictReader(names["accuracy.csv"].splitlines()))
    assert [(row["method"], row["set"], row["accuracy"]) for row in rows[:4]] == [
        ("zoomin_7b", "GenImage", "0.915"),
        ("zoomin_7b", "MMFR", "0.893"),
        ("zoomin_7b", "Synth_Scars", "0.852"),
        ("zoomin_7b", "Average", str((0.915 + 0.893 + 0.852) / 3)),
    ]
    assert [row["accuracy"] for row in rows[4:]] == ["0.859", "", "0.9", ""]


def test_what_is_no_evaluation_is_named(zoomin, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    status, out, err = zoomin("tables", tmp_path / "none")
    expected = "no such file; expected a folder that `zoomin evaluate --out` wrote"
    assert (status, out, err) == (1, "", f"zoomin: {tmp_path}/none/metrics.json: {expected}\n")
    for content in ('{"accuracy": 0.9, "signature": "s"}', "[]", "no JSON", '{"methods": {"a": {"accuracy": 0.9}}}'):
        (tmp_path / "none" / "metrics.json").write_text(content)
        status, out, err = zoomin("tables", tmp_path / "none")
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"zoomin: {tmp_path}/none/metrics.json: no such figures (")
        assert err.endswith("; evaluate again\n")


@pytest.mark.parametrize("name", ["set", "Average"])
def test_two_columns_of_one_name_are_refused(zoomin, tmp_path: Path, name: str) -> None:
    folders = [write(tmp_path / "a" / "set", ours=method(0.5)), write(tmp_path / "b" / name, ours=method(0.5))]
    status, out, err = zoomin("tables", *folders)
    expected = f"another column is called {name}, and a set is called as its folder; rename it"
    assert (status, out, err) == (1, "", f"zoomin: {folders[1]}: {expected}\n")


def test_tables_replace_nothing_that_is_none(zoomin, sets: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "tables.md").write_text("my own notes")
    status, out, err = zoomin("tables", *sets, "--out", tmp_path / "out")
    assert (status, out) == (1, "")
    assert err.startswith(f"zoomin: {tmp_path}/out/tables.md: exists, and holds no figures of an earlier evaluation")
    assert (tmp_path / "out" / "tables.md").read_text() == "my own notes"


def test_answers_that_are_missing_are_said(zoomin, tmp_path: Path) -> None:
    status, out, err = zoomin("tables", write(tmp_path / "MMFR", ours=method(0.5, missing=40)))
    assert status == 0
    assert "MMFR: 40 of 80 images have no verdict of ours and count as wrong" in out + err
