"""Locked files: a lock ends with the process that took it, whatever it has started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from swift_zoomin.locked_files import open_locked
from swift_zoomin.records import RecordError

FORKING = """
import os, sys, time
from pathlib import Path
from swift_zoomin.locked_files import open_locked

locked = open_locked(Path(sys.argv[1]))
if os.fork() == 0:
    print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_a_child_that_outlives_a_killed_run_does_not_keep_its_lock(tmp_path: Path) -> None:
    out = tmp_path / "p.jsonl"
    with subprocess.Popen([sys.executable, "-c", FORKING, out], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        child = int(run.stdout.readline())
        try:
            with pytest.raises(RecordError, match="another run is writing to it"):  # the child's end is not the run's
                open_locked(out)
            run.kill()
            run.wait()
            open_locked(out).close()
            os.kill(child, 0)  # it still lives
        finally:
            run.kill()
            os.kill(child, signal.SIGKILL)
