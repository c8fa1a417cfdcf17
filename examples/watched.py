"""Run a command, watch how much memory the machine uses meanwhile, and stop it once it has written a checkpoint.

    python examples/watched.py output/rehearsal/7b/sft/first --until-checkpoint output/rehearsal/7b/sft \\
        -- bash shell/7b/sft.sh

What the command prints goes to first.log, and what was seen to first.json:

    {"status": 0, "stopped": true, "seconds": 71.3, "host_gib": 41.2, "gpus": {"0": [38.1, 79.6]}}

`host_gib` is what the machine used at most beyond what it used before; each GPU has the most that was in use on it, by
anyone, and what it has. A status below zero is the signal that ended the command. It is part of shell/rehearse.sh.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

GIB = 2**30
LOOK_S = 0.1  # a stop comes this late at most; steps of the tiny model take as long
MEMORY_LOOK_S = 0.5
QUERY = ["nvidia-smi", "--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits"]  # MiB
Gpus = dict[str, list[float]]  # by index: GiB at most, GiB in all


class Memory(threading.Thread):
    """The most memory that was in use since this thread was started."""

    def __init__(self, gpus: str) -> None:
        super().__init__(daemon=True)
        self.gpus: Gpus = {}
        self.host_gib = 0.0
        self._available_before = psutil.virtual_memory().available
        self._query = query_of(gpus)
        self._has_ended = threading.Event()

    def run(self) -> None:
        while not self._has_ended.wait(MEMORY_LOOK_S):
            used = self._available_before - psutil.virtual_memory().available
            self.host_gib = max(self.host_gib, used / GIB)
            if self._query:
                shown = subprocess.run(self._query, capture_output=True, text=True).stdout
                self.gpus = most_used(self.gpus, shown)

    def end(self) -> None:
        self._has_ended.set()
        self.join()


def query_of(gpus: str) -> list[str]:
    """The command that shows the memory of GPUs, named as in CUDA_VISIBLE_DEVICES or `all`; none without a name."""
    if not gpus:
        return []
    return QUERY if gpus == "all" else [*QUERY, f"--id={gpus}"]


def has_checkpoint(folder: Path) -> bool:
    """Whether one is whole: its trainer_state.json is written after everything else."""
    return any(folder.glob("checkpoint-*/trainer_state.json"))


def most_used(before: Gpus, shown: str) -> Gpus:
    """What is known of each GPU after nvidia-smi has shown lines like `0, 38912, 81559` (MiB)."""
    most = dict(before)
    for line in shown.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 3 or not (cells[1] + cells[2]).isdigit():
            continue  # a message, or a GPU that does not say
        used, total = float(cells[1]) / 1024, float(cells[2]) / 1024
        most[cells[0]] = [max(used, most.get(cells[0], [0.0])[0]), total]
    return most


def kill_tree(root: psutil.Process) -> None:
    """Kill a process and all below it: torchrun gives its workers sessions of their own."""
    processes = [*root.children(recursive=True), root]
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=60)  # a GPU is free once they are gone


def run(command: list[str], log: Path, until: Path | None, gpus: str) -> dict[str, object]:
    """What was seen of the command, as the module's docstring shows it."""
    memory = Memory(gpus)
    memory.start()
    started = time.monotonic()
    was_stopped = False
    with log.open("wb") as output:
        process = psutil.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None and not was_stopped:
                was_stopped = until is not None and has_checkpoint(until)
                time.sleep(LOOK_S)
        finally:
            if process.poll() is None:  # it is to be stopped, or this process was interrupted
                kill_tree(process)
    status = process.wait()
    memory.end()
    return {
        "status": 0 if was_stopped else status,
        "stopped": was_stopped,
        "seconds": time.monotonic() - started,
        "host_gib": memory.host_gib,
        "gpus": memory.gpus,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", type=Path, help="of the two files, without .log and .json")
    parser.add_argument("--until-checkpoint", type=Path, help="kill the command once this folder has a whole one")
    parser.add_argument("--gpus", default="", help="to watch, as in CUDA_VISIBLE_DEVICES, or all")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    seen = run(options.command, options.name.with_suffix(".log"), options.until_checkpoint, options.gpus)
    options.name.with_suffix(".json").write_text(json.dumps(seen) + "\n")
    sys.exit(seen["status"] != 0)
