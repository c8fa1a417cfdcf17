"""What a shell sees of a command: a closed pipe, a full device, a plain terminal, Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from scripted_commands import evaluation, make_images, rows

from swift_zoomin.records import write_records


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_images(tmp_path / "data")


def in_a_shell(command: str, data: Path, **variables: str) -> tuple[str, str]:
    """What a shell prints of `$zoomin ...`, with its errors."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "zoomin": f"{sys.executable} -m swift_zoomin.cli"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=data, env={**environment, **variables}, capture_output=True, text=True
    )
    return done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_ends_a_command_quietly(data: Path, unbuffered: str) -> None:
    for command in ("check records.jsonl", "check absent.jsonl 2>&1"):
        # The pipe has no reader before anything is written to it.
        piped = f"{{ sleep 0.2; $zoomin {command}; echo $? >status; }} | true; cat status"
        assert in_a_shell(piped, data, PYTHONUNBUFFERED=unbuffered) == ("141\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_said(data: Path, unbuffered: str) -> None:
    out, err = in_a_shell("$zoomin check records.jsonl >/dev/full; echo $?", data, PYTHONUNBUFFERED=unbuffered)
    assert (out, err) == ("1\n", "zoomin: No space left on device\n")
    assert in_a_shell("$zoomin check records.jsonl >&-; echo $?", data)[0] == "0\n"


@pytest.mark.slow
def test_a_name_that_the_terminal_cannot_show_is_shown_as_it_can(data: Path) -> None:
    (data / "a.png").rename(data / "café.png")
    write_records(data / "records.jsonl", [{"image": f"{name}.png", "label": "real"} for name in ("café", "b")])
    evaluation(data, "b.png")
    out, err = in_a_shell("$zoomin evaluate records.jsonl p.jsonl", data, PYTHONIOENCODING="ascii")
    assert any(line.endswith("caf\\xe9.png") for line in out.splitlines())
    assert err == ""
    out, err = in_a_shell("$zoomin evaluate records.jsonl café.jsonl", data, PYTHONIOENCODING="ascii")
    assert (out, err) == ("", "zoomin: caf\\xe9.jsonl: no such predictions file\n")


SLOW = """
import signal, sys, time
from types import SimpleNamespace
from swift_zoomin.checkpoints import QWEN_LIMITS
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
from swift_zoomin.episode import Answer
limits = {"IMAGE_MIN_TOKEN_NUM": 1, "IMAGE_MAX_TOKEN_NUM": 100, "smart_resize": lambda *size: size[:2]}
sys.modules["qwen_vl_utils"] = SimpleNamespace(vision_process=SimpleNamespace(**limits))  # the real one loads torch
class Slow:
    limits = QWEN_LIMITS
    def __init__(self, *_): self.asked = 0
    async def answer(self, conversation):
        self.asked += 1
        if self.asked > 1:
            print("waiting", flush=True)
            time.sleep(60)
        return Answer("no", [1], True)
    def close(self): pass
sys.modules["swift_zoomin.detection.engine"] = SimpleNamespace(SwiftEngine=Slow)
from swift_zoomin.cli import main
sys.exit(main())
"""


def test_another_process_may_not_write_meanwhile_and_control_c_is_one_line_that_keeps_the_rows(
    zoomin, engine, data: Path
) -> None:
    out = data / "out.jsonl"
    model = data.parent / "a model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    arguments = ["detect", str(data), "--model", str(model), "--concurrency", "1", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    started = time.monotonic()
    while not rows(out) and time.monotonic() - started < 20:  # the row of the first is written while this one is asked
        time.sleep(0.01)
    status, _, refused = zoomin(*arguments)
    assert (status, refused.startswith(f"zoomin: {out}: another run is writing to it")) == (1, True)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, err = process.communicate()
    assert (process.returncode, time.monotonic() - started < 20) == (130, True)
    assert err.splitlines()[-1] == "zoomin: interrupted; what is written stays"
    assert "Traceback" not in err
    assert [row["image"] for row in rows(out)] == ["a.png"]
