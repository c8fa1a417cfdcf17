"""What servers send: an answer in a body, a reason in an error, a wait in a header. All of it may be malformed."""

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import openai

from swift_zoomin.served.keys import Redaction
from swift_zoomin.served.requests import Paid

_MOST_CHARACTERS = 200  # of a server's reason
_MOST_TOKENS = 10**9  # of one call; more is no count


class BadBodyError(Exception):
    """A body that is no answer."""


def read_body(content: bytes, seconds: float, redact: Redaction) -> Paid:
    """The answer in a chat completion. Raises BadBodyError."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise BadBodyError("its answer is no JSON") from None
    try:
        choice = body["choices"][0]
        message = choice["message"]
        reply = _text_of(message)
    except (LookupError, TypeError, AttributeError):
        raise BadBodyError(f"its answer has no choices{_reason_in(body)}") from None
    finish_reason = choice.get("finish_reason")
    usage = body.get("usage")
    return Paid(
        reply=_storable(redact(reply)),
        finish_reason=_storable(redact(finish_reason)) if isinstance(finish_reason, str) else None,
        prompt_tokens=_tokens(usage, "prompt_tokens"),
        completion_tokens=_tokens(usage, "completion_tokens"),
        seconds=round(seconds, 3),
    )


def _text_of(message: Mapping[str, Any]) -> str:
    """The text of a message; of one that refuses, the refusal; "" where there is none."""
    content = message.get("content") or message.get("refusal") or ""
    if isinstance(content, list):  # parts, as some servers write them
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    if not isinstance(content, str):
        raise TypeError
    return content


def _reason_in(body: Any) -> str:
    """What a body with the status of success says of an error."""
    error = body.get("error") if isinstance(body, dict) else None
    return f": {_words_in(error)}" if error else ""


def _tokens(usage: Any, name: str) -> int | None:
    tokens = usage.get(name) if isinstance(usage, dict) else None
    if isinstance(tokens, bool) or not isinstance(tokens, int) or not 0 <= tokens <= _MOST_TOKENS:
        return None
    return tokens


def _storable(text: str) -> str:
    """Without half characters, which JSON can say and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


def error_words(error: Exception, redact: Redaction) -> str:
    """What a server or the library says is wrong, in one short line without keys: `400 unsupported image`."""
    words = body_words(error) if isinstance(error, openai.APIStatusError) else str(error)
    status = f"{error.status_code} " if isinstance(error, openai.APIStatusError) else ""
    # Keys go first: half of one, cut by the shortening, would not be found.
    line = " ".join(_storable(redact(words)).split())
    printable = "".join(sign if sign.isprintable() else "?" for sign in line)
    if len(printable) > _MOST_CHARACTERS:
        printable = printable[:_MOST_CHARACTERS] + "..."
    return f"{status}{printable}".strip()


def body_words(error: openai.APIStatusError) -> str:
    """The reason in an error's body, in whichever form."""
    return _words_in(error.body) or error.response.text


def _words_in(value: Any) -> str:
    """The text in an error: itself, or under the names that servers use."""
    while isinstance(value, dict):
        value = next((value[name] for name in ("message", "detail", "error", "msg") if value.get(name)), None)
    if isinstance(value, list):  # FastAPI's list of faults
        return "; ".join(_words_in(part) for part in value[:3])
    return value if isinstance(value, str) else ""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks to wait, in seconds, milliseconds or as a date; None where it says nothing."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "")
    seconds = _number(text)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
