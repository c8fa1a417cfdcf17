"""The README's training commands, read by ms-swift's own argument classes."""

import importlib.util
import os
import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import ROOT
from swift.arguments import RLHFArguments, SftArguments
from swift.utils import parse_args

COMMANDS = [
    shlex.split(command.replace("\\\n", " "))
    for command in re.findall(r"^    (swift (?:sft|rlhf) .*?)\n\n", (ROOT / "README.md").read_text(), re.DOTALL | re.M)
]


def replaced(arguments: list[str], **values: object) -> list[str]:
    """The same command line with some options' values replaced by local ones."""
    result = list(arguments)
    for name, value in values.items():
        result[result.index(f"--{name}") + 1] = str(value)
    return result


def options(command: list[str]) -> dict[str, list[str]]:
    """Each option of a command and its values."""
    at = [*(number for number, word in enumerate(command) if word.startswith("--")), len(command)]
    return {command[start]: command[start + 1 : end] for start, end in pairwise(at)}


@pytest.mark.parametrize("command", COMMANDS, ids=["sft", "grpo1", "grpo2"])
def test_every_flag_of_a_training_command_is_known_to_ms_swift(
    command: list[str], model_dir: Path, benchmark_dir: Path, tmp_path: Path
) -> None:
    arguments = command[2:]
    purpose = arguments[arguments.index("--dataset") + 1].split(":")[1]
    data = f"{benchmark_dir}/train/records.jsonl:{purpose}"
    # Half precision needs a GPU already to be parsed.
    arguments = replaced(arguments, model=model_dir, dataset=data, output_dir=tmp_path, torch_dtype="float32")
    if importlib.util.find_spec("deepspeed") is None:  # part of the GPU stack
        at = arguments.index("--deepspeed")
        del arguments[at : at + 2]
    kind = SftArguments if command[1] == "sft" else RLHFArguments
    if command[1] == "rlhf":  # one process here, not four: two generations need two steps
        arguments += ["--steps_per_generation", "2"]
    parsed, unknown = parse_args(kind, [*arguments, "--model_type", "qwen2_5_vl", "--check_model", "false"])
    assert unknown == []
    assert parsed.template == "zoomin"
    assert not parsed.freeze_vit
    assert not parsed.freeze_aligner


@pytest.mark.parametrize(
    ("at", "recipe"), list(enumerate(["sft", "grpo_query1", "grpo_query2"])), ids=["sft", "grpo1", "grpo2"]
)
def test_a_training_command_says_what_the_recipe_says(at: int, recipe: str) -> None:
    shown = subprocess.run(
        ["bash", str(ROOT / f"shell/7b/{recipe}.sh")],
        env={**os.environ, "DRY_RUN": "1", "DATA": "data512/records.jsonl"},
        capture_output=True,
        text=True,
    )
    ours, recipes = options(COMMANDS[at]), options(shlex.split(shown.stdout))
    for place in ("--model", "--output_dir"):
        del ours[place]
    assert {name: recipes.get(name) for name in ours} == ours


def test_there_are_three_training_commands() -> None:
    assert [command[1] for command in COMMANDS] == ["sft", "rlhf", "rlhf"]
