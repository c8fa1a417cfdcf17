"""Stands before `swift deploy` and asks it, with every question, for the token ids on both sides, which it keeps."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests


@contextmanager
def detailed(url: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The base URL to ask instead, and what was answered there, each with the `messages` that were asked."""
    answers: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            response = requests.post(url + self.path.removeprefix("/v1"), json={**asked, "return_details": True})
            if response.ok:
                answers.append({**response.json(), "messages": asked["messages"]})
            self.send_response(response.status_code)
            self.send_header("Content-Length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
