"""What examples/plan.py says of the memory of a rehearsed stage, asked with the settings that ms-swift resolved."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIB = 2**30


@dataclass(frozen=True)
class Planned:
    """GiB: of each GPU (on a CPU, of the training's tensors), and of the host for all GPUs together."""

    gpu: float
    host: float


def planned(args: dict[str, Any], model: str, max_pixels: int, deepspeed: str) -> Planned | None:
    """None where plan.py does not know such a run: another DeepSpeed configuration, tuner or architecture."""
    if deepspeed not in ("", "none", "zero3", "zero3_offload") or args["tuner_type"] not in ("full", "lora"):
        return None
    from plan import ARCHITECTURES, load_config, plan  # which load torch

    if json.loads((Path(model) / "config.json").read_text())["model_type"] not in ARCHITECTURES:
        return None
    patch_px = load_config(model).vision_config.patch_size
    is_grpo = args.get("rlhf_type") == "grpo"
    is_colocated = is_grpo and args["use_vllm"] and args["vllm_mode"] == "colocate"
    is_on_cpu = args["torch_dtype"] == "float32"
    result = plan(
        model,
        gpus=args["global_world_size"],
        recipe="grpo" if is_grpo else "sft",
        tuner=args["tuner_type"],
        deepspeed=deepspeed or "none",
        precision=args["torch_dtype"],
        batch=longest_batch(args, max_pixels, patch_px),
        checkpointing=bool(args["gradient_checkpointing"]),
        accumulation=args["gradient_accumulation_steps"],
        beta=args.get("beta") or 0,
        vllm_gpus=args["vllm_tensor_parallel_size"] if is_colocated else 0,
        move_model_batches=args.get("move_model_batches") if is_colocated else None,
        on_cpu=is_on_cpu,
    )
    return Planned(result.peak / GIB, result.host / GIB)


def longest_batch(args: dict[str, Any], max_pixels: int, patch_px: int) -> Any:
    """The longest rows that may come: an image and all crops of the most pixels, and two replies of full length."""
    from measured_step import IMAGES, PROMPT_TOKENS, REPLY_TOKENS, Batch

    rows = args["per_device_train_batch_size"]
    patches = max_pixels // (2 * patch_px) ** 2 * 4  # in whole tokens of four patches
    reply = args.get("max_completion_length") or REPLY_TOKENS
    tokens = IMAGES * patches // 4 + 2 * reply + PROMPT_TOKENS
    return Batch(rows=rows, tokens=tokens, kept=reply, patches=(patches,) * IMAGES * rows)
