"""`zoomin detect`, killed at thirty random moments: nothing that was done is lost, and nothing is done twice."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

KILLS, IMAGES = 30, 4000  # more images than thirty runs of a quarter of a second come to


@pytest.mark.server  # it takes half a minute
def test_thirty_kills_lose_no_row_and_leave_one_row_an_image(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    for number in range(IMAGES):
        os.link(tmp_path / "a.png", tmp_path / "photos" / f"{number:04}.png")
    driver = [sys.executable, str(Path(__file__).with_name("killed_runs.py")), str(tmp_path), str(KILLS), "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(driver, env=environment, stdout=subprocess.PIPE, text=True)
    kills = list(map(json.loads, done.stdout.splitlines()))
    assert all(kill["kept"] for kill in kills)
    assert len([kill for kill in kills if kill["at_work"]]) == KILLS
    assert done.returncode == 0
    rows = list(map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines()))
    assert Counter(row["image"] for row in rows) == Counter(f"photos/{number:04}.png" for number in range(IMAGES))
    assert {(row["verdict"], row["error"]) for row in rows} == {("generated", None)}
