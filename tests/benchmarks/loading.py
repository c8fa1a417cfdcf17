"""What reading and checking a records file takes: the first time, again, and with large photographs.

    python tests/benchmarks/loading.py
    python tests/benchmarks/loading.py --code ../before . --rounds 3    # two checkouts, in turn

The records are 448 x 448 PNGs, as `zoomin convert square` writes them; a few pictures under many names. The photographs
are JPEGs of 8000 x 6000 pixels (48 megapixels). `first` reads with an empty cache folder, `second` with what the first
left there; each in a process of its own, timed without its imports. `processor_s` is of all its threads; `peak_mb` is
its largest resident memory, less what it took before it read.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PICTURES = 50


def picture(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Smooth colours under a little noise: compresses like a photograph."""
    smooth = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((width, height), Image.BICUBIC)
    noise = rng.integers(-6, 7, (height, width, 3), dtype=np.int16)
    return Image.fromarray((np.asarray(smooth, dtype=np.int16) + noise).clip(0, 255).astype(np.uint8))


def make_records(folder: Path, count: int, width: int, height: int, kind: str, pictures: int) -> Path:
    """A records file of `count` images; links to `pictures` files."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(min(pictures, count)):
        picture(rng, width, height).save(folder / f"{number}.{kind}")
    for number in range(pictures, count):
        os.link(folder / f"{number % pictures}.{kind}", folder / f"{number}.{kind}")
    rows = [{"image": f"{number}.{kind}", "label": "real", "boxes": [[8, 8, 90, 70]]} for number in range(count)]
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "records.jsonl"


def peak_mb() -> float:
    """The largest resident memory of this process; getrusage would say that of its parent where that was larger."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6


def measure(records: Path) -> dict[str, float]:
    """One reading, in this process."""
    from swift_zoomin.records import read_records

    before_mb = peak_mb()
    wall, processor = time.perf_counter(), time.process_time()
    read_records(records)
    return {
        "wall_s": round(time.perf_counter() - wall, 2),
        "processor_s": round(time.process_time() - processor, 2),
        "peak_mb": round(peak_mb() - before_mb),
    }


def measured(code: Path, records: Path, cache: Path) -> dict[str, Any]:
    """One reading by the code of a checkout, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(code), "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, __file__, "--measure", str(records)]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--code", nargs="+", type=Path, default=[Path(__file__).parents[2]], help="checkouts to measure"
    )
    parser.add_argument("--records", type=int, default=20_000, help="PNGs of 448 x 448")
    parser.add_argument("--photographs", type=int, default=12, help="JPEGs of 8000 x 6000")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    with tempfile.TemporaryDirectory() as name:
        files = {
            "records": make_records(Path(name, "records"), options.records, 448, 448, "png", PICTURES),
            "photographs": make_records(Path(name, "photographs"), options.photographs, 8000, 6000, "jpg", 1),
        }
        for number in range(options.rounds):
            for what, records in files.items():
                for code in options.code:
                    cache = Path(name, f"cache-{number}-{options.code.index(code)}")
                    for reading in ("first", "second"):
                        figures = measured(code.resolve(), records, cache)
                        print(json.dumps({"code": str(code), "read": what, "time": reading, **figures}), flush=True)


if __name__ == "__main__":
    main()
