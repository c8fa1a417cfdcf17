"""ms-swift's inference engines behind the detector: a batch of conversations in, one answer each out."""

from typing import Any

import torch
from swift.infer_engine import InferRequest, RequestConfig
from swift.model import get_processor

import swift_zoomin.register.swift_zoomin_register  # noqa: F401  registers the template
from swift_zoomin.boxes import PATCH_PX, max_pixels
from swift_zoomin.detector import Answer, Conversation
from swift_zoomin.episode import MAX_CROPS
from swift_zoomin.images import ImageError

_WORDS = 2048  # tokens of both prompts and their markup, at worst; they are fewer bytes


class SwiftEngine:
    """TransformersEngine or vLLM on one model folder, greedy, with the template `zoomin`."""

    def __init__(self, model: str, kind: str, max_new_tokens: int, gpus: int = 1) -> None:
        self._engine = _open_vllm(model, max_new_tokens, gpus) if kind == "vllm" else _open_transformers(model)
        self._engine.strict = False  # a file that cannot be read comes back as its exception, not as the batch's
        self._config = RequestConfig(max_tokens=max_new_tokens, temperature=0, return_details=True)

    def ask(self, conversations: list[Conversation]) -> list[Answer | ImageError]:
        requests = [InferRequest(messages=c.messages, images=[str(i) for i in c.images]) for c in conversations]
        return [_answer(response) for response in self._engine.infer(requests, self._config, use_tqdm=False)]


def _answer(response: Any) -> Answer | ImageError:
    if isinstance(response, ImageError):
        return response
    if isinstance(response, Exception):
        raise response
    choice = response.choices[0]
    return Answer(choice.message.content, list(choice.token_ids), choice.finish_reason == "length")


def _open_transformers(model: str) -> Any:
    from swift.infer_engine import TransformersEngine

    return TransformersEngine(model, max_batch_size=0, **_common())


def _open_vllm(model: str, max_new_tokens: int, gpus: int) -> Any:
    from swift.infer_engine import VllmEngine

    images = 1 + MAX_CROPS
    processor = get_processor(model, model_type="qwen2_5_vl")  # puts the pixel limit in force
    longest = images * max_pixels() // PATCH_PX**2 + 2 * max_new_tokens + _WORDS  # vLLM reserves a cache for one
    return VllmEngine(
        model,
        limit_mm_per_prompt={"image": images, "video": 0},
        max_model_len=min(longest, processor.model_info.max_model_len),
        tensor_parallel_size=gpus,
        enforce_eager=not torch.cuda.is_available(),  # on a CPU, compiling takes minutes
        **_common(),
    )


def _common() -> dict[str, Any]:
    dtype = None if torch.cuda.is_available() else torch.float32  # half precision is slow on a CPU
    return {"model_type": "qwen2_5_vl", "template_type": "zoomin", "torch_dtype": dtype}
