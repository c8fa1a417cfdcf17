"""The template `zoomin`: Qwen2.5-VL's, with image references resolved late and replies kept free of control tokens.

One place serves SFT, TransformersEngine, vLLM and the rollout server, because all of them encode here.
"""

from typing import Any

from swift.template import StdTemplateInputs
from swift.template.templates.qwen import Qwen2_5VLTemplate

from swift_zoomin.images import ImageRef, load_references

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
        super().init_processor(processor)

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
        text_like = [token not in self._image_token_ids for token in ids]
        if all(text_like):
            return content
        plain = [token if keep else self._blank_id for token, keep in zip(ids, text_like, strict=True)]
        if isinstance(content, dict):
            mask = [scale if keep else 0 for scale, keep in zip(content["loss_scale"], text_like, strict=True)]
            return {"token_ids": plain, "loss_scale": mask}
        return {"token_ids": plain, "loss_scale": [int(keep) for keep in text_like]} if last else plain


def _resolve(images: list[Any]) -> list[Any]:
    """Load the references among a sample's images, each file once; everything else is left to ms-swift."""
    paths = [image.get("path") if isinstance(image, dict) else image for image in images]
    references = [(isinstance(path, str) and ImageRef.parse(path)) or None for path in paths]
    loaded = iter(load_references([reference for reference in references if reference]))
    return [next(loaded) if reference else image for image, reference in zip(images, references, strict=True)]
