"""The demo's routes.

    GET  /                        the page, and beside it its style and scripts
    GET  /settings                what the page says of the model and its limits
    POST /look                    a picture's bytes as they are, its name percent-encoded in X-File-Name; the answer are
                                  the events of `visits`, as server-sent events, as long as the visitor stays
    GET  /visits/ID/page          while the visitor of that picture stays: its evidence page,
    POST /visits/ID/heat?query=2  the heat maps of one reply as a PNG,
    POST /visits/ID/probe         and a row of `zoomin probe`, with each region's number and a sentence

What is refused is answered with {"error": why}. A picture comes as a request's body, not as a form: python-multipart
would write a large one to disk.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from swift_zoomin.demo.further import Further, as_told
from swift_zoomin.demo.guard import App, Guard, Receive, Scope, Send
from swift_zoomin.demo.uploads import RefusedError
from swift_zoomin.demo.visits import MODEL_FAILED, Event, Visit, Visits
from swift_zoomin.listing import shown
from swift_zoomin.report.evidence import Evidence, evidence_page

_PAGES = {
    "/": ("demo.html", "text/html"),
    "/demo.css": ("demo.css", "text/css"),
    "/demo.js": ("demo.js", "text/javascript"),
    "/further.js": ("further.js", "text/javascript"),
}
_LONGEST_NAME = 120  # characters of a file's name that are shown
_NO_NAME = "picture"


@dataclass(frozen=True)
class Settings:
    """What a page is told before the first picture."""

    model: str
    most_bytes: int
    most_megapixels: float
    colours: tuple[str, ...]
    heat_fault: str | None  # why there are no heat maps here


class _VisitResponse(StreamingResponse):
    """The events of a visit. However the connection ends, even before the first event, the visit ends with it."""

    def __init__(self, visits: Visits, visit: Visit) -> None:
        unbuffered = {"X-Accel-Buffering": "no"}  # on its way through nginx
        super().__init__(_as_text(visits.events(visit)), headers=unbuffered, media_type="text/event-stream")
        self._visits, self._visit = visits, visit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._visits.leave(self._visit)


async def _as_text(events: AsyncIterator[Event | None]) -> AsyncIterator[str]:
    """Server-sent events; a comment where there is none."""
    async for event in events:
        if event is None:
            yield ": still here\n\n"
        else:
            name, told = event
            yield f"event: {name}\ndata: {json.dumps(told)}\n\n"  # JSON has no line ends


def make_app(visits: Visits, further: Further, settings: Settings, token: str | None) -> App:
    """The application behind its guard; see `Guard` for `token`."""
    app = FastAPI(openapi_url=None)
    for kind, answer in ((RefusedError, _refused), (HTTPException, _not_there), (RequestValidationError, _not_asked)):
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(Exception, _failed)  # after it the server prints what was raised
    for path, (name, media_type) in _PAGES.items():
        app.add_api_route(path, _static(name, media_type))
    _add_visits(app, visits, settings)
    _add_further(app, visits, further)
    return Guard(app, token, frozenset(_PAGES))


def _add_visits(app: FastAPI, visits: Visits, settings: Settings) -> None:

    @app.get("/settings")
    async def tell_settings() -> Settings:
        return settings

    @app.post("/look")
    async def look(request: Request) -> Response:
        stated = request.headers.get("content-length", "0")
        name = _name(request.headers.get("x-file-name", ""))
        try:
            visit = await visits.welcome(request.stream(), int(stated), name)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it: what came is forgotten
        return _VisitResponse(visits, visit)


def _add_further(app: FastAPI, visits: Visits, further: Further) -> None:
    @app.get("/visits/{visit_id}/page")
    async def page(visit_id: str) -> HTMLResponse:
        visit, prediction = visits.finished(visit_id)
        evidence = Evidence(prediction, visit.upload.file.path, probe=visit.probe, name=visit.upload.name)
        content = await visit.do("page", asyncio.to_thread(evidence_page, evidence))
        return HTMLResponse(content, headers={"Content-Disposition": "attachment"})

    @app.post("/visits/{visit_id}/heat")
    async def heat(visit_id: str, query: Annotated[int, Query(ge=1, le=2)]) -> Response:
        visit, prediction = visits.finished(visit_id)
        content = await visit.do("heat", further.heat(visit.upload, prediction, query))
        return Response(content, media_type="image/png")

    @app.post("/visits/{visit_id}/probe")
    async def probe(visit_id: str) -> dict[str, Any]:
        visit, prediction = visits.finished(visit_id)
        visit.probe = await visit.do("probe", further.probe(visit.upload, prediction))
        return as_told(visit.upload, visit.probe, prediction)


def _static(name: str, media_type: str) -> Any:
    content = (files("swift_zoomin.demo") / "page" / name).read_bytes()

    async def send_part() -> Response:
        return Response(content, media_type=media_type)

    return send_part


def _name(encoded: str) -> str:
    """What a file is called, as text for a page: without a path, of bounded length, unprintable characters escaped."""
    name = shown(Path(unquote(encoded)).name)
    return f"{name[:_LONGEST_NAME]}..." if len(name) > _LONGEST_NAME else name or _NO_NAME


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return JSONResponse({"error": str(error)}, error.status)


async def _not_there(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


async def _not_asked(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "no such question"}, HTTPStatus.UNPROCESSABLE_ENTITY)


async def _failed(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": MODEL_FAILED}, HTTPStatus.INTERNAL_SERVER_ERROR)
