"""The ledger: what was paid for is found again, by what it depends on and by nothing else, whatever ends a run."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from swift_zoomin.annotation.ledger import Asked, Ledger, Paid, Result, image_key
from swift_zoomin.records import RecordError

ASKED = Asked("explain", "m", "1a2b3c4d", 1, "00ff", "Why?", (448, 476), 1024, 0.0)
PAID = Paid("Because.", "stop", 900, 100, 1.25)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "out") as opened:
        yield opened


def pay(ledger: Ledger, asked: Asked, paid: Paid = PAID) -> Paid:
    async def ask() -> Paid:
        return paid

    return asyncio.run(ledger.answer(asked, ask))


def test_an_answer_is_found_by_the_next_run(tmp_path: Path) -> None:
    with Ledger(tmp_path) as first:
        pay(first, ASKED)
    with Ledger(tmp_path) as second:
        assert pay(second, ASKED, replace(PAID, reply="never asked")) == PAID
        assert second.totals() == {"explain": {"calls": 1, "prompt_tokens": 900, "completion_tokens": 100}}


@pytest.mark.parametrize(
    "change",
    [
        *({"step": "ground"}, {"model": "n"}, {"prompt_version": "0"}, {"attempt": 2}, {"image": "00fe"}),
        *({"prompt": "Why not?"}, {"size_sent": (476, 448)}, {"max_tokens": 1025}, {"temperature": 0.7}),
    ],
)
def test_whatever_an_answer_depends_on_makes_it_another(change: dict[str, object], ledger: Ledger) -> None:
    pay(ledger, ASKED)
    assert ledger.find(replace(ASKED, **change)) is None  # type: ignore[arg-type]
    assert ledger.find(ASKED) == PAID


def test_fields_do_not_run_into_each_other() -> None:
    one, other = replace(ASKED, model="m1", prompt="2"), replace(ASKED, model="m", prompt="12")
    assert one.key != other.key


@pytest.mark.parametrize(
    "reply", ["", "null \0 inside", "日本 🦊", "x" * 1_000_000, "\"quoted'; DROP TABLE answers; --"]
)
def test_any_reply_comes_back_as_it_was(reply: str, ledger: Ledger) -> None:
    paid = Paid(reply, None, None, None, 0.5)
    pay(ledger, ASKED, paid)
    assert ledger.find(ASKED) == paid


def test_an_answer_is_committed_before_it_is_used(tmp_path: Path) -> None:
    """A process that ends itself as soon as it has the answer has paid for good."""
    code = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from test_ledger import ASKED, PAID, Ledger, pay\n"
        "pay(Ledger(Path(sys.argv[1])), ASKED)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run([sys.executable, "-c", code, tmp_path], env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == -signal.SIGKILL
    with Ledger(tmp_path) as ledger:
        assert ledger.find(ASKED) == PAID


def test_two_who_ask_the_same_at_once_pay_once(ledger: Ledger) -> None:
    asked = 0

    async def ask() -> Paid:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return PAID

    async def both() -> list[Paid]:
        return await asyncio.gather(*(ledger.answer(ASKED, ask) for _ in range(3)))

    assert asyncio.run(both()) == [PAID] * 3
    assert asked == 1


def test_a_failure_reaches_all_who_wait_and_is_not_kept(ledger: Ledger) -> None:
    async def fail() -> Paid:
        await asyncio.sleep(0.01)
        raise TimeoutError

    async def both() -> list[Paid | BaseException]:
        return await asyncio.gather(*(ledger.answer(ASKED, fail) for _ in range(2)), return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(both())] == [TimeoutError] * 2
    assert pay(ledger, ASKED) == PAID


# ---- results


def result(position: int, outcome: str = "record", made_from: bytes = b"1") -> Result:
    image = image_key(Path(f"/images/{position}.png"))
    return Result(image, position, outcome, made_from, f"row {position}\n", f"audit {position}\n", "{}")


def test_lines_come_in_the_order_of_the_inputs_and_each_image_once(ledger: Ledger) -> None:
    for position in (2, 0, 1, 0):
        ledger.finish(result(position))
    ledger.finish(result(3, "rejected"))
    assert list(ledger.lines("row", "record")) == ["row 0\n", "row 1\n", "row 2\n"]
    assert list(ledger.lines("audit", "record", "rejected"))[-1] == "audit 3\n"
    assert ledger.counts() == {"record": 3, "rejected": 1}


def test_results_of_an_earlier_run_stand_only_where_they_are_carried_over(tmp_path: Path) -> None:
    with Ledger(tmp_path) as first:
        for position in range(4):
            first.finish(result(position, "failed" if position == 3 else "record"))
    with Ledger(tmp_path) as second:
        assert second.counts() == {}
        second.finish(result(0))
        images = [result(position).image for position in range(4)]
        assert second.carry_over(images[2], 1, b"1", ("record",))
        assert not second.carry_over(images[1], 2, b"2", ("record",)), "made from something else"
        assert not second.carry_over(images[3], 3, b"1", ("record",)), "a failure is asked again"
        assert list(second.lines("row", "record")) == ["row 0\n", "row 2\n"]


# ---- the folder


def test_a_second_run_is_refused_by_the_name_of_the_folder(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(RecordError) as raised:
        Ledger(tmp_path / "out")
    assert str(raised.value).startswith(f"{tmp_path / 'out'}: another run is writing to it")


def test_records_of_somebody_else_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text("{}\n")
    with pytest.raises(RecordError, match=r"holds records\.jsonl, but no ledger"):
        Ledger(tmp_path)


def test_a_ledger_of_another_layout_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(RecordError, match="another version of this package"):
        Ledger(tmp_path)
    with pytest.raises(RecordError, match="another version"):
        Ledger(tmp_path)  # and not because the first one still holds the lock


def test_a_file_in_the_folders_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(NotADirectoryError):
        Ledger(tmp_path / "out")
