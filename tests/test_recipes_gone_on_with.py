"""Recipes that are stopped, and go on from what they have written."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import ROOT, logged
from run_recipe import environment, run


@pytest.mark.parametrize("linked", [False, True])
def test_a_recipe_begun_counts_what_it_has_written_and_finds_it_behind_a_link(
    linked: bool, model_dir: Path, tmp_path: Path
) -> None:
    """The disk is as full as a stopped training leaves it, or the folder is on another one."""
    out = tmp_path / "out"
    (tmp_path / "other" / "checkpoint-3").mkdir(parents=True)
    out.symlink_to("other") if linked else (tmp_path / "other").rename(out)
    (out / "checkpoint-3" / "trainer_state.json").write_text('{"global_step": 3, "max_steps": 3}')
    with (out / "checkpoint-3" / "optimizer.pt").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 2 * 10**9)
    (tmp_path / "records.jsonl").write_text("{}\n")
    free = shutil.disk_usage(out).free // 10**9
    variables = {"MODEL": str(model_dir), "DATA": str(tmp_path / "records.jsonl"), "OUT": str(out), "GPUS": "0"}
    done = run("7b/sft.sh", **variables, DISK=str(free + 1))
    assert f"{out}/checkpoint-3 is the last step; nothing to train" in done.stdout, done.stderr
    assert f"{free + 3} GB needed" in run("7b/sft.sh", **variables, DISK=str(free + 5)).stderr


TINY = {"GPUS": "0", "DISK": "1", "MAX_PIXELS": "12544"}
ARGUMENTS = [
    *("--torch_dtype", "float32", "--gradient_checkpointing", "false", "--deepspeed", "", "--report_to", "none"),
    *("--logging_steps", "1", "--save_steps", "3"),
]


def stop_after(out: Path, steps: int, command: list[str], variables: dict[str, str]) -> None:
    """Start a recipe and kill all of its processes once it has logged so many steps."""
    process = subprocess.Popen(command, env=environment(**variables), start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None and not ((out / "logging.jsonl").exists() and len(logged(out)) >= steps):
            time.sleep(0.05)
        assert process.poll() is None, "it ended before it could be stopped"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.swift
@pytest.mark.parametrize("recipe", ["7b/sft.sh", "7b/grpo_query2.sh"])
def test_a_stopped_recipe_goes_on_from_its_checkpoint(
    recipe: str, trained_dir: Path, benchmark_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    data = str(benchmark_dir / "train" / "records.jsonl")
    variables = {**TINY, "MODEL": str(trained_dir), "DATA": data, "OUT": str(out)}
    arguments = [*ARGUMENTS, "--max_steps", "12", "--per_device_train_batch_size", "4"]
    if "grpo" in recipe:
        arguments += ["--use_vllm", "false", "--max_completion_length", "60"]
    command = ["bash", str(ROOT / "shell" / recipe), *arguments]
    stop_after(out, random.randint(4, 10), command, variables)
    last = max(int(path.parent.name.split("-")[1]) for path in out.glob("checkpoint-*/trainer_state.json"))
    assert last < 12
    before = len(logged(out))

    done = run(recipe, *arguments, **variables)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"{recipe}: going on from {out}/checkpoint-{last}\n" in done.stdout
    state = json.loads((out / "checkpoint-12" / "trainer_state.json").read_text())
    assert (state["global_step"], state["max_steps"]) == (12, 12)
    assert [entry["step"] for entry in state["log_history"] if "loss" in entry] == list(range(1, 13))
    steps = [int(entry["global_step/max_steps"].split("/")[0]) for entry in logged(out)]
    assert steps[before:] == list(range(last + 1, 13))  # no step before the checkpoint is done again

    again = run(recipe, *arguments, **variables)
    assert f"{recipe}: {out}/checkpoint-12 is the last step; nothing to train" in again.stdout


@pytest.mark.swift
def test_lora_on_one_gpu_leaves_a_whole_model_for_the_next_recipe(
    trained_dir: Path, benchmark_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "lora"
    records = benchmark_dir / "test" / "records.jsonl"
    variables = {**TINY, "MODEL": str(trained_dir), "DATA": str(records), "OUT": str(out)}
    done = run("1gpu/sft.sh", *ARGUMENTS, "--max_steps", "2", **variables)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (out / "checkpoint-2" / "adapter_model.safetensors").exists()
    assert (out / "merged" / "model.safetensors").exists()
    arguments = ["--engine", "transformers", "--max-new-tokens", "60"]
    done = run("7b/detect.sh", *arguments, **{**variables, "MODEL": str(out), "OUT": str(tmp_path / "seen")})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    figures = json.loads((tmp_path / "seen" / "metrics.json").read_text())["methods"]["predictions"]
    assert figures["missing"]["value"] == 0
