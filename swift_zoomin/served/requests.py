"""What is sent to a model and what comes back, in the form of OpenAI's chat completions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def picture_part(data_uri: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_uri}}


def user_turn(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


@dataclass(frozen=True)
class Request:
    """A conversation to go on with.

    `pixels` are those of all its pictures, from which its tokens are estimated. `sampling` has parameters by the names
    that servers know (temperature, seed); one that a model refuses by its name is left out.
    """

    messages: list[dict[str, Any]]
    pixels: int
    max_tokens: int
    sampling: Mapping[str, float]

    @property
    def characters(self) -> int:
        """Of all its text."""
        return sum(len(text) for message in self.messages for text in _texts(message["content"]))


def _texts(content: str | list[dict[str, Any]]) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content if part["type"] == "text"]


@dataclass(frozen=True)
class Paid:
    """An answer. Tokens are None where the server does not say; `seconds` are those of the request that succeeded."""

    reply: str
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float
