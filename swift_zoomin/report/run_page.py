"""The page of a run: all that was answered, on one page that loads nothing from elsewhere.

    write_run_page(read_predictions(file).values(), file.parent, Path("report/index.html"))

On top stand counts of all predictions; below, an entry an image: picture with numbered boxes, crops, both verdicts
and both reasons. It is readable without its script, which only sorts, filters and moves by keys. Of a large run the
page shows a sample, and says so. Everything in it but its own style and script is text: see `rendering`.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from swift_zoomin.arguments import counted
from swift_zoomin.checked_images import PixelBudget
from swift_zoomin.drawing import NUMBER_PX
from swift_zoomin.listing import shown
from swift_zoomin.outputs import write_output
from swift_zoomin.pairing import record_finder
from swift_zoomin.pictures import ImageError, upright_size
from swift_zoomin.predictions import CANNOT_TELL, Prediction, image_path
from swift_zoomin.probes import Probe
from swift_zoomin.records import Record
from swift_zoomin.replies import VERDICTS
from swift_zoomin.report.evidence import tone
from swift_zoomin.report.page_texts import page_text
from swift_zoomin.report.rendering import rendered
from swift_zoomin.report.run_entries import Entry, entry_of
from swift_zoomin.report.run_summary import CHANGES, SAME, Summary
from swift_zoomin.sampling import Reservoir

MOST_ENTRIES = 500  # 10 to 30 MB of small pictures, which a browser opens in a second or two
_MOST_LABELS = 200  # offered to choose from
_MOST_MAKER = 500  # characters
_DECODED_PIXELS = 100_000_000  # at once


class _Answered(NamedTuple):
    """A prediction, its place in the run from 1, its image's file, and what else is known of that."""

    number: int
    prediction: Prediction
    path: Path
    record: Record | None
    probe: Probe | None


def write_run_page(
    predictions: Iterable[Prediction],
    home: Path,
    out: Path,
    records: Iterable[Record] | None = None,
    probes: Mapping[Path, Probe] | None = None,
    *,
    title: str = "",
    most: int = MOST_ENTRIES,
    seed: int = 0,
) -> str:
    """Write the page of predictions whose images are named relative to the folder `home`; what it holds, in words.

    `probes` are by the path of their image, as `read_probes` gives them; `title` is what the run is called. Of more
    than `most` images that many are drawn by the seed. Raises RecordError without Jinja2, and OSError.
    """
    summary = Summary()
    drawn: Reservoir[_Answered] = Reservoir(most, str(seed))
    for answered in _answered(predictions, os.path.realpath(home), records, probes or {}):
        summary.add(answered.prediction, answered.record, answered.probe)
        drawn.show(answered)
    entries = _entries(sorted(drawn.kept, key=lambda answered: answered.number))
    held = _held(len(entries), summary.images, seed)
    page = rendered(
        "run",
        title=page_text(shown(title), _MOST_MAKER),
        held=held,
        makers=[page_text(maker, _MOST_MAKER) for maker in summary.makers],
        summary=summary,
        entries=entries,
        labels=_labels(entries),
        verdicts=VERDICTS,
        changes=CHANGES,
        same=SAME,
        decisions=(*VERDICTS, CANNOT_TELL),
        tone=tone,
        number_px=NUMBER_PX,
        counted=counted,
    )
    write_output(out, page)
    return held


def _answered(
    predictions: Iterable[Prediction],
    home: str,
    records: Iterable[Record] | None,
    probes: Mapping[Path, Probe],
) -> Iterable[_Answered]:
    record_of = record_finder(records or [])
    for number, prediction in enumerate(predictions, 1):
        path = image_path(home, prediction["image"])
        yield _Answered(number, prediction, path, record_of(path), probes.get(path))


def _entries(answered: Sequence[_Answered]) -> list[Entry]:
    """An entry each, in order; threads decode the images, as Pillow works outside the interpreter lock."""
    budget = PixelBudget(_DECODED_PIXELS)
    with ThreadPoolExecutor() as pool:
        made = pool.map(partial(_entry, budget), answered)
        return list(tqdm(made, "shrinking images", len(answered), disable=len(answered) < 100))


def _entry(budget: PixelBudget, answered: _Answered) -> Entry:
    try:
        width, height = upright_size(answered.path)
    except ImageError:
        width, height = 0, 0  # which the entry says
    with budget.hold(width * height):
        return entry_of(*answered)


def _held(shown_images: int, images: int, seed: int) -> str:
    """How many images the page shows, and of how many."""
    if shown_images == images:
        return f"all {images:,} images" if images > 1 else counted(images, "image")
    return f"a sample of {shown_images:,} of {images:,} images (seed {seed})"


def _labels(entries: Sequence[Entry]) -> list[str]:
    """The region labels on the page, each once and in order, to choose from."""
    labels = {region.label for entry in entries for region in entry.regions if region.label}
    return sorted(labels)[:_MOST_LABELS]
