"""The recipes of shell/, run as a user does."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from conftest import ROOT, child_environment

TRAINING = {  # recipe: the GPUs of one machine that it is written for
    **{f"7b/{stage}.sh": 4 for stage in ("sft", "grpo_query1", "grpo_query2")},
    **{f"32b/{stage}.sh": 8 for stage in ("sft", "grpo_query1", "grpo_query2")},
    **{f"1gpu/{stage}.sh": 1 for stage in ("sft", "grpo_query1", "grpo_query2")},
    "server/grpo.sh": 4,
}
DETECTING = {"7b/detect.sh": 1, "32b/detect.sh": 4}
RECIPES = {**TRAINING, **DETECTING, "server/rollout.sh": 1}


def environment(**changes: str) -> dict[str, str]:
    return {**child_environment(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}"), **changes}


def run(recipe: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(ROOT / "shell" / recipe), *arguments]
    return subprocess.run(command, env=environment(**changes), capture_output=True, text=True)


def commands(recipe: str, *arguments: str, **changes: str) -> list[list[str]]:
    """What a recipe would run: its swift commands, without starting them."""
    done = run(recipe, *arguments, DRY_RUN="1", DATA="records.jsonl", OUT="unused", **changes)
    assert done.returncode == 0, done.stderr
    return [command for line in done.stdout.splitlines() if (command := shlex.split(line))[:1] == ["swift"]]
