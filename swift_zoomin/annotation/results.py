"""The output files of a run, written anew from the ledger each time, one line of it after the other.

records.jsonl   the records          {"image": "../photos/1.png", "label": "real", "explanation": "...", ...}
rejected.jsonl  what became none     {"image": "../photos/2.png", "label": "real", "reason": "..."}
audit.jsonl     what was asked       {"image": "...", "steps": [{"step": "explain", ...}], "dropped": [...]}
summary.json    counts, tokens and the statistics of the paper
sheet.png       twelve records with their boxes
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swift_zoomin.annotation.ledger import AUDIT, RECORDS, REJECTED, SHEET, SUMMARY, Ledger
from swift_zoomin.annotation.pipeline import Outcome
from swift_zoomin.annotation.run import Ended
from swift_zoomin.annotation.settings import Settings
from swift_zoomin.annotation.sheet import contact_sheet
from swift_zoomin.annotation.statistics import Statistics
from swift_zoomin.annotation.steps import Annotation, Dropped
from swift_zoomin.arguments import complain, counted
from swift_zoomin.files import open_whole
from swift_zoomin.listing import Listing
from swift_zoomin.outputs import naming, write_output
from swift_zoomin.pictures import ImageError
from swift_zoomin.records import RecordError


def write_results(folder: Path, ledger: Ledger, settings: Settings, left: int) -> Statistics:
    """Write all files; without a record there is no records.jsonl, because an empty one is none. Raises OSError.

    A run that stopped before its first record leaves the files of an earlier one as they are.
    """
    statistics = _statistics(ledger)
    has_records = Outcome.RECORD in ledger.counts()
    if left and not has_records and (folder / RECORDS).exists():
        return statistics
    _write_lines(folder / REJECTED, ledger.lines("row", Outcome.REJECTED, Outcome.FAILED))
    _write_lines(folder / AUDIT, ledger.lines("audit", *Outcome))
    if has_records:
        _write_lines(folder / RECORDS, ledger.lines("row", Outcome.RECORD))
    else:
        for name in (RECORDS, SHEET):
            (folder / name).unlink(missing_ok=True)
    summary = {**_counts(ledger, settings, left), "statistics": statistics.summary()}
    write_output(folder / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    if has_records:
        _draw_sheet(folder)
    return statistics


def _draw_sheet(folder: Path) -> None:
    try:
        contact_sheet(folder / RECORDS, folder / SHEET)
    except (RecordError, ImageError) as error:  # an image may have gone since it was asked about
        complain(f"no new {SHEET}: {error}")


def final_line(ledger: Ledger, ended: Ended, listing: Listing, folder: Path) -> str:
    """`500 images: 480 records, 18 rejected, 2 failed at the server (rejected.jsonl); 1,460 calls ...`."""
    counts = ledger.counts()
    records, rejected, failed = (counts.get(outcome, 0) for outcome in Outcome)
    images = records + rejected + failed + ended.left
    parts = [counted(records, "record"), f"{rejected} rejected"]
    if failed:
        parts.append(f"{failed} failed at the server and asked again by the next run")
    if ended.left:
        parts.append(f"{ended.left} left")
    used = f"{counted(ended.calls, 'call')} and {counted(ended.tokens, 'token')} in this run"
    if records:
        where = f"in {folder}"
    elif (folder / RECORDS).exists():
        where = f"no image became a record, and the files in {folder} are those of an earlier run"
    else:
        where = f"no {RECORDS} in {folder}, because no image became a record"
    line = f"{counted(images, 'image')}: {', '.join(parts)}; {used}; {where}"
    if earlier := ledger.earlier(Outcome.RECORD):
        line += f"; {counted(earlier, 'record')} of earlier runs (other images or settings) in the ledger alone"
    if listing.left_out:
        line += f"; left out: {listing.summary()}"
    return line


def _write_lines(path: Path, lines: Iterator[str]) -> None:
    with naming(path), open_whole(path) as file:
        file.writelines(line.encode() for line in lines)


def _statistics(ledger: Ledger) -> Statistics:
    statistics = Statistics()
    for line in ledger.lines("annotation", Outcome.RECORD, Outcome.REJECTED):
        row = json.loads(line)
        dropped = [Dropped(**box) for box in row["annotation"].pop("dropped")]
        statistics.add(row["label"], Annotation(**row["annotation"], dropped=dropped))
    return statistics


def _counts(ledger: Ledger, settings: Settings, left: int) -> dict[str, Any]:
    counts = ledger.counts()
    finished = sum(counts.values())
    return {
        "images": finished + left,
        "records": counts.get(Outcome.RECORD, 0),
        "rejected": counts.get(Outcome.REJECTED, 0),
        "failed_at_the_server": counts.get(Outcome.FAILED, 0),
        "left": left,
        "models": {step: model.name for step, model in settings.models.items()},
        "ground_frame": settings.ground_frame,
        "answers_in_the_ledger": ledger.totals(),
    }
