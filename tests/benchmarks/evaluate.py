"""How long `zoomin evaluate` takes for 20,000 images and three methods, and how much memory.

    python tests/benchmarks/evaluate.py                            # the working tree
    python tests/benchmarks/evaluate.py --before ~/older/checkout  # and an older one's time for one method beside it

Images are tiny files, explanations and references of 40 to 80 words; each method has two replies, boxes and a score. A
first run reads every file's size into the cache that all later runs find, and is not counted.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "evaluation"))

from made_predictions import prediction_rows, write_set  # noqa: E402

from swift_zoomin.records import write_records  # noqa: E402

METHODS = ("first", "second", "third")
WORDS = 80


def make(folder: Path, images: int) -> None:
    """The records, and predictions of each method with the replies that a detector keeps."""
    records = write_set(folder, images, words=WORDS)
    for number, name in enumerate(METHODS):
        rows = prediction_rows(records, seed=number, right=0.8 + number / 20, words=WORDS)
        for row in rows:
            row.setdefault("replies", [f"<explanation>{row.get('explanation')}</explanation>"] * 2)
        write_records(folder / f"{name}.jsonl", rows)


def run(checkout: Path, folder: Path, *methods: str, out: Path | None = None) -> str:
    """What one command took: seconds, seconds of all cores, and the largest memory of any command so far."""
    files = [folder / f"{name}.jsonl" for name in methods]
    command = [sys.executable, "-m", "swift_zoomin.cli", "evaluate", folder / "records.jsonl", *files]
    if out:
        command += ["--out", out]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "XDG_CACHE_HOME": str(folder / "cache")}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*map(str, command)], env=environment, check=True, cwd=folder, **quiet)  # type: ignore[call-overload]
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    of_cores = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{seconds:6.1f} s ({of_cores:.1f} s of all cores), at most {after.ru_maxrss / 1024:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--before", type=Path, help="a checkout of an older version")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "data"
        make(folder, options.images)
        run(ROOT, folder, METHODS[0])
        for methods in (METHODS[:1], METHODS):
            took = run(ROOT, folder, *methods, out=Path(home) / "out")
            print(f"{len(methods)} of {options.images} predictions: {took}", flush=True)
        if options.before:
            took = run(options.before, folder, METHODS[0])
            print(f"1 of {options.images} predictions, before: {took}")


if __name__ == "__main__":
    main()
