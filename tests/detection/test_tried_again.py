"""Images that a later run tries again: two rows for a while, and one in the end, whatever ends the run."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from test_predictions import ME, answered, unread, write

from swift_zoomin.predictions import Outcome, read_predictions
from swift_zoomin.predictions_file import PredictionsFile


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run" / "predictions.jsonl"


def test_a_run_that_was_killed_leaves_what_it_tried_again_to_the_next(out: Path) -> None:
    write(out, answered("a.png"), unread("b.png"))
    b = out.parent.parent / "b.png"
    with suppress(KeyboardInterrupt), PredictionsFile(out, ME) as file:
        file.add(answered(str(b)))
        raise KeyboardInterrupt
    assert out.read_bytes().count(b"\n") == 3
    assert read_predictions(out)[b]["verdict"] == "real"
    with PredictionsFile(out, ME) as file:
        assert (file.answered, file.became(b)) == (2, Outcome.VERDICT)
        file.add(unread(str(b.parent / "c.png")))
    assert [json.loads(line)["image"] for line in out.read_text().splitlines()] == [f"../{x}.png" for x in "abc"]


def test_the_rows_that_count_are_found_after_they_have_moved(out: Path) -> None:
    """Twice in a run they may: when it starts, and when it ends."""
    write(out, *(unread(f"{name}.png") for name in "abcd"))
    paths = [str(out.parent.parent / f"{name}.png") for name in "abcd"]
    lines = out.read_bytes()
    out.write_bytes(lines + lines.splitlines(keepends=True)[0])
    with PredictionsFile(out, ME) as file:
        for path in paths[2:]:
            file.add(answered(path))
        file.add(unread(paths[1]))
    assert [json.loads(line)["image"] for line in out.read_text().splitlines()] == [f"../{x}.png" for x in "acdb"]
