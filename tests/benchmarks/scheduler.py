"""What one two-turn trajectory over a 12-megapixel photograph costs in images: our scheduler and DeepEyes's method.

    python tests/benchmarks/scheduler.py --model output/model

`--model` is any Qwen2.5-VL folder; only its processor is loaded. The photograph (4000 x 3000 JPEG, quality 90) is made
here; the first reply marks 4 regions. All sides run through ms-swift's own `MultiTurnScheduler.run`, one after the
other in turns, each time over a new copy of the file, with an engine that encodes each query as vLLM's does and answers
from a script. Times are processor time, the median of `--repeats`:

- `own_ms`: all of `on_turn_end` and `step` for one trajectory;
- `path_ms`: the whole `run` (query 1 encoded with the whole image, scheduler, query 2 with the whole image and 4 crops)
  and its output as JSON; `encode_ms` are its two encodes, which leave the making of tensors to vLLM;
- `train_ms`: encoding the shipped sample again, as a colocated trainer does;
- `kilobytes`: the output's messages and rollout_infos, images included, as the HTTP server ships them;
- `opened`: how often the photograph was opened by the scheduler and by each encode; DeepEyes's trainer decodes base64.

DeepEyes is the example that ms-swift ships (examples/train/grpo/plugin/deepeyes). `ShrunkenCropScheduler` is a
stand-in, not its code. Like it, each of its steps decodes and shrinks the whole image and cuts one crop from what it
shrank, and path and PIL crops are returned in `rollout_infos`, which ms-swift's `RolloutOutput` turns into base64.
DeepEyes encodes everything again after each crop; the stand-in makes its 4 steps between two encodes, which favours it.
`deepeyes_decoding_once` favours it further: no such scheduler exists, but it would decode once for all its steps.

Targets: own time at least 100 times less, output 1,000 times, image path 5 times; one opening for each encode at most.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("MAX_PIXELS", "262144")  # as in the README's training commands

import numpy as np
from PIL import Image
from qwen_vl_utils import fetch_image
from swift.infer_engine import InferRequest, RequestConfig
from swift.infer_engine.protocol import (
    ChatCompletionResponse,
    ChatCompletionResponseChoice,
    ChatMessage,
    RolloutInferRequest,
    RolloutOutput,
    UsageInfo,
)
from swift.model import get_processor
from swift.rollout import MultiTurnScheduler
from swift.template import get_template

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin import prompts
from swift_zoomin.boxes import PixelLimits, Size, model_size, to_model
from swift_zoomin.families import QWEN2_5_VL, Frame
from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.scheduler import ZoomInScheduler
from swift_zoomin.replies import Reply, parse_reply, render_reply

SIZE = (4000, 3000)
BOXES_PX = [[400, 300, 1000, 760], [2200, 500, 2700, 1300], [1500, 1900, 1900, 2250], [3000, 2100, 3800, 2800]]
LABELS = ["letters on the sign", "left hand", "reflection in the window", "branches above the roof"]
TIMES = ("own_s", "path_s", "encode_s", "train_s")
OPENED: list[str] = []  # every opening of the photograph since it was last cleared
WORDS = "The letters on the sign melt into each other and the reflection shows a lamp that is not in the street."


class ShrunkenCropScheduler(MultiTurnScheduler):
    """The method of DeepEyes's scheduler (module docstring)."""

    decodes_once = False

    def step(self, infer_request: Any, response_choice: Any, current_turn: int) -> dict[str, Any]:
        boxes = parse_reply(response_choice.message.content).boxes_model
        infer_request.messages.append({"role": "user", "content": prompts.query2(len(boxes))})
        image = None
        for box in boxes:
            if not (image and self.decodes_once):
                image = fetch_image({"image": Image.open(infer_request.images[0])})
            infer_request.images.append(image.crop(tuple(box)))
        return {"infer_request": infer_request, "rollout_infos": {"images": infer_request.images}}


class DecodingOnceScheduler(ShrunkenCropScheduler):
    decodes_once = True


class ScriptedEngine:
    """Encodes a request as ms-swift's vLLM engine does, then gives the next scripted reply."""

    def __init__(self, template: Any, replies: list[str]) -> None:
        self.template, self.tokenizer, self._replies = template, template.tokenizer, replies
        template.set_mode("vllm")
        self.encode_s = 0.0
        self.opened: list[int] = []

    async def infer_async(self, request: Any, config: RequestConfig) -> ChatCompletionResponse:
        OPENED.clear()
        start = time.process_time()
        self.template.encode(request, True)
        self.encode_s += time.process_time() - start
        self.opened.append(len(OPENED))
        return ChatCompletionResponse("script", [self.choice(len(request.messages) // 2)], UsageInfo(0, 0, 0))

    def choice(self, turn: int) -> ChatCompletionResponseChoice:
        reply = self._replies[turn]
        ids = [*self.tokenizer.encode(reply), self.tokenizer.eos_token_id]
        return ChatCompletionResponseChoice(0, ChatMessage("assistant", reply), "stop", token_ids=ids)


def make_photograph(path: Path) -> None:
    """Gradients and smoothed noise of several sizes under a sensor's grain: a file as large as a camera's."""
    rng = np.random.default_rng(0)
    across, down = np.linspace(0, 1, SIZE[0]), np.linspace(0, 1, SIZE[1])[:, None]
    canvas = np.stack([150 * across + 40 * down, 120 * down + 60 * across, 200 - 140 * down + 0 * across], axis=-1)
    for cell_px, strength in ((500, 60), (60, 40), (8, 20)):
        noise = rng.normal(128, 50, (SIZE[1] // cell_px, SIZE[0] // cell_px, 3)).clip(0, 255).astype(np.uint8)
        canvas += strength * (np.asarray(Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC)) / 128 - 1)
    canvas += rng.normal(0, 5, (SIZE[1], SIZE[0], 1))
    Image.fromarray(canvas.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def scripted_replies(size: Size) -> list[str]:
    size_model = model_size(size, PixelLimits(4 * 784, int(os.environ["MAX_PIXELS"]), QWEN2_5_VL))
    boxes = [list(map(float, to_model(box, size, size_model))) for box in BOXES_PX]
    first, last = Reply("real", boxes, LABELS, WORDS), Reply("generated", [], [], f"{WORDS} {WORDS}")
    return [render_reply(first), render_reply(last, ("explanation", "verdict"))]


def request_for(image: str) -> RolloutInferRequest:
    return RolloutInferRequest([{"role": "user", "content": prompts.query1(Frame.ABSOLUTE)}], images=[image])


def time_hooks(scheduler: MultiTurnScheduler, engine: ScriptedEngine, image: str) -> float:
    """Seconds in all hooks of one trajectory."""
    request, choices = request_for(image), [engine.choice(turn) for turn in (0, 1)]

    async def hooks() -> float:
        start = time.process_time()
        request.messages.append({"role": "assistant", "content": choices[0].message.content})
        await scheduler.on_turn_end(request, choices[0], 1)
        scheduler.step(request, choices[0], 1)
        request.messages.append({"role": "assistant", "content": choices[1].message.content})
        await scheduler.on_turn_end(request, choices[1], 2)
        return time.process_time() - start

    return asyncio.run(hooks())


def measure(scheduler: MultiTurnScheduler, engine: ScriptedEngine, image: str) -> dict[str, Any]:
    """One trajectory's figures, in seconds and bytes."""
    OPENED.clear()
    own_s = time_hooks(scheduler, engine, image)
    opened = {"scheduler": len(OPENED)}
    engine.encode_s, engine.opened = 0.0, []
    start = time.process_time()
    output: RolloutOutput = asyncio.run(scheduler.run(request_for(image), RequestConfig()))
    output.model_dump_json()
    path_s = time.process_time() - start
    assert output.rollout_infos["num_turns"] == 2
    images = output.rollout_infos["images"]
    assert len(images) == 1 + len(BOXES_PX)
    OPENED.clear()
    start = time.process_time()
    engine.template.encode(InferRequest(output.messages[:-1], images=list(images)))
    train_s = time.process_time() - start
    shipped = output.model_dump_json(include={"messages", "rollout_infos"})
    opened |= {"query_1": engine.opened[0], "query_2": engine.opened[1], "training": len(OPENED)}
    return {
        "own_s": own_s,
        "path_s": path_s,
        "encode_s": engine.encode_s,
        "train_s": train_s,
        "bytes": len(shipped.encode()),
        "opened": opened,
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    figures = {name: median(run[name] for run in runs) for name in TIMES}
    figures = {f"{name[:-2]}_ms": round(1000 * seconds, 3) for name, seconds in figures.items()}
    return {**figures, "kilobytes": round(runs[0]["bytes"] / 1000, 2), "opened": runs[0]["opened"]}


def watch_openings(folder: str) -> None:
    """Note every opening of a file in a folder in OPENED."""

    def hook(event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and str(details[0]).startswith(folder):
            OPENED.append(str(details[0]))

    sys.addaudithook(hook)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    processor = get_processor(arguments.model, model_type="qwen2_5_vl")
    replies = scripted_replies(SIZE)
    sides: dict[str, tuple[MultiTurnScheduler, ScriptedEngine, Callable[[Path], str]]] = {}
    for name, scheduler, template_type, reference in (
        ("ours", ZoomInScheduler, "zoomin", lambda path: str(ImageRef.of(path))),
        ("deepeyes", ShrunkenCropScheduler, "qwen2_5_vl", str),
        ("deepeyes_decoding_once", DecodingOnceScheduler, "qwen2_5_vl", str),
    ):
        engine = ScriptedEngine(get_template(processor, template_type=template_type), replies)
        sides[name] = scheduler(engine, 2), engine, reference
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        photograph = Path(folder) / "photograph.jpg"
        make_photograph(photograph)
        watch_openings(folder)
        for repeat in range(1 + arguments.repeats):  # the first is warm-up
            for name, (scheduler, engine, reference) in sides.items():
                copy = Path(shutil.copy(photograph, Path(folder) / f"{name}{repeat}.jpg"))
                runs[name].append(measure(scheduler, engine, reference(copy)))
                copy.unlink()
        kilobytes = photograph.stat().st_size // 1000
    figures = {name: summary(runs[name][1:]) for name in sides}
    ours = figures["ours"]
    ratios = {
        f"{name}_over_ours": {figure: round(theirs[figure] / ours[figure], 2) for figure in ours if figure != "opened"}
        for name, theirs in figures.items()
        if name != "ours"
    }
    print(json.dumps({"benchmark": "scheduler", "photograph_kilobytes": kilobytes, **figures, **ratios}))


if __name__ == "__main__":
    main()
