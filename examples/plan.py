"""How much memory a training run takes, before it is started: GiB a GPU, host memory, bytes of a checkpoint.

    python examples/plan.py --model 7b --gpus 4 --memory 80 --recipe sft --deepspeed zero3
    python examples/plan.py --model qwen3-vl-32b --gpus 8 --memory 80 --recipe grpo --deepspeed zero3 --vllm-gpus 8

Parameters are counted in the real architecture, made without its numbers (torch's meta device). One training step of
it is run there too, forward and backward, with the loss that ms-swift computes, and every tensor is counted while it
lives. What DeepSpeed and vLLM add is arithmetic on their settings in ms-swift 4.6. Not counted: CUDA's own memory,
NCCL's buffers, fragmentation, what vLLM needs to compute; leave a few GiB a GPU for them.

The sequence, unless told otherwise (--tokens): an image of 512 x 512 is 324 tokens to a Qwen2.5-VL (504 x 504) and 256
to a Qwen3-VL; with MAX_CROPS crops of at most that size 1 + MAX_CROPS times as many, two replies of at most 1024
(`--max_completion_length`), and 300 for both questions and the chat's frame. Logits are computed for the last reply
alone (--kept, if another scheduler trains both).

Check: a 32B model has 33.45e9 parameters. At 16 bytes each ZeRO-3 keeps 535 GB of weights, gradients, fp32 weights and
Adam's moments; with the reference model's 67 GB that is 602 GB: the paper's "at least 600 GB" for GRPO at 32B.
"""

import argparse
import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from measured_step import REPLY_TOKENS, Batch, training_step, usual_batch
from transformers import (
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

GIB = 2**30
LIVE_PARAMETERS = SUB_GROUP = 1e9  # stage3_max_live_parameters, sub_group_size in ms-swift's zero3*.json
# Text: hidden, intermediate, layers, heads, key-value heads, vocabulary, tied embeddings; vision: intermediate.
SIZES = {
    "3b": (2048, 11008, 36, 16, 2, 151936, True, 3420),
    "7b": (3584, 18944, 28, 28, 4, 152064, False, 3420),
    "32b": (5120, 27648, 64, 40, 8, 152064, False, 3456),
}
# Text: hidden, intermediate, layers, heads, tied embeddings; vision: layers, hidden, intermediate, and which of its
# layers reach into the text. All have 8 key-value heads of 128, and 151936 words.
QWEN3_VL_SIZES = {
    "qwen3-vl-2b": (2048, 6144, 28, 16, True, 24, 1024, 4096, [5, 11, 17]),
    "qwen3-vl-4b": (2560, 9728, 36, 32, True, 24, 1024, 4096, [5, 11, 17]),
    "qwen3-vl-8b": (4096, 12288, 36, 32, False, 27, 1152, 4304, [8, 16, 24]),
    "qwen3-vl-32b": (5120, 25600, 64, 64, False, 27, 1152, 4304, [8, 16, 24]),
}
# What can be planned, by the model_type of config.json.
ARCHITECTURES: dict[str, tuple[type[Any], type[PreTrainedModel]]] = {
    "qwen2_5_vl": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration),
    "qwen3_vl": (Qwen3VLConfig, Qwen3VLForConditionalGeneration),
}


@dataclass(frozen=True)
class Settings:
    """What a run is started with; without `batch` it is one row of the whole exchange.

    `vllm_gpus`: over how many GPUs vLLM shards its weights; 0 rolls out without vLLM.
    """

    gpus: int = 1
    recipe: str = "sft"
    tuner: str = "full"
    deepspeed: str = "none"
    precision: str = "bfloat16"
    batch: Batch | None = None
    checkpointing: bool = True
    accumulation: int = 1
    beta: float = 0.04
    vllm_gpus: int = 1
    move_model_batches: int | None = None
    on_cpu: bool = False

    @property
    def lora(self) -> bool:
        return self.tuner == "lora"

    @property
    def grpo(self) -> bool:
        return self.recipe == "grpo"

    @property
    def zero3(self) -> bool:
        return self.deepspeed != "none"

    @property
    def offload(self) -> bool:
        return self.deepspeed == "zero3_offload"

    @property
    def gradients_come_and_go(self) -> bool:
        """One device, one batch a step: gradients are set to None first, so they come as activations go."""
        return not self.zero3 and not self.lora and self.accumulation == 1

    @property
    def share(self) -> float:
        """Of what is sharded, the part that one GPU holds."""
        if self.offload:
            return 0
        return 1 / self.gpus if self.zero3 else 1


@dataclass(frozen=True)
class Plan:
    """Bytes. A GPU's, but `parameters` (a number), `host` and `checkpoint` (all GPUs together)."""

    parameters: int
    trained: int
    weights: float
    gradients: float
    optimiser: float
    reference: float
    gathered: float
    activations: float
    logits: float
    step: float  # what the optimiser's step needs when activations, logits and gathered weights are gone
    vllm_weights: float
    vllm_cache: float
    handover: float  # weights gathered whole to be handed to vLLM, before it has a cache
    rollout_gradients: float
    host: float
    checkpoint: float

    @property
    def training(self) -> float:
        moving = max(self.gathered + self.activations + self.logits, self.step)
        return self.weights + self.gradients + self.optimiser + self.reference + moving

    @property
    def rollout(self) -> float:
        if not self.vllm_weights:
            return 0.0
        kept = self.weights + self.rollout_gradients + self.optimiser + self.reference
        return kept + self.vllm_weights + max(self.vllm_cache, self.handover)

    @property
    def peak(self) -> float:
        return max(self.training, self.rollout)


def load_config(model: str) -> Qwen2_5_VLConfig | Qwen3VLConfig:
    """Of a named size, or of a model's folder or its config.json. Raises SystemExit for another architecture."""
    if model in SIZES:
        return qwen2_5_vl(model)
    if model in QWEN3_VL_SIZES:
        return qwen3_vl(model)
    folder = Path(model).parent if Path(model).name == "config.json" else Path(model)
    model_type = json.loads((folder / "config.json").read_text())["model_type"]
    if model_type not in ARCHITECTURES:
        experts = "a mixture of experts, " if model_type.endswith("_moe") else ""
        raise SystemExit(f"plan: {model}: {experts}{model_type}; expected one of {', '.join(ARCHITECTURES)}")
    config: Qwen2_5_VLConfig | Qwen3VLConfig = ARCHITECTURES[model_type][0].from_pretrained(folder)
    return config


def qwen3_vl(model: str) -> Qwen3VLConfig:
    hidden, intermediate, layers, heads, tied, depth, vision_hidden, vision_intermediate, deep = QWEN3_VL_SIZES[model]
    text = {
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
        "rope_parameters": {
            "rope_type": "default",
            "mrope_section": [24, 20, 20],
            "mrope_interleaved": True,
            "rope_theta": 5e6,
        },
        "tie_word_embeddings": tied,
    }
    vision = {
        "depth": depth,
        "hidden_size": vision_hidden,
        "intermediate_size": vision_intermediate,
        "out_hidden_size": hidden,
        "deepstack_visual_indexes": deep,
    }
    return Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied)


def qwen2_5_vl(model: str) -> Qwen2_5_VLConfig:
    hidden, intermediate, layers, heads, kv_heads, vocabulary, tied, vision_intermediate = SIZES[model]
    text = {
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
        "tie_word_embeddings": tied,
    }
    vision = {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": vision_intermediate,
        "num_heads": 16,
        "out_hidden_size": hidden,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "window_size": 112,
        "patch_size": 14,
    }
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied)


def add_adapters(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """ms-swift's default LoRA: rank 8 on the language model's linear layers; the rest is frozen."""
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(r=8, lora_alpha=32, lora_dropout=0.05, target_modules=r"model\.language_model\..*_proj")
    for name, parameter in get_peft_model(model, lora).named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(dtype)


def handover_parameters(model: torch.nn.Module, batches: int | None) -> int:
    """Parameters of ms-swift's largest group that is gathered at once (`--move_model_batches`; unset: all)."""
    groups: Counter[str] = Counter()
    layers = model.config.text_config.num_hidden_layers
    for name, parameter in model.named_parameters():
        layer = re.search(r"language_model\.layers\.(\d+)\.", name)
        group = f"layers {int(layer[1]) // math.ceil(layers / (batches or 1))}" if layer else "rest"
        groups["text" if group == "rest" and "language_model" in name else group] += parameter.numel()
    return max(groups.values()) if batches else groups.total()


def make_trainable(network: PreTrainedModel, settings: Settings) -> None:
    """Adapters and gradient checkpointing, as ms-swift adds them."""
    if settings.lora:
        add_adapters(network, network.dtype if settings.zero3 else torch.float32)
    if not settings.checkpointing:
        return
    tower = network.model.visual
    tower.get_input_embeddings = lambda: tower.patch_embed  # as ms-swift has it, for Qwen3-VL's says nothing
    network.gradient_checkpointing_enable({"use_reentrant": True})
    network.enable_input_require_grads()
    if settings.lora:  # the vision tower is frozen and runs without gradients
        tower.gradient_checkpointing_disable()
    else:
        tower.enable_input_require_grads()


def training_states(settings: Settings, parameters: int, trained: int, width: int) -> dict[str, float]:
    """Bytes of a Plan's fields that follow from the number of parameters alone; `width`: bytes of a frozen one."""
    # Bytes a trained parameter. Without DeepSpeed, Adam works in the type of the weights; adapters are float32.
    own = 2 if settings.zero3 else 4 if settings.lora else width
    moments = 12 if settings.zero3 else 2 * own
    states = own * trained * settings.share
    frozen = parameters if settings.lora else 0
    steps_in_parts = settings.zero3 and not settings.offload
    return {
        "weights": frozen * width * settings.share + states,
        "gradients": states,
        "optimiser": moments * trained * settings.share,
        "reference": reference_model(settings, parameters, width) * settings.share,
        "gathered": width * min(parameters, LIVE_PARAMETERS) if settings.zero3 else 0,
        "step": (2 + 4) * min(trained / settings.gpus, SUB_GROUP) if steps_in_parts else 0,
        "rollout_gradients": states if settings.zero3 else 0,
        "checkpoint": (own + moments) * trained,
    }


def reference_model(settings: Settings, parameters: int, width: int) -> int:
    """Bytes of the model that the KL term compares with; under adapters it is the model without them."""
    needs_one = settings.grpo and settings.beta and not settings.lora
    return parameters * width if needs_one else 0


def vllm_sizes(
    settings: Settings, batch: Batch, network: PreTrainedModel, parameters: int, largest_handover: int
) -> dict[str, float]:
    """Bytes of what a GPU holds for vLLM; `largest_handover` in parameters."""
    if not settings.grpo or not settings.vllm_gpus:
        return {"vllm_weights": 0, "vllm_cache": 0, "handover": 0}
    width, text = network.dtype.itemsize, network.config.text_config
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    cached = 2 * text.num_hidden_layers * text.num_key_value_heads * head
    return {
        "vllm_weights": parameters * width / settings.vllm_gpus,
        "vllm_cache": cached * width * batch.tokens * batch.rows * settings.accumulation,
        "handover": width * largest_handover,
    }


def host_memory(settings: Settings, parameters: int, trained: int, width: int, vllm_weights: float) -> float:
    """Bytes of all GPUs together."""
    host = settings.gpus * vllm_weights  # asleep while training, at sleep_level 1
    if settings.offload:  # weights, gradients in bfloat16 and in float32, optimiser
        frozen = parameters if settings.lora else 0
        trained_states = (2 + 2 + 4 + 12) * trained
        host += frozen * width + trained_states + reference_model(settings, parameters, width)
    return host


def plan(model: str, **chosen: Any) -> Plan:
    """The bytes of a run, whose settings are named as the fields of Settings."""
    settings = Settings(**chosen)
    config = load_config(model)
    batch = settings.batch or usual_batch(config.vision_config.patch_size)
    with torch.device("meta"):
        network = ARCHITECTURES[config.model_type][1](config).to(getattr(torch, settings.precision)).train()
    width = network.dtype.itemsize
    parameters = sum(parameter.numel() for parameter in network.parameters())
    largest_handover = handover_parameters(network, settings.move_model_batches) if settings.zero3 else 0
    make_trainable(network, settings)
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    peak = training_step(
        network,
        batch,
        settings.grpo,
        keep_gradients=settings.gradients_come_and_go,
        upcast=not settings.zero3 and settings.precision != "float32",  # autocast returns float32
        on_cpu=settings.on_cpu,
    )
    states = training_states(settings, parameters, trained, width)
    if settings.gradients_come_and_go:
        states["gradients"] = peak["gradients"]
    vllm = vllm_sizes(settings, batch, network, parameters, largest_handover)
    return Plan(
        parameters=parameters,
        trained=trained,
        activations=peak["activations"],
        logits=peak["logits"],
        host=host_memory(settings, parameters, trained, width, vllm["vllm_weights"]),
        **states,
        **vllm,
    )


def report(result: Plan, memory: float) -> str:
    """The table, in GiB a GPU."""
    sizes = {
        "weights": result.weights,
        "gradients": result.gradients,
        "optimiser": result.optimiser,
        "reference model": result.reference,
        "gathered by ZeRO-3": result.gathered,
        "activations": result.activations,
        "logits and loss": result.logits,
        "optimiser's step, after these three": result.step,
        "= training": result.training,
        "vLLM's weights": result.vllm_weights,
        "vLLM's cache": result.vllm_cache,
        "or, before it: weights handed over": result.handover,
        "= rollout, beside what stays": result.rollout,
        "peak": result.peak,
    }
    left = memory - result.peak / GIB
    fits = f"yes, {left:.1f} left" if left >= 0 else f"no, {-left:.1f} too much"
    return "\n".join(
        [
            f"{result.parameters / 1e9:.3f}e9 parameters, {result.trained / 1e9:.3f}e9 trained; GiB a GPU",
            *(f"{name:36}{size / GIB:8.2f}" for name, size in sizes.items() if size),
            f"{f'fits in {memory:g}':36}{fits}",
            f"host memory, all GPUs {result.host / GIB:.1f} GiB; a checkpoint {result.checkpoint / 1e9:.1f} GB on disk",
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help=f"{', '.join([*SIZES, *QWEN3_VL_SIZES])}, or a folder")
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--memory", type=float, default=80, help="of one GPU, GiB")
    parser.add_argument("--recipe", choices=("sft", "grpo"), default="sft")
    parser.add_argument("--tuner", choices=("full", "lora"), default="full")
    parser.add_argument("--deepspeed", choices=("zero3", "zero3_offload", "none"), default="none")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16", help="float32: on a CPU")
    parser.add_argument("--batch", type=int, default=1, help="per_device_train_batch_size")
    parser.add_argument("--tokens", type=int, help="of a row (of the whole exchange)")
    parser.add_argument("--kept", type=int, default=REPLY_TOKENS, help="tokens of a row that have logits")
    parser.add_argument("--accumulation", type=int, default=1, help="gradient_accumulation_steps")
    parser.add_argument("--vllm-gpus", type=int, default=1, help="vllm_tensor_parallel_size; 0: --use_vllm false")
    parser.add_argument("--move-model-batches", type=int, help="as ms-swift's; it hands over less at a time")
    parser.add_argument("--beta", type=float, default=0.04, help="0: no reference model")
    parser.add_argument("--no-checkpointing", action="store_true", help="gradient_checkpointing false")
    chosen = vars(parser.parse_args())
    gib, rows = chosen.pop("memory"), chosen.pop("batch")
    side = load_config(chosen["model"]).vision_config.patch_size
    seen = usual_batch(side, rows, chosen.pop("tokens"), chosen.pop("kept"))
    checkpointed = not chosen.pop("no_checkpointing")
    print(report(plan(**chosen, batch=seen, checkpointing=checkpointed), gib))
