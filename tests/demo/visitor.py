"""A visitor of the demo without a browser: sends a picture, and hears the events until it leaves."""

import io
import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any
from urllib.parse import quote

import requests
from PIL import Image

_TIMEOUT_S = 60


def png(width: int, height: int = 224) -> bytes:
    content = io.BytesIO()
    Image.effect_noise((width, height), 80).convert("RGB").save(content, "PNG", compress_level=1)
    return content.getvalue()


class Visitor:
    """An open request. `answer` has the status; `heard` are the events so far."""

    def __init__(self, url: str, content: Any, name: str = "a.png", **headers: str) -> None:
        self.url, self._session = url, requests.Session()
        # The header names that Python cannot write as arguments have underscores.
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = self._session.post(
            f"{url}look", data=content, headers={"X-File-Name": quote(name), **sent}, stream=True, timeout=_TIMEOUT_S
        )
        self.heard: dict[str, Any] = {}
        self._events = self._read()

    def _read(self) -> Iterator[tuple[str, Any]]:
        name = ""
        for line in self.answer.iter_lines(chunk_size=65_536, decode_unicode=True):
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))

    def wait_for(self, wanted: str) -> Any:
        """What the first event of that name says."""
        for name, told in self._events:
            self.heard[name] = told
            if name == wanted:
                return told
        raise AssertionError(f"no event {wanted!r} came; {list(self.heard)}")

    @property
    def refusal(self) -> tuple[int, str]:
        """The status and the words of a refusal."""
        return self.answer.status_code, self.answer.json()["error"]

    def ask(self, what: str, method: str = "GET", **headers: str) -> requests.Response:
        """Something further about its picture."""
        address = f"{self.url}visits/{self.heard['taken']['id']}/{what}"
        return requests.request(method, address, headers=headers, timeout=_TIMEOUT_S)

    def leave(self) -> None:
        self.answer.close()
        self._session.close()

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.leave()
