"""What opening pictures costs: reading the size, and decoding, in processor time a file, against another version.

    python tests/benchmarks/pictures.py                      # this version
    python tests/benchmarks/pictures.py --other ../before    # and the package in that folder, both in one run

The files are made: photographs are imitated by noise that is smoothed, at a size where decoding is not all overhead.
Each figure is the least of several rounds, in which the two versions take turns.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image, ImageCms, ImageFilter
from PIL.PngImagePlugin import PngInfo

FILES, ROUNDS = 40, 7
SIZE = 448  # pixels a side, as the paper's data after conversion


def make(folder: Path) -> list[str]:
    """One folder of FILES alike for each kind; returns their names."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngInfo()
    text.add(b"tEXt", b"date:create\0" + b"2026-01-01T00:00:00", after_idat=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = {
        "PNG": ("a.png", {}),
        "PNG, EXIF": ("a.png", {"exif": exif}),
        "PNG, text behind the pixels": ("a.png", {"pnginfo": text}),
        "PNG, sRGB profile": ("a.png", {"icc_profile": srgb}),
        "JPEG": ("a.jpg", {"quality": 90}),
        "JPEG, sRGB profile": ("a.jpg", {"quality": 90, "icc_profile": srgb}),
        "WebP": ("a.webp", {"quality": 90}),
        "TIFF": ("a.tif", {}),
        "BMP": ("a.bmp", {}),
    }
    for number in range(FILES):
        bands = [Image.effect_noise((SIZE, SIZE), 60) for _ in range(3)]
        picture = Image.merge("RGB", bands).filter(ImageFilter.GaussianBlur(2 + number % 3))
        for kind, (name, options) in kinds.items():
            path = folder / kind / f"{number}{Path(name).suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, **options)
    return list(kinds)


def measure(folder: Path) -> None:
    """Print milliseconds a file: upright_size and open_upright of every kind; run in a process of its own."""
    from swift_zoomin.images import open_upright, upright_size

    for kind in sorted(folder.iterdir()):
        paths = sorted(kind.iterdir())
        for use in (upright_size, open_upright):
            use(paths[0])
            start = time.process_time()
            for path in paths:
                use(path)
            print(kind.name, use.__name__, 1000 * (time.process_time() - start) / len(paths), sep="\t")


def run(root: Path, folder: Path) -> dict[tuple[str, str], float]:
    command = [sys.executable, __file__, "--measure", str(folder)]
    done = subprocess.run(command, env={"PYTHONPATH": str(root)}, stdout=subprocess.PIPE, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return {(kind, use): float(value) for kind, use, value in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", type=Path, help="folder with another version of the package to compare with")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        return measure(options.measure)
    here = Path(__file__).resolve().parents[2]
    versions = [here] if options.other is None else [options.other.resolve(), here]
    least: list[dict[tuple[str, str], float]] = [{} for _ in versions]
    with tempfile.TemporaryDirectory() as folder:
        kinds = make(Path(folder))
        for _ in range(ROUNDS):
            for known, root in zip(least, versions, strict=True):
                for key, value in run(root, Path(folder)).items():
                    known[key] = min(value, known.get(key, value))
    for use in ("upright_size", "open_upright"):
        print(f"{use}, ms a file" + (": other, this, ratio" if options.other else ""))
        for kind in kinds:
            values = [known[kind, use] for known in least]
            ratio = f"  {values[-1] / values[0]:.2f}" if options.other else ""
            print(f"  {kind:30}" + "".join(f"{value:9.3f}" for value in values) + ratio)
    return None


if __name__ == "__main__":
    main()
