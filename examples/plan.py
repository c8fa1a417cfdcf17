"""How much memory a training run takes, before it is started: GiB a GPU, host memory, bytes of a checkpoint.

    python examples/plan.py --model 7b --gpus 4 --memory 80 --recipe sft --deepspeed zero3
    python examples/plan.py --model 32b --gpus 8 --memory 80 --recipe grpo --deepspeed zero3 --vllm-gpus 8

Parameters are counted in the real architecture, made without its numbers (torch's meta device). One training step of
it is run there too, forward and backward, with the loss that ms-swift computes, and every tensor is counted while it
lives. What DeepSpeed and vLLM add is arithmetic on their settings in ms-swift 4.6. Not counted: CUDA's own memory,
NCCL's buffers, fragmentation, what vLLM needs to compute; leave a few GiB a GPU for them.

The sequence, unless told otherwise: an image of 512 x 512 is 504 x 504 to the model, 324 tokens; with six crops of at
most that size 7 x 324 = 2268, two replies of at most 1024 (`--max_completion_length`), and 300 for both questions and
the chat's frame: 4616 tokens. Logits are computed for the last reply alone (--kept, if another scheduler trains both).

Check: a 32B model has 33.45e9 parameters. At 16 bytes each ZeRO-3 keeps 535 GB of weights, gradients, fp32 weights and
Adam's moments; with the reference model's 67 GB that is 602 GB: the paper's "at least 600 GB" for GRPO at 32B.
"""

import argparse
import math
import re
import weakref
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from swift_zoomin.episode import MAX_CROPS

GIB = 2**30
IMAGE_PATCHES = 36 * 36  # 504 x 504 pixels in patches of 14
IMAGES = 1 + MAX_CROPS
REPLY_TOKENS, PROMPT_TOKENS = 1024, 300
TOKENS = IMAGES * IMAGE_PATCHES // 4 + 2 * REPLY_TOKENS + PROMPT_TOKENS
LIVE_PARAMETERS = SUB_GROUP = 1e9  # stage3_max_live_parameters, sub_group_size in ms-swift's zero3*.json
# Text: hidden, intermediate, layers, heads, key-value heads, vocabulary, tied embeddings; vision: intermediate.
SIZES = {
    "3b": (2048, 11008, 36, 16, 2, 151936, True, 3420),
    "7b": (3584, 18944, 28, 28, 4, 152064, False, 3420),
    "32b": (5120, 27648, 64, 40, 8, 152064, False, 3456),
}


@dataclass(frozen=True)
class Batch:
    """What one forward pass sees: rows of `tokens`, the last `kept` with logits; the patches of each image in it."""

    rows: int = 1
    tokens: int = TOKENS
    kept: int = REPLY_TOKENS
    patches: tuple[int, ...] = (IMAGE_PATCHES,) * IMAGES


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


class Live(TorchDispatchMode):
    """Counts bytes of the meta tensors that are alive, by what they are for; `at_peak` when they were most."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.purpose = "activations"
        self.bytes: Counter[str] = Counter()
        self.at_peak: Counter[str] = Counter()
        known = [*model.parameters(), *model.buffers()]
        self.storages = {tensor.untyped_storage()._cdata: (0, "weights") for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if not isinstance(tensor, torch.Tensor) or tensor.device.type != "meta":
                continue
            storage = tensor.untyped_storage()
            if storage._cdata not in self.storages:
                self.storages[storage._cdata] = (storage.nbytes(), self.purpose)
                self.bytes[self.purpose] += storage.nbytes()
                weakref.finalize(storage, self.drop, storage._cdata)
        if self.bytes.total() > self.at_peak.total():
            self.at_peak = self.bytes.copy()
        return result

    def drop(self, key: int) -> None:
        size, purpose = self.storages.pop(key)
        self.bytes[purpose] -= size

    def set_purpose(self, purpose: str, *_: Any) -> None:
        self.purpose = purpose

    def keep_gradient(self, parameter: torch.nn.Parameter) -> None:
        key = parameter.grad.untyped_storage()._cdata
        size, purpose = self.storages[key]
        self.storages[key] = (size, "gradients")
        self.bytes[purpose] -= size
        self.bytes["gradients"] += size


def fused_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: Any) -> torch.Tensor:
    """What CPUs and GPUs keep of attention; torch would take the meta device through all of its scores."""
    mask, scale = options["attn_mask"], options["scale"]
    mask = mask.to(query.dtype) if mask is not None else None
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return fused(query, key, value, 0.0, options["is_causal"], attn_mask=mask, scale=scale)[0]


def fused_dropout(value: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """A GPU's dropout, whose mask has a byte an element; a CPU's has a float."""
    return torch.native_dropout(value, p, training)[0]


def autocast_linear(
    dtype: torch.dtype, value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Float32 adapters among bfloat16 weights, as autocast computes them: it knows no meta device."""
    return torch._C._nn.linear(value.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))


def drop_gradient(parameter: torch.nn.Parameter) -> None:
    parameter.grad = None


def load_config(model: str) -> Qwen2_5_VLConfig:
    """Of a named size, or of a model's folder or its config.json."""
    if model not in SIZES:
        path = Path(model)
        return Qwen2_5_VLConfig.from_pretrained(path.parent if path.name == "config.json" else path)
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


def training_step(
    model: Qwen2_5_VLForConditionalGeneration,
    batch: Batch,
    grpo: bool,
    keep_gradients: bool,
    upcast: bool,
    on_cpu: bool,
) -> Counter[str]:
    """Bytes at the peak of one forward and backward pass, without weights; gradients as far as they are kept."""
    live, core, shape = Live(model), model.model, (batch.rows, batch.tokens)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(live.keep_gradient if keep_gradients else drop_gradient)
    model.lm_head.register_forward_pre_hook(partial(live.set_purpose, "logits"))
    empty, vision = partial(torch.empty, device="meta"), core.visual.config
    # Windows are a detail of the kernel that costs no memory: give every block the whole images.
    lengths = torch.tensor([0, *batch.patches]).cumsum(0).int()
    patches = sum(batch.patches)
    patch_values = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    kernels = {"linear": partial(autocast_linear, model.dtype), "scaled_dot_product_attention": fused_attention}
    if not on_cpu:
        kernels["dropout"] = fused_dropout
    with patch.multiple(torch.nn.functional, **kernels), live:
        embedded = model.get_input_embeddings()(empty(shape, dtype=torch.long))
        pixels = empty(patches, patch_values)
        with torch.set_grad_enabled(any(parameter.requires_grad for parameter in core.visual.parameters())):
            image = core.visual(
                pixels.to(embedded.dtype),
                grid_thw=torch.tensor([[1, 2, count // 2] for count in batch.patches]),
                position_ids=empty(patches, 2, dtype=torch.long),
                cu_seqlens=lengths,
                cu_window_seqlens=lengths,
                window_index=empty(patches // vision.spatial_merge_size**2, dtype=torch.long),
            ).pooler_output
        mask = empty(*shape, 1, dtype=torch.bool).expand_as(embedded)
        hidden = core.language_model(
            inputs_embeds=embedded.masked_scatter(mask, image),
            position_ids=empty(3, *shape, dtype=torch.long),
            # Rows of one length need no mask.
            attention_mask={
                "full_attention": empty(batch.rows, 1, *shape[1:] * 2, dtype=torch.bool) if batch.rows > 1 else None
            },
            use_cache=False,
        ).last_hidden_state
        del embedded, image, mask
        hidden.register_hook(partial(live.set_purpose, "activations"))
        labels = empty(batch.rows, batch.kept, dtype=torch.long)
        if grpo:
            from trl.trainer.utils import selective_log_softmax

            logits = model.lm_head(hidden[:, -batch.kept - 1 :])
            logits = (logits.float() if upcast else logits)[:, :-1]
            loss = selective_log_softmax(logits.div_(1.0), labels).sum()
            del logits
        else:
            vocabulary = model.config.text_config.vocab_size
            logits = model.lm_head(hidden[:, -batch.kept :])
            loss = model.loss_function(logits=logits, labels=labels, vocab_size=vocabulary)
            del logits
        del hidden
        loss.backward()
    return live.at_peak


def add_adapters(model: Qwen2_5_VLForConditionalGeneration, dtype: torch.dtype) -> None:
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


def plan(
    model: str,
    *,
    gpus: int = 1,
    recipe: str = "sft",
    tuner: str = "full",
    deepspeed: str = "none",
    precision: str = "bfloat16",
    batch: Batch | None = None,
    checkpointing: bool = True,
    accumulation: int = 1,
    beta: float = 0.04,
    vllm_gpus: int = 1,
    move_model_batches: int | None = None,
    on_cpu: bool = False,
) -> Plan:
    """The bytes of a run. `vllm_gpus`: over how many GPUs vLLM shards its weights; 0 rolls out without vLLM."""
    batch = batch or Batch()
    lora, grpo, zero3, offload = tuner == "lora", recipe == "grpo", deepspeed != "none", deepspeed == "zero3_offload"
    with torch.device("meta"):
        net = Qwen2_5_VLForConditionalGeneration(load_config(model)).to(getattr(torch, precision)).train()
    parameters, width = sum(parameter.numel() for parameter in net.parameters()), net.dtype.itemsize
    largest_handover = handover_parameters(net, move_model_batches) if zero3 else 0
    if lora:
        add_adapters(net, net.dtype if zero3 else torch.float32)
    if checkpointing:
        net.gradient_checkpointing_enable({"use_reentrant": True})
        net.enable_input_require_grads()
        if lora:  # the vision tower is frozen and runs without gradients
            net.model.visual.gradient_checkpointing_disable()
        else:
            net.model.visual.enable_input_require_grads()
    trained = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
    # One device, one batch a step: gradients are set to None first, so they come as activations go.
    come_and_go = not zero3 and not lora and accumulation == 1
    upcast = not zero3 and precision != "float32"  # autocast returns float32
    peak = training_step(net, batch, grpo, keep_gradients=come_and_go, upcast=upcast, on_cpu=on_cpu)

    # Bytes a trained parameter. Without DeepSpeed, Adam works in the type of the weights; adapters are float32.
    own = 2 if zero3 else 4 if lora else width
    moments = 12 if zero3 else 2 * own
    frozen = parameters if lora else 0
    share = 0 if offload else 1 / gpus if zero3 else 1  # of what is sharded, on one GPU
    states = own * trained * share
    reference = parameters * width if grpo and beta and not lora else 0
    vllm_weights = parameters * width / vllm_gpus if grpo and vllm_gpus else 0
    text = net.config.text_config
    cached = 2 * text.num_hidden_layers * text.num_key_value_heads * text.hidden_size // text.num_attention_heads
    host = gpus * vllm_weights  # asleep while training, at sleep_level 1
    if offload:  # weights, gradients in bfloat16 and in float32, optimiser
        host += frozen * width + (2 + 2 + 4 + 12) * trained + reference
    return Plan(
        parameters=parameters,
        trained=trained,
        weights=frozen * width * share + states,
        gradients=peak["gradients"] if come_and_go else states,
        optimiser=moments * trained * share,
        reference=reference * share,
        gathered=width * min(parameters, LIVE_PARAMETERS) if zero3 else 0,
        activations=peak["activations"],
        logits=peak["logits"],
        step=(2 + 4) * min(trained / gpus, SUB_GROUP) if zero3 and not offload else 0,
        vllm_weights=vllm_weights,
        vllm_cache=cached * width * batch.tokens * batch.rows * accumulation if vllm_weights else 0,
        handover=width * largest_handover if vllm_weights else 0,
        rollout_gradients=states if zero3 else 0,
        host=host,
        checkpoint=(own + moments) * trained,
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
    parser.add_argument("--model", required=True, help="3b, 7b, 32b, or a model's folder or config.json")
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--memory", type=float, default=80, help="of one GPU, GiB")
    parser.add_argument("--recipe", choices=("sft", "grpo"), default="sft")
    parser.add_argument("--tuner", choices=("full", "lora"), default="full")
    parser.add_argument("--deepspeed", choices=("zero3", "zero3_offload", "none"), default="none")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16", help="float32: on a CPU")
    parser.add_argument("--batch", type=int, default=1, help="per_device_train_batch_size")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of a row")
    parser.add_argument("--kept", type=int, default=REPLY_TOKENS, help="tokens of a row that have logits")
    parser.add_argument("--accumulation", type=int, default=1, help="gradient_accumulation_steps")
    parser.add_argument("--vllm-gpus", type=int, default=1, help="vllm_tensor_parallel_size; 0: --use_vllm false")
    parser.add_argument("--move-model-batches", type=int, help="as ms-swift's; it hands over less at a time")
    parser.add_argument("--beta", type=float, default=0.04, help="0: no reference model")
    parser.add_argument("--no-checkpointing", action="store_true", help="gradient_checkpointing false")
    chosen = vars(parser.parse_args())
    gib, rows = chosen.pop("memory"), chosen.pop("batch")
    seen = Batch(rows, chosen.pop("tokens"), chosen.pop("kept"), (IMAGE_PATCHES,) * IMAGES * rows)
    checkpointed = not chosen.pop("no_checkpointing")
    print(report(plan(**chosen, batch=seen, checkpointing=checkpointed), gib))
