"""What wide-gamut files do to a trained detector: the same pictures in four colour spaces, with and without profile.

    PYTHONPATH=tests MAX_PIXELS=12544 OMP_NUM_THREADS=1 python tests/benchmarks/colours.py \
        --model output/quickstart/grpo2/checkpoint-30 --records output/quickstart/benchmark/test/records.jsonl

The first 120 records are stored as 8-bit PNG in sRGB, Display P3, Adobe RGB and ProPhoto RGB (by the arithmetic of
tests/profiles.py), each with the profile embedded as cameras and phones do; `zoomin detect` and `zoomin evaluate` then
do the rest. The same pixels without a profile stand beside them: that is what a reader sees who ignores profiles.
Set MAX_PIXELS as in training. Wanted: every space with its profile within 0.01 of sRGB in accuracy and IoU.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from profiles import ADOBE_RGB, DISPLAY_P3, PROPHOTO, SRGB, Space, from_srgb, rgb_profile

from swift_zoomin.records import read_records

ZOOMIN = [sys.executable, "-m", "swift_zoomin.cli"]


def store(records_file: Path, count: int, folder: Path, space: Space, profile: bytes | None) -> Path:
    """The first records with their images in this space; returns the new records file."""
    (folder / "images").mkdir(parents=True)
    lines = records_file.read_text().splitlines()[:count]
    for record in read_records(records_file)[:count]:
        with Image.open(record.image.path) as image:
            pixels = np.asarray(image.convert("RGB"))
        stored = Image.fromarray(from_srgb(pixels, space))
        stored.save(folder / "images" / Path(record.image.path).name, icc_profile=profile)
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "records.jsonl"


def look(records_file: Path, model: Path, max_new_tokens: int) -> dict[str, float]:
    """What `zoomin detect` and `zoomin evaluate` say of these records."""
    predictions, results = records_file.with_name("predictions.jsonl"), records_file.with_name("results")
    detect = [*ZOOMIN, "detect", records_file, "--model", model, "--out", predictions]
    detect += ["--max-new-tokens", str(max_new_tokens)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(detect, check=True, **quiet)  # type: ignore[call-overload]
    subprocess.run([*ZOOMIN, "evaluate", records_file, predictions, "--out", results], check=True, **quiet)  # type: ignore[call-overload]
    figures = json.loads((results / "metrics.json").read_text())["methods"]["predictions"]
    return {name: figure["value"] for name, figure in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path, help="checkpoint of the sandbox")
    parser.add_argument("--records", required=True, type=Path, help="records of its test images, relative to images/")
    parser.add_argument("--images", type=int, default=120, help="how many of them")
    parser.add_argument("--max-new-tokens", type=int, default=80, help="tokens a reply may have")
    options = parser.parse_args()
    print(f"{'space':18} {'profile':9} accuracy    IoU")
    with tempfile.TemporaryDirectory() as folder:
        for space in (SRGB, DISPLAY_P3, ADOBE_RGB, PROPHOTO):
            for said, profile in (("embedded", rgb_profile(space)), ("left out", None)):
                home = Path(folder) / f"{space.name} {said}"
                records_file = store(options.records, options.images, home, space, profile)
                metrics = look(records_file, options.model, options.max_new_tokens)
                print(f"{space.name:18} {said:9} {metrics['accuracy']:8.3f}  {metrics['iou']:5.3f}", flush=True)


if __name__ == "__main__":
    main()
