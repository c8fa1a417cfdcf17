"""The command `zoomin demo` in a process of its own, and what it writes, holds and opens meanwhile."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conftest import child_environment

START_TIMEOUT_S = 300
# Python's own word of every file that it opens for writing, and of every folder that it makes. Its first argument is
# where to note them. What a library writes without Python's help is seen in the folders alone.
_LAUNCHER = """
import os, sys, threading
notes = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def note(event, details):
    writes = event == "open" and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event in ("os.mkdir", "os.rename", "os.link", "os.symlink", "tempfile.mkstemp", "tempfile.mkdtemp"):
        os.write(notes, f"{event} {details[0]}\\n".encode())
sys.addaudithook(note)
# It ends with the process that started it: its standard input ends then.
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
sys.argv[0] = "zoomin"
from swift_zoomin.cli import main
sys.exit(main())
"""


@dataclass
class Demo:
    """A running demo. `url` ends in a slash, and `token` is the one that it printed. `folder` is its working folder."""

    url: str
    token: str
    folder: Path
    process: subprocess.Popen[bytes]

    def noted(self) -> list[str]:
        """What it has opened for writing or made so far, besides devices."""
        lines = (self.folder.parent / "noted").read_text().splitlines()
        return [line for line in lines if not line.startswith("open /dev/")]

    def files(self) -> set[Path]:
        """All files where it could leave any: its working folder, and those for temporary files and caches."""
        folders = [self.folder.parent, Path("/dev/shm")]
        return {path for folder in folders for path in folder.rglob("*") if path.is_file()}

    def pictures_held(self) -> int:
        """Files in memory that it has open."""
        descriptors = Path(f"/proc/{self.process.pid}/fd")
        targets = []
        for name in os.listdir(descriptors):
            try:
                targets.append(os.readlink(descriptors / name))
            except FileNotFoundError:
                continue
        return sum(target.startswith("/memfd:picture") for target in targets)

    def wait_until_held(self, number: int, timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while (held := self.pictures_held()) != number:
            assert time.monotonic() < deadline, f"{held} pictures held; expected {number}"
            time.sleep(0.02)

    def said(self) -> str:
        return (self.folder.parent / "log").read_text(errors="replace")


@contextmanager
def running_demo(home: Path, *arguments: object, **environment: str) -> Iterator[Demo]:
    """The command with these arguments on a free port; its files lie in `home`."""
    folders = {name: home / name for name in ("work", "temporary", "cache")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    variables = child_environment(
        TMPDIR=str(folders["temporary"]), XDG_CACHE_HOME=str(folders["cache"]), HF_HUB_OFFLINE="1", **environment
    )
    command = [sys.executable, "-c", _LAUNCHER, home / "noted", "demo", "--port", 0, *arguments]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folders["work"],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        url, token = _invitation(process, home / "log")
        yield Demo(url, token, folders["work"], process)
        process.send_signal(signal.SIGINT)  # Ctrl+C, which is how a demo ends
        assert process.wait(60) == 0, (home / "log").read_text(errors="replace")[-4000:]
    finally:
        process.kill()
        process.communicate()


def _invitation(process: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    """The address and the token that it prints."""
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
    line = process.stdout.readline().decode() if ready else ""
    found = re.fullmatch(r"open (http://[^#\s]*/)(?:#token=(\S+))?(?: .*)?\n", line)
    assert found, line + log.read_text(errors="replace")[-4000:]
    # Where it listens on all addresses it names the machine, which a test need not be able to look up.
    port = found[1].rstrip("/").rpartition(":")[2]
    return f"http://127.0.0.1:{port}/", found[2] or ""
