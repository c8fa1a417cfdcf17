"""The command `zoomin annotate` run against a scripted server, and what it left in its folder."""

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conftest import ROOT, child_environment
from marked_images import marked
from scripted_server import ScriptedServer

STREAMS = "run.log"  # beside DIR: what the runs of a fork server printed
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


def run(arguments: Sequence[str], **changes: str) -> subprocess.CompletedProcess[str]:
    """`zoomin` with these arguments, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "swift_zoomin.cli", *arguments],
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=300,
    )


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


class Runs:
    """Processes that run the command and begin at once: the interpreter and its imports are forked, not started."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(
            ["annotate_runs", "swift_zoomin.cli", "swift_zoomin.annotation.command", "openai.resources.chat"]
        )

    def start(self, arguments: Sequence[str], log: Path) -> multiprocessing.process.BaseProcess:
        process = self._context.Process(target=_main, args=(list(arguments), str(log), environment()))
        process.start()
        return process


def _main(arguments: list[str], log: str, variables: dict[str, str]) -> None:
    """In the forked process: the command as its console script runs it, its streams in a file."""
    from swift_zoomin.cli import main

    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["zoomin", *arguments]
    sys.exit(main())
