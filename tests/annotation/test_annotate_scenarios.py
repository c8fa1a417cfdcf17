"""500 images over all scenarios of a service, through one `zoomin annotate`: each ends as it must, at its price."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from annotate_runs import command, draw, number, rows, run
from marked_images import OBJECT, SIZE, marked
from PIL import Image
from scenario import RETRIES, TIMEOUT_S, Scenario
from scenarios import NAMES, SCENARIOS, of_image
from scripted_server import STEPS, ScriptedServer

from swift_zoomin.boxes import scale_box

IMAGES = 500
# What turns the pixels of an upright picture into those of a file with this EXIF orientation.
TO_FILE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}

pytestmark = pytest.mark.server


@dataclass
class Finished:
    out: Path
    printed: str
    status: int
    records: dict[int, dict]
    rejected: dict[int, dict]
    counts: Counter[tuple[str, int]]


def draw_image(folder: Path, image: int, scenario: Scenario) -> None:
    picture = marked(image, scenario.size, scale_box(OBJECT, SIZE, scenario.size))
    file = folder / f"{image:05d}.png"
    if scenario.orientation == 1:
        picture.save(file, compress_level=1)
    else:
        exif = Image.Exif()
        exif[0x0112] = scenario.orientation
        picture.transpose(TO_FILE[scenario.orientation]).save(file.with_suffix(".jpg"), exif=exif, quality=95)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    folder = tmp_path_factory.mktemp("scenarios")
    (folder / "images").mkdir()
    for image in range(IMAGES):
        draw_image(folder / "images", image, of_image(image))
    with ScriptedServer("scenarios:answer") as server:
        arguments = command(server, folder / "out", folder / "images")
        arguments += ["--label", "generated", "--concurrency", "16"]
        arguments += ["--timeout", str(TIMEOUT_S), "--retries", str(RETRIES)]
        done = run(arguments)
        records = {number(row): row for row in rows(folder / "out/records.jsonl")}
        rejected = {number(row): row for row in rows(folder / "out/rejected.jsonl")}
        yield Finished(folder / "out", done.stdout + done.stderr, done.returncode, records, rejected, server.counts())


def test_there_are_at_least_sixty_scenarios_and_each_has_images() -> None:
    assert len(SCENARIOS) >= 60
    assert len(SCENARIOS) * 3 <= IMAGES


def test_every_image_is_a_record_or_a_rejection_and_the_run_says_so(finished: Finished) -> None:
    assert finished.status == 0, finished.printed[-3000:]
    assert finished.records.keys() | finished.rejected.keys() == set(range(IMAGES))
    assert not finished.records.keys() & finished.rejected.keys()
    assert "Traceback" not in finished.printed
    expected = sum(bool(of_image(image).rejected) for image in range(IMAGES))
    assert len(finished.rejected) == expected
    assert len(rows(finished.out / "records.jsonl")) + len(rows(finished.out / "rejected.jsonl")) == IMAGES


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_ends_as_it_must(name: str, finished: Finished) -> None:
    scenario = SCENARIOS[name]
    for image in range(NAMES.index(name), IMAGES, len(NAMES)):
        assert tuple(finished.counts[step, image] for step in STEPS) == scenario.calls
        if scenario.rejected:
            assert scenario.rejected in finished.rejected[image]["reason"]
        else:
            check_record(finished.records[image], scenario)


def check_record(record: dict, scenario: Scenario) -> None:
    assert record["label"] == "generated"
    assert record["explanation"] == scenario.explanation
    off_px = max(2.0, *(side / 100 for side in scenario.size)) if scenario.size != SIZE else 0.01
    assert len(record["boxes"]) == len(scenario.boxes)
    for box, expected in zip(record["boxes"], scenario.boxes, strict=True):
        assert box == pytest.approx(list(expected), abs=off_px)
    if scenario.labels is not None:
        assert record["box_labels"] == list(scenario.labels)


def test_the_records_are_records(finished: Finished) -> None:
    checked = run(["check", str(finished.out / "records.jsonl")])
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_an_image_about_which_a_server_is_silent_for_ever_is_left_with_its_reason(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", range(3))
    with ScriptedServer("scenarios:answer_the_first_alone") as server:
        arguments = [*command(server, tmp_path / "out", images), "--label", "real", "--timeout", "1", "--retries", "1"]
        assert run(arguments).returncode == 0
        assert server.counts() == {(step, 0): 1 for step in STEPS} | {("explain", 1): 2, ("explain", 2): 2}
    reasons = [row["reason"] for row in rows(tmp_path / "out/rejected.jsonl")]
    assert reasons == ["the server: no answer within 1 s (asked 2 times)"] * 2
