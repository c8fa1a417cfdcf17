"""An engine for a server that is to outlive its model's: what stops a run for good stops one visitor here.

`EndpointEngine` answers nobody any more once its server has failed too often in a row, or knows no such key or model.
That is right for a run over many images. Here the model may be served again a minute later, so that the next visitor
gets an engine that knows nothing of the failures.
"""

from collections.abc import Callable

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.episode import Answer, Conversation, Engine
from swift_zoomin.images import ImageError
from swift_zoomin.records import RecordError


class Renewing:
    """Asks the engine that `open_engine` gives, and another one of the kind after each RecordError."""

    def __init__(self, open_engine: Callable[[], Engine]) -> None:
        self._open_engine = open_engine
        self._engine = open_engine()
        self._stopped: list[Engine] = []

    @property
    def limits(self) -> PixelLimits:
        return self._engine.limits

    async def answer(
        self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None
    ) -> Answer | ImageError:
        """Raises RecordError, as the engine does, for those who asked it before."""
        engine = self._engine
        try:
            return await engine.answer(conversation, temperature, seed)
        except RecordError:
            if engine is self._engine:  # of all who waited, the first one to hear of it
                self._engine = self._open_engine()
                self._stopped.append(engine)
            raise

    def close(self) -> None:
        for engine in (*self._stopped, self._engine):
            engine.close()
