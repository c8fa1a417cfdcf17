"""How much of what the client library can do `zoomin annotate` reaches, and whether its memory grows with the images.

    PYTHONPATH=tests:tests/annotation python tests/benchmarks/annotate.py speed
    PYTHONPATH=tests:tests/annotation python tests/benchmarks/annotate.py memory

`speed`: 64 calls at a time against a server that answers after 200 ms. `command` and `bare_loop` are calls a second,
between the first and the last call as the server sees them. The bare loop is the same client library with 64 workers
that send the very same payloads, made beforehand, and do nothing with the answers. The two take turns; `ratio` is the
median of the rounds' ratios. At most 320 calls a second are possible. `memory`: the resident memory of a run over
20,000 small images, once 2,000 and once all of them are annotated.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import openai
import psutil
from annotate_runs import command, environment
from marked_images import OBJECT, SIZE, marked
from scenario import EXPLANATION, LABEL
from scripted_server import ScriptedServer

from swift_zoomin.annotation.dialogue import Answer, Question, Seen, Step, annotate
from swift_zoomin.annotation.sent import png_data_uri, size_to_send
from swift_zoomin.families import Frame

CONCURRENCY, LATENCY_MS = 64, 200
PATCH_PX, MAX_PIXELS = 28, 1280 * 28 * 28
SMALL = (64, 48)


def draw(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    folder.mkdir()
    files = [folder / f"{number:05d}.png" for number in range(count)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(draw_one, size), files, chunksize=64))
    return files


def draw_one(size: tuple[int, int], file: Path) -> None:
    scale = size[0] / SIZE[0]
    marked(int(file.stem), size, tuple(scale * edge for edge in OBJECT)).save(file, compress_level=1)


def start(server: ScriptedServer, folder: Path, out: Path) -> subprocess.Popen[bytes]:
    arguments = [*command(server, out, folder), "--label", "real", "--concurrency", str(CONCURRENCY)]
    return subprocess.Popen(
        [sys.executable, "-m", "swift_zoomin.cli", *arguments],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


# ---- speed


def questions(size: tuple[int, int]) -> Iterator[Question]:
    """What is asked about an image that is answered well."""
    boxes = json.dumps([{"bbox_2d": list(OBJECT), "label": LABEL}])
    answers = {Step.EXPLAIN: EXPLANATION, Step.GROUND: boxes}
    answers[Step.FILTER] = json.dumps([{"number": 1, "decision": "keep", "reason": "as asked"}])
    dialogue = annotate(Seen("real", size, size_to_send(size, PATCH_PX, MAX_PIXELS), Frame.ABSOLUTE))
    question = next(dialogue)
    while True:
        yield question
        try:
            question = dialogue.send(Answer(answers[question.step]))
        except StopIteration:
            return


def payloads(files: list[Path]) -> list[dict[str, Any]]:
    asked = list(questions(SIZE))
    made = []
    for file in files:
        picture = {
            "type": "image_url",
            "image_url": {"url": png_data_uri(file, size_to_send(SIZE, PATCH_PX, MAX_PIXELS))},
        }
        for question in asked:
            content = [picture, {"type": "text", "text": question.prompt}]
            made.append(
                {
                    "model": str(question.step),
                    "messages": [{"role": "user", "content": content}],
                    "max_tokens": question.max_tokens,
                    "temperature": 0.0,
                }
            )
    return made


async def bare_loop(server: ScriptedServer, made: list[dict[str, Any]]) -> None:
    left = iter(made)

    async def work(client: openai.AsyncOpenAI) -> None:
        for payload in left:
            await client.chat.completions.create(**payload)

    async with openai.AsyncOpenAI(base_url=server.url, api_key="sk-test", max_retries=0) as client:
        await asyncio.gather(*(work(client) for _ in range(CONCURRENCY)))


def calls_a_second(server: ScriptedServer) -> float:
    times = sorted(call["time"] for call in server.calls())
    server.forget()
    return (len(times) - 1) / (times[-1] - times[0])


def measure_speed(folder: Path, images: int, rounds: int) -> dict[str, Any]:
    files = draw(folder / "images", images, SIZE)
    made = payloads(files)
    measured: dict[str, list[float]] = {"command": [], "bare_loop": []}
    with ScriptedServer("scenarios:answer_well", LATENCY_MS) as server:
        for number in range(rounds):
            asyncio.run(bare_loop(server, made))
            measured["bare_loop"].append(calls_a_second(server))
            assert start(server, folder / "images", folder / f"out{number}").wait() == 0
            assert server.number() == len(made)
            measured["command"].append(calls_a_second(server))
            print(f"round {number}:", {name: round(values[-1], 1) for name, values in measured.items()}, flush=True)
    ratios = [ours / bare for ours, bare in zip(measured["command"], measured["bare_loop"], strict=True)]
    return {
        "images": images,
        "calls": len(made),
        **{name: round(median(values), 1) for name, values in measured.items()},
        "ratio": round(median(ratios), 3),
    }


# ---- memory


def measure_memory(folder: Path, images: int) -> dict[str, Any]:
    draw(folder / "images", images, SMALL)
    sizes_mb: dict[int, float] = {}
    with ScriptedServer("scenarios:answer_well") as server:
        run = start(server, folder / "images", folder / "out")
        process, begun = psutil.Process(run.pid), time.monotonic()
        while run.poll() is None:
            done = server.number() // len(Step)
            size_mb = process.memory_info().rss / 1e6 if process.is_running() else 0.0
            if done // (images // 10) > len(sizes_mb) - 1 and size_mb:
                sizes_mb[done] = round(size_mb, 1)
                print(f"{done} images, {time.monotonic() - begun:.0f} s: {size_mb:.0f} MB", flush=True)
            time.sleep(0.5)
        assert run.returncode == 0
    values = list(sizes_mb.values())
    return {
        "images": images,
        "tenth_mb": values[1],
        "all_mb": values[-1],
        "growth": round(values[-1] / values[1] - 1, 3),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "memory"))
    parser.add_argument("--images", type=int, help="default: 1000 for speed, 20000 for memory")
    parser.add_argument("--rounds", type=int, default=3, help="of speed")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if chosen.what == "speed":
            print(json.dumps(measure_speed(Path(scratch), chosen.images or 1000, chosen.rounds)))
        else:
            print(json.dumps(measure_memory(Path(scratch), chosen.images or 20_000)))
