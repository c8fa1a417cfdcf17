"""The sandbox's benchmark with --fading: images of graded difficulty, which say how hard they are."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import run_example
from make_benchmark import CONTRASTS
from PIL import Image

from swift_zoomin.records import Record, read_records

pytestmark = pytest.mark.sandbox

IMAGES = 2 * len(CONTRASTS) * 2  # each contrast twice of each label
MIDDLE_PX = 20  # half a side of the middle of a panel, away from where its weave fades at the edges


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Record]]:
    """Test images of one seed, fading and plain."""
    folder = tmp_path_factory.mktemp("fading")
    for name, more in {"fading": ["--fading"], "again": ["--fading"], "plain": []}.items():
        run_example("make_benchmark.py", folder / name, "--train", 0, "--test", IMAGES, *more)
    return {name: read_records(folder / name / "test" / "records.jsonl") for name in ("fading", "again", "plain")}


def pixels(record: Record) -> np.ndarray:
    with Image.open(record.image.path) as image:
        return np.asarray(image, dtype=float)


def spread(record: Record) -> float:
    """How far pixels in the middle of a panel are from their mean, in levels of the channel where that is most."""
    ((x1, y1, x2, y2),) = record.boxes_px or []
    x, y = int(x1 + x2) // 2, int(y1 + y2) // 2
    middle = pixels(record)[y - MIDDLE_PX : y + MIDDLE_PX, x - MIDDLE_PX : x + MIDDLE_PX]
    return float(middle.std(axis=(0, 1)).max())


def contrast(record: Record) -> float:
    numerator, denominator = record.extra["source"].removeprefix("contrast ").split("/")
    return int(numerator) / int(denominator)


def test_each_label_has_each_contrast_as_often(made: dict[str, list[Record]]) -> None:
    counts = Counter((record.label, contrast(record)) for record in made["fading"])
    assert set(counts.values()) == {2}
    assert len(counts) == 2 * len(CONTRASTS)


def test_the_threads_have_the_contrast_that_the_record_says(made: dict[str, list[Record]]) -> None:
    for fading, plain in zip(made["fading"], made["plain"], strict=True):
        # What is left without threads: 0.6 of a grain of 4, and the light, which grows by 9 levels over 40 pixels.
        without = np.hypot(0.6 * 4, 9 / 12**0.5)
        expected = np.hypot(contrast(fading) * spread(plain), without)
        assert spread(fading) == pytest.approx(expected, rel=0.15)


def test_nothing_else_differs_from_the_plain_benchmark(made: dict[str, list[Record]]) -> None:
    for fading, plain in zip(made["fading"], made["plain"], strict=True):
        assert (fading.label, fading.explanation, fading.boxes_px) == (plain.label, plain.explanation, plain.boxes_px)
        is_same = bool((pixels(fading) == pixels(plain)).all())
        assert is_same == (contrast(fading) == 1)
        assert not plain.extra


def test_the_same_seed_fades_the_same(made: dict[str, list[Record]]) -> None:
    for one, other in zip(made["fading"], made["again"], strict=True):
        assert Path(one.image.path).read_bytes() == Path(other.image.path).read_bytes()
        assert one.extra == other.extra
