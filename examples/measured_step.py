"""One training step of a model that has no numbers (torch's meta device), with every tensor counted while it lives."""

import weakref
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedModel

from swift_zoomin.episode import MAX_CROPS

IMAGES = 1 + MAX_CROPS
IMAGE_SIDE_PX = 512
REPLY_TOKENS, PROMPT_TOKENS = 1024, 300
empty = partial(torch.empty, device="meta")


@dataclass(frozen=True)
class Batch:
    """What one forward pass sees: rows of `tokens`, the last `kept` with logits; the patches of each image in it."""

    tokens: int
    patches: tuple[int, ...]
    rows: int = 1
    kept: int = REPLY_TOKENS


def usual_batch(patch_size: int, rows: int = 1, tokens: int | None = None, kept: int = REPLY_TOKENS) -> Batch:
    """Rows of the whole exchange for a tower of such patches, which are merged 2 x 2: 504 x 504 pixels of 14, say."""
    image_tokens = (IMAGE_SIDE_PX // (2 * patch_size)) ** 2
    whole = IMAGES * image_tokens + 2 * REPLY_TOKENS + PROMPT_TOKENS
    return Batch(tokens or whole, (4 * image_tokens,) * IMAGES * rows, rows, kept)


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


def training_step(
    model: PreTrainedModel,
    batch: Batch,
    grpo: bool,
    keep_gradients: bool,
    upcast: bool,
    on_cpu: bool,
) -> Counter[str]:
    """Bytes at the peak of one forward and backward pass, without weights; gradients as far as they are kept."""
    live = Live(model)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(live.keep_gradient if keep_gradients else drop_gradient)
    model.lm_head.register_forward_pre_hook(partial(live.set_purpose, "logits"))
    kernels = {"linear": partial(autocast_linear, model.dtype), "scaled_dot_product_attention": fused_attention}
    if not on_cpu:
        kernels["dropout"] = fused_dropout
    vision = model.model.visual.config
    patch_values = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    with patch.multiple(torch.nn.functional, **kernels), live:
        # A trainer holds the inputs until its step ends, so this function makes and keeps them.
        pixels = empty(sum(batch.patches), patch_values)
        hidden = hidden_states(model, batch, pixels)
        hidden.register_hook(partial(live.set_purpose, "activations"))
        labels = empty(batch.rows, batch.kept, dtype=torch.long)
        loss = grpo_loss(model, hidden, labels, upcast) if grpo else sft_loss(model, hidden, labels)
        del hidden
        loss.backward()
    return live.at_peak


def hidden_states(model: PreTrainedModel, batch: Batch, pixels: torch.Tensor) -> torch.Tensor:
    """What the language model makes of the rows and of their images, before logits; (rows, tokens, hidden)."""
    shape = (batch.rows, batch.tokens)
    embedded = model.get_input_embeddings()(empty(shape, dtype=torch.long))
    image, deep = seen_images(model.model.visual, batch, pixels.to(embedded.dtype))
    mask = empty(*shape, 1, dtype=torch.bool).expand_as(embedded)
    attention_mask = None
    if batch.rows > 1:  # one row alone needs no mask
        attention_mask = empty(batch.rows, 1, batch.tokens, batch.tokens, dtype=torch.bool)
    given: dict[str, Any] = {"attention_mask": {"full_attention": attention_mask}}
    if deep is not None:
        # Its own mask function leaves a ready mask of four dimensions as it is.
        given = {
            "attention_mask": attention_mask,
            "visual_pos_masks": mask[..., 0],
            "deepstack_visual_embeds": deep,
        }
    with patch.object(type(model.model.language_model), "_deepstack_process", add_to_images, create=True):
        return model.model.language_model(
            inputs_embeds=embedded.masked_scatter(mask, image),
            position_ids=empty(3, *shape, dtype=torch.long),
            use_cache=False,
            **given,
        ).last_hidden_state


def add_to_images(
    text: torch.nn.Module, hidden: torch.Tensor, mask: torch.Tensor, features: torch.Tensor
) -> torch.Tensor:
    """As Qwen3-VL adds features of its tower to a layer's output; a mask without numbers would not say how many."""
    hidden = hidden.clone()
    laid_end_to_end = hidden.view(-1, hidden.shape[-1])
    places = empty(len(features), dtype=torch.long)
    laid_end_to_end[places] = laid_end_to_end[places] + features
    return hidden


def seen_images(
    tower: torch.nn.Module, batch: Batch, pixels: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor] | None]:
    """The vision tower's tokens of all images of a batch, and what Qwen3-VL adds to the first layers of the text."""
    patches = sum(batch.patches)
    # Windows are a detail of the kernel that costs no memory: give every block the whole images.
    lengths = torch.tensor([0, *batch.patches]).cumsum(0).int()
    is_trained = any(parameter.requires_grad for parameter in tower.parameters())
    given: dict[str, Any] = {}
    if hasattr(tower, "deepstack_merger_list"):
        given["interp_indices"] = empty(patches, 4, dtype=torch.long)
        given["interp_weights"] = empty(patches, 4)
    else:
        given["cu_window_seqlens"] = lengths
        given["window_index"] = empty(patches // tower.config.spatial_merge_size**2, dtype=torch.long)
    with torch.set_grad_enabled(is_trained):
        seen = tower(
            pixels,
            grid_thw=torch.tensor([[1, 2, count // 2] for count in batch.patches]),
            position_ids=empty(patches, 2, dtype=torch.long),
            cu_seqlens=lengths,
            **given,
        )
    return seen.pooler_output, getattr(seen, "deepstack_features", None)


def grpo_loss(model: PreTrainedModel, hidden: torch.Tensor, labels: torch.Tensor, upcast: bool) -> torch.Tensor:
    """GRPO's, of the tokens that have labels, the last ones of each row."""
    from trl.trainer.utils import selective_log_softmax

    kept = labels.shape[1]
    logits = model.lm_head(hidden[:, -kept - 1 :])
    logits = (logits.float() if upcast else logits)[:, :-1]
    return selective_log_softmax(logits.div_(1.0), labels).sum()


def sft_loss(model: PreTrainedModel, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the tokens that have labels, the last ones of each row."""
    kept, vocabulary = labels.shape[1], model.config.text_config.vocab_size
    logits = model.lm_head(hidden[:, -kept:])
    return model.loss_function(logits=logits, labels=labels, vocab_size=vocabulary)
