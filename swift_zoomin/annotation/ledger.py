"""Every answer that was paid for, kept in DIR/ledger.sqlite before it is used, and what became of each image.

An answer is found again by a hash of what was asked: step, model, prompt, content of the image and parameters; not by
the address, so that a model may move. One run at a time uses a ledger.
"""

import asyncio
import hashlib
import json
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from swift_zoomin.boxes import Size
from swift_zoomin.locked_files import lock
from swift_zoomin.outputs import make_folder
from swift_zoomin.records import RecordError
from swift_zoomin.served.requests import Paid

NAME = "ledger.sqlite"
RECORDS, REJECTED, AUDIT, SUMMARY, SHEET = "records.jsonl", "rejected.jsonl", "audit.jsonl", "summary.json", "sheet.png"
RESULTS = (RECORDS, REJECTED, AUDIT, SUMMARY, SHEET)  # files beside the ledger that a run writes
_LAYOUT = 1  # of the tables; a ledger of another one is refused
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, step TEXT, model TEXT, prompt_version TEXT, attempt INTEGER, image TEXT,
    reply TEXT, finish_reason TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, seconds REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS results (
    image BLOB PRIMARY KEY, run INTEGER, position INTEGER, outcome TEXT, made_from BLOB, row TEXT, audit TEXT,
    annotation TEXT
);
CREATE INDEX IF NOT EXISTS results_in_order ON results (run, position);
"""


@dataclass(frozen=True)
class Asked:
    """What an answer depends on. `image` is the SHA-256 of the file's bytes, `size_sent` (width, height) in pixels."""

    step: str
    model: str
    prompt_version: str
    attempt: int
    image: str
    prompt: str
    size_sent: Size
    max_tokens: int
    temperature: float

    @cached_property
    def key(self) -> bytes:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).digest()


@dataclass(frozen=True)
class Result:
    """What became of an image: its lines in the output files, and what statistics are counted from.

    `made_from` changes where it has to be made again.
    """

    image: bytes
    position: int
    outcome: str
    made_from: bytes
    row: str
    audit: str
    annotation: str


class Ledger:
    """The answers and results in a folder. Raises RecordError where another run uses it, or it is none of ours."""

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        foreign = [name for name in RESULTS if (folder / name).exists()]
        if foreign and not (folder / NAME).exists():
            raise RecordError(f"{folder}: holds {foreign[0]}, but no ledger of an annotation; choose another --out")
        with ExitStack() as opened:
            locked = opened.enter_context(open(folder / "run.lock", "ab", buffering=0))
            lock(locked, folder)
            # Committed rows are safe against a crash of the process; writing through to the disk for each, against a
            # loss of power too, would take longer than everything else together.
            self._database = opened.enter_context(closing(sqlite3.connect(folder / NAME, isolation_level=None)))
            self._database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
            self._check_layout(folder / NAME)
            self._database.executescript(_TABLES)
            self.run = 1 + (self._database.execute("SELECT max(run) FROM results").fetchone()[0] or 0)
            self._opened = opened.pop_all()
        # One lock for each question that is being asked; it goes when nobody waits for its answer.
        self._asking: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    def _check_layout(self, path: Path) -> None:
        layout = self._database.execute("PRAGMA user_version").fetchone()[0]
        if layout not in (0, _LAYOUT):
            raise RecordError(f"{path}: written by another version of this package; choose another --out")
        self._database.execute(f"PRAGMA user_version = {_LAYOUT}")

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    # ---- answers

    def find(self, asked: Asked) -> Paid | None:
        columns = "reply, finish_reason, prompt_tokens, completion_tokens, seconds"
        found = self._database.execute(f"SELECT {columns} FROM answers WHERE key = ?", (asked.key,)).fetchone()
        return Paid(*found) if found else None

    async def answer(self, asked: Asked, ask: Callable[[], Awaitable[Paid]]) -> Paid:
        """The answer that was paid for, else a new one, which is kept first. Two who ask the same pay once."""
        asking = self._asking.setdefault(asked.key, asyncio.Lock())
        async with asking:
            paid = self.find(asked)
            if paid is None:
                paid = await ask()
                self._keep(asked, paid)
        return paid

    def _keep(self, asked: Asked, paid: Paid) -> None:
        values = (asked.key, asked.step, asked.model, asked.prompt_version, asked.attempt, asked.image)
        self._insert("answers", (*values, *astuple(paid)))

    def totals(self) -> dict[str, dict[str, int]]:
        """For each step the number of answers, and their tokens."""
        sums = "count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0)"
        names = ("calls", "prompt_tokens", "completion_tokens")
        rows = self._database.execute(f"SELECT step, {sums} FROM answers GROUP BY step")
        return {step: dict(zip(names, values, strict=True)) for step, *values in rows}

    # ---- results

    def finish(self, result: Result) -> None:
        image, position, *rest = astuple(result)
        self._insert("results", (image, self.run, position, *rest))

    def carry_over(self, image: bytes, position: int, made_from: bytes, outcomes: tuple[str, ...]) -> bool:
        """Let an earlier run's result stand among those of this run; whether there is one made from the same."""
        marks = ", ".join("?" * len(outcomes))
        condition = f"image = ? AND made_from = ? AND outcome IN ({marks})"
        values = (self.run, position, image, made_from, *outcomes)
        return (
            self._database.execute(f"UPDATE results SET run = ?, position = ? WHERE {condition}", values).rowcount > 0
        )

    def lines(self, column: str, *outcomes: str) -> Iterator[str]:
        """A column of this run's results with these outcomes, in the order of the inputs: row, audit or annotation."""
        marks = ", ".join("?" * len(outcomes))
        query = f"SELECT {column} FROM results WHERE run = ? AND outcome IN ({marks}) ORDER BY position"
        for (line,) in self._database.execute(query, (self.run, *outcomes)):
            yield line

    def counts(self) -> dict[str, int]:
        """How many images of this run came to each outcome."""
        query = "SELECT outcome, count(*) FROM results WHERE run = ? GROUP BY outcome"
        return dict(self._database.execute(query, (self.run,)).fetchall())

    def earlier(self, outcome: str) -> int:
        """How many images came to this outcome in earlier runs alone: they, or the settings, were others."""
        query = "SELECT count(*) FROM results WHERE run <> ? AND outcome = ?"
        return int(self._database.execute(query, (self.run, outcome)).fetchone()[0])

    def _insert(self, table: str, values: tuple[Any, ...]) -> None:
        marks = ", ".join("?" * len(values))
        self._database.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", values)


def image_key(path: Path) -> bytes:
    return os.fsencode(path)
