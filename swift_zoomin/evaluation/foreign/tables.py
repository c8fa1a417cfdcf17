"""Any detector's answers as a table: CSV, JSON Lines or Parquet with `image` and any of `verdict`, `label`, `score`.

    image,score
    0_real/a.png,0.03
    1_fake/b.png,0.97

A verdict is one of the words real, generated and fake, or nothing where there was no answer. What else a cell means is
for the user to state: which class a 1 and a high score mean (`--positive`), and above which score that is the verdict
(`--threshold`). A `label` beside a verdict may be the truth instead of an answer, and is refused; so is one beside a
score, unless a threshold says that the score is the answer.
`explanation`, `boxes`, `box_labels`, `seconds` and `error` are read as `predictions.py` has them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from swift_zoomin.evaluation.foreign.cells import Cells, Table, read_cells
from swift_zoomin.evaluation.foreign.rows import Row, Stated, above, opposite
from swift_zoomin.predictions import Prediction
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED, REAL

WORDS = {REAL: REAL, GENERATED: GENERATED, "fake": GENERATED}
_ANSWERS = ("verdict", "label", "score")
_CARRIED = ("explanation", "boxes", "box_labels", "seconds", "error")
_NUMBERS = {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}
_STATE_POSITIVE = f"add --positive {GENERATED} or --positive {REAL}"


def read_table(path: Path, stated: Stated) -> Iterator[Row]:
    """A table, as the head of this module describes it. Raises RecordError where something is not stated."""
    table = read_cells(path)
    answers = _answers_in(path, table, stated)
    return converted(table, lambda cells: _prediction(cells, answers, stated))


def converted(table: Table, convert: Callable[[Cells], Prediction]) -> Iterator[Row]:
    """Each row as a prediction; what `convert` raises about it takes its place."""
    for where, cells in table.rows:
        if isinstance(cells, ValueError):
            yield where, cells
            continue
        try:
            yield where, convert(cells)
        except ValueError as error:
            yield where, error


def _answers_in(path: Path, table: Table, stated: Stated) -> tuple[str, ...]:
    """Which columns hold the answer. Raises RecordError where that is not clear, or what they mean is not stated."""
    answers = tuple(name for name in _ANSWERS if name in table.columns)
    if "image" not in table.columns or not answers:
        has = ", ".join(table.columns) or "nothing"
        raise RecordError(f"{path}: has {has}; expected image and any of {', '.join(_ANSWERS)}")
    if answers == ("label", "score") and stated.threshold is not None:
        answers = ("score",)
    if "label" in answers and len(answers) > 1:
        asked = "keep the detector's answer alone, as verdict"
        if "verdict" not in answers:
            asked += ", or add --threshold to take it from the score"
        raise RecordError(f"{path}: has {' and '.join(answers)}, and a label may be the truth; {asked}")
    twice = [name for name in answers if table.columns.count(name) > 1]
    if twice:
        raise RecordError(f"{path}: has {', '.join(twice)} twice; keep the detector's answer alone")
    unsaid = []
    if "score" in answers and stated.positive is None:
        unsaid.append(_STATE_POSITIVE)
    if "score" not in answers or "verdict" in answers:
        if stated.threshold is not None:
            raise RecordError(f"{path}: has {answers[0]}, which --threshold would not change; remove either")
    elif stated.threshold is None:
        unsaid.append("add --threshold, above which a score is a verdict")
    if unsaid:
        raise RecordError(f"{path}: has a score, and does not say what it means; {'; '.join(unsaid)}")
    if stated.positive is None:
        _check_words(path, table, answers)
    return answers


def _check_words(path: Path, table: Table, answers: Sequence[str]) -> None:
    """Raises RecordError where a verdict is a number, and nothing says what a 1 means."""
    rows = [cells for _, cells in table.rows if isinstance(cells, dict)]
    for name in answers:
        if any(plain(cells.get(name)) in _NUMBERS for cells in rows):
            raise RecordError(f"{path}: {name} has 0 or 1, and nothing says what a 1 means; {_STATE_POSITIVE}")


def _prediction(cells: Cells, answers: Sequence[str], stated: Stated) -> Prediction:
    """The prediction in a row. Raises ValueError."""
    prediction: Prediction = {"image": _image_name(cells.get("image")), "verdict": None}
    prediction |= {name: cells[name] for name in _CARRIED if cells.get(name) is not None}
    if answers[0] != "score":
        prediction["verdict"] = _verdict(answers[0], cells.get(answers[0]), stated.positive)
    if "score" not in answers:
        return prediction
    score = _probability(cells.get("score"))
    if score is None:
        return prediction
    assert stated.positive is not None  # or the table was refused
    if answers == ("score",):
        assert stated.threshold is not None
        prediction["verdict"] = above(score, stated.threshold, stated.positive)
    return {**prediction, "score": score if stated.positive == GENERATED else 1 - score}


def _image_name(cell: Any) -> Any:
    """The path in a cell, also in the layout of Hugging Face data sets."""
    return cell.get("path") if isinstance(cell, dict) else cell


def plain(cell: Any) -> str:
    """What a cell says, in small letters; "" where it is empty."""
    return "" if cell is None else str(cell).strip().lower()


def _verdict(name: str, cell: Any, positive: str | None) -> str | None:
    """The verdict in a cell, None in an empty one. Raises ValueError."""
    text = plain(cell)
    if not text:
        return None
    if text in _NUMBERS and positive is not None:
        return positive if _NUMBERS[text] else opposite(positive)
    if text not in WORDS:
        raise ValueError(f"{name} {cell!r}; expected {', '.join(WORDS)}, or 0 and 1 with --positive, or nothing")
    return WORDS[text]


def _probability(cell: Any) -> float | None:
    """The number in a score's cell, None in an empty one. Raises ValueError."""
    if cell is None or cell == "":
        return None
    try:
        score = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError):
        score = math.nan
    if not 0 <= score <= 1:
        raise ValueError(f"score {cell!r}; expected a probability from 0 to 1 (of a logit, its sigmoid), or nothing")
    return score
