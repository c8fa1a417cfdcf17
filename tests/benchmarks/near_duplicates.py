"""Which copies of photographs are found at which distance, and how long all pairs take. Run by hand:

    python tests/benchmarks/near_duplicates.py

The photographs are scikit-learn's and Matplotlib's samples, and parts of them that do not overlap, which are different
pictures. Printed are the share of copies found at each distance, and how many pairs of different pictures are taken
for copies.
"""

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image, ImageEnhance
from sklearn.datasets import load_sample_images

from swift_zoomin.near_duplicates import DISTANCE, Fingerprints, fingerprints, near_duplicates

DISTANCES = (4, 6, 8, 10)


def saved(image: Image.Image, kind: str, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    return Image.open(file).convert("RGB")


def cut(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    return image.crop((int(width * share), int(height * share), int(width * (1 - share)), int(height * (1 - share))))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 90": lambda image: saved(image, "JPEG", 90),
    "JPEG of quality 30": lambda image: saved(image, "JPEG", 30),
    "WebP of quality 50": lambda image: saved(image, "WEBP", 50),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "half the size, JPEG 30": lambda image: saved(image.resize((image.width // 2, image.height // 2)), "JPEG", 30),
    "square of 512": lambda image: image.resize((512, 512)),
    "darker by 40%": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "lighter by 30%": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "more contrast, by 40%": lambda image: ImageEnhance.Contrast(image).enhance(1.4),
    "1% cut off each side": lambda image: cut(image, 0.01),
    "2.5% cut off each side": lambda image: cut(image, 0.025),
    "5% cut off each side": lambda image: cut(image, 0.05),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def pictures() -> list[Image.Image]:
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    photographs.append(Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB"))
    parts = []
    for photograph in photographs:
        width, height = photograph.width // 4, photograph.height // 4
        corners = [(column * width, row * height) for column in range(4) for row in range(4)]
        parts += [photograph.crop((left, top, left + width, top + height)) for left, top in corners]
    return photographs + parts


def print_copies(folder: Path) -> None:
    originals = pictures()
    number = len(originals)
    paths = [folder / f"{index}.png" for index in range(2 * number)]
    for image, path in zip(originals, paths, strict=False):
        image.save(path, compress_level=1)
    known = fingerprints(paths[:number])
    wrong = [len(near_duplicates(known, distance)) for distance in DISTANCES]
    print(f"{'distance':24}", *(f"{distance:5}" for distance in DISTANCES))
    print(f"{'different, joined':24}", *(f"{groups:5}" for groups in wrong), f"  groups, of {number} pictures")
    for name, copy in COPIES.items():
        for image, path in zip(originals, paths[number:], strict=True):
            copy(image).save(path, compress_level=1)
        prints = fingerprints(paths)
        shares = []
        for distance in DISTANCES:
            groups = [set(group) for group in near_duplicates(prints, distance)]
            found = sum(any({index, index + number} <= group for group in groups) for index in range(number))
            shares.append(found / number)
        print(f"{name:24}", *(f"{share:5.2f}" for share in shares))


def print_seconds() -> None:
    rng = np.random.default_rng(0)
    for number in (20_000, 100_000):
        contents, hashes = rng.integers(0, 2**63, (2, number), dtype=np.uint64)
        prints = Fingerprints(contents, hashes, rng.integers(0, 256, (number, 256), dtype=np.uint8))
        started = time.process_time()
        near_duplicates(prints)
        print(f"{number} pictures: all pairs at distance {DISTANCE} in {time.process_time() - started:.1f} s of a CPU")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print_copies(Path(name))
    print_seconds()
