"""FakeClue (FakeVLM): reasons for both labels in several kinds of images, no boxes.

    data_json/test.json                                        test/genimage/fake/VQDM_1000_200_08_872_vqdm_00109.png
    [{"image": "genimage/fake/VQDM_1000_200_08_872_vqdm_00109.png", "label": 0, "cate": "animal",
      "conversations": [{"from": "human", "value": "<image>Does the image looks real/fake?"},
                        {"from": "gpt", "value": "This is a fake image. The fur ..."}]}]

**A label of 1 means real** (scripts/eval.py of https://github.com/opendatalab/FakeVLM; process_data.py puts 1 into
`satellite/real`). The first sentence is the verdict and no reason, and is left out of the explanation; an entry whose
sentence contradicts its label is left out. The source is the first folder: chameleon, doc, ff++, genimage, satellite.
The JSON may also lie beside the images' folder, and the unpacked archive may hold a folder `test/test`.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swift_zoomin.convert.rows import Notes, Row, name_problem, read_json, shown_value
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED, REAL

ABOUT = "FakeClue of FakeVLM: data_json/{train,test}.json and the folders of images {train,test}"
SPLITS = ("train", "test")
_LABELS = {0: GENERATED, 1: REAL}
_WORDS = {"fake": GENERATED, REAL: REAL}
_VERDICT = re.compile(r"\s*This is an? (real|fake) image(?:\.\s*|\s*$)")
_CONTRADICTED = "contradicting its own label"


def read_rows(source: Path, split: str | None, notes: Notes) -> Iterator[Row]:
    found = False
    for name in SPLITS:
        for file in (source / "data_json" / f"{name}.json", source / f"{name}.json"):
            if split in (None, name) and file.is_file():
                found = True
                yield from _rows_of(file, source, name, notes)
                break
    if not found:
        asked = split or "{train,test}"
        raise RecordError(f"{source}: no data_json/{asked}.json and no {asked}.json; expected FakeClue's folder")


def _rows_of(file: Path, source: Path, split: str, notes: Notes) -> Iterator[Row]:
    folders = (source / split / split, source / split, source)
    entries = read_json(file, list, 'a list of {"image": ..., "label": 0 or 1, "conversations": [...]}')
    for index, entry in enumerate(entries):
        where = f"{file}: entry {index}"
        try:
            name, label, said = entry["image"], entry["label"], entry["conversations"][1]["value"]
        except (TypeError, LookupError):
            notes.faults.append(f"{where}: {shown_value(entry)}; expected image, label and two conversations")
            continue
        if problem := name_problem(name):
            notes.faults.append(f"{where}: image {shown_value(name)}; {problem}")
        elif type(label) is not int or label not in _LABELS:
            notes.faults.append(f"{where}: label {shown_value(label)}; expected 0 (fake) or 1 (real)")
        elif not isinstance(said, str):
            notes.faults.append(f"{where}: conversations[1].value {shown_value(said)}; expected text")
        elif _contradicts(said, _LABELS[label]):
            notes.leave_out(_CONTRADICTED, name)
        else:
            path = _first_there([str(folder / name) for folder in folders])
            verdict = _VERDICT.match(said)
            explanation = said[verdict.end() if verdict else 0 :].strip()
            yield Row(path, name, _LABELS[label], name.split("/")[0], explanation, extra=_category(entry))


def _contradicts(said: str, label: str) -> bool:
    verdict = _VERDICT.match(said)
    return verdict is not None and label != _WORDS[verdict[1]]


def _first_there(paths: list[str]) -> str:
    """The first path that is a file; the last of them where none is."""
    return next((path for path in paths if os.path.exists(path)), paths[-1])


def _category(entry: dict[str, Any]) -> dict[str, Any]:
    category = entry.get("cate")
    return {"category": category} if isinstance(category, str) else {}
