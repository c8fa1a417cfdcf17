"""Nothing a model says breaks a run: the parser, the second query, the scheduler and every reward."""

import asyncio
import json
import random
import time

from conftest import trainer_of
from reply_texts import CANONICAL, PIECES, TOKENS
from swift.infer_engine.protocol import ChatCompletionResponseChoice, ChatMessage, RolloutInferRequest

from swift_zoomin import prompts
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.episode import MAX_CROPS, Episode
from swift_zoomin.families import QWEN2_5_VL, Frame
from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.rewards import REWARDS
from swift_zoomin.plugin.scheduler import ZoomInScheduler

LIMITS = PixelLimits(4 * 784, 256 * 784, QWEN2_5_VL)  # 28 x 28 pixels a token
IMAGE = ImageRef("/images/a b.png", (1000, 700), limits=LIMITS)  # seen as 532 x 364 under a limit of 256 image tokens
COLUMNS = {
    "label": "generated", "explanation": "The letters on the sign melt.", "boxes": [[225.0, 169.0, 489.0, 365.0]],
    "images": [{"bytes": None, "path": str(IMAGE)}],
}  # fmt: skip
INSERTED = [
    *PIECES, *"ſıİ\x00\u2028\ud800", "<bbox>", "<ref-object>", "<|image_pad|>", "<|vision_start|>", "NaN", "Infinity",
    "\\ud800", "-1e308", "1e308", "9" * 400, "[" * 50, '{"a":' * 20, CANONICAL, TOKENS, "<verdict>real</verdict>",
]  # fmt: skip
EXTREME = [
    "", "\x00" * 1000, "[" * 100_000, "[" * 50_000 + "]" * 50_000, "{" * 100_000, '{"bbox_2d":' * 10_000, "\ud800",
    json.dumps([{"bbox_2d": [n, n, n + 30, n + 30], "label": "x"} for n in range(10_000)]),
    f"[0, 0, {'9' * 5000}, 9]", "[-1e308, -1e308, 1e308, 1e308]", "[1e-320, 0, 2e-320, 1]", "[531.9999, 0, 532, 364]",
]  # fmt: skip


def mutated(rng: random.Random) -> str:
    """The canonical reply with a few spans deleted, doubled, replaced or set behind something else, or cut."""
    text = CANONICAL
    for _ in range(rng.randint(1, 6)):
        start, end = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        span, inserted = text[start:end], rng.choice(INSERTED)
        tail = rng.choice((text[end:], text[end:], text[end:], ""))
        text = (text[:start] + rng.choice(("", span * 2, inserted, inserted + span)) + tail)[:900]
    return text


async def roll_out(first: str, second: str, scheduler: ZoomInScheduler) -> dict:
    """Both turns as ms-swift plays them; what the reward functions get in `rollout_infos`."""
    request = RolloutInferRequest(
        messages=[{"role": "user", "content": prompts.query1(Frame.ABSOLUTE)}], images=[str(IMAGE)]
    )
    infos: dict = {}
    for turn, text in ((1, first), (2, second)):
        choice = ChatCompletionResponseChoice(0, ChatMessage("assistant", text), "stop", token_ids=[1])
        request.messages.append({"role": "assistant", "content": text})
        infos |= (await scheduler.on_turn_end(request, choice, turn))["rollout_infos"]
        if turn == 1:
            infos |= scheduler.step(request, choice, turn)["rollout_infos"]
    return infos


def assert_inside(boxes: list[list[float]]) -> None:
    for x1, y1, x2, y2 in boxes:
        assert 0 <= x1 <= x2 <= 1000
        assert 0 <= y1 <= y2 <= 700


def test_no_reply_breaks_a_run() -> None:
    start, rng = time.thread_time(), random.Random(5)
    replies = [*EXTREME, *(mutated(rng) for _ in range(1000))]
    for text in replies:
        episode = Episode(IMAGE, [text])
        question = episode.next_question()
        assert question
        assert question.text == prompts.query2(len(question.images))  # no word of the reply enters
        assert len(question.images) <= MAX_CROPS
        assert_inside([*episode.boxes_px, *(image.window for image in question.images if image.window)])
    pairs, scheduler = list(zip(replies, reversed(replies), strict=True)), ZoomInScheduler()
    with asyncio.Runner() as runner:
        infos = [runner.run(roll_out(*pair, scheduler)) for pair in pairs]
    assert [tuple(info["replies"]) for info in infos] == pairs
    assert json.dumps(infos)  # they travel between processes
    assert_scored(replies, [{}] * len(replies))
    assert_scored([info["replies"][1] for info in infos[::2]], infos[::2])  # every reply is a first or a last one
    assert time.thread_time() - start < 20


def assert_scored(completions: list[str], rollout_infos: list[dict]) -> None:
    batch = {name: [value] * len(completions) for name, value in COLUMNS.items()}
    for name, reward in REWARDS.items():
        with trainer_of(LIMITS):
            scores = reward(args=None)(completions, rollout_infos=rollout_infos, **batch)
        assert len(scores) == len(completions)
        assert all(score is None or 0 <= score <= 1 for score in scores), name
