"""What the four rewards cost over 1,024 two-turn completions, and that they open no image.

    python tests/benchmarks/rewards.py

Each completion is a trajectory as ms-swift hands it to a reward function: the last reply, the columns of the dataset,
and `rollout_infos` as `ZoomInScheduler` makes them. Every reply explains itself in 60 words; the first marks 3 regions.
The `images` refer to files that do not exist, and an audit hook, which Python calls at every opening of a file by
whatever code, counts image files. `seconds` are processor time, the median over `--repeats` rounds; `times_sacrebleu`
is the sum of the four over what sacrebleu alone takes for the same 1,024 pairs of texts.

Targets: under 0.5 seconds for all four, no image opened.
"""

import argparse
import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import PurePath
from statistics import median
from typing import Any

from PIL import Image
from swift.infer_engine.protocol import ChatCompletionResponseChoice, ChatMessage, RolloutInferRequest

from swift_zoomin import prompts
from swift_zoomin.checkpoints import QWEN_LIMITS
from swift_zoomin.families import Frame
from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.rewards import REWARDS
from swift_zoomin.plugin.scheduler import ZoomInScheduler
from swift_zoomin.replies import VERDICTS, Reply, parse_reply, render_reply
from swift_zoomin.scoring import bleu

NAMES = ("zoomin_format", "zoomin_iou", "zoomin_accuracy", "zoomin_bleu")
SIZE = (1024, 768)
WORDS = (
    "the letters on this sign melt into each other while shadows of people near a wall fall in two directions and left "
    "hand has six fingers whose skin looks waxy but reflection in window shows no lamp above roof so branches end "
    "without trunk behind fence edges glow blurred texture repeats along pavement"
)


def explanation(rng: random.Random) -> str:
    """60 words in sentences of 12."""
    sentences = [" ".join(rng.choices(WORDS.split(), k=12)).capitalize() + "." for _ in range(5)]
    return " ".join(sentences)


def boxes(rng: random.Random, count: int) -> list[list[float]]:
    corners = [(rng.randrange(SIZE[0] - 300), rng.randrange(SIZE[1] - 300)) for _ in range(count)]
    return [[x, y, x + rng.randrange(60, 300), y + rng.randrange(60, 300)] for x, y in corners]


def trajectory(index: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
    """A last completion and its columns, with the scheduler's own rollout_infos."""
    image = str(ImageRef(f"/nowhere/{index:06}.jpg", SIZE, limits=QWEN_LIMITS))
    first = Reply(rng.choice(VERDICTS), boxes(rng, 3), ["region"] * 3, explanation(rng))
    replies = [render_reply(first), render_reply(Reply("real", [], [], explanation(rng)), ("explanation", "verdict"))]
    request = RolloutInferRequest([{"role": "user", "content": prompts.query1(Frame.ABSOLUTE)}], images=[image])
    choices = [ChatCompletionResponseChoice(0, ChatMessage("assistant", reply), "stop") for reply in replies]
    scheduler = ZoomInScheduler()
    infos: dict[str, Any] = {"num_turns": 2}
    for turn, choice in enumerate(choices, 1):
        request.messages.append({"role": "assistant", "content": choice.message.content})
        infos |= asyncio.run(scheduler.on_turn_end(request, choice, turn))["rollout_infos"]
        if turn == 1:
            infos |= scheduler.step(request, choice, turn)["rollout_infos"]
    row = {
        "messages": request.messages,
        "images": [{"bytes": None, "path": image} for image in infos["images"]],
        "rollout_infos": infos,
        "is_truncated": False,
        "finish_reason": "stop",
        "label": rng.choice(VERDICTS),
        "explanation": explanation(rng),
        "boxes": boxes(rng, 3),
    }
    return replies[1], row


def watch_image_files() -> list[str]:
    """A list that grows by every image file that is opened, or tried to be, from now on."""
    Image.init()
    opened: list[str] = []

    def hook(event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and PurePath(str(details[0])).suffix.lower() in Image.registered_extensions():
            opened.append(str(details[0]))

    sys.addaudithook(hook)
    with suppress(FileNotFoundError):
        Image.open("/nowhere/000000.jpg")
    assert opened, "the audit hook sees nothing"
    opened.clear()
    return opened


def timed(call: Callable[[], list[Any]], count: int) -> float:
    """Seconds of processor time, which other programs on the machine do not count into."""
    gc.collect()
    start = time.process_time()
    scores = call()
    seconds = time.process_time() - start
    assert len(scores) == count
    assert None not in scores
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completions", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    rng = random.Random(0)
    completions, rows = zip(*(trajectory(index, rng) for index in range(arguments.completions)), strict=True)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    rewards = {name: REWARDS[name](args=None) for name in NAMES}
    calls: dict[str, Callable[[], list[Any]]] = {
        name: partial(reward, list(completions), trainer_state=None, **columns) for name, reward in rewards.items()
    }
    candidates = [parse_reply(text).explanation for text in completions]
    calls["sacrebleu_alone"] = lambda: list(map(bleu, candidates, columns["explanation"]))
    opened = watch_image_files()
    gc.freeze()
    rounds = [
        {name: timed(call, arguments.completions) for name, call in calls.items()} for _ in range(arguments.repeats)
    ]
    seconds = {name: round(median(one[name] for one in rounds), 4) for name in calls}
    total = round(median(sum(one[name] for name in NAMES) for one in rounds), 4)
    ratio = round(total / seconds["sacrebleu_alone"], 2)
    figures = {"completions": arguments.completions, "seconds": seconds, "total_seconds": total}
    print(json.dumps({"benchmark": "rewards", **figures, "times_sacrebleu": ratio, "images_opened": len(opened)}))


if __name__ == "__main__":
    main()
