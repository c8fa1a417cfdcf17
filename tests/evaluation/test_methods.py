"""`zoomin evaluate` with several methods: what it prints, what it writes, and that all forms say the same."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from made_predictions import prediction_rows, write_set

from swift_zoomin.evaluation.columns import NAMES, Column, best_methods
from swift_zoomin.evaluation.figures import Figure
from swift_zoomin.evaluation.markup import escape_latex, escape_markdown
from swift_zoomin.pairing import method_names
from swift_zoomin.records import RecordError, write_records

RESAMPLES = 200  # fewer than the command's, for speed; a test of the intervals has all
METHODS = ("zoomin_7b", "npr & 100%", "verdicts|alone")


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swift_zoomin.evaluation.resampling.RESAMPLES", RESAMPLES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 images and the predictions of three methods, the last of which says nothing but verdicts."""
    folder = tmp_path_factory.mktemp("methods") / "data"
    records = write_set(folder, 80)
    for seed, name in enumerate(METHODS):
        rows = prediction_rows(records, seed, right=0.6 + seed / 10)
        if name == METHODS[-1]:
            rows = [{"image": row["image"], "verdict": row["verdict"]} for row in rows]
        write_records(folder / f"{name}.jsonl", rows)
    return folder


@pytest.fixture(scope="module")
def results(data: Path) -> Path:
    """What the command writes for all three methods, with rows a source."""
    with pytest.MonkeyPatch.context() as patch:
        from swift_zoomin.cli import main

        files = [data / f"{name}.jsonl" for name in METHODS]
        command = ["zoomin", "evaluate", data / "records.jsonl", *files, "--out", data / "out", "--by", "source"]
        patch.setattr("sys.argv", [*map(str, command)])
        patch.setattr("swift_zoomin.evaluation.resampling.RESAMPLES", RESAMPLES)
        assert main() == 0
    return data / "out"


@pytest.fixture(scope="module")
def written(results: Path) -> dict[str, Any]:
    return json.loads((results / "metrics.json").read_text())


def test_metrics_json_has_every_figure_of_every_method_with_its_bounds(written: dict[str, Any]) -> None:
    assert list(written["methods"]) == list(METHODS)
    for figures in written["methods"].values():
        assert set(figures) == set(NAMES)
        assert all(list(figure) == ["value", "low", "high"] for figure in figures.values())
    alone = written["methods"][METHODS[-1]]
    assert alone["accuracy"]["low"] < alone["accuracy"]["value"] < alone["accuracy"]["high"]
    for name in ("i_acc", "c_cases", "c_acc", "bleu2", "rouge_l", "iou", "auc", "brier", "seconds"):
        assert alone[name] == {"value": None, "low": None, "high": None}
    assert "NaN" not in json.dumps(written)


def test_every_pair_that_has_a_figure_is_compared(written: dict[str, Any]) -> None:
    pairs = {(row["figure"], row["first"], row["second"]) for row in written["pairs"]}
    first, second, third = METHODS
    assert {pair[1:] for pair in pairs if pair[0] == "accuracy"} == {(first, second), (first, third), (second, third)}
    assert {pair[1:] for pair in pairs if pair[0] in ("bleu2", "iou", "rouge_l")} == {(first, second)}
    assert not {pair for pair in pairs if pair[0] in ("auc", "ap")}  # they do not score the same images
    for row in written["pairs"]:
        values = [written["methods"][name][row["figure"]]["value"] for name in (row["first"], row["second"])]
        assert row["difference"] == pytest.approx(values[0] - values[1], abs=1e-9)
        assert 0 < row["p"] <= row["p_holm"] <= 1
        assert row["low"] <= row["difference"] <= row["high"]


def test_csv_read_back_is_metrics_json(results: Path, written: dict[str, Any]) -> None:
    with (results / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [("", "", name, figures) for name, figures in written["methods"].items()]
    for group, methods in written["by"]["source"].items():
        expected += [("source", group, name, figures) for name, figures in methods.items()]
    assert [(row["by"], row["group"], row["method"]) for row in rows] == [row[:3] for row in expected]
    for row, (_, _, _, figures) in zip(rows, expected, strict=True):
        for name, figure in figures.items():
            for part, number in figure.items():
                cell = row[name if part == "value" else f"{name}_{part}"]
                assert (None if cell == "" else float(cell)) == number
        assert row["signature"] == written["signature"]


def test_every_form_bears_the_signature(results: Path, written: dict[str, Any], zoomin, data: Path) -> None:
    files = [data / f"{name}.jsonl" for name in METHODS[-1:]]
    printed = zoomin("evaluate", data / "records.jsonl", *files)[1]
    for text in (printed, *((results / name).read_text() for name in ("table.md", "table.tex", "table.csv"))):
        assert written["signature"] in text


def cells(line: str, separator: str) -> list[str]:
    """The cells of a line, by separators that are not escaped."""
    return [cell.strip() for cell in re.split(rf"(?<!\\){re.escape(separator)}", line)]


def test_the_markdown_tables_hold_the_figures_and_no_cell_breaks_a_row(results: Path, written: dict[str, Any]) -> None:
    blocks = [block for block in (results / "table.md").read_text().split("\n\n") if block.startswith("|")]
    for block in blocks:
        assert len({len(cells(line, "|")) for line in block.splitlines()}) == 1
    verdicts = [cells(line, "|")[1:-1] for line in blocks[0].splitlines()]
    assert verdicts[0][:3] == ["Method", "Acc.", "Balanced"]
    assert [row[0] for row in verdicts[2:]] == [r"zoomin\_7b", "npr & 100%", r"verdicts\|alone"]
    for row, figures in zip(verdicts[2:], written["methods"].values(), strict=True):
        accuracy = figures["accuracy"]
        shown = f"{accuracy['value']:.3f} ({accuracy['low']:.3f}..{accuracy['high']:.3f})"
        assert row[1].strip("*") == shown
    values = [figures["accuracy"]["value"] for figures in written["methods"].values()]
    assert [row[1].startswith("**") for row in verdicts[2:]] == [value == max(values) for value in values]


def test_the_latex_tables_are_rectangles_of_escaped_cells(results: Path) -> None:
    """No TeX is at hand: begin and end match, every row has as many cells as columns, no mark stands unescaped."""
    text = (results / "table.tex").read_text()
    bodies = re.findall(r"\\begin\{tabular\}\{(lr*)\}\n(.*?)\\end\{tabular\}", text, re.DOTALL)
    assert len(bodies) == text.count("\\begin{tabular}") == text.count("\\end{tabular}") >= 6
    for columns, body in bodies:
        lines = [line for line in body.splitlines() if line.strip() != "\\hline"]
        for line in lines:
            assert line.endswith("\\\\")
            row = line.removesuffix("\\\\")
            assert len(cells(row, "&")) == len(columns)
            assert not re.search(r"(?<!\\)[%#_~^]", row)
            assert row.count("{") == row.count("}")
            assert row.replace("$-$", "").count("$") == 0
    assert r"zoomin\_7b" in text
    assert r"npr \& 100\%" in text
    assert r"\textbf{" in text
    outside = re.sub(r"\\begin\{tabular\}.*?\\end\{tabular\}", "", text, flags=re.DOTALL)
    assert all(line.startswith("% ") for line in outside.splitlines() if line.strip())


def test_the_terminal_shows_a_row_a_method_and_says_what_counts_nowhere(zoomin, data: Path, tmp_path: Path) -> None:
    lines = (data / f"{METHODS[0]}.jsonl").read_text().splitlines()
    more = [lines[1], json.dumps({"image": "images/other.png", "verdict": "real"})]
    (data / "more.jsonl").write_text("\n".join([*lines, *more]) + "\n")
    status, out, err = zoomin("evaluate", data / "records.jsonl", data / "more.jsonl", data / f"{METHODS[2]}.jsonl")
    assert (status, err) == (0, "")
    table = out.splitlines()
    assert table[0].split()[:3] == ["Method", "Acc.", "Balanced"]
    assert [line.split()[0] for line in table[2:4]] == ["more", "verdicts|alone"]
    assert "more: left out: 1 prediction of an image that no record names" in table
    assert "more: left out: 1 row of an image that has another row" in table
    assert "\033" not in out  # bold is for terminals
    alone = zoomin("evaluate", data / "records.jsonl", data / f"{METHODS[0]}.jsonl", "--out", tmp_path / "out")
    assert alone[0] == 0
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())["methods"][METHODS[0]]
    assert (figures["extra"]["value"], figures["doubled"]["value"]) == (0, 0)
    both = zoomin("evaluate", data / "records.jsonl", data / "more.jsonl", "--out", tmp_path / "both")
    assert both[0] == 0
    other = json.loads((tmp_path / "both" / "metrics.json").read_text())["methods"]["more"]
    assert (other["extra"]["value"], other["doubled"]["value"]) == (1, 1)
    unchanged = set(NAMES) - {"extra", "doubled"}
    assert {name: other[name] for name in unchanged} == {name: figures[name] for name in unchanged}


def test_a_set_of_one_label_says_that_accuracy_is_recall(zoomin, data: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (data / "records.jsonl").read_text().splitlines()]
    generated = [row for row in rows if row["label"] == "generated"]
    write_records(data / "generated.jsonl", generated)
    files = [data / f"{name}.jsonl" for name in METHODS[:1]]
    status, out, _ = zoomin("evaluate", data / "generated.jsonl", *files, "--out", tmp_path / "out")
    assert status == 0
    assert "all images are generated: accuracy is recall, and always saying generated would score 1" in out.splitlines()
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())["methods"][METHODS[0]]
    assert figures["accuracy"] == figures["recall_generated"]
    for name in ("recall_real", "balanced_accuracy", "precision", "f1", "ap", "auc", "tpr_at_1", "tpr_at_5"):
        assert figures[name]["value"] is None
    assert figures["brier"]["value"] is not None


def test_groups_resample_all_figures_and_replace_mcnemar(zoomin, data: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (data / "records.jsonl").read_text().splitlines()]
    write_records(data / "grouped.jsonl", [{**row, "group": f"of {n // 8}"} for n, row in enumerate(rows)])
    files = [data / f"{name}.jsonl" for name in METHODS]
    judged = {}
    for name in ("records", "grouped"):
        assert zoomin("evaluate", data / f"{name}.jsonl", *files, "--out", tmp_path / name)[0] == 0
        judged[name] = json.loads((tmp_path / name / "metrics.json").read_text())
    plain, grouped = judged["records"], judged["grouped"]
    values = [{figure: one["value"] for figure, one in of["methods"][METHODS[0]].items()} for of in (plain, grouped)]
    assert values[0] == values[1]
    assert plain["methods"][METHODS[0]]["accuracy"] != grouped["methods"][METHODS[0]]["accuracy"]
    assert {row["test"] for row in grouped["pairs"]} == {"paired bootstrap"}
    assert f"wilson,bootstrap={RESAMPLES},of=images" in plain["signature"]
    assert f"bootstrap={RESAMPLES},of=groups" in grouped["signature"]
    assert "wilson" not in grouped["signature"]


def test_files_of_one_name_are_called_after_their_folders() -> None:
    assert method_names([Path("a/p.jsonl"), Path("b/p.jsonl"), Path("c/q.jsonl")]) == ["a/p", "b/p", "q"]
    with pytest.raises(RecordError, match=r"x/a/p\.jsonl and y/a/p\.jsonl: both are called a/p in a table; rename one"):
        method_names([Path("x/a/p.jsonl"), Path("y/a/p.jsonl")])


@pytest.mark.parametrize(
    ("end", "values", "best"),
    [
        ("high", {"a": 0.5, "b": 0.7, "c": None}, {"b"}),
        ("low", {"a": 0.5, "b": 0.7}, {"a"}),
        ("high", {"a": 0.70004, "b": 0.70001, "c": 0.6}, {"a", "b"}),  # shown as equal, so bold together
        (None, {"a": 0.5, "b": 0.7}, set()),
        ("high", {"a": None, "b": None}, set()),
        ("high", {"a": 0.5}, set()),
    ],
)
def test_the_best_is_bold(end: Any, values: dict[str, float | None], best: set[str]) -> None:
    column = Column("accuracy", "Acc.", end)
    assert best_methods(column, {name: {"accuracy": Figure(value)} for name, value in values.items()}) == best


def test_marks_in_names_are_escaped() -> None:
    assert escape_latex("a_b 100% & #1 {x} \\y ~z ^2 $3") == (
        r"a\_b 100\% \& \#1 \{x\} \textbackslash{}y \textasciitilde{}z \textasciicircum{}2 \$3"
    )
    assert escape_markdown("a_b|c *d*\n<e>") == r"a\_b\|c \*d\* \<e\>"


def test_two_images_prove_nothing(zoomin, tmp_path: Path) -> None:
    """All resamples of two images agree, but chance alone puts both on one side half of the time."""
    records = write_set(tmp_path / "data", 2)
    for name, said in (("a", "The hand has six fingers."), ("b", "Nothing.")):
        rows = [{**row, "explanation": said} for row in prediction_rows(records, 1, right=1.0)]
        write_records(tmp_path / "data" / f"{name}.jsonl", rows)
    files = [tmp_path / "data" / f"{name}.jsonl" for name in "ab"]
    assert zoomin("evaluate", tmp_path / "data" / "records.jsonl", *files, "--out", tmp_path / "out")[0] == 0
    pairs = json.loads((tmp_path / "out" / "metrics.json").read_text())["pairs"]
    assert pairs
    assert min(pair["p"] for pair in pairs) >= 0.5


def test_a_group_of_one_label_has_no_precision(zoomin, data: Path, tmp_path: Path) -> None:
    predictions = data / f"{METHODS[0]}.jsonl"
    command = ("evaluate", data / "records.jsonl", predictions, "--out", tmp_path / "out", "--by", "label")
    assert zoomin(*command)[0] == 0
    by_label = json.loads((tmp_path / "out" / "metrics.json").read_text())["by"]["label"]
    found = [figures["precision"]["value"] for methods in by_label.values() for figures in methods.values()]
    assert found == [None, None]


def test_swapped_corners_mark_the_same_region(zoomin, tmp_path: Path) -> None:
    records = write_set(tmp_path / "data", 8)
    rows = prediction_rows(records, 1, right=1.0)
    swapped = [{**row, "boxes": [[x2, y2, x1, y1] for x1, y1, x2, y2 in row["boxes"]]} for row in rows]
    for name, of_name in (("plain", rows), ("swapped", swapped)):
        write_records(tmp_path / "data" / f"{name}.jsonl", of_name)
    files = [tmp_path / "data" / f"{name}.jsonl" for name in ("plain", "swapped")]
    assert zoomin("evaluate", tmp_path / "data" / "records.jsonl", *files, "--out", tmp_path / "out")[0] == 0
    methods = json.loads((tmp_path / "out" / "metrics.json").read_text())["methods"]
    assert methods["swapped"]["iou"] == methods["plain"]["iou"]


def test_a_name_that_begins_with_a_bracket_is_no_argument_of_the_line_before() -> None:
    assert escape_latex("[v2]") == "{}[v2]"
