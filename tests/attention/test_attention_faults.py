"""What `zoomin attention` refuses before a model is loaded."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

Zoomin = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (60, 40)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_the_image_is_not_written_over(zoomin: Zoomin, photo: Path, tmp_path: Path) -> None:
    before = photo.read_bytes()
    (tmp_path / "link.png").symlink_to(photo)
    status, _, error = zoomin("attention", photo, "--model", tmp_path, "--out", tmp_path / "link.png")
    assert (status, photo.read_bytes()) == (1, before)
    assert error == f"zoomin: {tmp_path}/link.png: the same file as the image; choose another --out\n"


def test_an_image_that_cannot_be_read_is_named(zoomin: Zoomin, tmp_path: Path) -> None:
    status, _, error = zoomin("attention", tmp_path / "no.png", "--model", tmp_path, "--out", tmp_path / "heat.png")
    assert status == 1
    assert error == f"zoomin: {tmp_path}/no.png: no such image file\n"


def test_a_folder_without_a_model_is_named(zoomin: Zoomin, photo: Path, tmp_path: Path) -> None:
    status, _, error = zoomin("attention", photo, "--model", tmp_path, "--out", tmp_path / "heat.png")
    assert status == 1
    assert error.startswith(f"zoomin: {tmp_path}: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("options", [("--noise", "-1"), ("--noise", "2"), ("--copies", "0"), ("--query", "3")])
def test_settings_without_sense_are_refused(
    zoomin: Zoomin, photo: Path, tmp_path: Path, options: tuple[str, str]
) -> None:
    status, _, error = zoomin("attention", photo, "--model", tmp_path, "--out", tmp_path / "heat.png", *options)
    assert status == 2
    assert options[0] in error
