"""Kill what a run of examples/ray_detect.py can lose, and count the answers of each image.

    pip install "ray[data]>=2.60"       # in an environment of its own; no test needs it
    python tests/benchmarks/ray_killed.py

A cluster on this machine with two workers; 2,000 image files, some of which are broken, and an engine that follows a
script, a hundredth of a second an answer. In mid-run one of the workers is killed (SIGKILL); and, in a second run, the
script itself with its cluster, after which the same command goes on. Says how often each image stands in the output,
and exits with 1 where that is not once.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

from PIL import Image  # noqa: E402
from ray_detect import detect  # noqa: E402

from swift_zoomin.boxes import PixelLimits  # noqa: E402
from swift_zoomin.detection import Detector  # noqa: E402
from swift_zoomin.detection.summary import Summary  # noqa: E402
from swift_zoomin.episode import Answer, Conversation  # noqa: E402
from swift_zoomin.families import QWEN2_5_VL  # noqa: E402
from swift_zoomin.listing import LeftOut, walk_images  # noqa: E402
from swift_zoomin.records import json_rows  # noqa: E402
from swift_zoomin.replies import GENERATED, Reply, render_reply  # noqa: E402

IMAGES, BROKEN = 2000, 20
SECONDS = 0.01  # of an answer


class Scripted:
    """Answers the same to every image, in its time."""

    limits = PixelLimits(4 * 784, 16 * 784, QWEN2_5_VL)

    async def answer(self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None) -> Answer:
        await asyncio.sleep(SECONDS)
        return Answer(render_reply(Reply(GENERATED, [[0, 0, 20, 20]], ["sign"], "It melts.")), [1], False)

    def close(self) -> None:
        pass


def make_detector(folder: Path) -> Detector:
    """In a worker, which leaves its number where it can be found."""
    (folder / f"{os.getpid()}.worker").touch()
    return Detector(engine=Scripted(), concurrency=1)


def run(folder: Path) -> None:
    import ray

    ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    images = walk_images([folder / "images"], LeftOut())
    summary = Summary()
    detect(images, folder / "p.jsonl", "scripted", partial(make_detector, folder), summary, workers=2)
    print(f"  {summary}", flush=True)


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, str(folder)])


def make_images(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (60, 40)).save(folder / "one.png")
    picture = (folder / "one.png").read_bytes()
    for number in range(IMAGES):
        content = picture[:30] if number % (IMAGES // BROKEN) == 7 else picture
        (folder / "images" / f"{number:06}.png").write_bytes(content)
    os.rename(folder / "images" / "000003.png", os.fsencode(folder / "images") + b"/\xff\n.png")


def wait_for_answers(folder: Path, blocks: int, started: subprocess.Popen[bytes]) -> int:
    """Until so many blocks are answered and more are to come."""
    while started.poll() is None:
        done = len(list((folder / "p.jsonl.ray" / "checkpoint").glob("*.parquet")))
        if done >= blocks:
            return done
        time.sleep(0.05)
    raise RuntimeError(f"the run ended with status {started.returncode} before anything was killed")


def is_once_each(folder: Path) -> bool:
    rows = [row for _, row in json_rows(folder / "p.jsonl")]
    counts = Counter(row["image"] for row in rows)
    errors = sum(row["error"] is not None for row in rows)
    times = Counter(counts.values())
    print(f"  images by how often they stand in the output: {dict(times)}; rows with an error: {errors}", flush=True)
    left = (folder / "p.jsonl.ray").exists()
    return times == {1: IMAGES} and errors == BROKEN and not left


def kill_a_worker(folder: Path) -> bool:
    print("a worker is killed", flush=True)
    started = start(folder)
    done = wait_for_answers(folder, 2, started)
    workers = [int(file.stem) for file in folder.glob("*.worker")]
    os.kill(workers[0], signal.SIGKILL)
    print(f"  with {done} blocks answered; workers before: {len(workers)}", flush=True)
    status = started.wait()
    print(f"  workers in all: {len(list(folder.glob('*.worker')))}", flush=True)
    return status == 0 and is_once_each(folder)


def kill_the_script(folder: Path) -> bool:
    print("the script is killed, and called again", flush=True)
    first = start(folder)
    done = wait_for_answers(folder, 2, first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    print(f"  with {done} blocks answered", flush=True)
    return start(folder).wait() == 0 and is_once_each(folder)


def main() -> int:
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "examples")])
    # A worker gives way to all else, and on a busy machine takes long to start; Ray would start another, and another.
    os.environ.update(RAY_worker_niceness="0", RAY_worker_register_timeout_seconds="600")
    passed = True
    for killing in (kill_a_worker, kill_the_script):
        with tempfile.TemporaryDirectory() as folder:
            make_images(Path(folder))
            started = time.perf_counter()
            passed &= killing(Path(folder))
            print(f"  {time.perf_counter() - started:.0f} s", flush=True)
    print("each exactly once" if passed else "NOT each exactly once")
    return 0 if passed else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(Path(sys.argv[1]))
    else:
        sys.exit(main())
