"""The recipes for real hardware, read by ms-swift's own parser."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plan import load_config
from run_recipe import TRAINING, commands, environment

STAGE_1 = {"server/grpo.sh STAGE=query1": 4, "server/rollout.sh STAGE=query1": 1}  # beside their default, query2


QWEN3_VL = {"7b": "qwen3-vl-8b", "32b": "qwen3-vl-32b"}  # by the folder of the recipes that train it
OF_QWEN3_VL = {f"{recipe} of Qwen3-VL": gpus for recipe, gpus in TRAINING.items() if recipe.split("/")[0] in QWEN3_VL}


def published(size: str, tiny: Path, folder: Path) -> Path:
    """A model's folder with the configuration of a published size, and everything but weights."""
    if not folder.exists():
        shutil.copytree(tiny, folder, ignore=shutil.ignore_patterns("*.safetensors"))
        load_config(size).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def parsed(
    model_dir: Path, qwen3_vl_dir: Path, benchmark_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, Any]]]:
    """Each recipe's training commands as ms-swift reads them: as they stand, and spoiled in three ways."""
    jobs: dict[str, list[dict[str, Any]]] = {}
    for name, gpus in {**TRAINING, "server/rollout.sh": 1, **STAGE_1, **OF_QWEN3_VL}.items():
        recipe, *stage = name.removesuffix(" of Qwen3-VL").split()
        if name in OF_QWEN3_VL:
            size, tiny = QWEN3_VL[recipe.split("/")[0]], qwen3_vl_dir
        else:
            size, tiny = "32b" if recipe.startswith("32b") else "3b" if recipe.startswith("1gpu") else "7b", model_dir
        folder = published(size, tiny, tmp_path_factory.getbasetemp() / f"config-{size}")
        changes = dict(change.split("=") for change in stage)
        command = commands(recipe, MODEL=str(folder), GPUS=str(gpus), **changes)[0]
        command = [word.replace("records.jsonl", f"{benchmark_dir}/train/records.jsonl") for word in command]
        spoiled = [["--learnin_rate", "1"], ["--torch_dtype_", "x"]]
        if "--num_generations" in command:
            spoiled.append(["--num_generations", "3" if gpus > 1 else "5"])
        if name in OF_QWEN3_VL:
            assert command[command.index("--model_type") + 1] == "qwen3_vl"
            spoiled = []
        jobs[name] = [{"processes": gpus, "command": command + extra} for extra in ([], *spoiled)]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "parse_commands.py")],
        input="\n".join(json.dumps(job) for each in jobs.values() for job in each),
        env=environment(MAX_PIXELS="262144"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers = iter([json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("parsed ")])
    return {recipe: [next(answers) for _ in each] for recipe, each in jobs.items()}


@pytest.mark.parametrize("recipe", [*TRAINING, "server/rollout.sh", *STAGE_1, *OF_QWEN3_VL])
def test_ms_swift_knows_every_flag_and_accepts_their_combination(recipe: str, parsed: dict[str, Any]) -> None:
    assert (parsed[recipe][0]["unknown"], parsed[recipe][0]["error"]) == ([], None)


@pytest.mark.parametrize("recipe", [recipe for recipe in TRAINING if "grpo" in recipe])
def test_one_rollout_holds_whole_groups_on_the_stated_gpus(recipe: str, parsed: dict[str, Any]) -> None:
    assert parsed[recipe][0]["batch"] == max(TRAINING[recipe], 2)  # replies; two make a group
    assert "must be evenly divisible by num_generations" in parsed[recipe][3]["error"]


@pytest.mark.parametrize("recipe", [*TRAINING, "server/rollout.sh"])
def test_nonsense_is_not_accepted(recipe: str, parsed: dict[str, Any]) -> None:
    assert parsed[recipe][1]["unknown"] == ["--learnin_rate", "1"]
    assert parsed[recipe][2]["unknown"] == ["--torch_dtype_", "x"]
