"""A few of a file's records for a rehearsal, half of each label, and of them fewer for its detection, halves too.

    python examples/rehearsal_sample.py data512/records.jsonl output/rehearsal/7b --records 16

Writes records.jsonl, detect.jsonl and sample.json, which says how many records there are of how many. It is part of
shell/rehearse.sh.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from swift_zoomin.records import Record, RecordError, write_records
from swift_zoomin.sampling import draw_balanced

DETECTED = 8


def row_of(record: Record) -> dict[str, Any]:
    """The record as it stands in a file in any folder."""
    row = {
        "image": os.path.abspath(record.image.path),
        "label": record.label,
        "explanation": record.explanation,
        "boxes": record.boxes_px,
        "box_labels": record.box_labels,
    }
    known = {name: value for name, value in row.items() if value not in (None, "")}
    return {**known, **record.extra}


def write_sample(path: Path, folder: Path, number: int) -> None:
    """Raises RecordError for a fault of a record drawn."""
    sample = draw_balanced(path, number)
    write_records(folder / "records.jsonl", map(row_of, sample.records))
    detected = draw_balanced(folder / "records.jsonl", DETECTED)
    write_records(folder / "detect.jsonl", map(row_of, detected.records))
    counts = {"sampled": len(sample.records), "total": sample.total}
    (folder / "sample.json").write_text(json.dumps(counts) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--records", dest="number", type=int, default=16)
    options = parser.parse_args()
    try:
        write_sample(options.records, options.folder, options.number)
    except RecordError as error:
        sys.exit(f"rehearse.sh: {error}")
