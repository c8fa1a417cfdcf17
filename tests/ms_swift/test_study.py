"""The recipes and the study, run as a user runs them, with a handful of images and steps."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, child_environment
from study_report import BEGIN, END, measured

pytestmark = pytest.mark.swift
SMALL = {"TRAIN_IMAGES": "32", "TEST_IMAGES": "6", "GRPO_STEPS": "5"}


def run(*command: object, fails: bool = False, **environment: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = child_environment(PATH=path, **environment)
    done = subprocess.run([*map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode != 0) == fails, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The headline rows of one seed."""
    folder = tmp_path_factory.mktemp("study")
    run("bash", "examples/study.sh", "full", "7", STUDY=str(folder), **SMALL)
    return folder / "full"


def test_the_recipes_train_and_evaluate_all_three_stages(study: Path) -> None:
    for stage, steps in (("sft", 8), ("grpo1", 5), ("grpo2", 5)):  # 32 images, two rows each, 8 a step
        assert (study / "7" / stage / f"checkpoint-{steps}").is_dir()
    logged = [json.loads(line) for line in (study / "7" / "grpo2" / "logging.jsonl").read_text().splitlines()]
    assert {"rewards/zoomin_accuracy/mean", "rewards/zoomin_bleu/mean"} <= set(logged[0])
    for row in ("ZoomIn", "SFT, decoupled rows"):
        figures = measured(study / "7" / "rows" / row / "metrics.json")
        assert (figures["images"]["value"], figures["missing"]["value"]) == (6, 0)


def test_a_finished_study_is_not_trained_again(study: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in study.rglob("*") if path.is_file()}
    assert run("bash", "examples/study.sh", "full", "7", STUDY=str(study.parent), **SMALL) == ""
    assert {path: path.stat().st_mtime_ns for path in study.rglob("*") if path.is_file()} == files


def test_the_report_pools_the_seeds_and_draws_the_curves(study: Path) -> None:
    other = study / "8"  # a second seed, made of the first's figures; its images have names of their own
    if not other.exists():
        subprocess.run(["cp", "-r", study / "7", other], check=True)
    for step in (4, 8):
        rows = study / "7" / "rows" / "ZoomIn"
        subprocess.run(["mkdir", "-p", study / "7" / "curves" / f"sft-{step}"], check=True)
        (study / "7" / "curves" / f"sft-{step}" / "metrics.json").write_bytes((rows / "metrics.json").read_bytes())
    readme = study / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    printed = run(sys.executable, "examples/study_report.py", study, "--readme", readme)
    table: dict[str, Any] = json.loads((study / "table.json").read_text())
    assert list(table) == ["SFT, decoupled rows", "SFT and GRPO stage 1", "ZoomIn"]
    assert table["ZoomIn"]["images"]["value"] == 12
    assert set(table["ZoomIn"]["accuracy_by_seed"]) == {"7", "8"}
    assert printed.strip() == (study / "table.md").read_text().strip()
    assert len(printed.strip().splitlines()) == 2 + len(table)
    assert (study / "table.md").read_text() in readme.read_text()
    assert "; 6 test images a seed.\n" in readme.read_text()
    assert (study / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_of_nothing_says_so(tmp_path: Path) -> None:
    assert "no finished row below" in run(sys.executable, "examples/study_report.py", tmp_path, fails=True)
