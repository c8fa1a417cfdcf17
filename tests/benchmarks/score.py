"""Which samples make the better score: of the second look alone, or of whole exchanges.

    python tests/benchmarks/score.py MODEL RECORDS [K]

For each image K sampled second looks after its greedy first one, and K exchanges of which both looks are sampled, at
temperature 1 each (the one costs K + 2 replies an image, the other 2K). Prints the AUC and the calibration error (15
bins) of the bare share of "generated" of each, for all images and by `source`, which in the fading benchmark says how
hard they are.
"""

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from swift_zoomin.detection.deciding import verdict_of
from swift_zoomin.detection.detector import CONCURRENCY, exchange, open_checkpoint
from swift_zoomin.detection.engine import SwiftEngine
from swift_zoomin.detection.in_flight import in_flight
from swift_zoomin.detection.score import TEMPERATURE, sample, share
from swift_zoomin.episode import Answer, Conversation, Engine, Episode
from swift_zoomin.evaluation.curves import ScoreFigures
from swift_zoomin.images import ImageError
from swift_zoomin.records import Record, read_records
from swift_zoomin.replies import GENERATED

REPLY_TOKENS = 80  # of the sandbox's replies
Shares = tuple[Record, float | None, float]  # of second looks and of whole exchanges


class Sampling:
    """An engine that samples every reply, with one seed."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self._engine, self._seed, self.limits = engine, seed, engine.limits

    async def answer(self, conversation: Conversation, *greedy: object) -> Answer | ImageError:
        return await self._engine.answer(conversation, TEMPERATURE, self._seed)

    def close(self) -> None:
        self._engine.close()


async def shares_of(engine: Engine, samples: int, record: Record) -> Shares:
    def begun() -> Conversation:
        return Conversation(Episode(record.image.under(engine.limits)))

    greedy = begun()
    await exchange(engine, greedy)
    second = await sample(engine, greedy, samples)
    whole = []
    for number in range(samples):
        conversation = begun()
        await exchange(Sampling(engine, number), conversation)
        whole.append(verdict_of(conversation))
    return record, None if second is None else share(second), share(whole)


def told(name: str, results: Sequence[Shares]) -> str:
    """A line of the table: AUC and calibration error of both candidates."""
    is_generated = np.array([record.label == GENERATED for record, *_ in results])
    cells = []
    for candidate in (1, 2):
        scores = np.array([result[candidate] for result in results], dtype=float)
        figures = ScoreFigures(scores, is_generated).under(np.ones((1, len(results))))
        cells.append(f"{figures['auc'][0]:.3f}  {figures['ece'][0]:.3f}")
    return f"{name:16} {len(results):6}   {cells[0]}      {cells[1]}"


def main() -> None:
    model, records_file, *rest = sys.argv[1:]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    samples = int(rest[0]) if rest else 8
    engine = SwiftEngine(open_checkpoint(model), "transformers", REPLY_TOKENS)
    records = read_records(Path(records_file), decode=False)
    results = list(in_flight(partial(shares_of, engine, samples), records, CONCURRENCY))
    print(f"{'':16} images   second looks      whole exchanges\n{'':25} AUC    ECE        AUC    ECE")
    print(told("all", results))
    for source in sorted({str(record.extra.get("source")) for record, *_ in results}):
        print(told(source, [result for result in results if str(result[0].extra.get("source")) == source]))
    engine.close()


if __name__ == "__main__":
    main()
