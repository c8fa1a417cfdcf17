"""The engine `endpoint`: a model behind any OpenAI-compatible address, with `vllm serve`, `swift deploy` or hosted.

The exchange is the same as with the other engines. What differs is how it travels:

- Pictures as PNG in data URIs, pixel for pixel what the template would have made of image and crops, in a size that the
  server does not change.
- The first reply as text, which the server tokenizes again. With `swift deploy` and a model of the sandbox's kind none
  of 200 greedy replies got other tokens than were sampled, and all exchanges were the same as those of the engine
  "transformers", word for word; sampled at temperature 1, 13 of 186 replies got others (tests/benchmarks/endpoint.py).
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.detection.in_flight import event_loop
from swift_zoomin.detection.served_model import TIMEOUT_S
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.images import ImageError, load_references
from swift_zoomin.records import RecordError
from swift_zoomin.served.client import FailedError, ModelClient, RefusedError, open_library
from swift_zoomin.served.data_uris import data_uri, png
from swift_zoomin.served.keys import Redaction
from swift_zoomin.served.limits import Limits
from swift_zoomin.served.models import Model
from swift_zoomin.served.requests import Request, picture_part, text_part, user_turn
from swift_zoomin.served.stopping import FailuresInARow, Stop, StoppedError

_RETRIES = 5
# More than any vocabulary has. 0 and -1 mean all too, but swift deploy puts the model's own number in their place.
_ALL_TOKENS = 1 << 20
_IMAGE_TAG = "<image>"  # where a question's text has a picture


class EndpointEngine:
    """Asks `model`, which is shown pictures within `limits`.

    A question that the server will not or cannot answer, after `retries` more tries of `timeout_s` each, is an error of
    its image alone.
    """

    def __init__(
        self,
        model: Model,
        limits: PixelLimits,
        max_new_tokens: int = 1024,
        timeout_s: float = TIMEOUT_S,
        retries: int = _RETRIES,
    ) -> None:
        self.limits = limits
        self._max_new_tokens = max_new_tokens
        redact = Redaction([model.url])
        self._stop = Stop()
        self._failures = FailuresInARow(self._stop, redact(model.url))
        self._library = open_library(model)
        pacing = Limits(self._stop)
        self._client = ModelClient([self._library], model, pacing, self._stop, redact, retries, timeout_s)

    async def answer(
        self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None
    ) -> Answer | ImageError:
        """Raises RecordError where no image can be asked about: a wrong address, key or name of the model."""
        try:
            messages = await asyncio.to_thread(_messages, conversation)
            sampling = _sampling(temperature, seed)
            paid = await self._client.ask(Request(messages, _pixels(conversation), self._max_new_tokens, sampling))
        except ImageError as error:
            return error
        except (RefusedError, FailedError) as error:
            self._failures.add(error)
            return ImageError(f"the server: {error}")
        except StoppedError:
            raise RecordError(self._stop.reason) from None
        self._failures.end()
        return Answer(paid.reply, [], paid.finish_reason == "length")

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._library.close(), event_loop()).result()


def _sampling(temperature: float, seed: int | None) -> dict[str, float]:
    sampling = {"temperature": temperature}
    if temperature:
        # From all tokens: what a published model says of sampling, as servers take it over, lets only the likeliest
        # through.
        sampling |= {"top_p": 1.0, "top_k": _ALL_TOKENS}
    if seed is not None:
        sampling["seed"] = seed
    return sampling


def _pixels(conversation: Conversation) -> int:
    """Of all pictures that are sent."""
    sizes = [image.size_shown for image in conversation.images]
    return sum(width * height for width, height in sizes)


def _messages(conversation: Conversation) -> list[dict[str, Any]]:
    """A conversation in the form of OpenAI. Raises ImageError."""
    pictures = (data_uri(png(picture)) for picture in load_references(conversation.images))
    replies = iter(conversation.episode.replies)
    messages = []
    for message in conversation.messages:
        if message["role"] == "user":
            messages.append(user_turn(*_parts(message["content"], pictures)))
        else:
            messages.append({"role": "assistant", "content": next(replies)})
    return messages


def _parts(text: str, pictures: Iterator[str]) -> Iterator[dict[str, Any]]:
    """A question's words and pictures in their order; its line ends count as tokens, and stay."""
    first, *others = text.split(_IMAGE_TAG)
    if first:
        yield text_part(first)
    for words in others:
        yield picture_part(next(pictures))
        if words:
            yield text_part(words)
