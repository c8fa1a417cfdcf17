"""How much each image token adds to the logits of chosen words, after LLaVA-CAM.

(Zhang et al., "From Redundancy to Relevance". Their code weighs channels by gradients averaged over all image tokens;
here each token keeps its own.)

The reply is given to the model as it was sampled, in one forward pass. With h the states that come into a decoder layer
and z the logit of a word there, an image token i has the heat

    max(0, sum over channels of h[i] * dz/dh[i]),    averaged over noisy copies of the image.

That is how z would change, to first order, if the states of that token grew. The features that Qwen3-VL adds to the
states behind this layer (DeepStack) belong to the same tokens and are counted with them, so that any layer sees all of
the image. z of a word of several tokens is the sum of their logits: none of them is more the word than another.

Nothing below the layer is kept for the gradients, so memory grows with the layers above it alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from swift_zoomin.records import RecordError

if TYPE_CHECKING:
    from swift_zoomin.detection.engine import Encoded

# The first. Each layer brings the states that it reads to one length, so what it reads from a token itself does not
# grow with the token's states. The later the layer, the less is seen; at the last there is next to no heat. On the
# model of the quickstart (tests/benchmarks/attention.py) 0.71 of the heat of query 2's strongest word lies in what was
# cut at layer 0, 0.48 at layer 1 and 0.32 at layer 2; regions have the same heat at layers 0 and 1.
LAYER = 0
_SEED = 0  # of the noise: the same image and model give the same heat
_lock = Lock()  # a model is watched by one at a time


@dataclass(frozen=True)
class Smoothing:
    """`copies` of the image with Gaussian noise, whose standard deviation is `noise` of the range of its values."""

    copies: int
    noise: float


PLAIN = Smoothing(1, 0.0)


def heat_of_tokens(encoded: "Encoded", words: Sequence[Sequence[int]], layer: int, smoothing: Smoothing) -> np.ndarray:
    """The heat of each image token for each word, float32 of shape (words, image tokens), in the order of the prompt.

    A word is the places of its tokens in the reply. Raises RecordError for a layer that the model does not have.
    """
    import torch

    layers = len(encoded.model.get_decoder().layers)
    if not 0 <= layer < layers:
        raise RecordError(f"--layer {layer}; expected one of 0 to {layers - 1}, the decoder layers of this model")
    is_image = (encoded.inputs["input_ids"][0] == encoded.model.config.image_token_id).cpu()
    heat = torch.zeros(len(words), int(is_image.sum()))
    encoded.model.requires_grad_(False)
    with _lock, torch.enable_grad():
        for pixels in _noisy_copies(encoded, smoothing):
            for row, added in enumerate(_added(encoded, pixels, words, layer, is_image)):
                heat[row] += added.clamp(min=0).float()
    return (heat / smoothing.copies).numpy()


def _added(encoded: "Encoded", pixels: Any, words: Sequence[Sequence[int]], layer: int, is_image: Any) -> Iterator[Any]:
    """For each word, what each image token adds to its logits, to first order: a tensor of shape (image tokens,)."""
    import torch

    inputs = {**encoded.inputs, "pixel_values": pixels, "use_cache": False}
    with _watched(encoded.model.get_decoder(), layer, is_image) as watched:
        logits = encoded.model(**inputs, logits_to_keep=len(encoded.reply_ids) + 1).logits[0]
    for tokens in words:
        # The logits at one place are about the next one; the first that are kept are about the reply's first token.
        chosen = sum(logits[place, encoded.reply_ids[place]] for place in tokens)
        gradients = torch.autograd.grad(chosen, watched.leaves, retain_graph=True)
        yield sum(watched.products(gradients))


class _Watched:
    """The states of a forward pass that gradients are taken for: `leaves`, of which some rows are the image's."""

    def __init__(self, is_image: Any) -> None:
        self._is_image = is_image
        self.leaves: list[Any] = []

    def states(self, states: Any) -> Any:
        """Watch all states of a sequence, shape (1, tokens, channels)."""
        self.leaves.append(states.detach().requires_grad_())
        return self.leaves[-1]

    def products(self, gradients: Sequence[Any]) -> Iterator[Any]:
        """State times gradient, summed over channels, of the image's tokens."""
        for leaf, gradient in zip(self.leaves, gradients, strict=True):
            product = (leaf.detach() * gradient).sum(-1).cpu()  # a large model lies on several GPUs
            yield product[0, self._is_image] if product.dim() == 2 else product


@contextmanager
def _watched(decoder: Any, layer: int, is_image: Any) -> Iterator[_Watched]:
    """Inside, a forward pass with gradients leaves its states at a layer here, and the features added behind it.

    What is generated meanwhile in another thread has no gradients, and is left alone.
    """
    import torch

    watched = _Watched(is_image)

    def watch_states(_: Any, args: Any, options: Any) -> Any:
        if not torch.is_grad_enabled():
            return None
        return (watched.states(args[0]), *args[1:]), options

    def watch_features(_: Any, args: Any, options: Any) -> Any:
        features = options.get("deepstack_visual_embeds")
        if features is None or not torch.is_grad_enabled():
            return None
        # Those of number n, one row an image token, are added to what comes out of layer n.
        behind = [watched.states(added) for added in features[layer:]]
        return args, {**options, "deepstack_visual_embeds": [*features[:layer], *behind]}

    with ExitStack() as hooks:
        hooks.callback(decoder.register_forward_pre_hook(watch_features, with_kwargs=True).remove)
        hooks.callback(decoder.layers[layer].register_forward_pre_hook(watch_states, with_kwargs=True).remove)
        yield watched


def _noisy_copies(encoded: "Encoded", smoothing: Smoothing) -> Iterator[Any]:
    """The images' values with noise, as the model is given them: shape (patches, channels * frames * patch pixels).

    An image is a film of a few equal frames there, which stay equal.
    """
    import torch

    pixels = encoded.inputs["pixel_values"]
    vision = encoded.model.config.vision_config
    frames = (len(pixels), vision.in_channels, vision.temporal_patch_size, vision.patch_size**2)
    deviation = smoothing.noise * float(pixels.max() - pixels.min())
    generator = torch.Generator().manual_seed(_SEED)
    for _ in range(smoothing.copies):
        noise = torch.randn(frames[0], frames[1], 1, frames[3], generator=generator).expand(frames)
        yield pixels + deviation * noise.reshape(pixels.shape).to(pixels)
