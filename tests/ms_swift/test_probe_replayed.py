"""A stored exchange is replayed as it was: with a real model the same question gets the same answer."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from test_detect_command import zoomin

from swift_zoomin.boxes import box_area
from swift_zoomin.detection.detector import open_checkpoint
from swift_zoomin.detection.engine import SwiftEngine
from swift_zoomin.detection.in_flight import event_loop
from swift_zoomin.episode import Episode
from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.reply_tokens import ReplyTokens
from swift_zoomin.predictions import read_predictions
from swift_zoomin.probes import read_probes
from swift_zoomin.probing.held import on_disk
from swift_zoomin.probing.probe import PLAINLY, Questions


def test_splitting_a_reply_leaves_the_tokenizer_of_all_threads_as_it_is(processor: Any) -> None:
    """Else a question that another thread encodes at that moment loses its images."""
    tokenizer = processor.tokenizer
    ids = ReplyTokens(tokenizer).of_text("<|image_pad|>")
    assert processor.image_token_id not in ids
    assert len(ids) > 1
    assert not tokenizer.backend_tokenizer.encode_special_tokens


@pytest.mark.swift
def test_a_stored_first_reply_leads_to_the_second_one_again_and_can_be_probed(
    trained_dir: Path, benchmark_dir: Path, tmp_path: Path
) -> None:
    records, out = benchmark_dir / "test/records.jsonl", tmp_path / "predictions.jsonl"
    zoomin("detect", records, "--model", trained_dir, "--max-new-tokens", 100, "--out", out)
    predictions = read_predictions(out)
    engine = SwiftEngine(open_checkpoint(str(trained_dir)), "transformers", 100)

    async def second_reply(path: Path) -> Any:
        image = ImageRef.of(path).under(engine.limits)
        with on_disk() as hold:
            questions = Questions(Episode(image, predictions[path]["replies"][:1]), PLAINLY, hold)
            return await engine.answer(questions.as_it_was)

    async def second_replies() -> list[Any]:
        return await asyncio.gather(*map(second_reply, predictions))

    answers = asyncio.run_coroutine_threadsafe(second_replies(), event_loop()).result()
    engine.close()
    assert [answer.text for answer in answers] == [row["replies"][1] for row in predictions.values()]

    printed = zoomin("probe", out, "--model", trained_dir, "--samples", 2, "--out", tmp_path / "probes.jsonl")
    # So young a model leaves some images without a region, or marks one outside of them.
    marked = {path: [box for box in row["boxes"] if box_area(box)] for path, row in predictions.items()}
    assert f"8 images: {sum(map(bool, marked.values()))} probed" in printed
    assert any(marked.values())
    probes = read_probes(tmp_path / "probes.jsonl")
    assert probes.keys() == predictions.keys()
    assert [[*region.box] for probe in probes.values() for region in probe.regions] == [
        box for path in probes for box in marked[path]
    ]
    assert json.loads((tmp_path / "probes.jsonl").read_text().splitlines()[0])["error"] is None
