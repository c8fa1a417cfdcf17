"""Decisions of a review: which records of a file a person accepted or rejected, in `decisions.json` beside it.

    {"records": "records.jsonl", "decisions": {"images/000017.png": "accept", "images/000018.png": "reject"}}

`records` is the name of the records file, in the same folder. `decisions` says of an image, named as in the records,
what was decided: of all records with that image. What is not named is undecided, and stays; names of no record and
further fields are ignored. The page of `zoomin review` writes the file, and commands that make other records files
leave rejected records out. Training reads a records file as it is.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swift_zoomin.arguments import counted, first_few
from swift_zoomin.records import Record, RecordError, list_faults

FILE_NAME = "decisions.json"
ACCEPT, REJECT = DECISIONS = ("accept", "reject")


def without_rejected(records: Sequence[Record], path: Path) -> tuple[list[Record], str]:
    """The records of a file that were not rejected, and what to say of the others, which may be nothing.

    Raises RecordError where the decisions are faulty or leave nothing.
    """
    file = path.with_name(FILE_NAME)
    value = _read(file)
    if value is None:
        return list(records), ""
    if value["records"] != path.name:
        return list(records), f"{FILE_NAME} is of {value['records']}, not applied"
    decisions = value["decisions"]
    kept = [record for record in records if decisions.get(record.name) != REJECT]
    if not kept:
        raise RecordError(f"{file}: rejects every record of {path.name}; nothing is left")
    left_out = f"{counted(len(records) - len(kept), 'record')} left out by {FILE_NAME}"
    # Records may have gone since the review. A name that never was one is seen here too, and stops nobody's work.
    known = {record.name for record in records}
    unknown = [name for name in decisions if name not in known]
    if unknown:
        are = f"{counted(len(unknown), 'image')} in it {'is' if len(unknown) == 1 else 'are'}"
        return kept, f"{left_out}; {are} of no record ({first_few(unknown, json.dumps)})"
    return kept, left_out if len(kept) < len(records) else ""


def read_decisions(path: Path) -> dict[str, str]:
    """What was decided of each image of a records file; nothing where no decisions lie beside it, or another file's.

    Raises RecordError with all faults.
    """
    value = _read(path.with_name(FILE_NAME))
    if value is None or value["records"] != path.name:
        return {}
    decisions: dict[str, str] = value["decisions"]
    return decisions


def _read(file: Path) -> dict[str, Any] | None:
    """A file of decisions, checked; None where there is none. Raises RecordError with all faults."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{file}: cannot be read ({error.strerror})") from error
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{file}: not JSON ({error}); download it again from the page of `zoomin review`") from None
    if faults := _faults(value):
        raise RecordError(list_faults([f"{file}: {fault}" for fault in faults]))
    checked: dict[str, Any] = value
    return checked


def _faults(value: Any) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"{type(value).__name__}; expected a JSON object"]
    faults = []
    records, decisions = value.get("records"), value.get("decisions")
    if not isinstance(records, str) or not records:
        faults.append(f"records {json.dumps(records)}; expected the name of the records file beside it")
    if not isinstance(decisions, Mapping):
        return [*faults, f'decisions {json.dumps(decisions)[:80]}; expected an object as {{"a.png": "{REJECT}"}}']
    expected = f'expected "{ACCEPT}" or "{REJECT}"'
    for name, decision in decisions.items():
        if decision not in DECISIONS:
            faults.append(f"decisions {json.dumps(name)} is {json.dumps(decision)[:80]}; {expected}")
    return faults
