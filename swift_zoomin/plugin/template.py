"""The template `zoomin`: that of a model's family, with image references resolved late and replies kept free of control
tokens.

One place serves SFT, TransformersEngine, vLLM and the rollout server, because all of them encode here. What ms-swift
calls is here; how images are opened, replies become tokens and settings are found stands in the modules beside it, and
which family's template this one is made of in `family_templates`.
"""

import weakref
from collections.abc import Sequence
from copy import copy
from typing import Any

from swift.template import StdTemplateInputs
from swift.template.templates.qwen import Qwen2VLTemplate

from swift_zoomin.checkpoints import CheckpointError, Settings
from swift_zoomin.images import ImageRef, LimitsError
from swift_zoomin.plugin.adapters import mark_when_saved
from swift_zoomin.plugin.model_settings import lowered, mark_processor, settings_of_model
from swift_zoomin.plugin.reply_tokens import ReplyTokens, columns_with_loss, untrained_text
from swift_zoomin.plugin.sample_images import open_images, refer_to, reference_of

_SIZES = ("min_pixels", "max_pixels", "resized_width", "resized_height")  # what a sample may ask of qwen-vl-utils
_ROLLED_OUT = "swift_zoomin_rolled_out"  # marks the encoding of a trajectory, for the collator


class ZoomInTemplate(Qwen2VLTemplate):
    """Cuts crops from the original when a sample is encoded, and reads replies as plain token ids.

    It is the part that all families share; a subclass puts it before the stock template of one. `settings` holds the
    pixel limits of its model, and so its family. They go with the template into data workers and engines, and with the
    processor, or beside a LoRA adapter, into every checkpoint.
    """

    settings: Settings
    max_pixels: int | None

    def init_processor(self, processor: Any) -> None:
        """Raises CheckpointError for a model of another family, or one that is asked to think."""
        if processor is not None and not self._processor_inited:
            self._check_does_not_think()
            self.use(settings_of_model(processor), processor)
            # ms-swift has a family's own ids as constants; a smaller vocabulary has others.
            self.image_token_id = processor.image_token_id
            self.video_token_id = processor.video_token_id
            # ms-swift changes this list in place, and without a copy it would change that of Qwen's template.
            self.placeholder_tokens = list(Qwen2VLTemplate.placeholder_tokens)
            self._reply_tokens = ReplyTokens(processor.tokenizer, self._get_response_prefix())
        super().init_processor(processor)

    def _check_does_not_think(self) -> None:
        if self.enable_thinking:
            fault = "both replies are trained and rolled out without thoughts, which would count for nothing"
            raise CheckpointError(f"--enable_thinking true: {fault}; leave it out")

    def use(self, settings: Settings, processor: Any) -> None:
        """Show the model this many pixels, and let the processor say so wherever it is saved.

        ms-swift's own --max_pixels would shrink an image before anything else sees it, and taught boxes would lie
        elsewhere; where it is lower than the model's limit, it is taken as that instead.
        """
        limits = settings.limits
        if self.max_pixels is not None:
            limits = lowered(limits, self.max_pixels)
            self.max_pixels = None
        self.settings = Settings(limits, settings.prompts)
        mark_processor(processor, self.settings)
        global _current
        _current = weakref.ref(self)

    def register_post_encode_hook(self, models: list[Any]) -> None:
        """Called where training starts: from then on, an adapter that is saved says what it was trained with."""
        super().register_post_encode_hook(models)
        for model in models:
            mark_when_saved(model, self.settings)

    def is_text(self, token: int) -> bool:
        """Whether a sampled token means text; the others stand for image features."""
        return self._reply_tokens.is_text(token)

    def plain_ids(self, text: str) -> list[int]:
        """The tokens of a reply's text, special tokens and placeholders in it as the characters they are."""
        return self._reply_tokens.of_text(text)

    def reply_ids(self, reply: str | list[int]) -> list[int]:
        """The tokens of a reply, given as text or as it was sampled, as a later question has them before it."""
        if isinstance(reply, str):
            return self.plain_ids(reply)
        ids: list[int] = self._reply_tokens.without_images(reply, is_last=False)
        return ids

    def _encode(self, inputs: StdTemplateInputs) -> dict[str, Any]:
        """Of a trajectory, which ms-swift asks not to end with a token of its own, only what was sampled is trained.

        After every other reply, where `<|im_end|>` follows a token under loss, ms-swift trains that and the line's end.
        In a trajectory it follows where a reply ended in `<|endoftext|>`, and nobody sampled it. Another data set may
        have answers in its prompts. They are texts that nobody sampled either, and ms-swift would train them beside
        --multi_turn_scheduler.
        """
        is_trajectory = inputs.extra_kwargs.get("add_eos") is False
        if not is_trajectory:
            return dict(super()._encode(inputs))
        *earlier, last = inputs.messages
        inputs.messages = [*map(untrained_text, earlier), last]
        as_sampled = copy(self)  # engines encode in threads, so this template stays as it is
        as_sampled._add_dynamic_eos = _add_nothing
        return {**super(ZoomInTemplate, as_sampled)._encode(inputs), _ROLLED_OUT: True}

    def data_collator(self, batch: list[dict[str, Any]], *, padding_to: int | None = None) -> dict[str, Any]:
        """Batch encodings. Of a batch of trajectories one of which trains nothing, `labels` are its last columns only.

        See `columns_with_loss`.
        """
        is_rollout = any(_ROLLED_OUT in encoded for encoded in batch)  # before super() packs them
        collated: dict[str, Any] = super().data_collator(batch, padding_to=padding_to)
        if is_rollout and not self.use_megatron:
            collated["labels"] = columns_with_loss(collated["labels"])
        return collated

    def _preprocess_inputs(self, inputs: StdTemplateInputs) -> None:
        references = [reference_of(image) for image in inputs.images]
        has_references = any(references)
        if has_references:
            self._check_sizes(inputs)
        self._load_images(inputs)
        # Other data sets write placeholders and special tokens into their answers, and mean them. Answers of ours, and
        # whatever comes from a model, are text.
        keeps_answers = self.is_training and not has_references
        question = ""
        for message in inputs.messages:
            content, is_last = message["content"], message is inputs.messages[-1]
            if message["role"] != "assistant":
                question = content
                continue
            if isinstance(content, str):
                if keeps_answers:
                    continue
                self._take_as_text(message, question, is_last)
            elif content:
                message["content"] = self._reply_tokens.without_images(content, is_last)
            if message["content"]:
                is_trained = self.is_training and self._is_trained(message, is_last)
                message["content"] = self._reply_tokens.opened(message["content"], is_trained)
        super()._preprocess_inputs(inputs)

    def _take_as_text(self, message: dict[str, Any], question: str, is_last: bool) -> None:
        """Turn an answer into token ids, weighed by its words where `--loss_scale` has patterns that match them.

        ms-swift looks for patterns in text alone, and finds token ids here.
        """
        text = self._reply_tokens.without_opening(message["content"])
        ids = self.plain_ids(text)
        message["content"] = ids
        if not self.is_training or message.get("loss_scale") is not None:
            return
        pieces, weights = self.loss_scale.get_loss_scale(text, query=question)
        has_patterns = any(weight != 1 for weight in weights)
        # Without patterns only the role of the message counts, and ms-swift goes by that itself.
        if has_patterns and self._is_trained(message, is_last):
            message["content"] = {"token_ids": ids, "loss_scale": self._reply_tokens.weights_of(text, pieces, weights)}

    def _is_trained(self, answer: dict[str, Any], is_last: bool) -> bool:
        """Whether an answer is under loss, by its own word or else by its place, as ms-swift has it."""
        is_trained: bool | None = answer.get("loss")
        if is_trained is not None:
            return is_trained
        return is_last or self.loss_scale.base_strategy != "last_round"

    def _check_sizes(self, inputs: StdTemplateInputs) -> None:
        """Raises ValueError for a sample of ours that asks for other sizes than its boxes are made for."""
        asked = {name: inputs.chat_template_kwargs[name] for name in _SIZES if name in inputs.chat_template_kwargs}
        if not asked.items() <= self._sizes.items():
            limits = self.settings.limits
            raise ValueError(f"a sample asks for {asked}; this model is shown {limits} pixels of every image")

    @property
    def _sizes(self) -> dict[str, int]:
        """The limits by qwen-vl-utils' names."""
        return {"min_pixels": self.settings.limits.min_pixels, "max_pixels": self.settings.limits.max_pixels}

    def replace_tag(self, media_type: Any, index: int, inputs: StdTemplateInputs) -> Any:
        """Size an image by the model's own limits: qwen-vl-utils would ask what holds for the process."""
        samples_own = inputs.chat_template_kwargs
        if media_type == "image":
            inputs.chat_template_kwargs = {**self._sizes, **samples_own}
        try:
            return super().replace_tag(media_type, index, inputs)
        finally:
            inputs.chat_template_kwargs = samples_own

    def _load_images(self, inputs: StdTemplateInputs) -> None:
        try:
            inputs.images = open_images(inputs.images, self.settings.limits, self.is_training)
        except LimitsError as error:
            if not self.is_training:
                raise
            # All rows of a cached data set fail alike. After any Exception ms-swift tries ten others, and then
            # advises to increase max_length.
            raise SystemExit(f"swift_zoomin: {error}") from error


def _add_nothing(*_: Any) -> None:
    """In place of ms-swift's method that puts an end of turn under loss."""


_current: weakref.ref[ZoomInTemplate] | None = None


def current_template() -> ZoomInTemplate | None:
    """The template that ms-swift made last in this process, which is its model's; None where it made no other."""
    return _current() if _current else None


def first_image(images: Sequence[Any]) -> ImageRef:
    """Refer to the first image of a sample, in any form that ms-swift lets it have, with a model's limits.

    They are the reference's own, else those of this process's model.

    Raises ImageError, also for a file that ms-swift's guard does not let callers name.
    """
    reference = refer_to(images[0])
    if reference.limits:
        return reference
    template = current_template()
    if template is None:
        raise ValueError("no --template zoomin in this process; it knows the model's pixel limits")
    return reference.under(template.settings.limits)
