"""The report of a rehearsal: memory beside what was planned, hours and disk of the whole run, and what to change.

    python examples/rehearsal_report.py output/rehearsal/7b

It is the last step of shell/rehearse.sh, whose folder it reads (rehearsal_stages.py says what lies there). It prints
report.txt and writes report.json beside it. Its status is 1 where something must be changed first.
"""

import argparse
import json
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rehearsal_faults import diagnose, last_value, wrong_packages
from rehearsal_memory import Planned, planned
from rehearsal_stages import AFTER_STOP, Stage, read_json, shown_command, step_of
from tabulate import tabulate

GB = 1e9
STAGES = ("sft", "grpo_query1", "grpo_query2")
FULL = 0.97  # of a GPU; vLLM takes the share that it is told, and torch keeps what it once had
CHANGE_PACKAGES = "packages"


def stages_of(folder: Path) -> list[Stage]:
    """Those that were begun, in their order."""
    sample = read_json(folder / "sample.json")
    begun = [folder / name for name in STAGES if was_begun(folder / name)]
    return [Stage(each, sample["sampled"], sample["total"]) for each in begun]


def was_begun(folder: Path) -> bool:
    """Whether the recipe of a stage, or of the detection, had said what it would run."""
    file = folder / "whole"
    return file.exists() and file.stat().st_size > 0


# ---- what must be changed


def findings(folder: Path, stages: list[Stage]) -> Iterator[str]:
    """One line each."""
    commands = [stage.command for stage in stages]
    if was_begun(folder / "detect"):
        commands.append(shown_command(folder / "detect"))
    yield from (f"{CHANGE_PACKAGES}: {fault}" for fault in wrong_packages(commands))
    for stage in stages:
        yield from (f"{stage.name}: {fault}" for fault in faults_of(stage))
    if was_begun(folder / "detect"):
        yield from (f"detect: {fault}" for fault in faults_of_detection(folder / "detect"))
    for refused in sorted(folder.glob("*/refused.log")):
        yield f"{refused.parent.name}: {diagnose(refused.read_text(errors='replace'), 2, refused.parent.name)}"
    free, needed = disk_bytes(folder, stages)
    if needed > free:
        yield (
            f"disk: {needed / GB:.1f} GB of checkpoints will be kept, and {free / GB:.1f} GB are free: another "
            "disk for OUT, --save_only_model true, or fewer with --save_total_limit"
        )


def faults_of(stage: Stage) -> Iterator[str]:
    if part := stage.failed_part:
        yield diagnose(stage.log(part), stage.parts[part]["status"], stage.name)
    elif not stage.is_whole:
        yield f"it did not come to its end: look at the logs in {stage.folder}"
    if first := next((row for row in stage.steps if not is_finite(row)), None):
        yield (
            f"loss {first['loss']}, gradient {first.get('grad_norm')} at step {step_of(first)}: lower --learning_rate; "
            "with --torch_dtype float16 take bfloat16; else look at MODEL, whose weights may be broken"
        )
    if stage.asks_twice and stage.steps and max(stage.turns, default=0) <= 1:
        yield f"query 2 was never rolled out: {why_once(stage)}"
    if stage.is_whole and not goes_on(stage):
        yield f"it did not go on from its checkpoint but began again: look at {stage.folder / AFTER_STOP}.log"
    for index, (used, total) in most_of_gpus(stage).items():
        if used > FULL * total:
            yield (
                f"GPU {index} was full ({used:.1f} of {total:.1f} GiB), and longer rows may come: a smaller "
                "MAX_PIXELS, --deepspeed zero3_offload, or a lower --vllm_gpu_memory_utilization"
            )


def faults_of_detection(folder: Path) -> Iterator[str]:
    seen = read_json(folder / "run.json")
    if not seen:
        yield f"it did not come to its end: look at {folder}/run.log"
    elif seen["status"] != 0:
        yield diagnose((folder / "run.log").read_text(errors="replace"), seen["status"], "detect")


def is_finite(row: dict[str, Any]) -> bool:
    return math.isfinite(row["loss"]) and math.isfinite(row.get("grad_norm", 0.0))


def why_once(stage: Stage) -> str:
    if not stage.args.get("multi_turn_scheduler"):
        return "the recipe names no scheduler; give --multi_turn_scheduler zoomin_query2 (server and trainer)"
    if all(row.get("completions/clipped_ratio") == 1 for row in stage.steps):
        return "every first reply was cut by length; raise --max_completion_length"
    return "is --max_turns 1?"


def goes_on(stage: Stage) -> bool:
    """Whether the second process began after the last step that the first one had saved."""
    before, after = stage.processes[0], stage.processes[-1]
    return len(stage.processes) == 2 and 1 < step_of(after[0]) <= step_of(before[-1]) + 1


def most_of_gpus(stage: Stage) -> dict[str, tuple[float, float]]:
    """By index: GiB in use at most, in either part, and GiB in all."""
    most: dict[str, tuple[float, float]] = {}
    for seen in stage.parts.values():
        for index, (used, total) in seen.get("gpus", {}).items():
            most[index] = (max(used, most.get(index, (0.0, 0.0))[0]), total)
    return most


def disk_bytes(folder: Path, stages: list[Stage]) -> tuple[int, int]:
    """What is free once the rehearsal's own files are gone, and what the whole training will keep."""
    own = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return shutil.disk_usage(folder).free + own, sum(stage.disk_bytes for stage in stages)


# ---- what was measured


def plan_of(stage: Stage, max_pixels: int) -> Planned | None:
    if not stage.steps:
        return None
    deepspeed = last_value(stage.command, "--deepspeed") or ""
    return planned(stage.args, stage.args["model_dir"], max_pixels, deepspeed)


def figures(stage: Stage, max_pixels: int) -> dict[str, Any]:
    """A stage's part of report.json."""
    plan, whole = plan_of(stage, max_pixels), stage.whole
    losses = [row["loss"] for row in stage.steps]
    return {
        "is_whole": stage.is_whole,
        "goes_on": stage.is_whole and goes_on(stage),
        "seconds_a_step": stage.seconds_a_step,
        "measured_steps": len(stage.warm_seconds),
        "seconds_a_checkpoint": stage.save_s,
        "seconds_to_start": stage.start_s,
        "hours": stage.hours,
        "whole": vars(whole) if whole else None,
        "gpus_gib": most_of_gpus(stage),
        "host_gib": max((seen.get("host_gib", 0.0) for seen in stage.parts.values()), default=0.0),
        "planned": vars(plan) if plan else None,
        "checkpoint_bytes": stage.checkpoint_bytes,
        "disk_bytes": stage.disk_bytes,
        "losses": losses,
        "loss_is_finite": bool(losses) and all(map(is_finite, stage.steps)),
        "turns": stage.turns,
    }


def detection_figures(folder: Path) -> dict[str, Any] | None:
    """None where the detection did not come to its end."""
    file, seen = folder / "detect" / "predictions.jsonl", read_json(folder / "detect" / "run.json")
    if not file.exists() or not seen:
        return None
    predictions = [json.loads(line) for line in file.read_text().splitlines()]
    answered = sum(prediction["verdict"] is not None for prediction in predictions)
    return {"images": len(predictions), "with_verdict": answered, "seconds": seen["seconds"]}


def report(folder: Path, name: str, max_pixels: int, is_random: bool) -> dict[str, Any]:
    stages = stages_of(folder)
    free, needed = disk_bytes(folder, stages)
    return {
        "recipes": name,
        **read_json(folder / "sample.json"),
        "random_weights": is_random,
        "stages": {stage.name: figures(stage, max_pixels) for stage in stages},
        "detection": detection_figures(folder),
        "hours": sum(stage.hours for stage in stages),
        "disk_free_bytes": free,
        "disk_needed_bytes": needed,
        "change": list(findings(folder, stages)),
    }


# ---- as text


def number(value: float, digits: int = 1) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def queries(figures: dict[str, Any]) -> str:
    return f"{max(figures['turns']):.1f}" if figures["turns"] else "-"


def memory_cells(figures: dict[str, Any]) -> tuple[str, str]:
    """Measured, and in brackets what was planned: of each GPU, and of the host."""
    plan = figures["planned"]
    gpus = ", ".join(f"{used:.1f}" for used, _ in figures["gpus_gib"].values())
    of_gpu = f" ({plan['gpu']:.1f})" if plan else ""
    of_host = f" ({plan['host']:.1f})" if plan else ""
    if not gpus:  # a CPU: the training's tensors lie in the host's memory
        return "-", f"{figures['host_gib']:.1f}{of_gpu}"
    return f"{gpus}{of_gpu}", f"{figures['host_gib']:.1f}{of_host}"


def row_of(name: str, figures: dict[str, Any]) -> list[str]:
    losses = figures["losses"]
    return [
        name,
        number(figures["seconds_a_step"], 2),
        number(figures["hours"], 2),
        *memory_cells(figures),
        f"{figures['checkpoint_bytes'] / GB:.2f}",
        f"{losses[0]:.3g} to {losses[-1]:.3g}" if losses else "-",
        queries(figures),
    ]


def rests_on(name: str, figures: dict[str, Any], totals: dict[str, Any]) -> str:
    """What the hours of a stage were computed from."""
    whole = figures["whole"]
    if whole is None:
        return f"{name}: no step was seen, or its rows cannot be counted: streamed, or DATA mixed with other rows"
    parts = [
        f"{totals['total']} records, {whole['rows']} rows x {whole['epochs']:g} epochs",
        f"{whole['rows_a_step']:g} rows a step",
        f"{whole['steps']} steps of {number(figures['seconds_a_step'], 3)} s (mean of {figures['measured_steps']})",
        f"{whole['saves']} checkpoints of {number(figures['seconds_a_checkpoint'])} s",
        f"{number(figures['seconds_to_start'], 0)} s to start",
    ]
    return f"{name}: {'; '.join(parts)}"


HEAD = ["stage", "s a step", "hours", "GPU GiB (planned)", "host GiB (planned)", "checkpoint GB", "loss", "queries"]


def as_text(result: dict[str, Any]) -> str:
    stages = result["stages"]
    lines = [
        f"rehearsal of shell/{result['recipes']}: {result['sampled']} of {result['total']} records"
        + (", random weights: replies are noise and end by chance" if result["random_weights"] else ""),
        "",
        tabulate([row_of(*each) for each in stages.items()], HEAD, disable_numparse=True),
        "",
        f"hours of the whole run: {number(result['hours'], 2)}",
        *(f"  {rests_on(name, each, result)}" for name, each in stages.items()),
        f"disk: {result['disk_needed_bytes'] / GB:.1f} GB of checkpoints, {result['disk_free_bytes'] / GB:.1f} GB free",
    ]
    if seen := result["detection"]:
        lines.append(
            f"detection: {seen['images']} images, {seen['with_verdict']} with a verdict, {seen['seconds']:.0f} s in all"
        )
    if whole := [name for name, each in stages.items() if each["goes_on"]]:
        lines.append(f"stopped and gone on from a checkpoint: {', '.join(whole)}")
    lines += ["", *(f"CHANGE {line}" for line in result["change"])]
    if not result["change"]:
        lines.append("nothing to change")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", required=True, help="of the recipes' folder")
    parser.add_argument("--max-pixels", type=int, required=True)
    parser.add_argument("--random-weights", action="store_true")
    options = parser.parse_args()
    made = report(options.folder, options.name, options.max_pixels, options.random_weights)
    text = as_text(made)
    (options.folder / "report.json").write_text(json.dumps(made, indent=1) + "\n")
    (options.folder / "report.txt").write_text(text)
    print(text, end="")
    sys.exit(bool(made["change"]))
