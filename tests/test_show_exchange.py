"""The picture of one exchange: which it shows, and that crops and numbers are those of the exchange."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from show_exchange import choose, draw_exchange

from swift_zoomin.drawing import GAP_PX, MARGIN_PX, MARK, NUMBER_PX, PANEL_PX, TITLE_PX
from swift_zoomin.evaluation.pairing import pair
from swift_zoomin.predictions import read_predictions
from swift_zoomin.records import RecordError, read_records

TOP_PX = MARGIN_PX + 2 * TITLE_PX  # where the panels begin
THIRD_LEFT = MARGIN_PX + 2 * (PANEL_PX + MARGIN_PX)


def first_reply(boxes_model: list[list[int]], verdict: str) -> str:
    regions = json.dumps([{"bbox_2d": box, "label": "panel"} for box in boxes_model])
    return f"<explanation>Smooth.</explanation><regions>{regions}</regions><verdict>{verdict}</verdict>"


def prediction(name: str, boxes_model: list[list[int]], initial: str, final: str) -> dict[str, Any]:
    """Of a 448 x 448 image that the model is shown as 112 x 112: a model pixel is four of the original."""
    return {
        "image": name,
        "verdict": final,
        "initial_verdict": initial,
        "boxes": [[4 * number for number in box] for box in boxes_model],
        "replies": [first_reply(boxes_model, initial), f"<explanation>No.</explanation><verdict>{final}</verdict>"],
        "made_by": "model tiny|regions first|family Qwen2.5-VL|pixels 3136-12544|tokens 80",
    }


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Four generated images, each quarter of them of a plain colour, and answers to them."""
    image = Image.new("RGB", (448, 448), "blue")
    image.paste("lime", (224, 0, 448, 224))
    one, two = [[0, 0, 56, 56]], [[0, 0, 56, 56], [56, 0, 112, 56]]
    answers = [
        prediction("right_at_once.png", two, "generated", "generated"),
        prediction("corrected.png", one, "real", "generated"),
        prediction("corrected_two.png", two, "real", "generated"),
        prediction("never_right.png", two, "real", "real"),
    ]
    for answer in answers:
        image.save(tmp_path / answer["image"])
    rows = [{"image": answer["image"], "label": "generated", "boxes": []} for answer in answers]
    for name, content in (("records.jsonl", rows), ("predictions.jsonl", answers)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in content))
    return tmp_path / "records.jsonl", tmp_path / "predictions.jsonl"


def test_the_exchange_shown_was_corrected_by_the_second_look_and_has_most_regions(files: tuple[Path, Path]) -> None:
    pairs = pair(read_records(files[0]), read_predictions(files[1]))
    assert choose(pairs, None)[0].name == "corrected_two.png"
    assert choose(pairs, "never_right.png")[0].name == "never_right.png"
    with pytest.raises(RecordError, match=r"no two replies to gone\.png"):
        choose(pairs, "gone.png")


def test_crops_stand_in_the_order_of_the_numbers_at_their_regions(files: tuple[Path, Path]) -> None:
    pairs = pair(read_records(files[0]), read_predictions(files[1]))
    page = np.asarray(draw_exchange(*choose(pairs, None)))
    half = (PANEL_PX - GAP_PX) // 2  # two crops lie side by side in a grid of two columns
    below_number = TOP_PX + NUMBER_PX + 20
    assert tuple(page[below_number, THIRD_LEFT + half // 2]) == (0, 0, 255)
    assert tuple(page[below_number, THIRD_LEFT + half + GAP_PX + half // 2]) == (0, 255, 0)
    mark = np.array([int(MARK[start : start + 2], 16) for start in (1, 3, 5)])
    marked = (page[TOP_PX : TOP_PX + PANEL_PX, MARGIN_PX : MARGIN_PX + PANEL_PX] == mark).all(-1)
    # Corner by corner: the first region is the left upper quarter, the second the right one; 400 pixels show 448.
    for row, column in ((0, 0), (199, 199), (0, 399), (199, 200), (199, 399)):
        assert marked[row, column]
    assert not marked[203:].any()
    assert not marked[100, 10:190].any()


def test_crops_are_those_that_made_by_says_were_shown(files: tuple[Path, Path]) -> None:
    """Of four regions the second is the smallest: "largest-3" shows the others, in the order they were named."""
    four = [[0, 0, 56, 56], [60, 60, 70, 70], [56, 0, 112, 56], [0, 56, 56, 112]]
    answer = prediction("corrected.png", four, "real", "generated")
    answer["made_by"] = answer["made_by"].replace("regions first", "regions largest-3")
    files[1].write_text(json.dumps(answer) + "\n")
    page = np.asarray(draw_exchange(*choose(pair(read_records(files[0]), read_predictions(files[1])), None)))
    half = (PANEL_PX - GAP_PX) // 2
    second = (TOP_PX + NUMBER_PX + 20, THIRD_LEFT + half + GAP_PX + half // 2)
    fourth = (TOP_PX + half + GAP_PX + half // 2, second[1])
    assert tuple(page[second]) == (0, 255, 0)  # the third region that was named
    assert tuple(page[fourth]) == (255, 255, 255)  # there is no fourth crop


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made_by", "fault"),
    [
        (None, 'no made_by; expected "regions first|largest-3|largest-4|random" in it'),
        ("model a|regions best|pixels 1-2|", 'made_by "model a|regions best|pixels 1-2|"; expected "regions first'),
        ("model a|regions first|", 'made_by "model a|regions first|"; expected "pixels LEAST-MOST" in it'),
    ],
)
def test_a_prediction_that_does_not_say_how_it_was_made_is_one_line(
    files: tuple[Path, Path], tmp_path: Path, made_by: str | None, fault: str
) -> None:
    answer = prediction("corrected.png", [[0, 0, 56, 56]], "real", "generated")
    answer["made_by"] = made_by
    if made_by is None:
        del answer["made_by"]
    files[1].write_text(json.dumps(answer) + "\n")
    script = [sys.executable, str(ROOT / "examples/show_exchange.py")]
    done = subprocess.run([*script, *files, tmp_path / "x.png"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"show_exchange: corrected.png: {fault}")
    assert done.stderr.count("\n") == 1


def test_a_fault_of_the_input_is_one_line(files: tuple[Path, Path], tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "examples/show_exchange.py")]
    done = subprocess.run([*script, tmp_path / "gone.jsonl", files[1], "x.png"], capture_output=True, text=True)
    complaint = f"show_exchange: {tmp_path}/gone.jsonl: no such records file\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", complaint)
