"""Predictions: one answered image each, in a JSON Lines file.

    {"image": "a.png", "verdict": "generated", "initial_verdict": "real", "boxes": [[120, 88, 260, 190]],
     "box_labels": ["sign"], "explanation": "...", "initial_explanation": "...", "replies": ["...", "..."],
     "width": 1024, "height": 768, "seconds": 1.9, "error": null, "made_by": "..."}

`image` is relative to the file. Boxes are pixels of the upright original; raw replies keep the frame that the model's family writes. A
verdict is null where the reply had none. `error` says why an image could not be read, or which reply was cut by the
length limit; the first is tried again by the next run, the second is an answer. A one-turn variant has no field that it
never asks for. `made_by` is the model and the settings;
`zoomin detect` goes on only in a file that has the same. A detector that is not ours joins in with `image` and
`verdict` alone.

Where they were asked for, a row of ours has further fields; `verdict` stays the model's own:

    "score": 0.93, "sampled_verdicts": ["generated", null, ...], "decision": "cannot tell", "decision_reason": "..."

`score` is the probability of "generated": calibrated, where `made_by` names a calibration, and else the bare share of
`sampled_verdicts` (null: without a verdict, half a vote), which is overconfident. It is null where nothing could be
sampled. `decision` is real, generated or "cannot tell", of which `decision_reason` says why; null where it can.
"""

import errno
import math
import os
import re
from collections.abc import Container, Iterable
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any

from swift_zoomin.episode import ONE_TURN, Episode, cut_error
from swift_zoomin.file_kind import parsed_json
from swift_zoomin.files import plain_path
from swift_zoomin.locked_files import is_at, open_locked, replaced, write_all
from swift_zoomin.outputs import make_folder, naming
from swift_zoomin.records import RecordError, json_line, json_rows, list_faults
from swift_zoomin.replies import GENERATED, REAL, VERDICTS, Reply, as_box, parse_reply

Prediction = dict[str, Any]
CANNOT_TELL = "cannot tell"
_NUMBERS = {"score": (1.0, "a probability from 0 to 1"), "seconds": (math.inf, "a number from 0")}  # and their most
_CUT_ERRORS = (cut_error(1), cut_error(2))
# How a row begins that this package writes: by this a row that was cut short is told from a file of another kind.
_BEGINNING = re.compile(rb'\{"image": "(?:[^"\\]|\\.)*", "verdict": ')


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
        "boxes": [[round(number, 2) for number in box] for box in boxes_px],
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
    Raises RecordError with all faults.
    """
    home = _home(path)
    faults = []
    predictions = Predictions()
    for where, prediction in rows:
        if fault := _fault(prediction):
            faults.append(f"{where}: {fault}")
            continue
        image, verdict = _image_path(home, prediction["image"]), prediction["verdict"]
        earlier = predictions[image]["verdict"] if image in predictions else None
        predictions.doubled += image in predictions
        if verdict is not None or earlier is None:
            predictions[image] = prediction
        if None not in (verdict, earlier) and verdict != earlier:
            faults.append(f"{where}: verdict {verdict!r}; an earlier row of {prediction['image']!r} has {earlier!r}")
    if faults:
        raise RecordError(list_faults(faults))
    return predictions


def named_image(path: Path, name: str) -> Path:
    """Where the image lies that the predictions file `path` calls `name`."""
    return _image_path(_home(path), name)


def _fault(prediction: Any) -> str | None:
    """What is wrong with a prediction, ours or a foreign detector's, or None."""
    if isinstance(prediction, ValueError):  # the line is no JSON
        return str(prediction)
    if not isinstance(prediction, dict):
        return "no JSON object"
    for name in ("image", "verdict"):
        if name not in prediction:
            return f"field {name!r} is missing; expected image and verdict"
    image = prediction["image"]
    if not isinstance(image, str) or not image or "\0" in image:
        return f"image {image!r}; expected a path relative to the predictions file"
    for name in ("verdict", "initial_verdict"):
        if prediction.get(name) not in (*VERDICTS, None):
            return f'{name} {prediction[name]!r}; expected "{REAL}", "{GENERATED}" or null'
    if prediction.get("decision") not in (*VERDICTS, CANNOT_TELL, None):
        return f'decision {prediction["decision"]!r}; expected "{REAL}", "{GENERATED}", "{CANNOT_TELL}" or null'
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


def _is_number(value: Any, most: float) -> bool:
    """Whether this is nothing, or a finite number from 0 to `most`; JSON as Python reads it has NaN and infinity."""
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most and value < math.inf


def _home(path: Path) -> str:
    """The folder that the images of a predictions file are relative to, whatever links lead to it."""
    return os.path.realpath(path.parent)


def _image_path(home: str, name: str) -> Path:
    """Where the image of a row lies that a file in `home`, a folder without links in its path, calls `name`."""
    while name.startswith("../"):  # without links a step up is the folder's parent, and needs no look at the disk
        home = os.path.dirname(home)
        name = name.removeprefix("../").lstrip("/")
    return plain_path(os.path.join(home, name))


class PredictionsFile:
    """The file that `zoomin detect` goes on with: one row an image, and one run at a time.

    Entering locks and checks it, and changes no byte. `start` then leaves out what is tried again, and `add` appends.
    Raises RecordError for a file that holds anything but predictions of `made_by`, and OSError.
    """

    def __init__(self, path: Path, made_by: str) -> None:
        self.path = path
        self.outcomes: dict[Path, Outcome] = {}  # of every image in the file
        self._made_by = made_by
        self._home = _home(path)
        self._lines: dict[Path, bytes] = {}  # the row to keep of every image, until `start`
        self._is_clean = True  # no line to leave out or to end

    def __enter__(self) -> "PredictionsFile":
        make_folder(self.path.parent)
        self._is_new = not self.path.exists()
        with naming(self.path):
            self._file = open_locked(self.path)
        with ExitStack() as undo:
            undo.callback(self.close)
            self._read()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the next run have the file; one that was made and got no row does not stay behind."""
        with self._file:
            if self._is_new and os.fstat(self._file.fileno()).st_size == 0:
                Path(os.path.realpath(self.path)).unlink(missing_ok=True)

    def _read(self) -> None:
        lines = self._file.readall().split(b"\n")
        last = lines.pop()  # empty, where the last row has its line end
        for number, line in enumerate(lines, 1):
            self._keep(line, f"{self.path}:{number}")
        if last:
            self._is_clean = False
        if not last.strip():
            return
        if parsed_json(last) is not None:
            self._keep(last, f"{self.path}:{len(lines) + 1}")
        elif not self._lines and not _BEGINNING.match(last):  # one that is matched was cut short, and is left out
            raise self._refusal("no JSON Lines")

    def _keep(self, line: bytes, where: str) -> None:
        """Take in a row; of several rows of one image the last one that was read stays."""
        if not line.strip():
            return
        row = parsed_json(line)
        fault = "not JSON" if row is None else _fault(row)
        if fault:
            raise self._refusal(f"{where}: {fault}")
        if row.get("made_by") != self._made_by:
            other = f"holds predictions made by {row.get('made_by')}; this is {self._made_by}"
            raise RecordError(f"{self.path}: {other}; choose another --out")
        has_error = "error" in row and isinstance(row["error"], str | None)
        if not isinstance(row.get("replies"), list) or not has_error:
            raise self._refusal(f"{where}: expected replies and error, as zoomin detect writes them")
        image, became = _image_path(self._home, row["image"]), outcome(row)
        is_repeated = image in self._lines
        if is_repeated:
            self._is_clean = False
        if is_repeated and became == Outcome.UNREAD:
            return
        self._lines[image] = line + b"\n"
        self.outcomes[image] = became

    def _refusal(self, fault: str) -> RecordError:
        return RecordError(f"{self.path}: not a predictions file to go on with ({fault}); choose another --out")

    def start(self, images: Container[Path]) -> None:
        """Leave out the rows of these images, which are tried again, and a line that was cut short, in one step."""
        kept = {image: line for image, line in self._lines.items() if image not in images}
        if not self._is_clean or len(kept) < len(self._lines):
            with naming(self.path):
                self._file = replaced(self._file, Path(os.path.realpath(self.path)), b"".join(kept.values()))
        self.outcomes = {image: self.outcomes[image] for image in kept}
        self._lines = {}

    def add(self, prediction: Prediction) -> Outcome:
        """Append one prediction, whole or not at all. Its image is an absolute path."""
        image = os.path.relpath(prediction["image"], self._home)
        line = json_line({**prediction, "image": image, "made_by": self._made_by})
        with naming(self.path):
            if not is_at(self._file, self.path):
                raise FileNotFoundError(errno.ENOENT, "removed or replaced by something else during this run")
            size = os.fstat(self._file.fileno()).st_size
            try:
                write_all(self._file, line.encode())
            except OSError:
                self._file.truncate(size)
                raise
        became = outcome(prediction)
        self.outcomes[Path(prediction["image"])] = became
        return became
