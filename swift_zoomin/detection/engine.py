"""ms-swift's inference engines behind the detector: a conversation in, its answer out, many at a time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from modelscope_hub.errors import HubError
from safetensors import SafetensorError
from swift.arguments import BaseArguments
from swift.infer_engine import InferRequest, RequestConfig
from swift.model import get_model_processor, get_processor
from swift.template import get_template
from swift.utils import safe_snapshot_download, to_device

from swift_zoomin.checkpoints import Checkpoint, CheckpointError, Settings, settings_in_force, weight_files
from swift_zoomin.detection.gathering import Gathering
from swift_zoomin.detection.score import ALL_TOKENS
from swift_zoomin.episode import MAX_CROPS, Answer, Conversation
from swift_zoomin.images import ImageError
from swift_zoomin.plugin.registration import register
from swift_zoomin.plugin.template import ZoomInTemplate

# Tokens of both prompts and their markup, with room to spare: the prompts are some 1,600 bytes, and no tokenizer of
# these models makes more tokens than bytes.
_PROMPT_TOKENS = 2048


KINDS = ("transformers", "vllm")


@dataclass(frozen=True)
class Encoded:
    """A conversation as `inputs` of one forward pass of `model`, batch of 1; the last ids of it are `reply_ids`."""

    model: Any
    inputs: dict[str, Any]
    reply_ids: list[int]
    tokenizer: Any


class SwiftEngine:
    """TransformersEngine or vLLM on one model folder, with the template `zoomin`.

    `limits` are the pixels of an image that the model is shown. vLLM spreads over `gpus` GPUs and takes `memory_share`
    of each. Raises CheckpointError for a folder that the engine cannot serve, and ValueError for another `kind`.
    """

    def __init__(
        self, checkpoint: Checkpoint, kind: str, max_new_tokens: int, gpus: int = 1, memory_share: float = 0.9
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"engine {kind!r}; expected {' or '.join(KINDS)}, or an Engine")
        register()
        settings = settings_in_force(checkpoint.settings)
        self.limits = settings.limits
        self._transformers: Any = None
        self._max_new_tokens = max_new_tokens
        with _naming(checkpoint, kind):
            if kind == "vllm":
                engine = _open_vllm(checkpoint, settings, self._longest(), gpus, memory_share)
                self._infer, self._close = engine.infer_async, engine.engine.shutdown
            else:
                self._transformers = engine = _open_transformers(checkpoint, settings)
                gathering = Gathering(partial(_infer_seeded, engine))
                engine.model.register_forward_pre_hook(gathering.check_open)
                self._infer, self._close = gathering.infer_async, gathering.close

    def _longest(self) -> int:
        """Tokens of the longest exchange there can be."""
        images = 1 + MAX_CROPS
        image_tokens = images * self.limits.max_pixels // self.limits.family.patch_px**2
        return image_tokens + 2 * self._max_new_tokens + _PROMPT_TOKENS

    async def answer(
        self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None
    ) -> Answer | ImageError:
        """See `episode.Engine`. With "transformers" a seed is that of the batch which the conversation comes into."""
        references = [str(image) for image in conversation.images]
        request = InferRequest(messages=conversation.messages, images=references)
        try:
            response = await self._infer(request, self._config(temperature, seed))
        except ImageError as error:
            return error.as_value()
        choice = response.choices[0]
        return Answer(choice.message.content, list(choice.token_ids), choice.finish_reason == "length")

    def encoded(self, conversation: Conversation) -> Encoded:
        """The conversation with its last reply, for a look inside the model. Only with "transformers".

        The question has the ids that `answer` gives the model, and the reply's follow as they were sampled. Raises
        ImageError, and ValueError for the other kind.
        """
        if self._transformers is None:
            raise ValueError("vLLM does not let anybody look inside the model; open it with transformers")
        engine, template = self._transformers, self._transformers.template
        *asked, reply = conversation.messages
        reply_ids = template.reply_ids(reply["content"])
        # As before an answer: where nothing was asked yet, neither holds.
        engine.model.eval()
        template.model = engine.model
        template.set_mode("transformers")
        encoded = template.encode({"messages": asked, "images": [str(image) for image in conversation.images]})
        encoded["input_ids"] = [*encoded["input_ids"], *reply_ids]
        of_images = encoded["mm_token_type_ids"]
        encoded["mm_token_type_ids"] = torch.cat([of_images, of_images.new_zeros(len(reply_ids))])
        inputs = to_device(template.data_collator([encoded]), engine.model.device)
        _, inputs = template.pre_forward_hook(engine.model, None, inputs)
        return Encoded(engine.model, inputs, reply_ids, template.tokenizer)

    def close(self) -> None:
        self._close()
        self._transformers = None
        # vLLM's engine closes itself once more when it goes, which fails where Python is already going too.
        del self._infer, self._close
        gc.collect()

    def _config(self, temperature: float, seed: int | None) -> Any:
        config = RequestConfig(self._max_new_tokens, temperature, seed=seed, return_details=True)
        if temperature:  # from all tokens: what a published model says of sampling lets only the likeliest through
            config.top_k, config.top_p = ALL_TOKENS, 1.0
        return config


def _infer_seeded(engine: Any, requests: list[Any], config: Any) -> list[Any]:
    """A batch of TransformersEngine, which leaves `config.seed` unused and draws from torch's own generator."""
    if config.seed is not None:
        torch.manual_seed(config.seed)
    return list(engine.infer(requests, config, use_tqdm=False))


def download(model: str) -> Path:
    """The folder of a model on a hub, brought here first. Raises CheckpointError."""
    try:
        return Path(safe_snapshot_download(model, download_model=True))
    except (HubError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise CheckpointError(f"{model}: no such folder, and no hub gave a model of that name ({reason})") from error


@contextmanager
def _naming(checkpoint: Checkpoint, kind: str) -> Iterator[None]:
    """Turn what loading raises (a damaged or missing file, no room, no vLLM) into a CheckpointError of one line."""
    try:
        yield
    except CheckpointError:
        raise
    except (ImportError, OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        advice = "; is vLLM installed, and is there room for --memory-share of the GPU?" if kind == "vllm" else ""
        raise CheckpointError(f"{checkpoint.folder}: {kind} cannot load it ({reason}){advice}") from error


def _template(checkpoint: Checkpoint, settings: Settings, processor: Any) -> ZoomInTemplate:
    """The template `zoomin`, whatever template a checkpoint was tuned with; what else its args.json says of it holds.

    Left to itself, an engine would take the template that args.json names, which knows no references to images.
    """
    tuned_in = checkpoint.tuned_in
    if tuned_in:
        template = BaseArguments.from_pretrained(str(tuned_in)).get_template(processor, template_type="zoomin")
    else:
        template = get_template(processor, template_type="zoomin")
    # It has asked the base model's folder; an adapter's own settings stand beside the adapter.
    template.use(settings, processor)
    return template


def _open_transformers(checkpoint: Checkpoint, settings: Settings) -> Any:
    from swift.infer_engine import TransformersEngine

    folder = str(checkpoint.folder)
    if checkpoint.base is None:
        model_name, adapters = folder, None
    elif weight_files(checkpoint.folder):
        model_name, adapters = checkpoint.base, [folder]
    else:  # peft would look for the folder's name on a hub
        raise CheckpointError(f"{folder}: an adapter without weights (no adapter_model.safetensors)")
    model, processor = get_model_processor(model_name, **_common(checkpoint))
    template = _template(checkpoint, settings, processor)
    engine = TransformersEngine(model, template=template, adapters=adapters, max_batch_size=0)
    engine.strict = False  # then a file that cannot be read comes back as its exception, and does not end its batch
    return engine


def _open_vllm(checkpoint: Checkpoint, settings: Settings, longest: int, gpus: int, memory_share: float) -> Any:
    from swift.infer_engine import VllmEngine

    if checkpoint.base:
        # By default vLLM leaves out what an adapter changed in the vision tower; its switch for that is experimental.
        folder = checkpoint.folder
        raise CheckpointError(
            f"{folder}: vLLM would leave out the adapter's vision tower; use --engine transformers, or merge it first: "
            f"swift export --adapters {folder} --merge_lora true"
        )
    processor = get_processor(str(checkpoint.folder), **_common(checkpoint))
    return VllmEngine(
        str(checkpoint.folder),
        template=_template(checkpoint, settings, processor),
        use_async_engine=True,
        limit_mm_per_prompt={"image": 1 + MAX_CROPS, "video": 0},
        max_model_len=min(longest, processor.model_info.max_model_len),
        tensor_parallel_size=gpus,
        gpu_memory_utilization=memory_share,
        enforce_eager=not torch.cuda.is_available(),  # on a CPU, compiling takes minutes
        **_common(checkpoint),
    )


def _common(checkpoint: Checkpoint) -> dict[str, Any]:
    dtype = None if torch.cuda.is_available() else torch.float32  # half precision is slow on a CPU
    return {"model_type": checkpoint.model_type, "torch_dtype": dtype}
