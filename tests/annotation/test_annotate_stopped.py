"""`zoomin annotate` that cannot begin or is stopped: which status it ends with, and what it leaves alone."""

from pathlib import Path

import pytest
from annotate_in_process import ANSWERS, Command, annotating, arguments, pictures
from answering_server import answering
from PIL import Image


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return annotating(monkeypatch, capsys)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return pictures(tmp_path / "images")


def test_a_run_goes_on_in_a_folder_among_the_images(zoomin: Command, tmp_path: Path) -> None:
    """The sheet of the first run lies in no folder that is named for a label, and is none of the images."""
    folder = tmp_path / "photos"
    (folder / "real").mkdir(parents=True)
    Image.new("RGB", (560, 448)).save(folder / "real/1.png")
    with answering(*ANSWERS) as server:
        call = [*arguments(server, folder), "--label", "FOLDER", "--out", folder / "out"]
        assert zoomin(*call)[0] == 0
        assert (folder / "out/sheet.png").exists()
        status, printed, errors = zoomin(*call)
        assert (status, errors) == (0, "")
        assert printed.startswith("1 image: 1 record, 0 rejected; 0 calls")
        assert "1 image, 3 steps each: 3 calls" in zoomin(*call, "--dry-run")[1]
