"""What a foreign layout is read into, before any image is opened, and what is said of entries that give no row."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swift_zoomin.boxes import Box
from swift_zoomin.files import is_path
from swift_zoomin.records import RecordError

WITHOUT_AREA = "a box without an area"


@dataclass(frozen=True, slots=True)
class Row:
    """One image of a foreign layout.

    `path` is its file and `original` its name in the layout, for people and for finding it again. `boxes_stored` are in
    pixels of the file as it is stored, before it is turned upright, and may reach over its edges; None: not annotated.
    """

    path: str
    original: str
    label: str
    source: str
    explanation: str = ""
    boxes_stored: list[Box] | None = None
    box_labels: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Notes:
    """Faults, which stop a conversion, and what is left out, by reason, which is counted."""

    faults: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, reason: str, name: str) -> None:
        self.left_out.setdefault(reason, []).append(name)


def read_json(path: Path, kind: type, expected: str) -> Any:
    """The value in a JSON file, all of it at once. Raises RecordError where it is no JSON, or none of this kind."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not JSON ({error}); expected {expected}") from error
    if not isinstance(value, kind):
        raise RecordError(f"{path}: {type(value).__name__}; expected {expected}")
    return value


def name_problem(name: Any) -> str | None:
    """Why an image's name in a data set cannot be followed, or None: it may lead nowhere but into the data set."""
    if not is_path(name):
        return "expected the name of an image"
    parts = name.replace("\\", "/").split("/")
    if os.path.isabs(name) or ".." in parts:
        return "expected a path inside the data set"
    return None


def shown_value(value: Any) -> str:
    """A value of a data set in a message: as JSON, cut after 80 signs."""
    text = json.dumps(value, ensure_ascii=True, default=repr)
    return text if len(text) <= 80 else f"{text[:77]}..."
