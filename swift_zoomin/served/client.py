"""One model at one OpenAI-compatible address: asks, waits and asks again, and says what cannot be answered.

The library `openai` speaks HTTP, with its own retries switched off, so that every request passes the limits.

- Worth another try: 408, 409, 429, 5xx, time-outs, broken connections, bodies that are no answer.
- About this image alone: any other 4xx. RefusedError, with the server's reason.
- About the whole run: a wrong key, address or model, an empty account. The run stops.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import openai
import tenacity

from swift_zoomin.arguments import INCOMPLETE, NOTHING_DONE
from swift_zoomin.served.keys import Redaction, library_settings_hidden
from swift_zoomin.served.limits import Limits, Use
from swift_zoomin.served.models import Model
from swift_zoomin.served.requests import Paid, Request
from swift_zoomin.served.server_words import BadBodyError, body_words, error_words, read_body, retry_after_s
from swift_zoomin.served.stopping import Stop, StoppedError

_AGAIN = (408, 409, 429)  # and all from 500
_BAD_PARAMETER = (400, 422)
_NO_ACCESS = (401, 403)
_STOPPING = (401, 402, 404, 405)
# So says swift deploy, with a 400.
_UNKNOWN_MODEL, _WRONG_KEY = "is not in the model_list", "API key error"
_ACCOUNT_IS_EMPTY = "insufficient_quota"  # OpenAI says so with a 429, and no wait helps
_FIRST_WAIT_S, _LONGEST_WAIT_S, _JITTER_S = 1.0, 60.0, 1.0
_LONGEST_RETRY_AFTER_S = 600.0  # a server that asks for more will not answer in this run
_PIXELS_A_TOKEN = 28 * 28
_CHARACTERS_A_TOKEN = 3


class RefusedError(Exception):
    """The server will not answer about this image; asking again would change nothing."""


class FailedError(Exception):
    """The server did not answer, however often it was asked."""


class _AgainError(Exception):
    """One request failed in a way that another may not. `retry_after_s` is what the server asked to wait."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class _Dialect:
    """What a model calls its parameters, and which of them it refuses.

    OpenAI's newer ones want another name for the most tokens, and no temperature of ours; others know no seed.
    """

    tokens_name: str = "max_tokens"
    refused: frozenset[str] = frozenset()

    def parameters(self, request: Request) -> dict[str, Any]:
        sampling = {name: value for name, value in request.sampling.items() if name not in self.refused}
        return {self.tokens_name: request.max_tokens, **sampling}

    def corrected(self, request: Request, error: openai.APIStatusError) -> "_Dialect":
        """The dialect after a refusal; the same one where that is not about a parameter's name."""
        if error.status_code not in _BAD_PARAMETER:
            return self
        words = body_words(error)
        if self.tokens_name == "max_tokens" and "max_completion_tokens" in words:
            return replace(self, tokens_name="max_completion_tokens")
        for name in request.sampling:
            if name not in self.refused and name in words:
                return replace(self, refused=self.refused | {name})
        return self


def open_library(model: Model) -> openai.AsyncOpenAI:
    """The library's client of one address; of the environment, a proxy alone comes between."""
    for name in ("openai", "httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)  # OPENAI_LOG would have requests printed
    with library_settings_hidden():
        # Without time-outs of its own: ours is over the whole request, also one whose answer drips in.
        return openai.AsyncOpenAI(base_url=model.url, api_key=model.key.value, max_retries=0, timeout=None)


class ModelClient:
    """Asks one model, through the libraries in turn.

    Its first question goes out alone, so that a wrong address, key or name costs one call.
    """

    def __init__(
        self,
        libraries: Sequence[openai.AsyncOpenAI],
        model: Model,
        limits: Limits,
        stop: Stop,
        redact: Redaction,
        retries: int,
        timeout_s: float,
    ) -> None:
        self._libraries, self._model, self._limits, self._stop = cycle(libraries), model, limits, stop
        self._redact, self._retries, self._timeout_s = redact, retries, timeout_s
        self._way = proxy_words(model.url)
        self._dialect = _Dialect()
        self._largest_prompt = 0  # in tokens; models differ by far in what an image is to them
        self._first_call = asyncio.Lock()
        self._is_tried = False
        self.is_proven = False

    async def ask(self, request: Request) -> Paid:
        """Raises RefusedError, FailedError, or StoppedError where the run stops, for which this may be the reason."""
        if not self._is_tried:
            async with self._first_call:
                if not self._is_tried:
                    try:
                        return await self._ask_until_answered(request)
                    finally:
                        self._is_tried = True
        return await self._ask_until_answered(request)

    async def _ask_until_answered(self, request: Request) -> Paid:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_AgainError),
            stop=tenacity.stop_after_attempt(self._retries + 1),
            wait=_wait_s,
            sleep=self._stop.pause,
            reraise=True,
        )
        try:
            return await retrying(self._ask_in_dialect, request)
        except _AgainError as error:
            tries = "once" if not self._retries else f"{self._retries + 1} times"
            raise FailedError(f"{error} (asked {tries})") from None

    async def _ask_in_dialect(self, request: Request) -> Paid:
        """One try, which is more than one request where the server wants other names of parameters."""
        while True:
            dialect = self._dialect
            try:
                async with self._limits.request(self._estimate(request)) as use:
                    paid = await self._request(request, dialect, use)
            except openai.APIStatusError as error:
                corrected = dialect.corrected(request, error)
                if corrected == dialect:
                    raise self._meaning_of_status(error) from None
                self._dialect = corrected
                continue
            except openai.APIConnectionError as error:
                raise self._meaning_of_connection(error) from None
            except (openai.APIError, BadBodyError) as error:
                raise _AgainError(error_words(error, self._redact)) from None
            self.is_proven = True
            self._largest_prompt = max(self._largest_prompt, paid.prompt_tokens or 0)
            return paid

    async def _request(self, request: Request, dialect: _Dialect, use: Use) -> Paid:
        start = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                # Raw, because the library takes every JSON for an answer, whatever is in it; and as further fields of
                # the body, because it checks each part of a message by its types, for a quarter of a request's work.
                response = await next(self._libraries).chat.completions.with_raw_response.create(
                    model=self._model.name,
                    messages=[],
                    extra_body={"messages": request.messages, **dialect.parameters(request)},
                )
        except TimeoutError:
            raise _AgainError(f"no answer within {self._timeout_s:g} s") from None
        except openai.APIStatusError:
            use.tokens = 0
            raise
        paid = read_body(response.http_response.content, time.monotonic() - start, self._redact)
        if paid.prompt_tokens is not None and paid.completion_tokens is not None:
            use.tokens = paid.prompt_tokens + paid.completion_tokens
        return paid

    def _estimate(self, request: Request) -> int:
        """The most tokens that a request may take; known better after the first answer."""
        prompt = request.characters // _CHARACTERS_A_TOKEN + request.pixels // _PIXELS_A_TOKEN
        return max(prompt, self._largest_prompt) + request.max_tokens

    def _meaning_of_status(self, error: openai.APIStatusError) -> Exception:
        status, words = error.status_code, error_words(error, self._redact)
        is_about_all = status in _STOPPING
        if not self.is_proven:  # once a model has answered, a 403 is about the image: moderation speaks so
            is_about_all |= (
                status == 403 or status < 400 or any(fault in words for fault in (_UNKNOWN_MODEL, _WRONG_KEY))
            )
        if is_about_all or error.code == _ACCOUNT_IS_EMPTY:
            return self._stopped(f"{words}{self._hint(status, words)}")
        if status not in _AGAIN and status < 500:
            return RefusedError(words)
        wait_s = retry_after_s(error.response.headers)
        if wait_s is not None and wait_s > _LONGEST_RETRY_AFTER_S:
            return FailedError(f"{words}; it asks to wait {wait_s:.0f} s")
        return _AgainError(words, wait_s)

    def _hint(self, status: int, words: str) -> str:
        if status in _NO_ACCESS or _WRONG_KEY in words:
            return f"; {self._model.key.origin}"
        if status in (404, 405) and not self.is_proven:
            return "; expected the name of one of its models, and an address that mostly ends in /v1"
        return ""

    def _meaning_of_connection(self, error: openai.APIConnectionError) -> Exception:
        cause = error.__cause__
        words = self._redact(f"connection broken ({type(cause).__name__}: {cause})".replace(": )", ")"))
        words += self._way
        # By name, because versions of the library stand on different ones of httpx.
        if not self.is_proven and type(cause).__name__ in ("ConnectError", "UnsupportedProtocol", "InvalidURL"):
            return self._stopped(f"nothing answers there ({self._redact(str(cause))})")
        return _AgainError(words)

    def _stopped(self, words: str) -> StoppedError:
        reason = self._redact(f"{self._model.url}: model {self._model.name}: {words}{self._way}")
        self._stop.request(reason, INCOMPLETE if self.is_proven else NOTHING_DONE)
        return StoppedError()


def proxy_words(url: str) -> str:
    """By which proxy of the environment an address is asked, as the end of a message; "" where by none."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.hostname or ""):
        return ""
    host = urlsplit(proxy).hostname or proxy  # a proxy's address may hold a password
    return f"; asked by way of the proxy {host}, which HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names"


_exponential_s = tenacity.wait_exponential_jitter(_FIRST_WAIT_S, _LONGEST_WAIT_S, jitter=_JITTER_S)


def _wait_s(state: tenacity.RetryCallState) -> float:
    """What the server asked for, and a little more so that not all come back at once; else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _AgainError) and error.retry_after_s is not None:
        return float(error.retry_after_s + tenacity.wait_random(0, _JITTER_S / 10)(state))
    return float(_exponential_s(state))
