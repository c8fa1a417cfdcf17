"""Images a second of detection on vLLM: exchanges that wait for nobody, against batches, one at a time, and a limit.

    python tests/benchmarks/detect_throughput.py [--images 256] [--concurrency 32] [--engine vllm]

The tiny model has random weights and ends no reply, so that each reply is as long as it is told: from 8 to 80 tokens,
drawn for each image and look, the same for all orders. Every order gets pictures of its own, of one size, so that none
finds its prefixes in vLLM's cache because of another. Orders, all on one engine in one process:

    exchanges   the Detector: so many in flight, each second look right after its first
    batches     so many first looks together, then, when all of them have ended, their second looks (the order before)
    one         one image at a time, over an eighth of the images
    limit       the prompts and replies of `exchanges` as single requests that wait for nobody, so many in flight
"""

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

from PIL import Image

from swift_zoomin.checkpoints import read_checkpoint
from swift_zoomin.detection import Detector
from swift_zoomin.detection.engine import SwiftEngine
from swift_zoomin.detection.in_flight import event_loop, in_flight
from swift_zoomin.episode import Answer, Conversation, Episode
from swift_zoomin.images import ImageError, ImageRef

EXAMPLES = Path(__file__).parents[2] / "examples"
SHORTEST, LONGEST = 8, 80  # tokens of a reply
SIDE_PX = 112


class VariedLengths:
    """An engine whose replies have lengths drawn for each image's number and look, and count as whole."""

    def __init__(self, engine: SwiftEngine) -> None:
        self._engine, self.limits = engine, engine.limits
        self.asked: list[Conversation] = []

    async def answer(self, conversation: Conversation, *how: object) -> Answer | ImageError:
        self.asked.append(deepcopy(conversation))
        number, look = int(Path(conversation.images[0].path).stem), len(conversation.episode.replies)
        self._engine._max_new_tokens = random.Random(f"{number} {look}").randint(SHORTEST, LONGEST)
        reply = await self._engine.answer(conversation)  # it reads the length before it waits for the first time
        return Answer(reply.text, reply.token_ids, cut=False) if isinstance(reply, Answer) else reply

    def close(self) -> None:
        self._engine.close()


def pictures(folder: Path, count: int) -> Iterator[str]:
    """Paths of so many new pictures."""
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number}.png"
        noise = random.Random(f"{folder.name} {number}").randbytes(SIDE_PX * SIDE_PX * 3)
        Image.frombytes("RGB", (SIDE_PX, SIDE_PX), noise).save(path)
        yield str(path)


def in_batches(engine: VariedLengths, paths: list[str], size: int) -> int:
    """Two barriers a batch."""

    async def look(conversations: list[Conversation]) -> None:
        for conversation in conversations:
            conversation.ask()
        for conversation, reply in zip(
            conversations, await asyncio.gather(*map(engine.answer, conversations)), strict=True
        ):
            conversation.take(reply)

    for part in parts(paths, size):
        conversations = [Conversation(Episode(ImageRef.of(Path(path)).under(engine.limits))) for path in part]
        for _ in range(2):
            asyncio.run_coroutine_threadsafe(look(conversations), event_loop()).result()
    return len(paths)


def parts(paths: list[str], size: int) -> Iterator[list[str]]:
    return (paths[start : start + size] for start in range(0, len(paths), size))


def as_single_requests(engine: VariedLengths, asked: list[Conversation], paths: list[str], most: int) -> int:
    """What was asked, of other pictures: their prompts and replies have as many tokens."""
    requests = []
    for conversation in asked:
        number = int(Path(conversation.images[0].path).stem)
        image = ImageRef.of(Path(paths[number])).under(engine.limits)
        episode = Episode(image, conversation.episode.replies)
        requests.append(Conversation(episode, conversation.messages, [image]))
    return len(list(in_flight(engine.answer, requests, most))) // 2


def report(name: str, run: Callable[[], int]) -> float:
    started = time.perf_counter()
    count = run()
    rate = count / (time.perf_counter() - started)
    print(f"{name:10} {rate:7.2f} images a second", flush=True)
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="vllm")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder, count, most = Path(home), options.images, options.concurrency
        subprocess.run([sys.executable, EXAMPLES / "make_model.py", folder / "model"], check=True)
        engine = VariedLengths(
            SwiftEngine(read_checkpoint(folder / "model"), options.engine, LONGEST, memory_share=0.5)
        )
        warm, first, second, third, fourth = (
            list(pictures(folder / name, number))
            for name, number in (("w", most), ("a", count), ("b", count), ("c", count // 8), ("d", count))
        )
        list(Detector(engine=engine, concurrency=most).detect(warm))
        engine.asked.clear()
        exchanges = report("exchanges", lambda: len(list(Detector(engine=engine, concurrency=most).detect(first))))
        asked = list(engine.asked)
        batches = report("batches", lambda: in_batches(engine, second, most))
        one = report("one", lambda: len(list(Detector(engine=engine, concurrency=1).detect(third))))
        limit = report("limit", lambda: as_single_requests(engine, asked, fourth, most))
        for name, rate in (("batches", batches), ("one", one), ("limit", limit)):
            print(f"exchanges / {name}: {exchanges / rate:.2f}")
        engine.close()


if __name__ == "__main__":
    main()
