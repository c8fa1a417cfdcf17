"""Visits: a picture from when it begins to come until its visitor leaves, and what becomes of it between.

A visit is one open connection. Over it the picture comes, and what is seen is told; when it ends, by whatever end, the
look is given up and the picture is gone. Events, in their order:

    taken     {"id", "name", "width", "height", "preview"}       the picture is here, and can be decoded
    waiting   {"ahead": 3}                                       visitors that are looked at earlier
    first     {"verdict", "explanation", "regions": [{"number", "box", "label", "crop"}]}
    done      {"prediction": a row of `zoomin detect`}           the connection stays, for what is asked further
    failed    {"error"}
    forgotten {"why"}                                            the picture is let go, and the connection ends

`box` is in pixels of the upright original; `crop` is what the model is shown of it, as a data URI, null for a region
that it is not shown again.
"""

import asyncio
import secrets
import traceback
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, TypeVar

from swift_zoomin.arguments import complain
from swift_zoomin.demo.uploads import Preview, RefusedError, Upload, as_webp, preview, receive
from swift_zoomin.detection import Detector
from swift_zoomin.episode import Conversation, Episode
from swift_zoomin.images import ImageError, load_references
from swift_zoomin.predictions import Prediction
from swift_zoomin.probes import Probe
from swift_zoomin.records import RecordError

HOLD_S = 600.0  # after the verdict, for what is asked further
MODEL_FAILED = "the model failed at this picture; the demo's own output says why"
_PULSE_S = 5.0  # between signs of life: a connection that is silent for long is cut on its way
_DECODED = 2  # pictures at a time: one may fill 200 MB
Event = tuple[str, dict[str, Any]]
_T = TypeVar("_T")


@dataclass(eq=False)
class Visit:
    """One visitor's picture. What is asked of it further runs in `tasks`, and ends with it."""

    upload: Upload
    picture: Preview
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))  # nobody else can guess it
    events: asyncio.Queue[Event | Episode] = field(default_factory=asyncio.Queue)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)  # what is being worked at
    prediction: Prediction | None = None
    probe: Probe | None = None
    timer: asyncio.TimerHandle | None = None  # to let it go

    async def do(self, what: str, work: Coroutine[Any, Any, _T]) -> _T:
        """Work that ends with the visit. Raises RefusedError if that happens before it is done, or it cannot be done.

        Of each kind one at a time: others wait for the model too.
        """
        if what in self.asked:
            work.close()
            raise RefusedError(HTTPStatus.CONFLICT, "this is being worked at already; wait for it")
        self.asked.add(what)
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if self.upload.file.is_open:  # it is the caller that was cancelled
                raise
            raise RefusedError(HTTPStatus.GONE, "the picture has been let go; look at it again") from None
        except (ImageError, RecordError) as error:
            raise RefusedError(HTTPStatus.CONFLICT, self.upload.named(str(error))) from None
        finally:
            self.asked.discard(what)
            self.tasks.discard(task)

    def let_go(self, why: str) -> None:
        """Forget the picture now; the visitor is told why."""
        self.events.put_nowait(("forgotten", {"why": why}))
        self.close()

    def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        if self.timer:
            self.timer.cancel()
        self.upload.file.close()


class Visits:
    """All visits of a demo, at most `most` at a time, of which `concurrency` are looked at.

    Beside `most` pictures that are done, as many others may be coming in.

    A picture of more than `most_bytes` is refused. `made_by` is what stands in each prediction.
    """

    def __init__(self, detector: Detector, made_by: str, concurrency: int, most: int, most_bytes: int) -> None:
        self._detector, self._made_by = detector, made_by
        self._most, self._most_bytes = most, most_bytes
        self._places, self._decoding = asyncio.Semaphore(concurrency), asyncio.Semaphore(_DECODED)
        self._coming = 0  # pictures that are not here yet
        self._visits: dict[str, Visit] = {}
        self._waiting: list[Visit] = []

    async def welcome(self, chunks: AsyncIterator[bytes], stated_bytes: int, name: str) -> Visit:
        """Take a visitor's picture, who is to be given to `leave` in the end. Raises RefusedError."""
        self._check_room()
        self._coming += 1
        try:
            upload = await receive(chunks, stated_bytes, name, self._most_bytes)
            try:
                async with self._decoding:
                    picture = await asyncio.to_thread(preview, upload)
            except BaseException:
                upload.file.close()
                raise
            self._make_room()  # now that it is one: who sends anything else takes nobody's place
            visit = Visit(upload, picture)
            self._visits[visit.id] = visit
            return visit
        finally:
            self._coming -= 1

    def _check_room(self) -> None:
        """Raises RefusedError where all places are taken by pictures that are not done."""
        undone = sum(visit.prediction is None for visit in self._visits.values())
        if undone + self._coming >= self._most:
            message = f"{self._most} pictures are being looked at or waiting; try again in a minute"
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, message)

    def _make_room(self) -> None:
        """Let go of the visit that has been done for longest, if all places are taken; `_check_room` knew of one."""
        if len(self._visits) >= self._most:
            done = next(visit for visit in self._visits.values() if visit.prediction)
            self._let_go(done, "others were waiting for the place")

    def _let_go(self, visit: Visit, why: str) -> None:
        """However long its visitor takes to hear of it, nothing more can be asked."""
        visit.let_go(why)
        self.leave(visit)

    def leave(self, visit: Visit) -> None:
        visit.close()
        self._visits.pop(visit.id, None)

    def finished(self, visit_id: str) -> tuple[Visit, Prediction]:
        """A visit whose picture has been looked at. Raises RefusedError where there is none."""
        visit = self._visits.get(visit_id)
        if visit is None or visit.prediction is None or not visit.upload.file.is_open:
            raise RefusedError(HTTPStatus.NOT_FOUND, "no picture of that name is held here; look at it again")
        return visit, visit.prediction

    async def events(self, visit: Visit) -> AsyncIterator[Event | None]:
        """What becomes of a picture; None where nothing has for a while."""
        width, height = visit.picture.size
        told = {"name": visit.upload.name, "width": width, "height": height, "preview": visit.picture.data_uri}
        yield "taken", {"id": visit.id, **told}
        looking = asyncio.ensure_future(self._look(visit))
        visit.tasks.add(looking)
        name = ""
        while name not in ("failed", "forgotten"):
            try:
                event = await asyncio.wait_for(visit.events.get(), _PULSE_S)
            except TimeoutError:
                yield self._place_of(visit)
                continue
            if isinstance(event, Episode):
                try:
                    event = "first", await asyncio.to_thread(first_look, event)
                except ImageError:
                    if visit.upload.file.is_open:
                        raise
                    continue  # it was let go before its visitor read so far
            name = event[0]
            yield event

    def _place_of(self, visit: Visit) -> Event | None:
        return ("waiting", {"ahead": self._waiting.index(visit)}) if visit in self._waiting else None

    async def _look(self, visit: Visit) -> None:
        """Both looks at a picture, in its turn; what is seen becomes events."""
        tell = visit.events.put_nowait
        loop = asyncio.get_running_loop()

        def heard(conversation: Conversation) -> None:
            """Called in the engines' loop, and the conversation goes on there: the first look is copied."""
            episode = conversation.episode
            if len(episode.replies) == 1:
                loop.call_soon_threadsafe(tell, replace(episode, replies=list(episode.replies)))

        try:
            await self._wait(visit)
            try:
                prediction = await asyncio.wrap_future(self._detector.begin(str(visit.upload.file.path), heard))
            finally:
                self._places.release()
        except RecordError as error:  # of a model behind an address, which answers nobody
            tell(("failed", {"error": str(error)}))
        except Exception:  # whatever an engine raises ends this look alone; a server goes on
            complain(f"a look failed\n{traceback.format_exc()}")
            tell(("failed", {"error": MODEL_FAILED}))
        else:
            told = {"image": visit.upload.name, "made_by": self._made_by}
            if prediction["error"]:
                told["error"] = visit.upload.named(prediction["error"])
            visit.prediction = prediction | told
            self._visits[visit.id] = self._visits.pop(visit.id)  # the last one that is done
            tell(("done", {"prediction": visit.prediction}))
            visit.timer = loop.call_later(HOLD_S, self._let_go, visit, f"{HOLD_S / 60:.0f} minutes have passed")

    async def _wait(self, visit: Visit) -> None:
        """Until it is this picture's turn."""
        self._waiting.append(visit)
        try:
            if self._places.locked():
                visit.events.put_nowait(("waiting", {"ahead": self._waiting.index(visit)}))
            await self._places.acquire()
        finally:
            self._waiting.remove(visit)


def first_look(episode: Episode) -> dict[str, Any]:
    """What the first reply says, with the close-ups that the second look is shown."""
    reply, close_ups = episode.first, episode.close_ups
    pictures = load_references([crop for _, crop in close_ups])
    crops = {tuple(box): as_webp(picture) for (box, _), picture in zip(close_ups, pictures, strict=True)}
    boxes = zip(episode.boxes_px, reply.box_labels, strict=True)
    regions = [
        {"number": number, "box": [round(edge, 2) for edge in box], "label": label, "crop": crops.get(tuple(box))}
        for number, (box, label) in enumerate(boxes, start=1)
    ]
    return {"verdict": reply.verdict, "explanation": reply.explanation, "regions": regions}
