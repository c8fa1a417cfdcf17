"""Images are decoded only so many pixels at once."""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from swift_zoomin import checked_images
from swift_zoomin.checked_images import CheckedImages, PixelBudget
from swift_zoomin.images import ImageError


def test_pixels_held_at_once_keep_to_the_budget() -> None:
    budget, lock = PixelBudget(100), threading.Lock()
    held: list[int] = []
    most = 0

    def work(pixels: int) -> None:
        nonlocal most
        with budget.hold(pixels):
            with lock:
                held.append(pixels)
                most = max(most, sum(held))
                assert sum(held) <= 100 or held == [pixels]
            time.sleep(0.001)
            with lock:
                held.remove(pixels)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, [30, 50, 100, 250, 1, 20, 70] * 10))
    assert 50 < most <= 250


def test_pixels_are_given_back_after_a_failure() -> None:
    budget = PixelBudget(10)
    for _ in range(3):
        with pytest.raises(ImageError), budget.hold(10):
            raise ImageError("damaged")
    with budget.hold(10):
        pass


@pytest.fixture
def large(tmp_path: Path) -> Path:
    for name in range(6):
        Image.new("L", (400, 300)).save(tmp_path / f"{name}.png")
    return tmp_path


def test_images_are_decoded_within_the_budget(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked_images, "_DECODED_PIXELS", 250_000)  # two of 120,000
    lock, open_now, most = threading.Lock(), 0, 0

    def slow(path: str) -> None:
        nonlocal open_now, most
        with lock:
            open_now += 1
            most = max(most, open_now)
        time.sleep(0.02)
        with lock:
            open_now -= 1

    monkeypatch.setattr(checked_images, "open_upright", slow)
    images = CheckedImages(large / "records.jsonl")
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: images.refer(f"{number}.png", large / f"{number}.png"), range(6)))
    assert most == 2


@pytest.mark.slow
def test_threads_keep_no_memory_of_images_that_they_have_decoded(tmp_path: Path) -> None:
    """Eight images of 48 MB each, one at a time; the C library would keep one for each of five threads or more."""
    for name in range(8):
        Image.new("RGB", (4000, 3000)).save(tmp_path / f"{name}.jpg")
    lines = [json.dumps({"image": f"{name}.jpg", "label": "real"}) for name in range(8)]
    (tmp_path / "records.jsonl").write_text("\n".join(lines))
    script = """
import sys
from pathlib import Path
from swift_zoomin import checked_images, records

def peak_mb():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1000

checked_images._DECODED_PIXELS = 12_000_000
before = peak_mb()
records.read_records(sys.argv[1])
print(peak_mb() - before)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "records.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 40 < float(done.stdout) < 110
