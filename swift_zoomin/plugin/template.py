"""The template `zoomin`: Qwen2.5-VL's, with image references resolved late and replies kept free of control tokens.

One place serves SFT, TransformersEngine, vLLM and the rollout server, because all of them encode here.
"""

import weakref
from typing import Any

from PIL import Image
from swift.template import StdTemplateInputs
from swift.template.templates.qwen import Qwen2_5VLTemplate

from swift_zoomin.images import ImageRef, load_references, open_upright, source_of

_IMAGE_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")


class ZoomInTemplate(Qwen2_5VLTemplate):
    """Cuts crops from the original when a sample is encoded, and reads every assistant turn as plain token ids."""

    def init_processor(self, processor: Any) -> None:
        if processor is not None and not self._processor_inited:
            self.image_token_id = processor.image_token_id  # ms-swift has Qwen's own number as a constant
            self.video_token_id = processor.video_token_id
            self.placeholder_tokens = list(Qwen2_5VLTemplate.placeholder_tokens)  # the class's own would be changed
            tokenizer = processor.tokenizer
            self._image_token_ids = set(tokenizer.convert_tokens_to_ids(list(_IMAGE_TOKENS)))
            self._blank_id = tokenizer.encode(" ", add_special_tokens=False)[0]
            global _current
            _current = weakref.ref(self)
        super().init_processor(processor)

    def is_text(self, token: int) -> bool:
        """Whether a sampled token means text; the others stand for image features."""
        return token not in self._image_token_ids

    def _preprocess_inputs(self, inputs: StdTemplateInputs) -> None:
        inputs.images = _resolve(inputs.images)
        for message in inputs.messages:
            if message["role"] == "assistant":
                message["content"] = self._plain(message["content"], last=message is inputs.messages[-1])
        super()._preprocess_inputs(inputs)

    def _plain(self, content: Any, last: bool) -> Any:
        """An assistant turn as token ids that mean nothing but text.

        Text is tokenised with `<image>`, `<bbox>` and special tokens as the characters they are. In sampled ids, which
        stay as sampled, the tokens that stand for image features become a blank without loss: a forward pass would
        look for an image behind them.
        """
        if isinstance(content, str):
            text = content.encode("utf-8", "replace").decode()  # a lone surrogate has no bytes
            return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        if not content:
            return content
        ids = content["token_ids"] if isinstance(content, dict) else content
        text_like = [self.is_text(token) for token in ids]
        if all(text_like):
            return content
        plain = [token if keep else self._blank_id for token, keep in zip(ids, text_like, strict=True)]
        if isinstance(content, dict):
            mask = [scale if keep else 0 for scale, keep in zip(content["loss_scale"], text_like, strict=True)]
            return {"token_ids": plain, "loss_scale": mask}
        return {"token_ids": plain, "loss_scale": [int(keep) for keep in text_like]} if last else plain


_current: weakref.ref[ZoomInTemplate] | None = None


def current_template() -> ZoomInTemplate | None:
    """The template that ms-swift made last in this process, which is its model's; None where it made no other."""
    return _current() if _current else None


def _resolve(images: list[Any]) -> list[Any]:
    """All of a sample's images upright, references loaded, each file opened once; ms-swift fetches remote ones."""
    sources = [source_of(image) for image in images]
    references = [(isinstance(source, str) and ImageRef.parse(source)) or None for source in sources]
    opened = [
        source if reference or _is_remote(source) else open_upright(source)
        for source, reference in zip(sources, references, strict=True)
    ]
    first = opened[0] if opened and isinstance(opened[0], Image.Image) else None
    loaded = iter(load_references([reference for reference in references if reference], first))
    return [next(loaded) if reference else image for image, reference in zip(opened, references, strict=True)]


def _is_remote(source: Any) -> bool:
    return isinstance(source, str) and source.startswith(("http://", "https://"))
