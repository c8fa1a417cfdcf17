"""Budgets, rates and dry runs of `zoomin annotate`, as the server counts them."""

import json
from pathlib import Path

import pytest
from annotate_runs import command, draw, number, rows, run
from scripted_server import ScriptedServer

pytestmark = pytest.mark.server


def test_a_budget_of_calls_is_kept_and_the_next_run_does_the_rest(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", range(60))
    with ScriptedServer("scenarios:answer_well", latency_ms=5) as server:
        arguments = [*command(server, tmp_path / "out", images), "--label", "real", "--concurrency", "32"]
        first = run([*arguments, "--budget-calls", "100"])
        assert first.returncode == 3, first.stderr
        assert server.number() == 100
        assert "100 calls" in first.stdout + first.stderr
        done = len(rows(tmp_path / "out/records.jsonl"))
        assert f"{60 - done} " in first.stdout + first.stderr
        assert run(arguments).returncode == 0
        assert set(server.counts().values()) == {1}
        assert server.number() == 180
    assert sorted(map(number, rows(tmp_path / "out/records.jsonl"))) == list(range(60))


def test_a_budget_counts_calls_that_fail(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", range(40))
    with ScriptedServer("scenarios:answer_at_the_second") as server:
        arguments = [*command(server, tmp_path / "out", images), "--label", "real", "--concurrency", "8"]
        done = run([*arguments, "--budget-calls", "50"])
        assert done.returncode == 3, done.stderr
        assert server.number() == 50


def test_a_budget_of_tokens_is_kept(tmp_path: Path) -> None:
    """The server says 1,000 tokens a call."""
    images = draw(tmp_path / "images", range(60))
    with ScriptedServer("scenarios:answer_well", latency_ms=5) as server:
        arguments = [*command(server, tmp_path / "out", images), "--label", "real", "--concurrency", "32"]
        first = run([*arguments, "--budget-tokens", "60000"])
        assert first.returncode == 3, first.stderr
        assert 20 <= server.number() <= 60
        assert run(arguments).returncode == 0
        assert set(server.counts().values()) == {1}


def test_requests_a_minute_are_kept_in_every_stretch(tmp_path: Path) -> None:
    """1,200 a minute are 20 a second; 90 calls take over 4 seconds, and no second sees many more than 20."""
    images = draw(tmp_path / "images", range(30))
    with ScriptedServer("scenarios:answer_well") as server:
        arguments = [*command(server, tmp_path / "out", images), "--label", "real", "--concurrency", "32"]
        assert run([*arguments, "--requests-per-minute", "1200"]).returncode == 0
        times = sorted(call["time"] for call in server.calls())
    assert len(times) == 90
    assert times[-1] - times[0] >= 89 / 20 - 0.5
    for index, time in enumerate(times):
        assert len([later for later in times[index:] if later < time + 1]) <= 23


def test_a_dry_run_asks_nothing_and_shows_what_would_be_asked(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", range(7))
    with ScriptedServer("scenarios:answer_well") as server:
        done = run([*command(server, tmp_path / "out", images), "--label", "real", "--dry-run"])
        assert done.returncode == 0, done.stderr
        assert server.calls() == []
    assert "21" in done.stdout  # calls, for 7 images
    assert "bbox_2d" in done.stdout
    assert not (tmp_path / "out/records.jsonl").exists()


def test_a_limit_of_images_is_a_limit_of_images(tmp_path: Path) -> None:
    images = draw(tmp_path / "images", range(9))
    with ScriptedServer("scenarios:answer_well") as server:
        arguments = [*command(server, tmp_path / "out", images), "--label", "real"]
        assert run([*arguments, "--limit", "4"]).returncode == 0
        assert {call["image"] for call in server.calls()} == {0, 1, 2, 3}
        assert run(arguments).returncode == 0
        assert set(server.counts().values()) == {1}
    assert json.loads((tmp_path / "out/summary.json").read_text())
    assert len(rows(tmp_path / "out/records.jsonl")) == 9
