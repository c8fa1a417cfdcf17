"""What a stage of a rehearsal left behind, read into figures: seconds a step, steps and hours of the whole run.

shell/rehearse.sh writes for each stage a folder: `whole`, the command that the recipe would run for the whole training;
`first.json` and `second.json`, what was seen before and after the stop (watched.py), with their logs;
`checkpoint_bytes`; and what ms-swift writes, args.json and logging.jsonl, whose lines hold one step each:

    {"loss": 6.33, "num_turns": 2.0, "epoch": 0.25, "global_step/max_steps": "3/4", "train_speed(s/it)": 1.13}

`train_speed(s/it)` is the mean over the steps of one process; a last line, with `train_runtime`, comes after the last
checkpoint. The first step of a process is not counted in its speed: kernels are chosen and memory is taken then.
"""

import json
import math
import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from rehearsal_faults import last_value

Row = dict[str, Any]
BEFORE_STOP, AFTER_STOP = "first", "second"


def read_json(file: Path) -> dict[str, Any]:
    """An empty dictionary where the stage did not come so far."""
    return json.loads(file.read_text()) if file.exists() else {}


def elapsed_s(row: Row) -> float:
    """Seconds from the first step's begin in this process; `taken` steps lie in them."""
    return row["train_speed(s/it)"] * row["taken"]


def shown_command(folder: Path) -> list[str]:
    """The first command that a recipe showed with DRY_RUN=1, last flags last."""
    lines = (folder / "whole").read_text().splitlines()
    return next(shlex.split(line) for line in lines if line.startswith(("swift ", "zoomin ")))


@dataclass(frozen=True)
class Whole:
    """What the whole training will be, and what that rests on."""

    rows: int
    epochs: float
    rows_a_step: float
    steps: int
    saves: int
    kept_checkpoints: int  # one more while it is written


@dataclass(frozen=True)
class Stage:
    """One stage's folder, and how many of the user's records the rehearsal took for it."""

    folder: Path
    sampled: int
    total: int

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def command(self) -> list[str]:
        """The training that the recipe would start."""
        return shown_command(self.folder)

    @cached_property
    def args(self) -> dict[str, Any]:
        return read_json(self.folder / "args.json")

    @cached_property
    def parts(self) -> dict[str, dict[str, Any]]:
        return {name: read_json(self.folder / f"{name}.json") for name in (BEFORE_STOP, AFTER_STOP)}

    def log(self, part: str) -> str:
        file = self.folder / f"{part}.log"
        return file.read_text(errors="replace").replace("\r", "\n") if file.exists() else ""

    @property
    def failed_part(self) -> str | None:
        """The part that ended with an error, if one did."""
        return next((name for name, seen in self.parts.items() if seen and seen["status"] != 0), None)

    @property
    def is_whole(self) -> bool:
        return all(seen and seen["status"] == 0 for seen in self.parts.values())

    @cached_property
    def processes(self) -> list[list[Row]]:
        """The logged lines of each process, with how many steps it had `taken` by then."""
        file = self.folder / "logging.jsonl"
        if not file.exists():
            return []
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        rows = [row for row in rows if "global_step/max_steps" in row]
        found = []
        # The recipe is started with another number of steps each time.
        for _, group in groupby(rows, key=lambda row: row["global_step/max_steps"].split("/")[1]):
            of_process = list(group)
            first = step_of(of_process[0]) - 1
            found.append([{**row, "taken": step_of(row) - first} for row in of_process])
        return found

    @property
    def steps(self) -> list[Row]:
        return [row for process in self.processes for row in process if "loss" in row]

    @property
    def warm_seconds(self) -> list[float]:
        """How long each step took but the first of each process, and without writing checkpoints."""
        taken = []
        for process in self.processes:
            logged = [row for row in process if "loss" in row]
            taken += [elapsed_s(after) - elapsed_s(before) for before, after in pairwise(logged)]
        return taken

    @property
    def seconds_a_step(self) -> float:
        return fmean(self.warm_seconds) if self.warm_seconds else math.nan

    @property
    def save_s(self) -> float:
        """Seconds of writing a checkpoint: from the last step to the end of the training."""
        if not self.processes:
            return math.nan
        *_, last, end = self.processes[-1] if len(self.processes[-1]) > 1 else (None, None)
        return elapsed_s(end) - elapsed_s(last) if end and "train_runtime" in end else math.nan

    @property
    def start_s(self) -> float:
        """Seconds from the start of the recipe to its first step, loading the model included."""
        if not self.is_whole:
            return math.nan
        return self.parts[AFTER_STOP]["seconds"] - elapsed_s(self.processes[-1][-1])

    @cached_property
    def whole(self) -> Whole | None:
        """None where the rehearsal did not come to its first step, or nobody can count the rows."""
        rows = self._rows() if self.steps else None
        if rows is None:
            return None
        epochs = float(self.args["num_train_epochs"])
        rows_a_step = self._rows_a_step()
        steps = math.ceil(epochs * math.ceil(rows / rows_a_step))
        steps = int(last_value(self.command, "--max_steps") or steps)
        every = int(last_value(self.command, "--save_steps") or 500)  # ms-swift's own
        saves = math.ceil(steps / every)
        limit = last_value(self.command, "--save_total_limit")
        kept = min(saves, int(limit) + 1) if limit else saves
        return Whole(rows, epochs, rows_a_step, steps, saves, kept)

    def _rows(self) -> int | None:
        """Rows of the whole training. None where they are streamed, or where only some of them come from the sample."""
        counted = re.search(r"train_dataset: Dataset\(\{[^}]*num_rows: (\d+)", self.log(BEFORE_STOP))
        if not counted:
            return None
        rows_here = int(counted[1])
        grows = {self._is_of_the_sample(name) for name in self.args["dataset"]}
        if len(grows) > 1:
            return None  # ms-swift logs the number of all rows together
        return round(rows_here * self.total / self.sampled) if grows == {True} else rows_here

    def _is_of_the_sample(self, dataset: str) -> bool:
        """Whether a data set is all rows of the sample, where the whole training has those of the user's file.

        Of any other file the rehearsal takes what the training takes, and of `FILE#500` so many rows whatever it holds.
        """
        file = re.sub(r":\w+$", "", dataset)
        return Path(file) == self.folder.parent / "records.jsonl"

    def _rows_a_step(self) -> float:
        """Rows of the data set that an optimiser step takes; several replies to one row are generated in GRPO."""
        batch = self.args["per_device_train_batch_size"] * self.args["gradient_accumulation_steps"]
        rows = batch * self.args["global_world_size"]
        if self.is_grpo:
            rows /= self.args["num_generations"] * self.args["num_iterations"]
        return rows

    @property
    def is_grpo(self) -> bool:
        return self.args.get("rlhf_type") == "grpo"

    @property
    def hours(self) -> float:
        """Of the whole training: its steps, its checkpoints, its start."""
        if self.whole is None:
            return math.nan
        seconds = self.whole.steps * self.seconds_a_step + self.whole.saves * self.save_s + self.start_s
        return seconds / 3600

    @property
    def checkpoint_bytes(self) -> int:
        file = self.folder / "checkpoint_bytes"
        return int(file.read_text()) if file.exists() else 0

    @property
    def disk_bytes(self) -> int:
        """What the whole training will have on the disk at most; of the merged LoRA, as much as it has here."""
        merged = self.folder / "merged_bytes"
        limit = last_value(self.command, "--save_total_limit")
        kept = self.whole.kept_checkpoints if self.whole else int(limit or 0) + 1
        return kept * self.checkpoint_bytes + (int(merged.read_text()) if merged.exists() else 0)

    @property
    def turns(self) -> list[float]:
        """Queries of a trajectory, the mean of each step; nothing where no scheduler ran."""
        return [row["num_turns"] for row in self.steps if "num_turns" in row]

    @property
    def asks_twice(self) -> bool:
        """Whether this stage is to roll out both queries."""
        return self.is_grpo and any(re.search(r":query2(?:#|$)", name) for name in self.args["dataset"])


def step_of(row: Row) -> int:
    return int(row["global_step/max_steps"].split("/")[0])
