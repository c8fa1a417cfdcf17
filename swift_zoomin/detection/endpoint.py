"""The engine `endpoint`: a model behind any OpenAI-compatible address, with `vllm serve`, `swift deploy` or hosted.

The exchange is the same as with the other engines. What differs is how it travels:

- Pictures as PNG in data URIs, pixel for pixel what the template would have made of image and crops, in a size that the
  server does not change.
- The first reply as text, which the server tokenizes again; what in it would steer a model is broken. With
  `swift deploy` and a model of the sandbox's kind none of 200 greedy replies got other tokens than were sampled, and
  all exchanges were the same as those of the engine "transformers", word for word; sampled at temperature 1, 13 of 186
  replies got others (tests/benchmarks/endpoint.py).
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from PIL import Image

from swift_zoomin import control_tokens, prompts
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.detection.detector import CONCURRENCY
from swift_zoomin.detection.in_flight import event_loop
from swift_zoomin.detection.score import ALL_TOKENS
from swift_zoomin.detection.served_model import TIMEOUT_S
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.images import ImageError, load_references
from swift_zoomin.records import RecordError
from swift_zoomin.served.client import FailedError, ModelClient, RefusedError, open_library
from swift_zoomin.served.data_uris import data_uri
from swift_zoomin.served.keys import Redaction
from swift_zoomin.served.limits import Limits
from swift_zoomin.served.models import Model
from swift_zoomin.served.requests import Paid, Request, picture_part, text_part, user_turn
from swift_zoomin.served.stopping import FailuresInARow, Stop, StoppedError

_RETRIES = 5
_IMAGE_TAG = "<image>"  # where a question's text has a picture
_PLAIN_SIZE = (224, 224)  # of a picture that no server has a reason to refuse


class EndpointEngine:
    """Asks `model`, which is shown pictures within `limits`, at most `concurrency` questions at a time.

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
        concurrency: int = CONCURRENCY,
    ) -> None:
        self.limits = limits
        self._max_new_tokens = max_new_tokens
        redact = Redaction([model.url])
        self._stop = Stop()
        self._failures = FailuresInARow(self._stop, redact(model.url))
        self._library = open_library(model)
        pacing = Limits(self._stop)
        self._client = ModelClient([self._library], model, pacing, self._stop, redact, retries, timeout_s)
        self._places, self._counting = asyncio.Semaphore(concurrency), asyncio.Lock()
        self._asked_about: dict[int, _AskedAbout] = {}

    async def answer(
        self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None
    ) -> Answer | ImageError:
        """Raises RecordError where no image can be asked about: a wrong address, key or name of the model."""
        try:
            with self._shared(conversation) as asked_about:
                async with self._places:
                    self._stop.check()
                    paid = await self._ask(asked_about, _sampling(temperature, seed))
        except ImageError as error:
            return error.as_value()
        except StoppedError:
            raise RecordError(self._stop.reason) from None
        self._failures.end()
        return Answer(paid.reply, [], paid.finish_reason == "length")

    @contextmanager
    def _shared(self, conversation: Conversation) -> Iterator["_AskedAbout"]:
        """One for all who ask the same conversation at a time, and for no longer: pictures take room."""
        key = id(conversation)  # its own, as long as somebody asks it
        asked_about = self._asked_about.setdefault(key, _AskedAbout(conversation))
        asked_about.users += 1
        try:
            yield asked_about
        finally:
            asked_about.users -= 1
            if not asked_about.users:
                del self._asked_about[key]

    async def _ask(self, asked_about: "_AskedAbout", sampling: dict[str, float]) -> Paid:
        """Raises ImageError where there is no answer about this image, and StoppedError where the run stops."""
        conversation = asked_about.conversation
        messages = await asked_about.messages()
        try:
            return await self._client.ask(Request(messages, _pixels(conversation), self._max_new_tokens, sampling))
        except (RefusedError, FailedError) as error:
            async with self._counting:
                await self._count(conversation.images[0].path, error)
            raise ImageError(f"the server: {error}") from None

    async def _count(self, image: str, error: Exception) -> None:
        """Count a failure towards the end of the run, but not what a server that answers others refuses.

        Where one has refused all images so far, the last before the end is not one of the images: those that an earlier
        run was refused come first in this one.
        """
        is_refusal = isinstance(error, RefusedError)
        if is_refusal and not self._client.is_proven and self._failures.is_next_last(image):
            with suppress(RefusedError, FailedError):
                await self._client.ask(self._plain_question())
        if is_refusal and self._client.is_proven:
            self._failures.end()
        else:
            self._failures.add(image, error)

    def _plain_question(self) -> Request:
        """The first one, about a picture with nothing in it."""
        picture = data_uri(Image.new("RGB", _PLAIN_SIZE, "grey"))
        question = user_turn(*_parts(prompts.query1(self.limits.family.frame), iter([picture])))
        return Request([question], _PLAIN_SIZE[0] * _PLAIN_SIZE[1], self._max_new_tokens, _sampling(0.0, None))

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._library.close(), event_loop()).result()


class _AskedAbout:
    """A conversation that `users` ask at the same time, whose pictures are encoded once."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation, self.users = conversation, 0
        self._messages: list[dict[str, Any]] | None = None
        self._building = asyncio.Lock()

    async def messages(self) -> list[dict[str, Any]]:
        """Raises ImageError."""
        async with self._building:
            if self._messages is None:
                self._messages = await asyncio.to_thread(_messages, self.conversation)
        return self._messages


def _sampling(temperature: float, seed: int | None) -> dict[str, float]:
    sampling = {"temperature": temperature}
    if temperature:
        # From all tokens: what a published model says of sampling, as servers take it over, lets only the likeliest
        # through.
        sampling |= {"top_p": 1.0, "top_k": ALL_TOKENS}
    if seed is not None:
        sampling["seed"] = seed
    return sampling


def _pixels(conversation: Conversation) -> int:
    """Of all pictures that are sent."""
    sizes = [image.size_shown for image in conversation.images]
    return sum(width * height for width, height in sizes)


def _messages(conversation: Conversation) -> list[dict[str, Any]]:
    """A conversation in the form of OpenAI. Raises ImageError.

    In an earlier reply nothing steers the model any more: a server would look for a picture behind `<image>`.
    """
    pictures = map(data_uri, load_references(conversation.images))
    replies = iter(conversation.episode.replies)
    messages = []
    for message in conversation.messages:
        if message["role"] == "user":
            messages.append(user_turn(*_parts(message["content"], pictures)))
        else:
            messages.append({"role": "assistant", "content": control_tokens.broken(next(replies))})
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
