"""Bad arguments, wrong files and a full disk: one line and a status, never a traceback."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT
from scripted_commands import files, make_images

from swift_zoomin.detection import Detector
from swift_zoomin.records import json_line


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_images(tmp_path / "data")


DETECT = ["detect", "a.png", "--model", "hub/none", "--out", "out.jsonl"]
CONVERT = ["convert", "square", "records.jsonl", "square"]


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "", "9" * 20, "9" * 5000, "nan"])
@pytest.mark.parametrize(
    ("command", "option"),
    [
        *[(DETECT, option) for option in ("--concurrency", "--max-new-tokens", "--gpus")],
        (CONVERT, "--side-px"),
    ],
)
def test_a_number_that_counts_nothing_is_refused(zoomin, engine, command: list[str], option: str, value: str) -> None:
    status, out, err = zoomin(*command, f"{option}={value}")
    assert (status, out, engine.made) == (2, "", 0)
    assert err.splitlines()[-1].startswith(f"zoomin {command[0]}")
    assert f": error: argument {option}: " in err.splitlines()[-1]
    assert "; expected a whole number from 1 to " in err.splitlines()[-1]


@pytest.mark.parametrize("command", [["detect", "", *DETECT[2:]], [*DETECT[:-1], ""], ["evaluate", "", "p"]])
def test_an_empty_path_is_refused(zoomin, command: list[str]) -> None:
    """It would be the current folder."""
    status, _, err = zoomin(*command)
    assert (status, err.splitlines()[-1].endswith(": empty; is a variable unset?")) == (2, True)


def test_none_in_flight_is_refused_in_python_too() -> None:
    with pytest.raises(ValueError, match="concurrency 0; expected at least 1"):
        Detector(engine=SimpleNamespace(), concurrency=0)


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ("absent", "no such model folder; expected one, or a hub's name like "),
        ("./hub/none", "no such model folder"),
        ("/absent/model", "no such model folder"),
        ("data/absent", "no such model folder"),  # data is a folder here
        ("output/grpo2/checkpoint-7", "no such model folder"),
        ("data/a.png", "no such model folder"),
        ("data", "holds no model (no config.json, no adapter_config.json)"),
    ],
)
def test_a_wrong_model_is_named_before_anything_is_loaded_or_written(
    zoomin, engine, data: Path, monkeypatch, model: str, fault: str
) -> None:
    monkeypatch.chdir(data.parent)
    before = files(data.parent)
    status, out, err = zoomin("detect", "data", "--model", model, "--out", "run/p.jsonl")
    assert (status, out, engine.made) == (1, "", 0)
    assert err.startswith(f"zoomin: {model}: {fault}")
    assert (err.count("\n"), files(data.parent), (data.parent / "run").exists()) == (1, before, False)


def test_a_folder_with_a_configuration_is_a_model(zoomin, engine, data: Path) -> None:
    (data / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    assert zoomin("detect", data / "a.png", "--model", data, "--out", data / "out.jsonl")[0] == 0


def test_commands_and_a_wrong_model_load_nothing_heavy() -> None:
    """Seconds of loading before a mistyped word is named are seconds lost."""
    heavy = "{'torch', 'transformers', 'swift', 'vllm', 'scipy', 'datasets', 'sacrebleu'}"
    code = f"import sys; from swift_zoomin.cli import main; status = main(); print(status, {heavy} & set(sys.modules))"
    arguments = ["detect", str(ROOT), "--model", "absent/absent/absent", "--out", "/absent/x.jsonl"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.stdout == "1 set()\n", done.stderr


@pytest.mark.parametrize("records", ["folder.jsonl", "pipe.jsonl", "absent.jsonl", "empty.jsonl", "text.parquet"])
@pytest.mark.parametrize("command", ["detect", "evaluate"])
def test_a_records_file_that_is_none_is_named(zoomin, engine, data: Path, records: str, command: str) -> None:
    (data / "folder.jsonl").mkdir()
    os.mkfifo(data / "pipe.jsonl")
    (data / "empty.jsonl").touch()
    (data / "text.parquet").write_text("text")
    (data / "p.jsonl").write_text(json_line({"image": "a.png", "verdict": "real"}))
    more = {"detect": ["--model", "hub/none", "--out", data / "out.jsonl"], "evaluate": [data / "p.jsonl"]}[command]
    status, out, err = zoomin(command, data / records, *more)
    assert (status, out, err.count("\n"), engine.made) == (1, "", 1, 0)
    assert err.startswith(f"zoomin: {data / records}: ")
    assert not (data / "out.jsonl").exists()


def test_records_that_may_not_be_read_are_named(zoomin, data: Path, monkeypatch) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (data / "p.jsonl").write_text(json_line({"image": "a.png", "verdict": "real"}))
    monkeypatch.setattr(Path, "open", refuse)  # the superuser may read everything
    status, out, err = zoomin("evaluate", data / "records.jsonl", data / "p.jsonl")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert str(data / "records.jsonl") in err
    assert "Permission denied" in err


def test_a_full_disk_names_the_image_that_convert_could_not_write(zoomin, data: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        status, _, err = zoomin("convert", "square", data / "records.jsonl", data / "square")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (status, err.splitlines()[-1]) == (1, f"zoomin: {data / 'square/images/000000.png'}: File too large")
