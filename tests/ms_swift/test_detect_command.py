"""`zoomin detect` on a trained folder with both real engines, stopped and resumed, and evaluated."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import COMMON, SFT, VLLM_MEMORY_SHARE, checkpoint, child_environment, run_swift
from safetensors.torch import load, save_file


def zoomin(*arguments: object, status: int = 0, knows_limit: bool = True) -> str:
    """Run the command; without MAX_PIXELS in the environment unless it `knows_limit`."""
    command = [sys.executable, "-m", "swift_zoomin.cli", *map(str, arguments)]
    environment = child_environment()
    if not knows_limit:
        del environment["MAX_PIXELS"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == status, done.stdout[-4000:]
    return done.stdout


def predictions(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.vllm
def test_both_engines_say_the_same_and_a_stopped_run_goes_on(
    trained_dir: Path, benchmark_dir: Path, tmp_path: Path
) -> None:
    records = benchmark_dir / "test/records.jsonl"
    out = {engine: tmp_path / f"{engine}.jsonl" for engine in ("transformers", "vllm")}
    for engine, path in out.items():
        options = ["--model", trained_dir, "--engine", engine, "--max-new-tokens", 100, "--out", path]
        options += ["--memory-share", VLLM_MEMORY_SHARE]
        zoomin("detect", records, *options, knows_limit=engine == "transformers")  # vLLM asks the checkpoint
    of_transformers, of_vllm = (sorted(predictions(path), key=lambda p: p["image"]) for path in out.values())
    assert len(of_transformers) == 8
    assert all(len(prediction["replies"]) == 2 for prediction in of_transformers)
    assert [p["replies"] for p in of_transformers] == [p["replies"] for p in of_vllm]

    lines = out["transformers"].read_text().splitlines(keepends=True)
    out["transformers"].write_text("".join(lines[:5]))
    printed = zoomin("detect", records, "--model", trained_dir, "--max-new-tokens", 100, "--out", out["transformers"])
    assert "5 images done already" in printed
    assert sorted(p["image"] for p in predictions(out["transformers"])) == [p["image"] for p in of_transformers]

    printed = zoomin("evaluate", records, out["transformers"], "--out", tmp_path / "results")
    figures = json.loads((tmp_path / "results" / "metrics.json").read_text())["methods"]["transformers"]
    assert figures["images"]["value"] == 8
    assert figures["missing"]["value"] == 0
    assert re.search(rf"^accuracy +{figures['accuracy']['value']:.3f} ", printed, re.MULTILINE)


def replies(records: Path, model: Path, out: Path, knows_limit: bool) -> list[list[str]]:
    zoomin("detect", records, "--model", model, "--max-new-tokens", 100, "--out", out, knows_limit=knows_limit)
    made = sorted(predictions(out), key=lambda prediction: prediction["image"])  # whichever was done first
    assert all("|pixels 3136-12544|" in prediction["made_by"] for prediction in made)
    return [prediction["replies"] for prediction in made]


NOISE = 0.02  # changes most replies, and is so little that they keep their form


def change_what_it_says(adapter: Path) -> None:
    """Add noise to an adapter: after two small steps the base model alone would say the same."""
    file = adapter / "adapter_model.safetensors"
    weights = load(file.read_bytes())
    noise = torch.Generator().manual_seed(0)
    for name, weight in weights.items():
        if "lora_B" in name:
            weights[name] = weight + NOISE * torch.randn(weight.shape, generator=noise)
    save_file(weights, file, {"format": "pt"})


@pytest.mark.swift
def test_an_adapter_and_its_merged_model_know_the_limit_they_were_trained_with(
    trained_dir: Path, benchmark_dir: Path, tmp_path: Path
) -> None:
    """The base model is one as published, which knows nothing of the limit, and the environment says it once."""
    base, lora, merged = tmp_path / "base", tmp_path / "lora", tmp_path / "merged"
    shutil.copytree(trained_dir, base)
    processor = json.loads((base / "processor_config.json").read_text())
    processor["image_processor"]["size"]["longest_edge"] = 12845056
    del processor["image_processor"]["zoomin"]
    (base / "processor_config.json").write_text(json.dumps(processor))
    (base / "args.json").unlink()

    options = [*SFT, *COMMON, "--tuner_type", "lora", "--model", base, "--output_dir", lora, "--max_steps", 2]
    run_swift(*options, "--dataset", f"{benchmark_dir}/train/records.jsonl:sft", "--learning_rate", "1e-5")
    adapter = checkpoint(lora)
    change_what_it_says(adapter)
    run_swift("export", "--adapters", adapter, "--merge_lora", "true", "--output_dir", merged, unset=["MAX_PIXELS"])

    records = benchmark_dir / "test/records.jsonl"
    known = replies(records, adapter, tmp_path / "known.jsonl", knows_limit=True)
    assert replies(records, base, tmp_path / "base.jsonl", knows_limit=True) != known
    assert replies(records, adapter, tmp_path / "adapter.jsonl", knows_limit=False) == known
    assert replies(records, merged, tmp_path / "merged.jsonl", knows_limit=False) == known


@pytest.mark.swift
def test_a_one_turn_run_asks_once_and_is_evaluated_without_a_first_verdict(
    model_dir: Path, benchmark_dir: Path, tmp_path: Path
) -> None:
    records, out = benchmark_dir / "test/records.jsonl", tmp_path / "ground.jsonl"
    # Random weights never end a reply, so it is cut; what is asked does not depend on that
    options = ("--one-turn", "ground", "--max-new-tokens", 4)
    printed = zoomin("detect", records, "--model", model_dir, *options, "--out", out, status=3)
    assert "8 images: 8 cut by the length limit before a verdict\n" in printed
    assert "zoomin: no reply has a verdict; expected a model trained with this package" in printed
    assert "zoomin: 8 of 8 replies were cut by the length limit; raise --max-new-tokens\n" in printed
    made = predictions(out)
    fields = ["image", "verdict", "boxes", "box_labels", "explanation", "replies", "width", "height", "seconds"]
    assert [list(prediction) for prediction in made] == [[*fields, "error", "made_by"]] * 8
    assert [(len(p["replies"]), p["error"]) for p in made] == [(1, "reply 1 was cut by the length limit")] * 8

    printed = zoomin("evaluate", records, out, status=3)
    assert f"zoomin: {out}: no verdict on any record, so all count as wrong\n" in printed
    shown = dict(line.split(maxsplit=1) for line in printed.splitlines())
    assert [shown[name] for name in ("images", "no_verdict", "i_acc", "c_cases", "c_acc")] == ["8", "8", "-", "-", "-"]
    assert "-" not in (shown["bleu2"], shown["iou"])
