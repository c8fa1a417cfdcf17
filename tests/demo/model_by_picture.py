"""A served model, by OpenAI's protocol, whose answers depend on the picture, and wait where a test wants them to.

A picture's width in pixels is its name. The first reply marks one region and says "generated", the second says "real";
both say the width.
"""

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

from swift_zoomin.replies import Reply, render_reply

_WAIT_S = 60


@dataclass
class ModelByPicture:
    """`held` are the widths whose answers wait, and `held_second` those whose second answers do.

    `asked` are the widths that were asked about, each time.
    """

    url: str = ""
    held: dict[int, threading.Event] = field(default_factory=dict)
    held_second: dict[int, threading.Event] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    label: str = "melted letters"

    def hold(self, width: int) -> threading.Event:
        """Set it to let the answers about this picture go."""
        self.held[width] = threading.Event()
        return self.held[width]

    def hold_second(self, width: int) -> threading.Event:
        """The same of the second look alone."""
        self.held_second[width] = threading.Event()
        return self.held_second[width]

    def answer(self, request: dict) -> str:
        pictures = [
            part["image_url"]["url"]
            for message in request["messages"]
            if message["role"] == "user"
            for part in message["content"]
            if part["type"] == "image_url"
        ]
        width = Image.open(io.BytesIO(base64.b64decode(pictures[0].partition(",")[2]))).width
        self.asked.append(width)
        if width in self.held:
            self.held[width].wait(_WAIT_S)
        is_first = len(request["messages"]) == 1
        if not is_first and width in self.held_second:
            self.held_second[width].wait(_WAIT_S)
        if is_first:
            return render_reply(Reply("generated", [[28, 28, 84, 84]], [self.label], f"First look at {width}."))
        return render_reply(Reply("real", explanation=f"Second look at {width}."))


@contextmanager
def model_by_picture() -> Iterator[ModelByPicture]:
    model = ModelByPicture()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            text = model.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            usage = {"prompt_tokens": 90, "completion_tokens": 10}
            choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            body = json.dumps({"choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:  # who asked has left
                self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    model.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield model
    finally:
        for event in (*model.held.values(), *model.held_second.values()):
            event.set()
        server.shutdown()
        server.server_close()
        thread.join()
