"""An OpenAI-compatible server on a loopback port whose answers are scripted, in a process of its own.

    with ScriptedServer("scenarios:answer", latency_ms=20) as server:
        ...                                      # zoomin annotate --explain-url {server.url} --explain-model explain
        server.calls()                           # every call so far, in the order of their arrival

The name of the model tells the step that is asked: explain, ground or filter, or detect; other names get OpenAI's 404.
The image is read from the first data URI: its number stands in its pixels (`marked_images`), or with `pictures` it is
the place of the most similar file in that folder. What to answer is said by a function of the call, named
`module:function`. The process ends when the one that started it does.
"""

import argparse
import asyncio
import importlib.util
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from aiohttp import web
from marked_images import Recogniser, number_of, sent_image
from PIL import Image

STEPS = ("explain", "ground", "filter")
MODELS = (*STEPS, "detect")
_LARGEST_REQUEST = 64 << 20  # bytes
_LINGER_RESETS = struct.pack("ii", 1, 0)  # a socket closed with this sends RST, not FIN


@dataclass(frozen=True)
class Call:
    """One request as it came in.

    `turn` is the number of questions in its conversation, and `attempt` counts the calls of this step and turn about
    this image, both from 1. `picture` is the first one.
    """

    step: str
    image: int
    turn: int
    attempt: int
    picture: Image.Image
    prompt: str
    key: str


@dataclass(frozen=True)
class Reply:
    """What goes over the wire.

    With `cut_after` the connection ends after so many bytes of the body (0: before the head), reset or, if not
    `reset`, closed. `delay_s` is waited first.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    cut_after: int | None = None
    reset: bool = True
    chunked: bool = False
    delay_s: float = 0.0


Script = Callable[[Call], Reply]


def completion(content: Any, finish_reason: str | None = "stop", usage: Any = "as counted", **message: Any) -> Reply:
    """A whole answer in the form of OpenAI; `usage` is left out where it is the empty string."""
    counted = {"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000}
    value: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "scripted",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish_reason,
            }
        ],
        "usage": counted if usage == "as counted" else usage,
    }
    if usage == "":
        del value["usage"]
    return Reply(json.dumps(value).encode())


def fault(status: int, message: str, code: str | None = None, **headers: str) -> Reply:
    """An error in the form of OpenAI; `Retry_After` is written for the header Retry-After."""
    body = {"error": {"message": message, "type": "error", "param": None, "code": code}}
    return Reply(json.dumps(body).encode(), status, {name.replace("_", "-"): value for name, value in headers.items()})


# ---- in the server's process


class _Server:
    def __init__(self, script: Script, number_of: Callable[[Image.Image], int], latency_s: float, key: str) -> None:
        self._script, self._number_of, self._latency_s, self._key = script, number_of, latency_s, key
        self._log: list[dict[str, Any]] = []
        self._counts: Counter[tuple[str, int, int]] = Counter()

    def application(self) -> web.Application:
        application = web.Application(client_max_size=_LARGEST_REQUEST)
        application.router.add_post("/v1/chat/completions", self._complete)
        application.router.add_get("/v1/models", self._models)
        application.router.add_get("/calls", self._calls)
        application.router.add_get("/number", self._number)
        application.router.add_post("/forget", self._forget)
        return application

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        start = time.time()
        try:
            body = json.loads(await request.read())
        except ConnectionResetError:  # the client gave up, or died, before it had sent the whole question
            return web.Response()
        entry = {"step": body["model"], "image": -1, "time": start, "answered": False, "closed": False}
        self._log.append(entry)
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        entry["key"] = key
        if self._key and key != self._key:
            reply = fault(401, f"Incorrect API key provided: {key}.", "invalid_api_key")
        elif body["model"] not in MODELS:
            reply = fault(404, f"The model `{body['model']}` does not exist.", "model_not_found")
        else:
            call = self._call(body, key)
            entry |= {"image": call.image, "turn": call.turn, "attempt": call.attempt, "size": call.picture.size}
            entry["max_tokens"] = body.get("max_tokens") or body.get("max_completion_tokens")
            reply = self._script(call)
        await asyncio.sleep(max(0.0, self._latency_s + reply.delay_s - (time.time() - start)))
        response = await _send(request, reply)
        entry |= {"answered": reply.cut_after is None, "closed": request.transport is None}
        return response

    def _call(self, body: dict[str, Any], key: str) -> Call:
        contents = [message["content"] for message in body["messages"]]
        parts = [part for content in contents if isinstance(content, list) for part in content]
        uri, *_ = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        prompt = "\n".join(part["text"] for part in parts if part["type"] == "text")
        picture = sent_image(uri)
        number = self._number_of(picture)
        turn = sum(message["role"] == "user" for message in body["messages"])
        asked = body["model"], number, turn
        self._counts[asked] += 1
        return Call(*asked, self._counts[asked], picture, prompt, key)

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": model, "object": "model"} for model in MODELS]})

    async def _calls(self, request: web.Request) -> web.Response:
        return web.json_response(self._log[int(request.query.get("from", 0)) :])

    async def _number(self, request: web.Request) -> web.Response:
        return web.json_response(len(self._log))

    async def _forget(self, request: web.Request) -> web.Response:
        self._log.clear()
        self._counts.clear()
        return web.Response()


async def _send(request: web.Request, reply: Reply) -> web.StreamResponse:
    headers = {"Content-Type": reply.content_type, **reply.headers}
    if reply.cut_after is None and not reply.chunked:
        return web.Response(body=reply.body, status=reply.status, headers=headers)
    response = web.StreamResponse(status=reply.status, headers=headers)
    if reply.chunked:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(reply.body)
    if reply.cut_after != 0:
        await response.prepare(request)
        await response.write(reply.body[: reply.cut_after])
    if reply.cut_after is not None and request.transport is not None:
        await asyncio.sleep(0.02)  # for what is sent to arrive: a reset may overtake it
        if reply.reset:
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESETS)
        request.transport.abort()
    return response


async def _serve(server: _Server) -> None:
    runner = web.AppRunner(server.application(), access_log=None)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    await web.SockSite(runner, listening).start()
    print(listening.getsockname()[1], flush=True)
    await asyncio.Event().wait()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("script", help="module:function")
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--key", default="", help="refuse every other")
    parser.add_argument("--pictures", type=Path, help="a folder; else pictures carry their number")
    options = parser.parse_args()
    module, name = options.script.split(":")
    script = getattr(importlib.import_module(module), name)
    recognise = Recogniser(options.pictures) if options.pictures else number_of
    threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
    asyncio.run(_serve(_Server(script, recognise, options.latency_ms / 1000, options.key)))


# ---- for the tests


class ScriptedServer:
    """The server, started; `url` is what an OpenAI client calls its base URL."""

    def __init__(self, script: str, latency_ms: float = 0, key: str = "", pictures: Path | None = None) -> None:
        found = importlib.util.find_spec(script.partition(":")[0])
        assert found is not None
        assert found.origin is not None
        here = Path(__file__).parent
        paths = [str(Path(found.origin).parent), str(here), str(here.parent), os.environ.get("PYTHONPATH", "")]
        arguments = [sys.executable, __file__, script, "--latency-ms", str(latency_ms), "--key", key]
        self._process = subprocess.Popen(
            [*arguments, *(("--pictures", str(pictures)) if pictures else ())],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._address = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.url = f"{self._address}/v1"
        self._session = requests.Session()

    def __enter__(self) -> "ScriptedServer":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._session.close()

    def calls(self, first: int = 0) -> list[dict[str, Any]]:
        """The calls from number `first` on: step, image, turn, attempt, time (s), answered, size, key, max_tokens."""
        return self._session.get(f"{self._address}/calls", params={"from": first}, timeout=30).json()

    def number(self) -> int:
        """How many calls came so far."""
        return int(self._session.get(f"{self._address}/number", timeout=30).json())

    def counts(self) -> Counter[tuple[str, int]]:
        """How many calls each step got about each image."""
        return Counter((call["step"], call["image"]) for call in self.calls())

    def forget(self) -> None:
        """Count afresh."""
        self._session.post(f"{self._address}/forget", timeout=30).raise_for_status()


if __name__ == "__main__":
    # The scripts import this module by its name, and must meet the same classes.
    sys.modules["scripted_server"] = sys.modules["__main__"]
    _main()
