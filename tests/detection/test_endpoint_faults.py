"""A server that fails in every way while 200 images are looked at: each is answered, or a row with its error."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from endpoint_faults import LABEL, NAMES, RETRIES, TIMEOUT_S, of_image
from endpoints import engine_at
from marked_images import OBJECT, marked
from scripted_server import ScriptedServer

from swift_zoomin.boxes import iou
from swift_zoomin.detection import Detector
from swift_zoomin.predictions import Outcome, outcome
from swift_zoomin.replies import GENERATED, REAL
from swift_zoomin.served.stopping import Stop

IMAGES = 200
CONCURRENCY = 16  # fewer than the failures in a row that would stop a run

pytestmark = pytest.mark.server


@dataclass
class Finished:
    rows: dict[int, dict[str, Any]]
    calls: Counter[tuple[int, int]]  # of each image and question
    count: int


async def pause_shortly(_: Stop, seconds: float) -> None:
    """The waits themselves are tested where the client is."""
    await asyncio.sleep(seconds / 20)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("images")
    for image in range(IMAGES):
        marked(image).save(folder / f"{image:05d}.png", compress_level=1)
    with ScriptedServer("endpoint_faults:answer") as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stop, "pause", pause_shortly)
        engine = engine_at(server.url, "detect", retries=RETRIES, timeout_s=TIMEOUT_S)
        detector = Detector(engine=engine, concurrency=CONCURRENCY)
        rows = list(detector.detect(map(str, sorted(folder.iterdir()))))
        engine.close()
        calls = Counter((call["image"], call["turn"]) for call in server.calls())
    return Finished({int(Path(row["image"]).stem): row for row in rows}, calls, len(rows))


def test_every_fault_has_images_and_every_image_one_row(finished: Finished) -> None:
    assert 4 * len(NAMES) < IMAGES
    assert finished.count == IMAGES
    assert finished.rows.keys() == set(range(IMAGES))


def test_a_fault_that_passes_leaves_no_trace(finished: Finished) -> None:
    for image, row in finished.rows.items():
        if of_image(image).is_forever:
            continue
        assert row["error"] is None, NAMES[image % len(NAMES)]
        assert (row["initial_verdict"], row["verdict"]) == (REAL, GENERATED)
        assert row["box_labels"] == [LABEL]
        assert iou(row["boxes"][0], OBJECT) > 0.95


def test_a_fault_that_stays_is_the_rows_error_and_tried_again_by_the_next_run(finished: Finished) -> None:
    for image, row in finished.rows.items():
        scenario = of_image(image)
        if not scenario.is_forever:
            continue
        assert row["error"].startswith("the server: "), row
        assert scenario.error in row["error"]
        assert len(row["replies"]) == scenario.turn - 1
        assert outcome(row) == Outcome.UNREAD


def test_each_question_is_asked_as_often_as_it_must_be(finished: Finished) -> None:
    for image in range(IMAGES):
        calls = [finished.calls[image, turn] for turn in (1, 2)]
        assert [count for count in calls if count] == of_image(image).calls, NAMES[image % len(NAMES)]
