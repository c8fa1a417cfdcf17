"""The command `zoomin annotate` run against a scripted server, and what it left in its folder."""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from conftest import ROOT, child_environment
from marked_images import marked
from scripted_server import ScriptedServer

_PRELOADED = (
    *("swift_zoomin.cli", "swift_zoomin.annotation.command", "swift_zoomin.annotation.run"),
    *("swift_zoomin.annotation.results", "openai.resources.chat", "sklearn.feature_extraction.text"),
)
_FOREIGN = ("OPENAI_", "EXPLAIN_", "GROUND_", "FILTER_", "HTTP", "http", "ALL_PROXY", "all_proxy")


def command(server: ScriptedServer | str, out: Path, *sources: object) -> list[str]:
    """The arguments after `zoomin`; three names of models, so that the server sees which step is asked."""
    url = server if isinstance(server, str) else server.url
    return [
        *("annotate", *map(str, sources), "--out", str(out), "--explain-model", "explain", "--explain-url", url),
        *("--ground-model", "ground", "--filter-model", "filter", "--ground-frame", "absolute"),
    ]


def environment(**changes: str) -> dict[str, str]:
    """This one, with a key for the server, and no proxy or setting of another service."""
    kept = {name: value for name, value in child_environment().items() if not name.startswith(_FOREIGN)}
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, "OPENAI_API_KEY": "sk-test", **changes}


@dataclass(frozen=True)
class Done:
    """What a finished run printed, and its status."""

    returncode: int
    stdout: str
    stderr: str


def run(arguments: Sequence[str], **changes: str) -> Done:
    """`zoomin` with these arguments, in an interpreter of its own, as a shell starts it."""
    done = subprocess.run(
        [sys.executable, "-m", "swift_zoomin.cli", *arguments],
        env=environment(**changes),
        capture_output=True,
        text=True,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def draw(folder: Path, numbers: Sequence[int]) -> Path:
    """Marked images with these numbers."""
    folder.mkdir(parents=True)
    for number in numbers:
        marked(number).save(folder / f"{number:05d}.png", compress_level=1)
    return folder


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def number(row: dict[str, Any]) -> int:
    """Of the image that a row is about."""
    return int(Path(row["image"]).stem)


# ---- many short runs


_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["annotate_runs", *_PRELOADED])


def start_fork(arguments: Sequence[str], streams: Path, **changes: str) -> BaseProcess:
    """`zoomin` in a process that begins at once: the interpreter with its imports is forked, not started.

    It writes to `streams`.out and `streams`.err.
    """
    process = _forks.Process(target=_main, args=(list(arguments), str(streams), environment(**changes)))
    process.start()
    return process


def run_fork(arguments: Sequence[str], **changes: str) -> Done:
    with tempfile.TemporaryDirectory() as folder:
        streams = Path(folder, "streams")
        process = start_fork(arguments, streams, **changes)
        process.join()
        assert process.exitcode is not None
        return Done(process.exitcode, *(printed(streams, end) for end in ("out", "err")))


def printed(streams: Path, end: str = "err") -> str:
    return streams.with_suffix(f".{end}").read_text(errors="replace")


def _main(arguments: list[str], streams: str, variables: dict[str, str]) -> None:
    """In the forked process: the command as its console script runs it, with streams and environment of its own."""
    from swift_zoomin.cli import main

    for descriptor, end in ((1, "out"), (2, "err")):
        file = os.open(f"{streams}.{end}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, descriptor)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["zoomin", *arguments]
    sys.exit(main())
