"""Whether a `swift rollout` server keeps to its memory and its temporary folder over thousands of trajectories.

    PYTHONPATH=tests python tests/benchmarks/memory.py \
        --model output/grpo2/checkpoint-N --records data/test/records.jsonl

The images are asked about in turn, again and again, in batches over HTTP, as ms-swift's trainer asks. `*_mb` is the
resident memory (VmRSS) of the server and all its workers together, what they share counted in each; `growth_percent`
is what the second half added to it. `temporary_files` are entries in the server's TMPDIR, at any depth, that are new
since its first batch, which is not counted (torch keeps what it compiles there). `two_turns` counts the trajectories
that reached query 2. The pixel limit is the quickstart's.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from rollout_server import RolloutServer
from swift.infer_engine.protocol import RolloutInferRequest

from swift_zoomin import prompts
from swift_zoomin.families import Frame
from swift_zoomin.records import Record, read_records


def resident_mb(server: RolloutServer) -> float:
    return sum(process.memory_info().rss for process in server.processes()) / 1e6


def roll_out(server: RolloutServer, records: list[Record], numbers: range, options: argparse.Namespace) -> int:
    """Trajectories `numbers` of the run, in batches; how many had two turns."""
    two_turns = 0
    for start in range(numbers.start, numbers.stop, options.batch):
        batch = range(start, min(start + options.batch, numbers.stop))
        asked = [
            RolloutInferRequest(
                messages=[{"role": "user", "content": prompts.query1(Frame.ABSOLUTE)}],
                images=[str(records[number % len(records)].image)],
                uuid=str(number),
            )
            for number in batch
        ]
        outputs = server.infer(
            asked, max_tokens=options.max_tokens, temperature=options.temperature, logprobs=True, return_details=True
        )
        two_turns += sum(output.rollout_infos["num_turns"] == 2 for output in outputs)
    return two_turns


def measure(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    records = read_records(options.records)
    half, count = options.trajectories // 2, options.trajectories
    with RolloutServer(options.model, folder) as server:
        server.wait()
        ready_mb = resident_mb(server)
        roll_out(server, records, range(count, count + options.batch), options)
        before, start = set(server.temporary.rglob("*")), time.monotonic()
        two_turns = roll_out(server, records, range(half), options)
        first_mb = resident_mb(server)
        print(f"after {half} trajectories: {first_mb:.0f} MB; {ready_mb:.0f} MB when it was ready", flush=True)
        two_turns += roll_out(server, records, range(half, count), options)
        second_mb, seconds = resident_mb(server), time.monotonic() - start
        left = set(server.temporary.rglob("*")) - before
        print(f"after {count} trajectories: {second_mb:.0f} MB; {len(left)} temporary files left", flush=True)
    return {
        "trajectories": count,
        "two_turns": two_turns,
        "seconds": round(seconds, 1),
        "ready_mb": round(ready_mb, 1),
        "first_half_mb": round(first_mb, 1),
        "second_half_mb": round(second_mb, 1),
        "growth_percent": round(100 * (second_mb / first_mb - 1), 2),
        "temporary_files": len(left),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a trained tiny Qwen2.5-VL")
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--trajectories", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=32, help="requests sent at once")
    parser.add_argument("--max-tokens", type=int, default=100, help="of one reply")
    parser.add_argument("--temperature", type=float, default=1.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(measure(chosen, Path(scratch))))
