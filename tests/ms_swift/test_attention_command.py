"""`zoomin attention` as a user runs it, on a model of random weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

Zoomin = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.effect_mandelbrot((160, 120), (-2, -1.5, 1, 1.5), 100).convert("RGB").save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_page_is_written_and_what_was_said_is_printed(zoomin: Zoomin, model_dir: Path, photo: Path) -> None:
    out = photo.parent / "new folder" / "heat.png"
    options = ("--model", model_dir, "--out", out, "--query", 1, "--max-new-tokens", 8, "--copies", 2)
    status, printed, _ = zoomin("attention", photo, *options)
    assert status == 0
    assert printed.splitlines()[0].split() == ["heat", "crops", "said"]
    with Image.open(out) as page:
        assert page.format == "PNG"
        assert page.width > 1000


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--query", 2), "photo.png: no reply to query 2 (reply 1 was cut by the length limit)"),
        (("--query", 1, "--layer", 9), "--layer 9; expected one of 0 to 2, the decoder layers of this model"),
        (("--query", 1, "--words", "hands,eyes"), '--words: "eyes" is no word of the explanation'),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(
    zoomin: Zoomin, model_dir: Path, photo: Path, options: tuple[object, ...], expected: str
) -> None:
    out = photo.parent / "heat.png"
    limited = (*options, "--max-new-tokens", 8)
    status, printed, errors = zoomin("attention", photo, "--model", model_dir, "--out", out, *limited)
    ours = [line for line in errors.splitlines() if line.startswith("zoomin: ")]
    assert (status, printed, len(ours)) == (1, "", 1)
    assert expected in ours[0]
    assert not out.exists()
