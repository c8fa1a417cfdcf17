"""Memory of `zoomin detect` over few and over many files: it should not grow with their number.

    python tests/benchmarks/detect_memory.py [--few 10000] [--many 1000000] [--again]

First comes one picture, for which a scripted engine is loaded, then a folder of empty files with the names of images,
whose rows say that they cannot be read. --again runs both once more over the same files, whose rows are then all tried
again.
Prints the largest resident memory of each run and the ratio; both runs are processes of their own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
RUN = """
import sys
from types import SimpleNamespace
from swift_zoomin.checkpoints import QWEN_LIMITS
from swift_zoomin.episode import Answer

class Scripted:
    limits = QWEN_LIMITS
    def __init__(self, *_): pass
    async def answer(self, conversation, *how): return Answer("<verdict>real</verdict>", [1], False)
    def close(self): pass

vision_process = SimpleNamespace(smart_resize=lambda *size, **_: size[:2])
sys.modules["qwen_vl_utils"] = SimpleNamespace(vision_process=vision_process)  # the real one loads torch
sys.modules["swift_zoomin.detection.engine"] = SimpleNamespace(SwiftEngine=Scripted)
from swift_zoomin.cli import main
sys.exit(main())
"""


def make_files(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        os.close(os.open(folder / f"{number}.png", os.O_CREAT | os.O_WRONLY))


def run(picture: Path, folder: Path, model: Path) -> tuple[float, float]:
    """MiB and seconds of a run over the picture and the folder."""
    command = [sys.executable, "-c", RUN, "detect", str(picture), str(folder), "--model", str(model)]
    started = time.monotonic()
    process = subprocess.Popen(
        [*command, "--out", f"{folder}.jsonl"], env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 3, status
    return usage.ru_maxrss / 1024, time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        model = Path(home) / "model"
        model.mkdir()
        (model / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
        picture = Path(home) / "picture.png"
        Image.new("RGB", (40, 40)).save(picture)
        counts = (options.few, options.many)
        for count in counts:
            make_files(Path(home) / str(count), count)
        for name in ("first run", "again") if options.again else ("first run",):
            measured = []
            for count in counts:
                mebibytes, seconds = run(picture, Path(home) / str(count), model)
                print(f"{name}: {count} files: {mebibytes:.1f} MiB, {seconds:.0f} s", flush=True)
                measured.append(mebibytes)
            print(f"{name}: {measured[1] / measured[0]:.3f} times the memory", flush=True)


if __name__ == "__main__":
    main()
