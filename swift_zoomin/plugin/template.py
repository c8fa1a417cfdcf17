"""The template `zoomin`: Qwen2.5-VL's, with image references resolved late and replies kept free of control tokens.

One place serves SFT, TransformersEngine, vLLM and the rollout server, because all of them encode here.
"""

import json
import os
import weakref
from bisect import bisect_left
from collections.abc import Sequence
from copy import copy
from itertools import accumulate
from pathlib import Path
from typing import Any

from peft import PeftModel
from PIL import Image
from swift.template import StdTemplateInputs
from swift.template.templates.qwen import Qwen2_5VLTemplate
from swift.utils import SafeMediaPath, get_logger

from swift_zoomin.boxes import PATCH_PX, PixelLimits
from swift_zoomin.checkpoints import (
    FAMILY,
    MARK,
    CheckpointError,
    Settings,
    differences,
    read_settings,
    settings_in_force,
)
from swift_zoomin.files import write_whole
from swift_zoomin.images import ImageError, ImageRef, LimitsError, load_references, open_upright, source_of
from swift_zoomin.plugin.command import read_command

_SIZES = ("min_pixels", "max_pixels", "resized_width", "resized_height")  # what a sample may ask of qwen-vl-utils
_IMAGE_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
_ROLLED_OUT = "swift_zoomin_rolled_out"  # marks the encoding of a trajectory, for the collator


class ZoomInTemplate(Qwen2_5VLTemplate):
    """Cuts crops from the original when a sample is encoded, and reads replies as plain token ids.

    `settings` holds the pixel limits of its model. They go with the template into data workers and engines, and with
    the processor, or beside a LoRA adapter, into every checkpoint.
    """

    settings: Settings
    max_pixels: int | None

    def init_processor(self, processor: Any) -> None:
        """Raises CheckpointError for a model of another family."""
        if processor is not None and not self._processor_inited:
            self._take_settings(processor)
            self.image_token_id = processor.image_token_id  # ms-swift has Qwen's own number as a constant
            self.video_token_id = processor.video_token_id
            self.placeholder_tokens = list(Qwen2_5VLTemplate.placeholder_tokens)  # the class's own would be changed
            tokenizer = processor.tokenizer
            self._image_token_ids = set(tokenizer.convert_tokens_to_ids(list(_IMAGE_TOKENS)))
            self._blank_id = tokenizer.encode(" ", add_special_tokens=False)[0]
        super().init_processor(processor)

    def _take_settings(self, processor: Any) -> None:
        folder = processor.model_info.model_dir
        family = processor.model_info.config.model_type
        if family != FAMILY:
            raise CheckpointError(f"{folder}: a model of type {family}; --template zoomin serves {FAMILY} (Qwen2.5-VL)")
        if not hasattr(processor, "image_processor"):  # transformers then gives the tokenizer alone
            files = "processor_config.json and preprocessor_config.json"
            raise CheckpointError(f"{folder}: no image processor; expected one of {files}")
        if not processor.tokenizer(" ")["input_ids"]:
            raise CheckpointError(f"{folder}: a tokenizer without tokens; expected a tokenizer.json, or a vocab.json")
        kept = _kept_settings(folder)
        for difference in differences(kept):
            get_logger().warning_once(f"swift_zoomin: {folder}: {difference}")
        self.use(settings_in_force(kept), processor)

    def use(self, settings: Settings, processor: Any) -> None:
        """Show the model this many pixels, and let the processor say so wherever it is saved.

        ms-swift's own --max_pixels would shrink an image before anything else sees it, and taught boxes would lie
        elsewhere; where it is lower than the model's limit, it is taken as that instead.
        """
        limits = settings.limits
        if self.max_pixels is not None:
            limits = _lowered(limits, self.max_pixels)
            self.max_pixels = None
        self.settings = Settings(limits, settings.prompts)
        processor.image_processor.size = {"shortest_edge": limits.min_pixels, "longest_edge": limits.max_pixels}
        setattr(processor.image_processor, MARK, {"prompts": settings.prompts})
        global _current
        _current = weakref.ref(self)

    def register_post_encode_hook(self, models: list[Any]) -> None:
        """Called where training starts: from then on, an adapter that is saved says what it was trained with."""
        super().register_post_encode_hook(models)
        for model in models:
            if isinstance(model, PeftModel) and "save_pretrained" not in vars(model):
                model.save_pretrained = _marking(model.save_pretrained, self.settings)  # type: ignore[method-assign]

    def is_text(self, token: int) -> bool:
        """Whether a sampled token means text; the others stand for image features."""
        return token not in self._image_token_ids

    def _encode(self, inputs: StdTemplateInputs) -> dict[str, Any]:
        """Of a trajectory, which ms-swift asks not to end with a token of its own, only what was sampled is trained.

        After every other reply, where `<|im_end|>` follows a token under loss, ms-swift trains that and the line's end.
        In a trajectory it follows where a reply ended in `<|endoftext|>`, and nobody sampled it. Nor did anybody sample
        the earlier answers in a prompt of another data set: texts, which ms-swift trains beside --multi_turn_scheduler.
        """
        if inputs.extra_kwargs.get("add_eos") is not False:
            return dict(super()._encode(inputs))
        inputs.messages = [*map(_untrained_text, inputs.messages[:-1]), inputs.messages[-1]]
        as_sampled = copy(self)  # engines encode in threads, so this template stays as it is
        as_sampled._add_dynamic_eos = _add_nothing
        return {**super(ZoomInTemplate, as_sampled)._encode(inputs), _ROLLED_OUT: True}

    def data_collator(self, batch: list[dict[str, Any]], *, padding_to: int | None = None) -> dict[str, Any]:
        """Batch encodings. Of a batch of trajectories one of which trains nothing, `labels` are its last columns only.

        GRPO keeps as many logits as labels from a row's first trained token on: all of a row that has none, and there
        is no logit for the first token, so the run would end. It counts the labels from the right, so those to the left
        of all that is trained are not missed.
        """
        is_rollout = any(_ROLLED_OUT in encoded for encoded in batch)  # before super() packs them
        collated: dict[str, Any] = super().data_collator(batch, padding_to=padding_to)
        if is_rollout and not self.use_megatron:
            is_trained = collated["labels"] != -100
            if not is_trained.any(dim=1).all():
                trained_columns = is_trained.any(dim=0).nonzero()
                kept = is_trained.shape[1] - int(trained_columns[0]) if len(trained_columns) else 1
                collated["labels"] = collated["labels"][:, -kept:]
        return collated

    def _preprocess_inputs(self, inputs: StdTemplateInputs) -> None:
        references = [_reference_of(image) for image in inputs.images]
        # Other data sets write placeholders and special tokens into their answers, and mean them. Answers of ours, and
        # whatever comes from a model, are text.
        is_foreign = self.is_training and not any(references)
        if any(references):
            self._check_sizes(inputs)
        self._load_images(inputs)
        question = ""
        for message in inputs.messages:
            text, last = message["content"], message is inputs.messages[-1]
            if message["role"] != "assistant":
                question = text
                continue
            if is_foreign and isinstance(text, str):
                continue
            message["content"] = self._plain(text, last=last)
            if self.is_training and isinstance(text, str):
                self._weigh(message, text, question, last)
        super()._preprocess_inputs(inputs)

    def _weigh(self, message: dict[str, Any], text: str, question: str, last: bool) -> None:
        """Weigh the tokens of a reply by its words, where `--loss_scale` has patterns that match them.

        ms-swift looks for patterns in text alone, and this reply is token ids by now.
        """
        if message.get("loss_scale") is not None:
            return
        pieces, weights = self.loss_scale.get_loss_scale(text, query=question)
        if all(weight == 1 for weight in weights):
            return  # what is left is the role of the message, which ms-swift goes by itself
        is_trained = message.get("loss")
        if is_trained is None:
            is_trained = last or self.loss_scale.base_strategy != "last_round"
        if is_trained:
            scale = self._token_weights(text, pieces, weights)
            message["content"] = {"token_ids": message["content"], "loss_scale": scale}

    def _token_weights(self, text: str, pieces: list[str], weights: list[float]) -> list[float]:
        """Each token's weight: that of the piece that holds most of it; the tokens stay those of the whole text."""
        ends = list(accumulate(map(len, pieces)))
        offsets = self.tokenizer(
            _encodable(text), add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )["offset_mapping"]
        return [weights[bisect_left(ends, (start + end) / 2)] for start, end in offsets]

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
        given = inputs.chat_template_kwargs
        if media_type == "image":
            inputs.chat_template_kwargs = {**self._sizes, **given}
        try:
            return super().replace_tag(media_type, index, inputs)
        finally:
            inputs.chat_template_kwargs = given

    def _load_images(self, inputs: StdTemplateInputs) -> None:
        try:
            inputs.images = _resolve(inputs.images, self.settings.limits, self.is_training)
        except LimitsError as error:
            if not self.is_training:
                raise
            # All rows of a cached data set fail alike. After any Exception ms-swift tries ten others, and then
            # advises to increase max_length.
            raise SystemExit(f"swift_zoomin: {error}") from error

    def plain_ids(self, text: str) -> list[int]:
        """The tokens of a reply's text, special tokens and placeholders in it as the characters they are."""
        ids: list[int] = self.tokenizer(_encodable(text), add_special_tokens=False, split_special_tokens=True)[
            "input_ids"
        ]
        return ids

    def _plain(self, content: Any, last: bool) -> Any:
        """An assistant turn as token ids that mean nothing but text.

        Sampled ids stay as sampled, but for the tokens that stand for image features: they become a blank without loss,
        because a forward pass would look for an image behind them.
        """
        if isinstance(content, str):
            return self.plain_ids(content)
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
        return {"token_ids": plain, "loss_scale": _loss_where_no_scheduler_ran(text_like)} if last else plain


def _loss_where_no_scheduler_ran(text_like: list[bool]) -> list[int]:
    """The loss mask of a single-turn reply with tokens that stand for images.

    Its log probabilities are one for each sampled token. ms-swift drops them where two or more are too many; one too
    many it takes for the last, and gives every token behind a blank the log probability of the token before it. So
    where there is one blank, the token behind it is not trained either. Of a blank at the very end the last is right.
    """
    mask = [int(keep) for keep in text_like]
    blank = mask.index(0)
    if mask.count(0) == 1 and blank + 1 < len(mask):
        mask[blank + 1] = 0
    return mask


def _untrained_text(message: dict[str, Any]) -> dict[str, Any]:
    is_answer = message["role"] == "assistant" and isinstance(message["content"], str)
    return {**message, "loss": False} if is_answer else message


def _add_nothing(*_: Any) -> None:
    """In place of ms-swift's method that puts an end of turn under loss."""


_current: weakref.ref[ZoomInTemplate] | None = None


def _encodable(text: str) -> str:
    """The text with a question mark for each lone surrogate, which has no bytes."""
    return text.encode("utf-8", "replace").decode()


def _kept_settings(model: str) -> Settings:
    """What a model was trained with: what lies on top of it on the command line says it, else its own folder."""
    for folder in read_command().loaded:
        kept = read_settings(folder)
        if kept.prompts is not None:
            return kept
    return read_settings(model)


def _lowered(limits: PixelLimits, max_pixels: int) -> PixelLimits:
    """The limits under ms-swift's --max_pixels, which can only lower them; what it does is said."""
    highest = max_pixels // PATCH_PX**2 * PATCH_PX**2  # whole tokens, as MAX_PIXELS
    if highest < 1:
        raise CheckpointError(f"--max_pixels {max_pixels}: less than one token of {PATCH_PX} x {PATCH_PX} pixels")
    lowered = PixelLimits(min(limits.min_pixels, highest), min(limits.max_pixels, highest))
    if lowered == limits:
        advice = f"it does not lower the model's limits of {limits} pixels; MAX_PIXELS raises them"
        get_logger().warning_once(f"swift_zoomin: --max_pixels {max_pixels}: {advice}")
    else:
        change = f"the model is shown {lowered} pixels of an image, instead of {limits}"
        get_logger().warning_once(f"swift_zoomin: --max_pixels {max_pixels}: {change}")
    return lowered


def current_template() -> ZoomInTemplate | None:
    """The template that ms-swift made last in this process, which is its model's; None where it made no other."""
    return _current() if _current else None


def first_image(images: Sequence[Any]) -> ImageRef:
    """Refer to the first image of a sample, in any form that ms-swift lets it have, with a model's limits.

    They are the reference's own, else those of this process's model.

    Raises ImageError, also for a file that ms-swift's guard does not let callers name.
    """
    source = source_of(images[0])
    reference = _reference_of(source)
    if reference is None:
        if isinstance(source, str) and os.path.exists(source):  # anything else is base64, or missing
            _check_path(source)
        reference = ImageRef.of(source)
    if reference.limits:
        return reference
    template = current_template()
    if template is None:
        raise ValueError("no --template zoomin in this process; it knows the model's pixel limits")
    return reference.under(template.settings.limits)


def _reference_of(image: Any) -> ImageRef | None:
    source = source_of(image)
    if not isinstance(source, str):
        return None
    reference = ImageRef.parse(source)
    if reference and reference.path:
        _check_path(reference.path)
    return reference


def _check_path(path: str) -> None:
    """Raises ImageError for a file outside SWIFT_MEDIA_ALLOWED_DIRS, however it is named.

    ms-swift guards the files that a request names, but to it our references are no files.
    """
    try:
        SafeMediaPath.check(path)
    except ValueError as error:
        raise ImageError(str(error)) from error


def _resolve(images: list[Any], limits: PixelLimits, is_training: bool) -> list[Any]:
    """All of a sample's images upright, references loaded, each file opened once; ms-swift fetches remote ones.

    Raises LimitsError for a reference of another model's; in training also for one that names no limits, because the
    boxes beside it were made for some.
    """
    sources = [source_of(image) for image in images]
    references = [_reference_of(source) for source in sources]
    opened = []
    for source, reference in zip(sources, references, strict=True):
        if reference or _is_remote(source):
            opened.append(source)
            continue
        if isinstance(source, str) and os.path.exists(source):  # anything else is base64, or missing
            _check_path(source)
        opened.append(open_upright(source))
    for reference in references:
        if is_training and reference and reference.limits is None:
            fault = "its row does not say for which pixel limits it was made; make it anew"
            raise LimitsError(f"{reference.path}: {fault}")
    first = opened[0] if opened and isinstance(opened[0], Image.Image) else None
    loaded = iter(load_references([reference.under(limits) for reference in references if reference], first))
    return [next(loaded) if reference else image for image, reference in zip(opened, references, strict=True)]


def _is_remote(source: Any) -> bool:
    return isinstance(source, str) and source.startswith(("http://", "https://"))


def _marking(save: Any, settings: Settings) -> Any:
    """An adapter's `save_pretrained` that also puts the settings into args.json.

    ms-swift copies that file from the run's folder into the checkpoint afterwards, and from there into a merged model.
    """

    def save_pretrained(folder: str, *args: Any, **kwargs: Any) -> None:
        save(folder, *args, **kwargs)
        file = Path(folder).parent / "args.json"
        if not file.exists():
            return
        content = json.loads(file.read_text(encoding="utf-8")) | {MARK: settings.mark()}
        write_whole(file, json.dumps(content, ensure_ascii=False, indent=2).encode())

    return save_pretrained
