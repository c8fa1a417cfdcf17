"""MMFR-Dataset (FakeReasoning): reasons for both labels, no boxes.

    forgery_reasoning_cot.json                              train: [{"image": "diffusiondb/part-000001/x.png",
        "conversations": [{...}, {"from": "gpt", "value": "<REASONING>...</REASONING>
                                                           <CONCLUSION>This image is fake.</CONCLUSION>"}]}]
    evaluation_sets/gigagan/{0_real,1_fake}/*               test
    evaluation_sets/gigagan/gigagan_reasoning.json          {"gigagan/1_fake/x.png": {"Low Image Quality": "...",
                                                             "Semantic Irrationality": null}}

What an evaluation set says of an image is joined as its own evaluation does (LLaVA/forgery_eval/eval.py of
https://github.com/PRIS-CV/FakeReasoning): what is not null, by attribute in alphabetical order, with spaces between.
Names in it may begin with the generator or with the label's folder.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swift_zoomin.convert.rows import Notes, Row, name_problem, read_json, shown_value
from swift_zoomin.folder_labels import nearest_label_folder
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED, REAL

ABOUT = "MMFR-Dataset of FakeReasoning: forgery_reasoning_cot.json (train) and evaluation_sets (test)"
SPLITS = ("train", "test")
_TRAINING = "forgery_reasoning_cot.json"
_EVALUATION = "evaluation_sets"
_SUFFIX = "_reasoning.json"
_REASONING = re.compile(r"<REASONING>(.*?)</REASONING>", re.DOTALL)
_CONCLUSION = re.compile(r"<CONCLUSION>(.*?)</CONCLUSION>", re.DOTALL)
_LABELS = {REAL: REAL, "fake": GENERATED}
_NO_CONCLUSION = "saying neither real nor fake"


def read_rows(source: Path, split: str | None, notes: Notes) -> Iterator[Row]:
    training, sets = source / _TRAINING, _evaluation_sets(source)
    wanted_training = split != "test" and training.is_file()
    if split != "train":
        for file in sets:
            yield from _evaluation_rows(file, notes)
    if wanted_training:
        yield from _training_rows(training, notes)
    if not wanted_training and (split == "train" or not sets):
        raise RecordError(f"{source}: no {_TRAINING} and no {_EVALUATION}/*/*{_SUFFIX}; expected the data set's folder")


def _evaluation_sets(source: Path) -> list[Path]:
    """The files of reasons below the data set, below its evaluation sets, or of one of these."""
    inside = source / _EVALUATION
    if inside.is_dir():
        return sorted(inside.glob(f"*/*{_SUFFIX}"))
    if (source / _TRAINING).is_file():  # diffusiondb/diffusiondb_reasoning.json belongs to the training set
        return []
    return sorted(source.glob(f"*/*{_SUFFIX}")) or sorted(source.glob(f"*{_SUFFIX}"))


def _evaluation_rows(file: Path, notes: Notes) -> Iterator[Row]:
    generator = file.name.removesuffix(_SUFFIX)
    expected = 'an object from images to reasons, {"gigagan/1_fake/x.png": {...}}'
    for name, attributes in read_json(file, dict, expected).items():
        where = f"{file}: {shown_value(name)}"
        if problem := name_problem(name):
            notes.faults.append(f"{where}; {problem}")
            continue
        folders = name.split("/")[:-1]
        try:
            nearest = nearest_label_folder(folders)
        except ValueError as error:
            notes.faults.append(f"{where}: {error}; expected one folder 0_real or 1_fake in the name")
            continue
        if not _are_reasons(attributes):
            notes.faults.append(f"{where}: {shown_value(attributes)}; expected an object from attributes to texts")
            continue
        folder = file.parent.parent if folders[0] == file.parent.name else file.parent
        said = [attributes[attribute] for attribute in sorted(attributes) if attributes[attribute] is not None]
        yield Row(str(folder / name), name, nearest.label, generator, " ".join(said))


def _are_reasons(value: Any) -> bool:
    return isinstance(value, dict) and all(text is None or isinstance(text, str) for text in value.values())


def _training_rows(file: Path, notes: Notes) -> Iterator[Row]:
    entries = read_json(file, list, 'a list of {"image": ..., "conversations": [...]}')
    for index, entry in enumerate(entries):
        where = f"{file}: entry {index}"
        try:
            name, said = entry["image"], entry["conversations"][1]["value"]
        except (TypeError, LookupError):
            notes.faults.append(f"{where}: {shown_value(entry)}; expected image and two conversations with a value")
            continue
        if problem := name_problem(name):
            notes.faults.append(f"{where}: image {shown_value(name)}; {problem}")
            continue
        label, reasons = _conclusion(str(said)), _REASONING.search(str(said))
        if label is None:
            notes.leave_out(_NO_CONCLUSION, name)
            continue
        explanation = reasons[1].strip() if reasons else ""
        yield Row(str(file.parent / name), name, label, name.split("/")[0], explanation)


def _conclusion(said: str) -> str | None:
    """The label that a training text ends with: `This image is fake.`; None where it says both, neither, or denies."""
    found = _CONCLUSION.search(said)
    words = re.findall(r"\b(?:real|fake|not|never)\b|n['’]t\b", found[1].lower()) if found else []
    labels = {_LABELS.get(word) for word in words}  # None for a denial
    return labels.pop() if len(labels) == 1 else None
