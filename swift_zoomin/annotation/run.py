"""One run of `zoomin annotate`: the parts put together, and Ctrl-C."""

import asyncio
import math
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import openai

from swift_zoomin.annotation.inputs import LabelledImage
from swift_zoomin.annotation.keys import redaction
from swift_zoomin.annotation.ledger import Ledger
from swift_zoomin.annotation.pipeline import Pipeline
from swift_zoomin.annotation.progress import Bar
from swift_zoomin.annotation.settings import Settings
from swift_zoomin.annotation.steps import Step
from swift_zoomin.arguments import complain
from swift_zoomin.served.client import ModelClient, open_library
from swift_zoomin.served.limits import Limits
from swift_zoomin.served.models import Model
from swift_zoomin.served.stopping import Stop

# The library looks at each of its connections for every request: with 64 of them that is an eighth of all work.
_REQUESTS_A_LIBRARY = 8
_PATIENCE_S = 2.0
_WAITING = "waiting for the answers that are on their way; Ctrl-C again drops them"


@dataclass(frozen=True)
class Pacing:
    """How a run asks: at a time, a minute, in all; None is no limit."""

    concurrency: int
    requests_per_minute: int | None
    tokens_per_minute: int | None
    budget_calls: int | None
    budget_tokens: int | None
    timeout_s: float
    retries: int


@dataclass(frozen=True)
class Ended:
    """What a run came to: images left, requests and tokens used; where it stopped early, why and with what status."""

    left: int
    calls: int
    tokens: int
    reason: str | None
    status: int
    is_interrupted: bool


async def annotate_images(
    images: Iterator[LabelledImage], count: int, settings: Settings, pacing: Pacing, ledger: Ledger, folder: Path
) -> Ended:
    """Annotate the images into the ledger. Raises RecordError and OSError, also of the listing."""
    stop = Stop()
    limits = Limits(
        stop, pacing.requests_per_minute, pacing.tokens_per_minute, pacing.budget_calls, pacing.budget_tokens
    )
    async with AsyncExitStack() as opened:
        clients = await _open_clients(opened, settings, pacing, limits, stop)
        with Bar(count, limits) as bar:
            pipeline = Pipeline(settings, clients, ledger, stop, folder, bar)
            with _interruptible(stop, pipeline) as interrupted:
                left = await pipeline.run(images, pacing.concurrency)
    return Ended(left, limits.calls, limits.tokens, stop.reason, stop.status, bool(interrupted))


async def _open_clients(
    opened: AsyncExitStack, settings: Settings, pacing: Pacing, limits: Limits, stop: Stop
) -> dict[Step, ModelClient]:
    """A client for each step: one for each model, and for all models of one address the same connections."""
    redact = redaction([model.url for model in settings.models.values()])
    libraries: dict[tuple[str, str], list[openai.AsyncOpenAI]] = {}
    clients: dict[Model, ModelClient] = {}
    for model in dict.fromkeys(settings.models.values()):
        place = model.url, model.key.value
        if place not in libraries:
            needed = math.ceil(pacing.concurrency / _REQUESTS_A_LIBRARY)
            libraries[place] = [await opened.enter_async_context(open_library(model)) for _ in range(needed)]
        clients[model] = ModelClient(libraries[place], model, limits, stop, redact, pacing.retries, pacing.timeout_s)
    return {step: clients[model] for step, model in settings.models.items()}


@contextmanager
def _interruptible(stop: Stop, pipeline: Pipeline) -> Iterator[list[int]]:
    """Let Ctrl-C stop the run as a budget does; a second one drops what is in flight, though it may be paid for."""
    loop = asyncio.get_running_loop()
    interrupts: list[int] = []
    waiting: list[asyncio.TimerHandle] = []

    def interrupt() -> None:
        if interrupts:
            pipeline.drop()
        else:
            stop.request("interrupted")
            waiting.append(loop.call_later(_PATIENCE_S, complain, _WAITING))
        interrupts.append(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield interrupts
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        for handle in waiting:
            handle.cancel()
