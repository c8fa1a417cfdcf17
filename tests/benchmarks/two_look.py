"""What a second look costs in wall time: two replies of N tokens against one reply of 2N, and of N, with real vLLM.

    python tests/benchmarks/two_look.py --model output/grpo2/checkpoint-N --records data/test/records.jsonl

The first 64 images of the records go through `ZoomInScheduler.async_infer`, greedily, each time with empty caches; one
look is the same scheduler with `max_turns=1`. Every reply has exactly N (or 2N) tokens and ends by itself: ms-swift's
`pre_infer_hook` gives vLLM a minimum length and, for the last token, a bias towards the end of the turn. So first
replies are stopped, not cut, and the trajectory goes on as it would; no scheduler or engine is changed. Set MAX_PIXELS
as in training.

The engine decodes `--max-num-seqs` requests at a time and the others wait, as in a rollout of more completions than the
engine has places: while some are decoded, the next prompts are prepared. With all 64 at once, replies of one length end
within a few steps, and the engine runs half empty until their second prompts come.

It has one process, as vLLM has on one GPU. On a CPU vLLM would take two, and does not support one, because it cannot
set OpenMP's threads in it: set OMP_NUM_THREADS=1.

The three passes follow each other in every round, each first in turn. Ratios are taken within a round, and their
quartiles over the rounds printed: of wall time, and of the processor time of this process and the engine's. On a shared
machine a median needs some 40 rounds. `prefix_cache` is from vLLM's own counters: of the prompt tokens of query 2, how
many were cached (`of_prompt`); of the tokens of query 1 and its reply, how many were not computed again (`of_known`),
and of those in whole blocks, which is what vLLM can keep (`of_whole_blocks`).

Targets: two looks at most 1.3 times one look of 2N tokens, and 2.0 times one of N; `of_whole_blocks` 1. The shorter the
replies, the more the second prefill weighs; the longer, the more its longer context.
"""

import argparse
import asyncio
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB

import psutil  # type: ignore[import-untyped]
import torch
from swift.infer_engine import GRPOVllmEngine, RequestConfig
from swift.infer_engine.protocol import RolloutInferRequest, RolloutOutput
from vllm.v1.metrics.reader import Counter, get_metrics_snapshot

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin import prompts
from swift_zoomin.episode import MAX_CROPS
from swift_zoomin.families import Frame
from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.scheduler import ZoomInScheduler
from swift_zoomin.records import Record, read_records

BLOCK = 32  # tokens that the prefix cache keeps or misses together; the smallest that vLLM's CPU attention is fast with
PROMPT, HITS = "vllm:prefix_cache_queries", "vllm:prefix_cache_hits"  # prompt tokens asked for, and found


def open_engine(model: str, max_num_seqs: int) -> GRPOVllmEngine:
    return GRPOVllmEngine(
        model,
        model_type="qwen2_5_vl",
        template_type="zoomin",
        torch_dtype=None if torch.cuda.is_available() else torch.float32,
        use_async_engine=True,
        enable_prefix_caching=True,
        enforce_eager=True,
        max_num_seqs=max_num_seqs,
        distributed_executor_backend="vllm.v1.executor.uniproc_executor.UniProcExecutor",
        max_model_len=4096,
        limit_mm_per_prompt={"image": 1 + MAX_CROPS, "video": 0},
        engine_kwargs={"disable_log_stats": False, "block_size": BLOCK},
    )


def counter(name: str) -> int:
    return sum(metric.value for metric in get_metrics_snapshot() if isinstance(metric, Counter) and metric.name == name)


def processor_seconds() -> float:
    """Of this process and the engine's."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def copies(records: list[Record], folder: Path) -> list[str]:
    """References to new copies of the images, which no cache has seen."""
    paths = [Path(record.image.path) for record in records]
    return [str(ImageRef.of(shutil.copy(path, folder / f"{index}{path.suffix}"))) for index, path in enumerate(paths)]


async def look(engine: GRPOVllmEngine, images: list[str], turns: int, tokens: int) -> dict[str, Any]:
    """Wall seconds and counters of one pass over all images, from empty caches."""

    def exactly(arguments: dict[str, Any]) -> dict[str, Any]:
        sampling = arguments["generation_config"]
        sampling.min_tokens = tokens - 1
        sampling.logit_bias = {engine.tokenizer.eos_token_id: 100.0}
        return arguments

    await engine.engine.reset_mm_cache()
    await engine.engine.reset_encoder_cache()
    assert await engine.engine.reset_prefix_cache()
    requests = [
        RolloutInferRequest([{"role": "user", "content": prompts.query1(Frame.ABSOLUTE)}], images=[image])
        for image in images
    ]
    config = RequestConfig(max_tokens=tokens, temperature=0, return_details=True)
    scheduler = ZoomInScheduler(engine, turns)
    before = counter(PROMPT), counter(HITS), processor_seconds(), time.perf_counter()
    outputs: list[RolloutOutput] = await scheduler.async_infer(requests, config, use_tqdm=False, pre_infer_hook=exactly)
    after = counter(PROMPT), counter(HITS), processor_seconds(), time.perf_counter()
    assert [len(reply) for output in outputs for reply in output.response_token_ids] == [tokens] * turns * len(images)
    names = ("prompt_tokens", "prefix_hits", "cpu_s", "wall_s")
    spent = {name: late - early for name, early, late in zip(names, before, after, strict=True)}
    return {**spent, "crops": sum(output.rollout_infos.get("crops", 0) for output in outputs)}


async def measure(engine: GRPOVllmEngine, records: list[Record], tokens: int, rounds: int) -> dict[str, list[Any]]:
    """All three looks in every round; the first round is warm-up and left out."""
    looks = {"two_looks": (2, tokens), "one_look_2n": (1, 2 * tokens), "one_look_n": (1, tokens)}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in looks}
    for repeat in range(1 + rounds):
        for name in (list(looks) * 2)[repeat % 3 : repeat % 3 + 3]:
            turns, length = looks[name]
            with tempfile.TemporaryDirectory() as folder:
                runs[name].append(await look(engine, copies(records, Path(folder)), turns, length))
    return {name: passes[1:] for name, passes in runs.items()}


def ratios(runs: dict[str, list[Any]], figure: str) -> dict[str, list[float]]:
    """Two looks over each of the others: quartiles of the rounds' own ratios."""
    two = runs["two_looks"]
    over = {name: [a[figure] / b[figure] for a, b in zip(two, runs[name], strict=True)] for name in list(runs)[1:]}
    return {name: [round(part, 3) for part in quantiles(values)] for name, values in over.items()}


def prefix_hits(two: dict[str, Any], one: dict[str, Any], images: int, tokens: int) -> dict[str, float]:
    """How much of query 2 came from the cache; `one` is a pass that asked query 1 alone."""
    prompt, hits = two["prompt_tokens"] - one["prompt_tokens"], two["prefix_hits"] - one["prefix_hits"]
    known = one["prompt_tokens"] // images + tokens  # query 1 and its reply
    return {
        "query_2_prompt_tokens": prompt,
        "query_2_cached_tokens": hits,
        "of_prompt": round(hits / prompt, 3),
        "of_known": round(hits / (images * known), 3),
        "of_whole_blocks": round(hits / (images * (known // BLOCK * BLOCK)), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--records", required=True, type=Path)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--max-num-seqs", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64, help="N")
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    if arguments.rounds < 2:
        parser.error("--rounds: expected at least 2, for quartiles")
    records = read_records(arguments.records)[: arguments.images]
    engine = open_engine(arguments.model, arguments.max_num_seqs)
    runs = asyncio.run(measure(engine, records, arguments.tokens, arguments.rounds))
    engine.engine.shutdown()
    two, one = runs["two_looks"][0], runs["one_look_n"][0]
    figures = {
        "images": len(records),
        "n": arguments.tokens,
        "max_num_seqs": arguments.max_num_seqs,
        "crops": two["crops"],
        "wall_s": {name: round(median(one["wall_s"] for one in passes), 3) for name, passes in runs.items()},
        "cpu_s": {name: round(median(one["cpu_s"] for one in passes), 3) for name, passes in runs.items()},
        "wall_two_looks_over": ratios(runs, "wall_s"),
        "cpu_two_looks_over": ratios(runs, "cpu_s"),
        "prefix_cache": prefix_hits(two, one, len(records), arguments.tokens),
    }
    print(json.dumps({"benchmark": "two_look", **figures}))


if __name__ == "__main__":
    main()
