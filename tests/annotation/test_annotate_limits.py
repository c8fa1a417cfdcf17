"""Budgets, rates and dry runs of `zoomin annotate`, as the server counts them."""

import json
from pathlib import Path

import pytest
from annotate_runs import command, draw, number, rows, run_fork
from scripted_server import ScriptedServer

LATE_S = 1.0  # that the first call may come later than it was sent, on a busy machine

pytestmark = pytest.mark.server


def test_a_budget_of_calls_is_kept_and_the_next_run_does_the_rest(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", range(60))
    with ScriptedServer("scenarios:answer_well", latency_ms=5) as server:
        arguments = [*command(server, tmp_path / "out", images), "--label", "real", "--concurrency", "32"]
        first = run_fork([*arguments, "--budget-calls", "100"])
        assert first.returncode == 3, first.stderr
        assert server.number() == 100
        done = len(rows(tmp_path / "out/records.jsonl"))
        counts = f"{done} records, 0 rejected, {60 - done} left; 100 calls and 100000 tokens in this run; "
        assert counts in first.stdout
        stopped = f"the budget of 100 calls is spent; {60 - done} images left, run the same again to go on"
        assert first.stderr == f"zoomin: stopped: {stopped}\n"
        assert run_fork(arguments).returncode == 0
        assert set(server.counts().values()) == {1}
        assert server.number() == 180
    assert sorted(map(number, rows(tmp_path / "out/records.jsonl"))) == list(range(60))


def test_a_budget_counts_calls_that_fail(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", range(40))
    with ScriptedServer("scenarios:answer_at_the_second") as server:
        arguments = [*command(server, tmp_path / "out", images), "--label", "real", "--concurrency", "8"]
        done = run_fork([*arguments, "--budget-calls", "50"])
        assert done.returncode == 3, done.stderr
        assert server.number() == 50


def test_a_budget_of_tokens_is_kept(tmp_path: Path) -> None:
    """The server says 1,000 tokens a call."""
    images = draw(tmp_path / "images", range(60))
    with ScriptedServer("scenarios:answer_well", latency_ms=5) as server:
        arguments = [*command(server, tmp_path / "out", images), "--label", "real", "--concurrency", "32"]
        first = run_fork([*arguments, "--budget-tokens", "60000"])
        assert first.returncode == 3, first.stderr
        assert 20 <= server.number() <= 60
        assert run_fork(arguments).returncode == 0
        assert set(server.counts().values()) == {1}


def test_requests_a_minute_are_kept_in_every_stretch(tmp_path: Path) -> None:
    """1,200 a minute are 20 a second: however many have come, so many have had their time."""
    images = draw(tmp_path / "images", range(30))
    with ScriptedServer("scenarios:answer_well") as server:
        arguments = [*command(server, tmp_path / "out", images), "--label", "real", "--concurrency", "32"]
        assert run_fork([*arguments, "--requests-per-minute", "1200"]).returncode == 0
        times = sorted(call["time"] for call in server.calls())
    assert len(times) == 90
    for index, time in enumerate(times):
        assert time - times[0] >= index / 20 - LATE_S


def test_a_dry_run_asks_nothing_and_shows_what_would_be_asked(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", range(7))
    with ScriptedServer("scenarios:answer_well") as server:
        done = run_fork([*command(server, tmp_path / "out", images), "--label", "real", "--dry-run"])
        assert done.returncode == 0, done.stderr
        assert server.calls() == []
    assert "\n7 images, 3 steps each: 21 calls; more where an answer is of no use,\n" in done.stdout
    assert "bbox_2d" in done.stdout
    assert not (tmp_path / "out/records.jsonl").exists()


def test_a_limit_of_images_is_a_limit_of_images(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", range(9))
    with ScriptedServer("scenarios:answer_well") as server:
        arguments = [*command(server, tmp_path / "out", images), "--label", "real"]
        assert run_fork([*arguments, "--limit", "4"]).returncode == 0
        assert {call["image"] for call in server.calls()} == {0, 1, 2, 3}
        assert run_fork(arguments).returncode == 0
        assert set(server.counts().values()) == {1}
    assert json.loads((tmp_path / "out/summary.json").read_text())["images"] == 9
    assert len(rows(tmp_path / "out/records.jsonl")) == 9
