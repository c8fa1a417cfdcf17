"""The HTTP server of `swift rollout`, started as a user starts it, for tests and benchmarks.

    with RolloutServer(model, folder) as server:
        outputs = server.infer(rollout_requests, max_tokens=100, temperature=0)

It runs in a process group of its own, which dies with the process that started it (its standard input ends then). One
name of ms-swift is changed: a machine without a GPU counts no device, and the server would refuse to start.
"""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import psutil
import requests
from conftest import VLLM_MEMORY_SHARE, child_environment
from requests.adapters import HTTPAdapter
from swift.infer_engine import RequestConfig
from swift.infer_engine.protocol import RolloutInferRequest, RolloutOutput
from swift.rlhf_trainers import VLLMClient
from urllib3.connection import HTTPConnection

from swift_zoomin.episode import MAX_CROPS

_LAUNCHER = """
import os, runpy, signal, threading
threading.Thread(target=lambda: (os.read(0, 1), os.killpg(0, signal.SIGTERM)), daemon=True).start()
from swift.arguments import deploy_args
count = deploy_args.get_device_count
deploy_args.get_device_count = lambda: count() or 1
runpy.run_module("swift.cli.rollout", run_name="__main__")
"""
_HOST = "127.0.0.1"
_START_TIMEOUT_S = 600
_REQUEST_TIMEOUT_S = 120
_END_TIMEOUT_S = 30
_PORT_TIMEOUT_S = 90  # Linux keeps a closed connection's port for 60


class RolloutServer:
    """One server on one port; it can be killed and started again. Its log and temporary files go to `folder`.

    `more` are further arguments of its command.
    """

    def __init__(
        self,
        model: Path | str,
        folder: Path,
        scheduler: str = "zoomin",
        max_model_len: int = 1024,
        more: Sequence[str] = (),
        **environment: str,
    ) -> None:
        self._environment = environment
        self.port = _free_port()
        self.log_file = folder / "rollout.log"
        folder.mkdir(parents=True, exist_ok=True)
        self.temporary = Path(mkdtemp())  # vLLM makes sockets in it, and their paths may have 107 characters
        self._client: VLLMClient | None = None
        limits = json.dumps({"image": 1 + MAX_CROPS, "video": 0})
        self._arguments = [
            *("--custom_register_path", "swift_zoomin", "--multi_turn_scheduler", scheduler, "--model", str(model)),
            *("--model_type", "qwen2_5_vl", "--template", "zoomin", "--torch_dtype", "float32"),
            *("--vllm_use_async_engine", "true", "--vllm_enforce_eager", "true"),
            *("--vllm_gpu_memory_utilization", str(VLLM_MEMORY_SHARE)),
            *("--vllm_max_model_len", str(max_model_len), "--vllm_limit_mm_per_prompt", limits),
            *("--host", _HOST, "--port", str(self.port), *more),
        ]

    def __enter__(self) -> "RolloutServer":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        rmtree(self.temporary, ignore_errors=True)

    def start(self) -> None:
        """Start, without waiting for an answer: `infer` does."""
        _wait(lambda: _is_free(self.port), _PORT_TIMEOUT_S, f"port {self.port} is not free")
        self._client = None
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCHER, *self._arguments],
                env=child_environment(TMPDIR=str(self.temporary), **self._environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> VLLMClient:
        """Wait until the server answers; ms-swift's client of it. Raises RuntimeError with the end of its log."""
        try:
            _wait(self._answers, _START_TIMEOUT_S, "no answer")
        except (RuntimeError, TimeoutError) as error:
            self.kill()
            raise RuntimeError(f"swift rollout: {error}; the end of its log:\n{self.log()[-4000:]}") from error
        self._client = VLLMClient(hosts=[_HOST], server_ports=[self.port])
        self._client.sessions[0].mount("http://", _Transport())
        self._client.sessions[0].headers["Connection"] = "close"  # an idle one may end just when it is used again
        return self._client

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"it ended with {self._process.returncode}")
        with suppress(requests.RequestException), requests.Session() as session:
            session.mount("http://", _Transport())
            return session.get(f"http://{_HOST}:{self.port}/health/").ok
        return False

    def infer(self, rollout_requests: list[RolloutInferRequest], **config: Any) -> list[RolloutOutput]:
        """Ask as ms-swift's trainer asks. Raises RuntimeError for any failure, also for no answer in 120 seconds."""
        client = self._client or self.wait()
        sent = [asdict(request) for request in rollout_requests]
        return client.infer(sent, asdict(RequestConfig(**config)), use_tqdm=False)

    def kill(self) -> None:
        """SIGKILL everything that the server has started, and wait for the end of it.

        All stop at once, so that none answers any more, also about the end of another. Only the processes that remove
        shared memory of the dead go on: with nothing left to do they end too.
        """
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            _wait(self._is_dead, _END_TIMEOUT_S, "a process outlives the server")
        except TimeoutError:
            os.killpg(self._process.pid, signal.SIGKILL)
            raise

    def _is_dead(self) -> bool:
        running = list(self.processes())
        for process in running:
            with suppress(psutil.NoSuchProcess):
                cleans_up = any("resource_tracker" in argument for argument in process.cmdline())
                process.resume() if cleans_up else process.kill()
        self._process.poll()  # or the dead server would stay a zombie
        return not running

    def processes(self) -> Iterator[psutil.Process]:
        """The server, its workers and their helpers, as far as they run."""
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                if os.getpgid(process.pid) == self._process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

    def log(self) -> str:
        """What the server has printed so far, over all its starts."""
        return self.log_file.read_text(errors="replace")


class _Transport(HTTPAdapter):
    """HTTP with a time limit, and connections that end with a reset.

    A port keeps the connections that its server closed for a minute. ms-swift then finds the port taken and listens on
    the next one, so a server could not be started again at once. A reset connection is not kept.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        reset = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        super().init_poolmanager(*args, socket_options=[*HTTPConnection.default_socket_options, reset], **kwargs)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        return super().send(request, *args, **{**kwargs, "timeout": _REQUEST_TIMEOUT_S})


def _wait(condition: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
    """Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} after {timeout_s} s")
        time.sleep(0.3)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    """As ms-swift asks."""
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
