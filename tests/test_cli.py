"""The command `zoomin`, run as a user runs it: its help, `check` and `evaluate`."""

import json
import re
from pathlib import Path

import pytest
from zoomin_command import ROWS, make_data, predict

from swift_zoomin.cli import COMMANDS
from swift_zoomin.records import write_records


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(zoomin, command: str) -> None:
    code, out, _ = zoomin(command, "--help")
    assert code == 0
    assert f"usage: zoomin {command}" in out


@pytest.mark.parametrize(
    "arguments", [[], ["guess"], ["detect", "a.png"], ["evaluate"], ["tables"], ["convert", "records.jsonl"]]
)
def test_a_command_line_that_makes_no_sense_is_refused(zoomin, arguments: list[str]) -> None:
    code, _, err = zoomin(*arguments)
    assert code == 2
    assert "usage: zoomin" in err


def test_check_counts_what_is_there(zoomin, data: Path) -> None:
    code, out, err = zoomin("check", data / "records.jsonl")
    assert (code, err) == (0, "")
    assert out.startswith(
        "3 records: 2 real, 1 generated, 1 box; no fault\nboxes: 33.3% of records have one, 0.33 a record"
    )
    assert out.count("\n") == 3


def test_check_reports_all_faults_with_file_and_line(zoomin, data: Path) -> None:
    faulty = [
        ROWS[0],
        {**ROWS[1], "label": "fake"},
        {**ROWS[2], "boxes": [[0, 0, 31, 9]]},
        {**ROWS[1], "image": "3.png"},
    ]
    write_records(data / "records.jsonl", faulty)
    code, out, err = zoomin("check", data / "records.jsonl")
    assert (code, out) == (1, "")
    assert err.startswith("zoomin: ")
    assert 'records.jsonl:2: label "fake"; expected "real" or "generated"' in err
    assert "records.jsonl:3: boxes [0, 0, 31, 9]; expected [x1, y1, x2, y2]" in err
    assert re.search(r"records\.jsonl:4: image .*3\.png: no such image file", err)
    assert "Traceback" not in err


@pytest.mark.parametrize("command", [["check"], ["convert", "square"], ["evaluate"]])
def test_an_absent_records_file_is_named(zoomin, data: Path, command: list[str]) -> None:
    more = {"check": [], "convert": [data / "out"], "evaluate": [predict(data.parent / "run")]}[command[0]]
    code, _, err = zoomin(*command, data / "absent.jsonl", *more)
    assert code == 1
    assert err == f"zoomin: {data / 'absent.jsonl'}: no such records file\n"


def test_evaluate_prints_a_table_and_writes_the_figures(zoomin, data: Path) -> None:
    predictions = predict(data.parent / "run", "generated", "generated")
    results = data.parent / "run" / "results"
    code, out, err = zoomin("evaluate", data / "records.jsonl", predictions, "--out", results)
    assert (code, err) == (0, "")
    metrics = json.loads((results / "metrics.json").read_text())
    values = {name: figure["value"] for name, figure in metrics["methods"]["predictions"].items()}
    assert (values["images"], values["accuracy"], values["missing"]) == (3, pytest.approx(1 / 3), 1)
    assert values["iou"] is None
    shown = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (shown["accuracy"], shown["missing"], shown["iou"]) == ("0.333  0.061..0.792", "1", "-")
    assert shown["signature"] == metrics["signature"]


def test_evaluate_reports_a_faulty_prediction(zoomin, data: Path) -> None:
    predictions = predict(data.parent / "run", "generated", "fake")
    code, out, err = zoomin("evaluate", data / "records.jsonl", predictions)
    assert (code, out) == (1, "")
    assert err == f'zoomin: {predictions}:2: verdict \'fake\'; expected "real", "generated" or null\n'


def test_evaluate_names_an_absent_predictions_file(zoomin, data: Path) -> None:
    code, _, err = zoomin("evaluate", data / "records.jsonl", data / "absent.jsonl")
    assert code == 1
    assert err == f"zoomin: {data / 'absent.jsonl'}: no such predictions file\n"
