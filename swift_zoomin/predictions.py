"""Predictions: one answered image each, in a JSON Lines file.

    {"image": "a.png", "verdict": "generated", "initial_verdict": "real", "boxes": [[120, 88, 260, 190]],
     "box_labels": ["sign"], "explanation": "...", "initial_explanation": "...", "replies": ["...", "..."],
     "width": 1024, "height": 768, "seconds": 1.9, "error": null, "made_by": "..."}

`image` is relative to the file. Boxes are pixels of the upright original; raw replies keep the model's own frame, which
the family in `made_by` says. A verdict is null where the reply had none. `error` says why an image could not be read,
or which reply was cut by the length limit; the first is tried again by the next run, the second is an answer. Where
only a further look failed (below), the row has a verdict and an error that is tried again. A one-turn variant has no
field that it never asks for. `made_by` is the model and the settings; `zoomin detect` goes on only in a file that has
the same. A detector that is not ours joins in with `image` and `verdict` alone.

Where they were asked for, a row of ours has further fields; `verdict` stays the model's own:

    "sampled_verdicts": ["generated", null, ...], "score": 0.93, "decision": "cannot tell", "decision_reason": "..."

`sampled_verdicts` are those of sampled last looks, null for one without a verdict; null where nothing could be sampled.
`score` is the probability of "generated", calibrated on held-out images; there is none without a calibration, which
`made_by` then names. `decision` is real, generated or "cannot tell", of which `decision_reason` says why; null where it
can.
"""

import os
import sys
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

from swift_zoomin.boxes import Box
from swift_zoomin.episode import ONE_TURN, Episode, cut_error
from swift_zoomin.files import is_path, plain_path
from swift_zoomin.records import RecordError, json_rows, list_faults
from swift_zoomin.replies import GENERATED, REAL, VERDICTS, Reply, as_box, parse_reply

Prediction = dict[str, Any]
CANNOT_TELL = "cannot tell"
# Of each the most; a JSON number may be an integer beyond every float.
_NUMBERS = {"score": (1.0, "a probability from 0 to 1"), "seconds": (sys.float_info.max, "a number from 0")}
_CUT_ERRORS = (cut_error(1), cut_error(2))


class Outcome(Enum):
    """What became of an image. Only an unread one is tried again."""

    VERDICT = "with a verdict"
    NO_VERDICT = "without a verdict"
    CUT = "cut by the length limit before a verdict"
    UNREAD = "unreadable"


def outcome(prediction: Prediction) -> Outcome:
    """What became of an image, by a row of `zoomin detect`."""
    if has_failed(prediction) or not prediction["replies"]:
        return Outcome.UNREAD  # also where the file was gone when query 2 wanted its crops
    if prediction["verdict"] is not None:
        return Outcome.VERDICT
    return Outcome.NO_VERDICT if prediction["error"] is None else Outcome.CUT


def has_failed(prediction: Prediction) -> bool:
    """Whether an error kept the detector from looking; a reply that was cut by the length limit is an answer."""
    return prediction.get("error") not in (None, *_CUT_ERRORS)


def to_prediction(
    path: str, episode: Episode | None, error: str | None, seconds: float, one_turn: str | None = None
) -> Prediction:
    """A row of the format, without `made_by`. `episode` is None for an image that could not be opened."""
    replies: list[str] = []
    width, height = None, None
    first, last = Reply(), Reply()
    boxes_px: list[list[float]] = []
    if episode:
        replies = episode.replies
        width, height = episode.image.size
    if episode and replies:
        first = episode.first
        boxes_px = episode.boxes_px
    if one_turn:
        last = first
    elif len(replies) > 1:
        last = parse_reply(replies[1])
    prediction = {
        "image": path,
        "verdict": last.verdict,
        "initial_verdict": first.verdict,
        "boxes": list(map(rounded_box, boxes_px)),
        "box_labels": first.box_labels,
        "explanation": last.explanation,
        "initial_explanation": first.explanation,
        "replies": replies,
        "width": width,
        "height": height,
        "seconds": seconds,
        "error": error,
    }
    if one_turn:
        for name in _unasked(one_turn):
            del prediction[name]
    return prediction


def rounded_box(box: Box) -> list[float]:
    """A box as it stands in a file."""
    return [round(number, 2) for number in box]


def _unasked(one_turn: str) -> list[str]:
    """The fields that a one-turn variant never asks for."""
    parts = ONE_TURN[one_turn]
    unasked = ["initial_verdict", "initial_explanation"]
    if "explanation" not in parts:
        unasked.append("explanation")
    if "regions" not in parts:
        unasked += ["boxes", "box_labels"]
    return unasked


class Predictions(dict[Path, Prediction]):
    """Predictions by the path of their image (`files.plain_path`), and how many rows name an image once more."""

    doubled = 0


def read_predictions(path: Path | str) -> Predictions:
    """The predictions of a file. Raises RecordError with all faults."""
    path = Path(path)
    if not path.is_file():
        raise RecordError(f"{path}: no such predictions file")
    return collect_predictions(path, json_rows(path))


def collect_predictions(path: Path, rows: Iterable[tuple[str, Any]]) -> Predictions:
    """The predictions in rows of `path`, each with its `file:line`; a ValueError among them is a row's fault.

    Of several rows of one image the last one with a verdict counts, and else the last one. Two verdicts are a fault.
    A row with an error has none here: the run that tries the image again may come to another.
    Raises RecordError with all faults.
    """
    home = home_of(path)
    faults = []
    predictions = Predictions()
    for where, prediction in rows:
        if fault := prediction_fault(prediction):
            faults.append(f"{where}: {fault}")
            continue
        image, verdict = image_path(home, prediction["image"]), _verdict_to_keep(prediction)
        earlier = _verdict_to_keep(predictions[image]) if image in predictions else None
        predictions.doubled += image in predictions
        if verdict is not None or earlier is None:
            predictions[image] = prediction
        if None not in (verdict, earlier) and verdict != earlier:
            faults.append(f"{where}: verdict {verdict!r}; an earlier row of {prediction['image']!r} has {earlier!r}")
    if faults:
        raise RecordError(list_faults(faults))
    return predictions


def _verdict_to_keep(prediction: Prediction) -> str | None:
    return None if has_failed(prediction) else prediction["verdict"]


def named_image(path: Path, name: str) -> Path:
    """Where the image lies that the predictions file `path` calls `name`."""
    return image_path(home_of(path), name)


def prediction_fault(prediction: Any) -> str | None:
    """What is wrong with a prediction, ours or a foreign detector's, or None."""
    if isinstance(prediction, ValueError):  # the line is no JSON
        return str(prediction)
    if not isinstance(prediction, dict):
        return "no JSON object"
    for name in ("image", "verdict"):
        if name not in prediction:
            return f"field {name!r} is missing; expected image and verdict"
    image = prediction["image"]
    if not is_path(image):
        return f"image {image!r}; expected a path relative to the predictions file"
    for name in ("verdict", "initial_verdict"):
        if prediction.get(name) not in (*VERDICTS, None):
            return f'{name} {prediction[name]!r}; expected "{REAL}", "{GENERATED}" or null'
    if prediction.get("decision") not in (*VERDICTS, CANNOT_TELL, None):
        return f'decision {prediction["decision"]!r}; expected "{REAL}", "{GENERATED}", "{CANNOT_TELL}" or null'
    sampled = prediction.get("sampled_verdicts")
    if sampled is not None and not _are_verdicts(sampled):
        return f'sampled_verdicts {sampled!r}; expected a list of "{REAL}", "{GENERATED}" and null, or null'
    for name, (most, expected) in _NUMBERS.items():
        if not _is_number(prediction.get(name), most):
            return f"{name} {prediction[name]!r}; expected {expected} or null"
    explanation = prediction.get("explanation") or ""
    if not isinstance(explanation, str):
        return f"explanation {explanation!r}; expected text"
    boxes = prediction.get("boxes") or []
    if not isinstance(boxes, list) or not all(as_box(box) for box in boxes):
        return f"boxes {boxes}; expected a list of [x1, y1, x2, y2]"
    return None


def _are_verdicts(value: Any) -> bool:
    return isinstance(value, list) and all(verdict in (*VERDICTS, None) for verdict in value)


def _is_number(value: Any, most: float) -> bool:
    """Whether this is nothing, or a finite number from 0 to `most`; JSON as Python reads it has NaN and infinity."""
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def home_of(path: Path) -> str:
    """The folder that the images of a predictions file are relative to, whatever links lead to it."""
    return os.path.realpath(path.parent)


def image_path(home: str, name: str) -> Path:
    """Where the image of a row lies that a file in `home`, a folder without links in its path, calls `name`."""
    while name.startswith("../"):  # without links a step up is the folder's parent, and needs no look at the disk
        home = os.path.dirname(home)
        name = name.removeprefix("../").lstrip("/")
    return plain_path(os.path.join(home, name))
