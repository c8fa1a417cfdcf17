"""How many files a second `zoomin check` reads, and how its memory grows with their number. Run by hand:

    python tests/benchmarks/check.py [RECORDS]

RECORDS (100000) small files are made, half of them JPEG, and a fifth and then all of them are checked, in processes of
their own, of which the peak of resident memory is printed. Beside it stands what a list of the same records takes
(`read_records`). The last line is the growth from the smaller set to the larger, a record.
"""

import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from swift_zoomin.records import write_records
from swift_zoomin.replies import VERDICTS

SIZE = (48, 32)
PARTS = (0.2, 1.0)  # from 10000 records on, the sample that is measured does not grow
LIST = "import sys; from pathlib import Path; from swift_zoomin.records import read_records; read_records(sys.argv[1])"
CHECK = "import sys; from swift_zoomin.cli import main; sys.argv[:1] = ['zoomin', 'check']; main()"


def make(folder: Path, number: int) -> None:
    rng = random.Random(0)
    for index in range(number):
        bucket = folder / f"{index // 1000:04}"
        bucket.mkdir(exist_ok=True)
        image = Image.frombytes("RGB", SIZE, rng.randbytes(SIZE[0] * SIZE[1] * 3))
        image.save(bucket / f"{index:06}.{'jpg' if index // 2 % 2 else 'png'}")


def rows(number: int) -> list[dict[str, object]]:
    made = []
    for index in range(number):
        name = f"{index // 1000:04}/{index:06}.{'jpg' if index // 2 % 2 else 'png'}"
        explanation = f"The letters on sign {index} melt into each other, and the shadow of the post falls backwards."
        boxes = [[1 + index % 7, 2, 20, 20], [5, 5, 30, 30]]
        record = {"image": name, "label": VERDICTS[index % 2], "explanation": explanation, "boxes": boxes}
        made.append({**record, "box_labels": ["garbled letters", "a shadow"], "source": "made"})
    return made


def measured(code: str, records: Path) -> tuple[float, float, Sequence[str]]:
    """Seconds, and MiB of resident memory at the peak, of a process of its own; what it printed."""
    program = f"import resource\n{code}\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program, str(records)], stdout=subprocess.PIPE, text=True, check=True)
    *said, peak = done.stdout.splitlines()
    return time.perf_counter() - started, int(peak) / 1024, said


def cpu_seconds() -> float:
    """Of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(number: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, number)
        peaks = []
        for part in PARTS:
            count = int(part * number)
            records = folder / f"{count}.jsonl"
            write_records(records, rows(count))
            before = cpu_seconds()
            seconds, peak, said = measured(CHECK, records)
            cpu = cpu_seconds() - before
            _, list_peak, _ = measured(LIST, records)
            peaks.append((count, peak, list_peak))
            rate = f"{count / seconds:.0f} files a second, {count / cpu:.0f} a second of a CPU"
            print(f"{count:7} records: {seconds:6.1f} s, {rate}; peak {peak:.0f} MiB (a list: {list_peak:.0f} MiB)")
            print(*(f"        {line[:150]}" for line in said[:3]), sep="\n", flush=True)
        first, last = peaks[0], peaks[-1]
        more = last[0] - first[0]
        growths = [1024 * 1024 * (last[kind] - first[kind]) / more for kind in (1, 2)]
        print(f"growth a record: {growths[0]:.0f} bytes (a list: {growths[1]:.0f} bytes)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
