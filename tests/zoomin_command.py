"""The command `zoomin`, run in the tests' own process, and a small data set for it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from swift_zoomin.cli import main
from swift_zoomin.records import write_records

BOXED = {"image": "images/0.png", "label": "generated", "explanation": "The sign melts.", "boxes": [[10, 10, 30, 30]]}
ROWS = [
    {**BOXED, "box_labels": ["sign"], "source": "gpt-image-1"},
    {"image": "images/1.png", "label": "real"},
    {"image": "images/2.png", "label": "real", "explanation": "Sharp.", "boxes": []},
]
SIZES = [(60, 40), (40, 60), (30, 30)]


def make_data(folder: Path) -> Path:
    """Three images of SIZES and the records ROWS of them."""
    (folder / "images").mkdir(parents=True)
    for number, size in enumerate(SIZES):
        Image.new("RGB", size, (200, 40 * number, 0)).save(folder / "images" / f"{number}.png")
    write_records(folder / "records.jsonl", ROWS)
    return folder


def zoomin_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command; its exit status, what it printed, and its errors without the progress bar.

    A test before it may have loaded a model in this process, and ms-swift then leaves its limits in the environment.
    """
    for name in ("IMAGE_MAX_TOKEN_NUM", "IMAGE_MIN_TOKEN_NUM"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["zoomin", *map(str, arguments)])
        try:
            status = main()
        except SystemExit as refused:  # by the parser of the command line
            status = int(refused.code or 0)
        out, err = capsys.readouterr()
        lines = [line for line in re.split(r"[\r\n]+", err) if line and not line.startswith("detecting:")]
        return status, out, "".join(f"{line}\n" for line in lines)

    return run


def predict(folder: Path, *verdicts: str | None) -> Path:
    """Predictions for the first images of the data."""
    rows = [{"image": f"../data/images/{index}.png", "verdict": verdict} for index, verdict in enumerate(verdicts)]
    write_records(folder / "predictions.jsonl", rows)
    return folder / "predictions.jsonl"
