"""Rows of mllm-defake (FakeXplain), in ms-swift's format for grounding; one image a row.

    {"messages": [{"role": "user", "content": "<image>Is it real?"}, {"role": "assistant", "content": "<think>The
     <ref-object><bbox> is melted.</think><verdict>generated</verdict>"}], "images": ["fake/a.png"],
     "objects": {"ref": ["left hand"], "bbox": [[120, 88, 260, 190]]}}

(mllm_defake/finetune/rewards/utils.py and trainers/grpo/jsonl_dataset.py of
https://github.com/Gennadiyev/mllm-defake). SRC is the file, or a folder of such files; names of images are relative to
the file's folder. The label is the verdict that the last message gives, or else "real" where `objects` are empty, which
there means that nothing is to be marked: such rows become records whose boxes are not annotated. Boxes are pixels of
the stored file, whose size imagesize reads there, EXIF or not. The explanation is that message without its tags, each
`<ref-object>` as the words that it stands for.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swift_zoomin.convert.rows import Notes, Row, name_problem, shown_value
from swift_zoomin.records import RecordError, json_rows
from swift_zoomin.replies import GENERATED, REAL, VERDICTS, as_box

ABOUT = "rows of mllm-defake (FakeXplain): messages, images and objects, in JSON Lines"
SPLITS: tuple[str, ...] = ()
_LABELS = {REAL: REAL, GENERATED: GENERATED, "fake": GENERATED}
_VERDICT = re.compile(r"<verdict>\s*(.*?)\s*</verdict>", re.DOTALL | re.IGNORECASE)
_MARKUP = re.compile(r"</?(?:think|answer|ref-object|bbox|image|explanation|regions)>", re.IGNORECASE)


def read_rows(source: Path, split: str | None, notes: Notes) -> Iterator[Row]:
    files = sorted(source.glob("*.jsonl")) if source.is_dir() else [source]
    if not files:
        raise RecordError(f"{source}: no file that ends in .jsonl; expected one of mllm-defake's rows, or its folder")
    for file in files:
        for where, value in json_rows(file):
            row = _row_of(value, file)
            if isinstance(row, Row):
                yield row
            else:
                notes.faults.append(f"{where}: {row}")


def _row_of(value: Any, file: Path) -> Row | str:
    """The row that a line gives, or what is wrong with it."""
    if isinstance(value, ValueError):
        return str(value)
    try:
        images, said = value["images"], value["messages"][-1]["content"]
    except (TypeError, LookupError):
        return f"{shown_value(value)}; expected messages, images and objects"
    if not isinstance(images, list) or len(images) != 1:
        return f"images {shown_value(images)}; expected a list of one"
    if problem := name_problem(images[0]):
        return f"images {shown_value(images)}; {problem}"
    if not isinstance(said, str):
        return f"messages[-1].content {shown_value(said)}; expected text"
    objects = value.get("objects") or {}
    refs, boxes = (objects.get("ref") or [], objects.get("bbox") or []) if isinstance(objects, dict) else (None, None)
    if problem := _objects_problem(objects, refs, boxes):
        return problem
    verdicts = {verdict.lower() for verdict in _VERDICT.findall(said)}
    if len(verdicts) > 1 or not verdicts <= _LABELS.keys():
        return f"verdict {', '.join(sorted(verdicts))}; expected one of {', '.join(_LABELS)}, or none"
    label = _LABELS[verdicts.pop()] if verdicts else GENERATED if boxes else REAL
    labels = [*map(str, refs or []), *[""] * (len(boxes or []) - len(refs or []))]
    name = str(images[0])
    return Row(
        str(file.parent / name), name, label, file.stem, _plain(said, labels), boxes or None, labels if boxes else []
    )


def _objects_problem(objects: Any, refs: Any, boxes: Any) -> str | None:
    if not isinstance(refs, list) or not isinstance(boxes, list):
        return f"objects {shown_value(objects)}; expected lists ref and bbox"
    if str(objects.get("bbox_type")).startswith("norm"):  # ms-swift's word for shares of the image
        return f"objects.bbox_type {shown_value(objects['bbox_type'])}; expected boxes in pixels"
    if refs and len(refs) != len(boxes):
        return f"objects has {len(refs)} ref and {len(boxes)} bbox; expected one for each other"
    for box in boxes:
        if as_box(box) is None:
            return f"objects.bbox {shown_value(box)}; expected four numbers x1, y1, x2, y2"
    return None


def _verdict_in(said: str) -> str | None:
    """The verdict that a message gives; None where it gives none, or several."""
    verdicts = {verdict.lower() for verdict in _VERDICT.findall(said)}
    if len(verdicts) != 1:
        return None
    (verdict,) = verdicts
    return verdict if verdict in VERDICTS else None


def _plain(said: str, refs: list[str]) -> str:
    """A message as an explanation: without its verdict and tags, its references in words."""
    text = _VERDICT.sub("", said)
    for ref in refs:
        text = text.replace("<ref-object>", ref, 1)
    return re.sub(r"[ \t]{2,}", " ", _MARKUP.sub("", text)).strip()
