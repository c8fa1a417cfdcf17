"""Who may ask the demo, and what a browser may do with its answers.

- Host: without a token, only names of this machine, so that a page elsewhere whose name is made to lead here (DNS
  rebinding) gets nothing; such a page knows no token. Ports are not compared: an SSH tunnel has another.
- Origin and Sec-Fetch-Site: no other site's page may post pictures here from a visitor's browser.
- The token, where there is one, as `Authorization: Bearer ...`: it stands in no address, and so in no log or history,
  and no other site's form can send it. Where the demo listens beyond loopback there is always one.

The page itself, which holds nothing, asks for no token.
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from swift_zoomin.demo.uploads import RefusedError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether this address, or `localhost`, is reached from this machine alone; of another name nobody knows."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in ("localhost", "localhost.")


class Guard:
    """Stands before an application: refuses who may not ask it, and sends the headers above with every answer.

    `token` is None where none is asked for: on loopback alone.
    """

    def __init__(self, app: App, token: str | None, open_paths: frozenset[str]) -> None:
        self._app, self._open_paths = app, open_paths
        self._token = _digest(token) if token is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # nothing here speaks WebSocket

        async def send_guarded(message: Scope) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            self._check(Headers(scope=scope), scope["path"])
        except RefusedError as refused:
            headers = {"WWW-Authenticate": "Bearer"} if refused.status == HTTPStatus.UNAUTHORIZED else {}
            await JSONResponse({"error": str(refused)}, refused.status, headers)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _check(self, headers: Headers, path: str) -> None:
        """Raises RefusedError."""
        host = headers.get("host", "")
        if self._token is None and not is_loopback(_name_of(host)):
            message = f"this demo is reached as localhost or 127.0.0.1, not as {host[:100]!r}"
            raise RefusedError(HTTPStatus.MISDIRECTED_REQUEST, message)
        if path in self._open_paths:
            return
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        is_foreign = origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower())
        if is_foreign or site not in ("same-origin", "none"):
            raise RefusedError(HTTPStatus.FORBIDDEN, "asked by a page of another site; open the demo itself")
        if self._token is not None:
            self._check_token(headers.get("authorization", ""))

    def _check_token(self, authorization: str) -> None:
        kind, _, given = authorization.partition(" ")
        if kind.lower() != "bearer" or not given:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "no token; open the address that the demo printed at its start")
        # Digests, so that neither the time of comparing nor the length says anything of the token.
        if not hmac.compare_digest(_digest(given), self._token or b""):
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "the token is not this demo's; is it of an earlier start?")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _name_of(host: str) -> str:
    """A Host header without its port: `[::1]:7860` is `::1`. Empty for one that is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
