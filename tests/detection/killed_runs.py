"""Runs `zoomin detect` again and again and kills it; a process of its own, so that each run is a fork away.

    python killed_runs.py FOLDER KILLS SEED

FOLDER/photos has the images, and FOLDER/out.jsonl gets the rows. Prints a JSON line for each kill: whether it hit a
run at work, and whether the whole rows of before are still there.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from swift_zoomin import checkpoints
from swift_zoomin.cli import main
from swift_zoomin.episode import Answer, Conversation

REPLY = "<explanation>It melts.</explanation><regions>[[0, 0, 20, 20]]</regions><verdict>generated</verdict>"
LONGEST_S = 0.25  # of a run before it is killed, beyond the time that its first row takes


class Sleepy:
    """Answers after a moment, so that many exchanges are at every stage when the end comes."""

    limits = checkpoints.QWEN_LIMITS

    def __init__(self, *_: object) -> None:
        pass

    async def answer(self, conversation: Conversation, *how: object) -> Answer:
        await asyncio.sleep(random.uniform(0, 0.01))
        return Answer(REPLY, [1], False)

    def close(self) -> None:
        pass


def start(folder: Path) -> int:
    """The process of a run in FOLDER."""
    child = os.fork()
    if child:
        return child
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    model = ("--model", str(folder / "model"), "--concurrency", "8")
    sys.argv = ["zoomin", "detect", str(folder / "photos"), *model, "--out", str(folder / "out.jsonl")]
    os._exit(main())


def kill_runs(folder: Path, kills: int) -> Iterator[dict[str, bool]]:
    out = folder / "out.jsonl"
    out.touch()
    for number in range(kills):
        before = out.read_bytes()
        size = out.stat().st_size
        child = start(folder)
        while out.stat().st_size == size and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.001)
        time.sleep(random.uniform(0, LONGEST_S))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        whole = before[: before.rfind(b"\n") + 1]
        yield {"at_work": os.WIFSIGNALED(status), "kept": out.read_bytes().startswith(whole)}
        if number % 2:  # a machine that fails may leave half a line, which a killed process does not
            with out.open("r+b") as file:
                file.truncate(out.stat().st_size - random.randrange(2, 60))


if __name__ == "__main__":
    random.seed(int(sys.argv[3]))
    vision_process = SimpleNamespace(smart_resize=lambda *size, **_: size[:2])
    sys.modules["qwen_vl_utils"] = SimpleNamespace(vision_process=vision_process)  # the real one loads torch
    sys.modules["swift_zoomin.detection.engine"] = SimpleNamespace(SwiftEngine=Sleepy)
    for killed in kill_runs(Path(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(killed), flush=True)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(start(Path(sys.argv[1])), 0)[1]))
