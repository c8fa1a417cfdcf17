"""`zoomin annotate` killed again and again: what was answered is not asked again, and nothing is missing or doubled."""

import os
import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from annotate_runs import command, draw, number, printed, rows, start_fork
from scripted_server import ScriptedServer

IMAGES, STEPS_AN_IMAGE, CONCURRENCY = 300, 3, 16
KILLS = int(os.environ.get("ZOOMIN_KILLS", "50"))
MOST_CALLS_A_LIFE = 2 * IMAGES * STEPS_AN_IMAGE // KILLS  # on average half of it: the last kill comes near the end
COMPARED = ("records.jsonl", "rejected.jsonl", "summary.json", "sheet.png")

pytestmark = pytest.mark.server


def options(server: ScriptedServer, out: Path, images: Path) -> list[str]:
    return [*command(server, out, images), "--label", "real", "--concurrency", str(CONCURRENCY)]


def answers_kept(ledger: Path) -> int:
    """How many answers the ledger holds, whatever died while it was written."""
    if not ledger.exists():
        return 0
    with closing(sqlite3.connect(ledger)) as database:
        return int(database.execute("SELECT COUNT(*) FROM answers").fetchone()[0])


def test_fifty_kills_lose_no_image_and_pay_no_answer_twice(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", range(IMAGES))
    draws = random.Random(16)
    lost: list[int] = []
    with ScriptedServer("scenarios:answer_well", latency_ms=60) as server:
        for _ in range(KILLS):
            asked, kept = server.number(), answers_kept(tmp_path / "out/ledger.sqlite")
            process = start_fork(options(server, tmp_path / "out", images), tmp_path / "log")
            wait_for_calls(server, asked + draws.randrange(MOST_CALLS_A_LIFE), process)
            time.sleep(draws.uniform(0, 0.06))
            process.kill()
            process.join()
            assert process.exitcode == -9, printed(tmp_path / "log")[-3000:]
            time.sleep(0.1)  # a call that was on its way at the kill is counted too
            lost.append(server.number() - asked - (answers_kept(tmp_path / "out/ledger.sqlite") - kept))
        finish(start_fork(options(server, tmp_path / "out", images), tmp_path / "log"))
        calls = server.counts()
        server.forget()
        finish(start_fork(options(server, tmp_path / "whole", images), tmp_path / "log"))
        assert set(server.counts().values()) == {1}
    assert len(calls) == IMAGES * STEPS_AN_IMAGE
    assert all(0 <= in_flight <= CONCURRENCY for in_flight in lost)
    assert sum(lost) > 0, "no kill hit a call"
    assert sum(calls.values()) == IMAGES * STEPS_AN_IMAGE + sum(lost)
    check_outputs(tmp_path)


def wait_for_calls(server: ScriptedServer, count: int, process: BaseProcess) -> None:
    deadline = time.monotonic() + 60
    while server.number() < count and process.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def finish(process: BaseProcess) -> None:
    process.join(120)
    assert process.exitcode == 0


def check_outputs(folder: Path) -> None:
    records = rows(folder / "out/records.jsonl")
    assert Counter(map(number, records)) == Counter(range(IMAGES))
    for name in COMPARED:
        assert (folder / "out" / name).read_bytes() == (folder / "whole" / name).read_bytes(), name
    assert audit(folder / "out") == audit(folder / "whole")


def audit(out: Path) -> list[Any]:
    """The audit without what no two runs share: seconds, and the moment of an answer."""
    return [without_times(row) for row in rows(out / "audit.jsonl")]


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in ("seconds", "time", "at")}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def test_a_second_run_on_one_folder_is_refused_by_name(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", range(40))
    with ScriptedServer("scenarios:answer_well", latency_ms=300) as server:
        first = start_fork(options(server, tmp_path / "out", images), tmp_path / "first")
        wait_for_calls(server, 1, first)
        second = start_fork(options(server, tmp_path / "out", images), tmp_path / "second")
        second.join(60)
        assert second.exitcode == 1
        (line,) = printed(tmp_path / "second").splitlines()
        assert line.startswith(f"zoomin: {tmp_path / 'out'}")
        assert "another run" in line
        finish(first)
        assert set(server.counts().values()) == {1}
    assert len(rows(tmp_path / "out/records.jsonl")) == 40
