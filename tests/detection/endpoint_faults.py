"""What a server does instead of answering `zoomin detect`, once or for ever, and the script that does it by image."""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from time import time

from marked_images import object_in
from scripted_server import Call, Reply, completion, fault

from swift_zoomin.replies import GENERATED, REAL, render_reply
from swift_zoomin.replies import Reply as Said

TIMEOUT_S, RETRIES = 10, 2  # seconds enough for a busy machine to answer in
TRIES = 1 + RETRIES
LABEL = "red panel"
_WHOLE = completion(render_reply(Said(GENERATED, [], [], "It stays red.")))
_LATE = Reply(_WHOLE.body, delay_s=60)

Fault = Reply | Callable[[], Reply]


def _limited(**headers: str) -> Reply:
    return fault(429, "Rate limit reached.", "rate_limit_exceeded", **headers)


def _until_a_date() -> Reply:
    return _limited(Retry_After=formatdate(time() + 1, usegmt=True))


# What another try may mend, and what the row says where none does.
FAULTS: dict[str, tuple[Fault, str]] = {
    "429 with Retry-After": (_limited(Retry_After="1"), "429 Rate limit reached."),
    "429 with a date": (_until_a_date, "429 Rate limit reached."),
    "429 without Retry-After": (_limited(), "429 Rate limit reached."),
    "500": (fault(500, "The server had an error."), "500 The server had an error."),
    "503 in HTML": (Reply(b"<h1>busy</h1>", 503, content_type="text/html"), "503 <h1>busy</h1>"),
    "garbage": (Reply(b"\x00\xff\xfe garbage"), "its answer is no JSON"),
    "half an answer": (Reply(_WHOLE.body[:80]), "its answer is no JSON"),
    "an answer cut off": (Reply(_WHOLE.body, cut_after=60, reset=False), "connection broken"),
    "nothing": (Reply(b""), "its answer is no JSON"),
    "no choices": (Reply(b'{"choices": []}'), "its answer has no choices"),
    "an error called 200": (Reply(b'{"error": {"message": "backend gone"}}'), "no choices: backend gone"),
    "silence": (_LATE, f"no answer within {TIMEOUT_S} s"),
    "reset before the answer": (Reply(_WHOLE.body, cut_after=0), "connection broken"),
    "reset in mid-answer": (Reply(_WHOLE.body, cut_after=60), "connection broken"),
}
REFUSED = fault(400, "You uploaded an unsupported image.", "image_parse_error")


@dataclass(frozen=True)
class Scenario:
    """The server has this fault in its answer to question `turn`, once or for ever; `error` then ends the image."""

    fault: Fault | None = None
    turn: int = 1
    is_forever: bool = False
    error: str = ""

    @property
    def calls(self) -> list[int]:
        """How often each of both questions is asked."""
        if self.fault is None:
            return [1, 1]
        asked = [1] * self.turn
        asked[-1] = 1 if self.fault is REFUSED else TRIES if self.is_forever else 2
        return asked if self.is_forever else [*asked, *[1] * (2 - self.turn)]


def _scenarios() -> dict[str, Scenario]:
    made = {"no fault": Scenario()}
    for name, (answer, error) in FAULTS.items():
        for turn in (1, 2):
            made[f"{name}, once, at question {turn}"] = Scenario(answer, turn)
        made[f"{name}, for ever"] = Scenario(answer, 1 + len(made) % 2, is_forever=True, error=error)
    for turn in (1, 2):
        made[f"refused at question {turn}"] = Scenario(REFUSED, turn, is_forever=True, error="unsupported image")
    return made


SCENARIOS = _scenarios()
NAMES = list(SCENARIOS)


def of_image(number: int) -> Scenario:
    return SCENARIOS[NAMES[number % len(NAMES)]]


def answer(call: Call) -> Reply:
    """The script of a server."""
    scenario = of_image(call.image)
    if scenario.fault and call.turn == scenario.turn and (scenario.is_forever or call.attempt == 1):
        return scenario.fault if isinstance(scenario.fault, Reply) else scenario.fault()
    if call.turn == 2:
        return _WHOLE
    boxes = [[float(number) for number in object_in(call.picture)]]
    return completion(render_reply(Said(REAL, boxes, [LABEL], "A red panel without a shadow.")))
