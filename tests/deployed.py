"""A real server: `swift deploy` on a model folder, with the template `zoomin`."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests
from conftest import child_environment

# It ends with the process that started it: its standard input ends then.
LAUNCHER = """
import os, runpy, signal, threading
threading.Thread(target=lambda: (os.read(0, 1), os.killpg(0, signal.SIGKILL)), daemon=True).start()
runpy.run_module("swift.cli.deploy", run_name="__main__")
"""
START_TIMEOUT_S = 600


@contextmanager
def deployed(model: Path, log: Path, *options: str, **environment: str) -> Iterator[str]:
    """The server, which calls the model `tiny`; what a client calls its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = [
        *("--custom_register_path", "swift_zoomin", "--model", str(model), "--model_type", "qwen2_5_vl"),
        *("--template", "zoomin", "--infer_backend", "transformers", "--torch_dtype", "float32"),
        *("--served_model_name", "tiny", "--host", "127.0.0.1", "--port", str(port)),
        *options,
    ]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, *arguments],
            env=child_environment(**environment),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/v1", server, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.communicate()


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with suppress(requests.ConnectionError):
            requests.get(f"{url}/models", timeout=10).raise_for_status()
            return
        assert server.poll() is None, log.read_text(errors="replace")[-4000:]
        assert time.monotonic() < deadline
        time.sleep(0.3)
