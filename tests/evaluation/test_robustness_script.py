"""`examples/robustness.sh`, with a detector that follows a script: what it makes, prints, and does not make again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

from swift_zoomin.records import read_records, write_records
from swift_zoomin.replies import VERDICTS

pytestmark = pytest.mark.sandbox
SETS = ("clean", "jpeg80", "jpeg30", "crop", "half")
# Says the first verdict of every image, and the first box that is right; a run after the first has nothing to do.
DETECT = """
import pathlib, sys
from swift_zoomin.records import read_records, write_records
from swift_zoomin.replies import VERDICTS
data, out = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
assert sys.argv[-2:] == ["--engine", "transformers"]
assert sys.argv[sys.argv.index("--model") + 1] == "a model"
if not out.exists():
    rows = [{"image": each.image.path, "verdict": VERDICTS[0], "boxes": each.boxes_px, "seconds": 1}
            for each in read_records(data)]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_records(out, rows)
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with a `zoomin` whose `detect` follows the script above."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "detect.py").write_text(DETECT)
    zoomin = tmp_path / "bin" / "zoomin"
    lines = ["#!/bin/sh", f'if [ "$1" = detect ]; then exec {sys.executable} {tmp_path}/detect.py "$@"; fi']
    zoomin.write_text("\n".join([*lines, f'exec {sys.executable} -m swift_zoomin.cli "$@"\n']))
    zoomin.chmod(0o755)
    return f"{tmp_path}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"


def test_the_four_degradations_are_made_once_detected_and_tabled(tmp_path: Path, path: str) -> None:
    rows = []
    for number in range(4):
        Image.new("RGB", (80, 60), (60 * number, 90, 0)).save(tmp_path / f"{number}.png")
        box = [30, 20, 50, 40]  # no crop takes it away
        rows.append({"image": f"{number}.png", "label": VERDICTS[number % 2], "boxes": [box], "box_labels": ["x"]})
    write_records(tmp_path / "records.jsonl", rows)
    script = ["bash", str(ROOT / "examples" / "robustness.sh")]
    command = [*script, "a model", str(tmp_path / "records.jsonl"), str(tmp_path / "out"), "--engine", "transformers"]
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(folder.name for folder in (tmp_path / "out").iterdir() if folder.is_dir()) == sorted(SETS)
    table, *_ = [line for line in done.stdout.splitlines() if line.startswith("| zoomin")]
    assert table.count("0.500") >= 6  # always real: half is right, on each set and on average
    ious = [line.split() for line in done.stdout.splitlines() if line.startswith("IoU")]
    assert [words[1:3] for words in ious] == [[name, "1.000"] for name in SETS]
    assert read_records(tmp_path / "out" / "half" / "records.jsonl")[0].image.size == (40, 30)
    made = {name: os.stat(tmp_path / "out" / name / "records.jsonl").st_mtime_ns for name in SETS[1:]}
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert {name: os.stat(tmp_path / "out" / name / "records.jsonl").st_mtime_ns for name in SETS[1:]} == made


def test_what_it_expects_is_said() -> None:
    done = subprocess.run(["bash", str(ROOT / "examples" / "robustness.sh"), "m"], capture_output=True, text=True)
    expected = "robustness.sh: expected MODEL RECORDS OUT, and arguments of zoomin detect behind them\n"
    assert (done.returncode, done.stderr) == (2, expected)
