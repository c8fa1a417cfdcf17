"""Scenarios of a service and its network that fail, wait, refuse, or answer in a form of their own."""

import json
from email.utils import formatdate
from time import time
from typing import Any

from scenario import EXPLAINED, EXPLANATION, SENT, TIMEOUT_S, Scenario, found
from scripted_server import Call, Reply, completion, fault

_HTML = Reply(b"<html><body><h1>502 Bad Gateway</h1></body></html>", 502, content_type="text/html")
_SILENCE = completion(EXPLANATION)  # after more time than a client gives
_LATE = Reply(_SILENCE.body, delay_s=TIMEOUT_S + 1.0)
_BUSY = fault(503, "The engine is overloaded.")
_BROKEN = fault(500, "The server had an error.")
_UNSUPPORTED = fault(400, "You uploaded an unsupported image.", "image_parse_error")


def _in_a_second(call: Call) -> Reply:
    """429, with the wait as a date, which has whole seconds."""
    return fault(429, "Rate limit reached.", "rate_limit_exceeded", Retry_After=formatdate(time() + 1, usegmt=True))


def _json(value: Any, content_type: str = "application/json") -> Reply:
    return Reply(json.dumps(value).encode(), content_type=content_type)


def _limited(**headers: str) -> Reply:
    return fault(429, "Rate limit reached.", "rate_limit_exceeded", **headers)


def _again(first: Reply, *more: Reply) -> Scenario:
    """An explanation that comes after these answers, none of which counts as one."""
    return Scenario(explain=(first, *more, EXPLAINED), calls=(2 + len(more), 1, 1))


def _never(answer: Reply, rejected: str, sent: int = SENT) -> Scenario:
    return Scenario(explain=(answer,), calls=(sent, 0, 0), rejected=rejected)


_WHOLE = json.loads(EXPLAINED.body)

SERVICE = {
    # Too many requests, and a service in trouble.
    "429 with Retry-After in seconds": _again(_limited(Retry_After="1")),
    "429 with Retry-After as a date": Scenario(explain=(_in_a_second, EXPLAINED), calls=(2, 1, 1)),
    "429 with Retry-After in milliseconds": _again(_limited(retry_after_ms="40")),
    "429 without Retry-After": _again(_limited()),
    "429 twice": _again(_limited(Retry_After="0"), _limited()),
    "429 for ever": _never(_limited(), "429"),
    "429 with a Retry-After that is no time": _again(_limited(Retry_After="soon")),
    "500 once": _again(_BROKEN),
    "500 for ever": _never(_BROKEN, "500"),
    "503 once": _again(_BUSY),
    "503 for ever while grounding": Scenario(ground=(_BUSY,), calls=(1, SENT, 0), rejected="503"),
    "500 for ever while filtering": Scenario(filter=(_BROKEN,), calls=(1, 1, SENT), rejected="500"),
    "500 once while grounding": Scenario(ground=(_BROKEN, found), calls=(1, 2, 1)),
    "502 in HTML": _again(_HTML),
    "504 without a body": _again(Reply(status=504)),
    "529, overloaded": _again(fault(529, "Overloaded")),
    "408": _again(fault(408, "Request timed out.")),
    # The network.
    "reset before the answer": _again(Reply(EXPLAINED.body, cut_after=0)),
    "reset in mid-answer": _again(Reply(EXPLAINED.body, cut_after=60)),
    "closed in mid-answer": _again(Reply(EXPLAINED.body, cut_after=60, reset=False)),
    "half of a chunked body": _again(Reply(EXPLAINED.body, cut_after=60, chunked=True)),
    "a whole chunked body": Scenario(explain=(Reply(EXPLAINED.body, chunked=True),)),
    "reset for ever": _never(Reply(EXPLAINED.body, cut_after=0), "onnection"),
    "silence once": _again(_LATE),
    # What cannot be answered, and is not asked again.
    "an image called unsupported": _never(_UNSUPPORTED, "unsupported image", 1),
    "an image called unsupported while grounding": Scenario(
        ground=(_UNSUPPORTED,), calls=(1, 1, 0), rejected="unsupported image"
    ),
    "413": _never(fault(413, "Request entity too large"), "too large", 1),
    "422": _never(fault(422, "Input should be a valid string"), "valid string", 1),
    "a policy's 400": _never(fault(400, "Rejected by our safety system.", "content_policy_violation"), "safety", 1),
    # Forms of an answer.
    "no choices": _never(_json({**_WHOLE, "choices": []}), "no choices"),
    "choices that are null": _never(_json({**_WHOLE, "choices": None}), "no choices"),
    "200 with the body of an error": _again(_json({"error": {"message": "backend gone", "code": 502}})),
    "200 with HTML": _again(Reply(b"<html>busy</html>", content_type="text/html")),
    "200 with half a JSON": _again(Reply(EXPLAINED.body[:80])),
    "200 with nothing": _again(Reply(b"")),
    "200 with a list": _again(_json([_WHOLE])),
    "200 with bytes that are no UTF-8": _again(Reply(b'{"choices": [{"message": {"content": "\xff\xfe"}}]}')),
    "JSON called text/plain": Scenario(explain=(_json(_WHOLE, "text/plain"),)),
    "no usage": Scenario(explain=(completion(EXPLANATION, usage=""),)),
    "usage that is null": Scenario(explain=(completion(EXPLANATION, usage=None),)),
    "usage of another form": Scenario(explain=(completion(EXPLANATION, usage={"total_tokens": "many"}),)),
    "fields that nobody knows": Scenario(explain=(completion(EXPLANATION, reasoning_content="Let me see.", x=[1]),)),
    "no finish reason": Scenario(explain=(completion(EXPLANATION, finish_reason=None),)),
}
