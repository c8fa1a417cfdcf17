"""One run over the images: ask about each, keep what was paid for, and say what became of it.

A few images are in flight at a time. Nothing is kept in memory of those that are finished: their lines wait in the
ledger until the output files are written.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from swift_zoomin.annotation.dialogue import annotate
from swift_zoomin.annotation.inputs import LabelledImage
from swift_zoomin.annotation.ledger import Asked, Ledger, Result, image_key
from swift_zoomin.annotation.sent import ImageFile, file_state, look, png_data_uri
from swift_zoomin.annotation.settings import Settings
from swift_zoomin.annotation.steps import Annotation, Answer, Question, Seen, Step
from swift_zoomin.boxes import Size
from swift_zoomin.fields import OWN_FIELDS
from swift_zoomin.pictures import ImageError
from swift_zoomin.records import json_line
from swift_zoomin.served.client import FailedError, ModelClient, RefusedError
from swift_zoomin.served.requests import Paid, Request, picture_part, text_part, user_turn
from swift_zoomin.served.stopping import FailuresInARow, Stop, StoppedError

_TEMPERATURE = 0.0
_TEMPERATURE_AGAIN = 0.7  # at 0 a model would repeat the answer that could not be used


class Outcome(StrEnum):
    RECORD = "record"
    REJECTED = "rejected"
    FAILED = "failed"  # at the server, and asked again by the next run


FINAL = (Outcome.RECORD, Outcome.REJECTED)


class Progress(Protocol):
    """Is told of every image that is finished."""

    def finished(self, outcome: Outcome) -> None: ...


@dataclass
class _Picture:
    """An image in flight. It is decoded and encoded when an answer about it is missing, and once for each size."""

    file: ImageFile
    sizes_sent: dict[Step, Size]
    pool: ThreadPoolExecutor
    _data_uris: dict[Size, str] = field(default_factory=dict)

    async def data_uri(self, size_sent: Size) -> str:
        if size_sent not in self._data_uris:
            make = partial(png_data_uri, self.file.path, size_sent)
            self._data_uris[size_sent] = await asyncio.get_running_loop().run_in_executor(self.pool, make)
        return self._data_uris[size_sent]


@dataclass
class _Story:
    """What was asked about one image, as its line of audit.jsonl tells it."""

    image: str
    steps: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)

    def add(self, question: Question, model: str, paid: Paid) -> None:
        asked = {"step": question.step, "model": model, "prompt_version": question.prompt_version}
        self.steps.append({**asked, "attempt": question.attempt, **paid.__dict__})

    def add_dropped(self, annotation: Annotation) -> None:
        for box in annotation.dropped:
            row = {"box": list(box.box_px), "label": box.label, "step": box.step, "reason": box.reason}
            self.dropped.append(row)

    def line(self) -> str:
        return json_line(self.__dict__)


class Pipeline:
    """Asks the clients about images, within their limits, through a ledger."""

    def __init__(
        self,
        settings: Settings,
        clients: dict[Step, ModelClient],
        ledger: Ledger,
        stop: Stop,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._settings, self._clients, self._ledger, self._stop = settings, clients, ledger, stop
        self._folder, self._progress = os.path.realpath(folder), progress
        self._signature = settings.signature()
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)
        self._failures = {step: FailuresInARow(stop, f"the server of the step {step}") for step in clients}
        self._opened = asyncio.Event()
        self._unfinished: list[tuple[int, LabelledImage]] = []
        self._workers: list[asyncio.Task[None]] = []
        self._is_dropped = False

    async def run(self, images: Iterator[LabelledImage], concurrency: int) -> int:
        """Annotate the images, as many at a time; how many are left where the run stops. Raises RecordError, OSError.

        The first image goes alone until each model has answered once: a wrong name is noticed before much is paid.
        """
        numbered = enumerate(images)
        work = [self._work(numbered, is_first=not number) for number in range(concurrency)]
        self._workers = list(map(asyncio.create_task, work))
        try:
            await asyncio.gather(*self._workers)
        except asyncio.CancelledError:
            if not self._is_dropped:
                raise
        finally:
            self._cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
            self._pool.shutdown(cancel_futures=True)
        return self._carry_over(numbered)

    def drop(self) -> None:
        """End the run without waiting for answers."""
        self._is_dropped = True
        self._cancel()

    def _cancel(self) -> None:
        for worker in self._workers:
            worker.cancel()

    async def _work(self, images: Iterator[tuple[int, LabelledImage]], is_first: bool) -> None:
        """Annotate one image after the other; the iterator is shared by all workers."""
        if not is_first:
            await self._opened.wait()
        try:
            while self._stop.reason is None and (numbered := next(images, None)):
                await self._annotate_one(*numbered)
                self._opened.set()
        finally:
            self._opened.set()

    async def _annotate_one(self, position: int, image: LabelledImage) -> None:
        name = os.path.relpath(image.path, self._folder)
        made_from = self._made_from(image)
        story = _Story(name)
        try:
            annotation = await self._ask_all(image, story)
            outcome = Outcome.RECORD if annotation.rejected is None else Outcome.REJECTED
        except ImageError as error:
            annotation = Annotation(rejected=str(error).removeprefix(f"{image.path}: "))
            outcome = Outcome.REJECTED
        except (RefusedError, FailedError) as error:
            annotation = Annotation(rejected=f"the server: {error}")
            outcome = Outcome.FAILED
        except StoppedError:
            self._unfinished.append((position, image))
            return
        except asyncio.CancelledError:
            self._unfinished.append((position, image))
            raise
        row = json_line(_row(name, image, annotation))
        stored = json_line({"label": image.label, "annotation": asdict(annotation)})
        self._ledger.finish(Result(image_key(image.path), position, outcome, made_from, row, story.line(), stored))
        self._progress.finished(outcome)

    async def _ask_all(self, image: LabelledImage, story: _Story) -> Annotation:
        """Drive the dialogue about one image. Raises what keeps it from its end."""
        file = await asyncio.get_running_loop().run_in_executor(self._pool, look, image.path)
        settings = self._settings
        sizes_sent = settings.sizes_sent(file.size)
        picture = _Picture(file, sizes_sent, self._pool)
        seen = Seen(
            label=image.label,
            size=file.size,
            size_sent=sizes_sent[Step.GROUND],
            ground_frame=settings.ground_frame,
            has_filter=settings.has_filter,
            filter_frame=settings.filter_frame,
            filter_size_sent=sizes_sent.get(Step.FILTER),
        )
        dialogue = annotate(seen)
        try:
            question = next(dialogue)
            while True:
                paid = await self._answer(question, picture)
                story.add(question, settings.models[question.step].name, paid)
                question = dialogue.send(Answer(paid.reply, paid.finish_reason))
        except StopIteration as end:
            annotation: Annotation = end.value
        story.add_dropped(annotation)
        return annotation

    async def _answer(self, question: Question, picture: _Picture) -> Paid:
        asked = Asked(
            step=question.step,
            model=self._settings.models[question.step].name,
            prompt_version=question.prompt_version,
            attempt=question.attempt,
            image=picture.file.digest,
            prompt=question.prompt,
            size_sent=picture.sizes_sent[question.step],
            max_tokens=question.max_tokens,
            temperature=_TEMPERATURE if question.attempt == 1 else _TEMPERATURE_AGAIN,
        )
        return await self._ledger.answer(asked, partial(self._ask, asked, picture))

    async def _ask(self, asked: Asked, picture: _Picture) -> Paid:
        self._stop.check()
        width, height = asked.size_sent
        shown = picture_part(await picture.data_uri(asked.size_sent))
        step = Step(asked.step)
        messages = [user_turn(shown, text_part(asked.prompt))]
        request = Request(messages, width * height, asked.max_tokens, {"temperature": asked.temperature})
        try:
            paid = await self._clients[step].ask(request)
        except RefusedError as error:
            if self._clients[step].is_proven:  # then it is about this image alone
                self._failures[step].end()
            else:
                self._failures[step].add(asked.image, error)
            raise
        except FailedError as error:
            self._failures[step].add(asked.image, error)
            raise
        self._failures[step].end()
        if all(client.is_proven for client in self._clients.values()):
            self._opened.set()
        return paid

    def _made_from(self, image: LabelledImage) -> bytes:
        parts = [self._signature, image.label, image.extra, *file_state(image.path)]
        return hashlib.sha256(json.dumps(parts, default=repr).encode()).digest()

    def _carry_over(self, not_begun: Iterator[tuple[int, LabelledImage]]) -> int:
        """Where the run stops, let results of earlier runs stand for the images that it has not come to.

        How many images have none.
        """
        left = 0
        for numbered in (self._unfinished, not_begun):
            for position, image in numbered:
                made_from = self._made_from(image)
                left += not self._ledger.carry_over(image_key(image.path), position, made_from, FINAL)
        return left


def _row(name: str, image: LabelledImage, annotation: Annotation) -> dict[str, Any]:
    """The row of a record or of a rejection."""
    if annotation.rejected is not None:
        return {"image": name, "label": image.label, "reason": annotation.rejected}
    own = {"image": name, "label": image.label, "explanation": annotation.explanation}
    boxes = {"boxes": annotation.boxes_px, "box_labels": annotation.box_labels}
    return {**own, **boxes, **{name: value for name, value in image.extra.items() if name not in OWN_FIELDS}}
