"""What a visitor may ask of a picture once there is a verdict: where it was said from, whether it needs its regions.

Both ask the model that gave the verdict, from the picture in memory; neither changes what was said.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from typing import Any

from swift_zoomin.attention.explaining import Attention
from swift_zoomin.demo.uploads import Upload
from swift_zoomin.detection.in_flight import submit
from swift_zoomin.detection.score import how_sampled
from swift_zoomin.episode import BoxChooser, Engine
from swift_zoomin.predictions import Prediction
from swift_zoomin.probes import Probe
from swift_zoomin.probing.held import in_memory
from swift_zoomin.probing.probe import Asking, probe_image
from swift_zoomin.records import RecordError
from swift_zoomin.report.words import probe_in_words


class Further:
    """Heat maps and probes of the model behind `engine`.

    Instead of `attention` stands why there are no heat maps, where the model's inside is not to be seen. Gradients of a
    large model fill a GPU, so that only one heat map is made at a time; and one probe, which asks as much as many
    visitors together.
    """

    def __init__(self, engine: Engine, choose: BoxChooser, attention: Attention | str) -> None:
        self._engine, self._attention = engine, attention
        self._asking = Asking(choose=choose, holding=in_memory)
        # A thread of its own: one that goes on for a visitor who has left keeps no other's picture from being decoded.
        self._heating, self._probing = ThreadPoolExecutor(1, "zoomin-heat"), asyncio.Lock()

    async def heat(self, upload: Upload, prediction: Prediction, query: int) -> bytes:
        """A PNG of the heat maps of one reply. Raises ImageError and RecordError where there are none."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._heating, self._draw, upload, prediction, query)

    def _draw(self, upload: Upload, prediction: Prediction, query: int) -> bytes:
        if isinstance(self._attention, str):
            raise RecordError(self._attention)
        explained = self._attention.heat_of(str(upload.file.path), query, replies=prediction["replies"])
        content = BytesIO()
        explained.picture().save(content, "PNG")
        return content.getvalue()

    async def probe(self, upload: Upload, prediction: Prediction) -> Probe:
        """Its regions tested, or an `error`. Raises RecordError where the model's server answers nobody."""
        async with self._probing:
            asking = probe_image(self._engine, prediction, upload.file.path, self._asking)
            probe = await asyncio.wrap_future(submit(asking))
        error = upload.named(probe.error) if probe.error else None
        return replace(probe, error=error, made_by=how_sampled(self._asking.samples))


def as_told(upload: Upload, probe: Probe, prediction: Prediction) -> dict[str, Any]:
    """A probe for a page: its regions by the number that they have there, and in words what was found."""
    row = probe.as_row() | {"image": upload.name}
    row["regions"] = [region | {"number": prediction["boxes"].index(region["box"]) + 1} for region in row["regions"]]
    row["words"] = [upload.named(sentence) for sentence in probe_in_words(probe, prediction["verdict"])]
    return row
