"""What the monitors say, counted again from the texts that a run with --log_completions has logged.

Neither the package's parser nor its geometry is used: one pattern reads replies, and areas are counted pixel by pixel.
"""

import json
import math
import re
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

SIDE = 112  # pixels of an image of the small benchmark, as its model sees it
REPLY = re.compile(
    r"<explanation>[^<]*</explanation>\n(?:<regions>(?P<regions>\[[^<]*\])</regions>\n)?"
    r"<verdict>(?P<verdict>real|generated)</verdict>"
)
MONITORS = ("second_look", "regions", "covered", "changed", "corrected", "cut")
Row = dict[str, Any]  # one trajectory of completions.jsonl


def logged_rows(file: Path) -> list[list[Row]]:
    """The trajectories of each logged step. ms-swift writes those of the last step twice."""
    tables = [json.loads(line) for line in file.read_text().splitlines()]
    steps = [[dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)] for table in tables]
    return [rows for rows, following in pairwise([*steps, []]) if rows != following]


def count(row: Row) -> dict[str, float] | None:
    """All but `cut`, which no text tells; None where a reply has another form than the one that is asked for.

    `zoomin_accuracy` and `zoomin_accuracy_query1` stand in for the label.
    """
    has_second = row["prompt"].count("<|im_start|>user") == 2
    texts = [*row["prompt"].split("<|im_start|>assistant\n")[1:-1], row["completion"]]
    replies = [REPLY.fullmatch(text.split("<|im_end|>")[0].strip()) for text in texts]
    if None in replies:
        return None
    seen = np.zeros((SIDE, SIDE), dtype=bool)
    boxes = [region["bbox_2d"] for region in json.loads(replies[0]["regions"] or "[]")]
    for x1, y1, x2, y2 in boxes:
        seen[y1:y2, x1:x2] = True
    counted = {"second_look": float(has_second), "regions": float(len(boxes)), "covered": float(seen.mean())}
    if has_second:
        counted["changed"] = float(replies[0]["verdict"] != replies[1]["verdict"])
        counted["corrected"] = float(row["zoomin_accuracy"] == 1 and row["zoomin_accuracy_query1"] == 0)
    return counted


def assert_monitors_count_right(steps: list[dict[str, Any]], file: Path) -> None:
    """Each trajectory's values, and the means of each step as ms-swift logged them."""
    rows_of_steps = logged_rows(file)
    assert len(rows_of_steps) == len(steps) > 0
    counted = 0
    for step, rows in zip(steps, rows_of_steps, strict=True):
        for row in rows:
            expected = count(row) or {}
            counted += bool(expected)
            said = {name: row[f"zoomin_watch_{name}"] for name in expected}
            assert said == pytest.approx(expected), row
        for name in MONITORS:
            values = [row[f"zoomin_watch_{name}"] for row in rows]
            values = [value for value in values if value is not None and not math.isnan(value)]
            logged = [step[key] for key in step if key == f"rewards/zoomin_watch_{name}/mean"]
            assert logged == ([pytest.approx(fmean(values))] if values else [])
        assert step["rewards/zoomin_watch_cut/mean"] == pytest.approx(step["completions/clipped_ratio"])
    assert counted >= 16, "too few replies in the form that is asked for"
