"""The evidence on one image, as a page that can be filed: one HTML file without a script, which loads nothing.

    evidence_page(Evidence(prediction, Path("photo.jpg")))    "<!doctype html>..."

It shows the picture with numbered boxes, the close-ups that the model was shown, both replies, what a score and a probe
say in words, what the file says of itself, and how all of it was made. Any row of a predictions file gives a page: one
with an error, without a verdict or a region, of a one-turn variant, or of another detector. Whatever a row, a record or
a file holds is text there, bounded in length.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from swift_zoomin.calibrations import Calibration
from swift_zoomin.images import ImageError
from swift_zoomin.listing import shown
from swift_zoomin.pictures import open_upright
from swift_zoomin.predictions import CANNOT_TELL, Prediction, has_failed
from swift_zoomin.probes import Probe
from swift_zoomin.records import Record
from swift_zoomin.replies import GENERATED, REAL
from swift_zoomin.report.crops import listed_regions, regions_of
from swift_zoomin.report.evidence_pictures import (
    MOST_LABEL,
    MOST_REGIONS,
    PictureShown,
    RegionShown,
    compared,
    picture_of,
    region_in_place,
    regions_shown,
    size_fault,
)
from swift_zoomin.report.facts import Fact, file_facts, settings
from swift_zoomin.report.page_texts import page_text, without_folders
from swift_zoomin.report.provenance import NO_EVIDENCE_EITHER_WAY, file_says
from swift_zoomin.report.rendering import rendered
from swift_zoomin.report.words import probe_in_words, score_in_words

_MOST_NAME, _MOST_TEXT, _MOST_REPLY = 300, 20_000, 100_000  # characters
_TONES = {GENERATED: "amber", REAL: "blue"}  # all else is grey


@dataclass(frozen=True)
class Evidence:
    """What is known of one image: its file, its row of a predictions file, and what else there is.

    `name` is what the page calls the image where that is not its file's name: an upload in memory has none.
    """

    prediction: Prediction
    image: Path
    record: Record | None = None
    probe: Probe | None = None
    calibration: Calibration | None = None
    name: str = ""


@dataclass(frozen=True)
class Look:
    """One reply as the page shows it; `raw` is None for a detector that keeps no replies."""

    title: str
    verdict: str | None
    explanation: str
    raw: str | None

    @property
    def tone(self) -> str:
        return tone(self.verdict)


@dataclass
class _Pictures:
    """What needs the image's file to be readable."""

    facts: list[Fact]
    picture: PictureShown | None = None
    regions: list[RegionShown] = field(default_factory=list)
    fault: str = ""


def evidence_page(evidence: Evidence) -> str:
    """One self-contained HTML page. Raises RecordError without Jinja2; an image that cannot be read is told on it."""
    prediction = evidence.prediction
    pictures = _pictures(evidence)
    name = page_text(shown(evidence.name or evidence.image.name), _MOST_NAME)
    headline = prediction.get("decision") or prediction["verdict"]
    return rendered(
        "evidence",
        has_script=False,
        name=name,
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        headline=headline or "no verdict",
        tone=tone(headline),
        course=_told(evidence, course_of(prediction)),
        looks=list(looks_of(prediction)),
        pictures=pictures,
        description=_description(name, headline, pictures.regions),
        more_regions=max(0, len(prediction.get("boxes") or []) - MOST_REGIONS),
        score=_told(evidence, score_in_words(prediction, evidence.calibration)),
        probed=_told(evidence, probe_in_words(evidence.probe, prediction["verdict"]) if evidence.probe else []),
        record=evidence.record,
        annotated=_annotated(evidence.record),
        annotation=page_text(evidence.record.explanation, _MOST_TEXT) if evidence.record else "",
        has_random=not all(region.is_marked for region in pictures.regions),
        file_says=file_says(evidence.image),
        compared=compared(prediction),
        no_evidence=NO_EVIDENCE_EITHER_WAY,
        settings=list(settings(prediction, evidence.image, evidence.probe)),
    )


def tone(verdict: str | None) -> str:
    """The colour of a verdict, as the page's style names it."""
    return _TONES.get(verdict or "", "grey")


def _pictures(evidence: Evidence) -> _Pictures:
    """The picture, its close-ups and its hashes; what can be said without them where the file cannot be read."""
    prediction, path = evidence.prediction, evidence.image
    try:
        image = open_upright(path)
        regions = regions_of(prediction, path)[:MOST_REGIONS]
    except ImageError as error:
        listed = list(map(region_in_place, listed_regions(prediction)[:MOST_REGIONS]))
        (said,) = _told(evidence, [str(error).removeprefix(f"{path}: ")])
        return _Pictures(list(file_facts(path, None)), regions=listed, fault=said)
    fault = size_fault(prediction, image.size)
    boxes = [] if fault else [region.box_px for region in regions]
    shown_here = regions_shown(regions, image, evidence.probe, prediction["verdict"])
    return _Pictures(list(file_facts(path, image)), picture_of(image, boxes, evidence.record), shown_here, fault)


def course_of(prediction: Prediction) -> Iterator[str]:
    """How it came to the verdict, or why it did not."""
    verdict, error, replies = prediction["verdict"], prediction.get("error"), _replies(prediction)
    if prediction.get("decision") == CANNOT_TELL:
        yield f"The model's own verdict is {verdict or 'missing'}; no decision is made on it."
        if reason := prediction.get("decision_reason"):
            yield f"Why: {reason}."
    elif prediction.get("decision") not in (None, verdict):
        yield "The decision was made from sampled looks; the model's own verdict differs from it."
    if has_failed(prediction) and verdict is None:
        yield f"The model came to no verdict, as something went wrong: {error}."
    elif error:
        yield f"Something went wrong: {error}."
    if replies is None:
        gave = "gave this verdict" if verdict else "was asked, and gave no verdict"
        yield f"Another detector {gave}; what it saw and why it says so is known only as far as shown here."
        return
    if replies and verdict is None and not error:
        yield "The reply names no verdict, or more than one."
    if replies and "initial_verdict" not in prediction:
        yield "The model was asked one question, and looked at the whole picture only."
    elif len(replies) > 1:
        yield _change(prediction["initial_verdict"], verdict)
        if not prediction.get("boxes"):
            yield "It marked no region, so the closer look was at the whole picture once more."


def _replies(prediction: Prediction) -> list[str] | None:
    """The raw replies; None for a detector that keeps none."""
    replies = prediction.get("replies")
    return replies if isinstance(replies, list) else None


def _change(initial: str | None, verdict: str | None) -> str:
    """What the second look did to the verdict."""
    if initial is None or verdict is None:
        first, last = initial or "none", verdict or "none"
        return f"At first sight its verdict was {first}; after a closer look it is {last}."
    if initial == verdict:
        return f"It said {initial} at first sight, and the same after a closer look."
    return f"It said {initial} at first sight; a closer look changed that to {verdict}."


def looks_of(prediction: Prediction) -> Iterator[Look]:
    """The replies, or the explanation of a detector that keeps none."""
    replies = _replies(prediction)
    explanation = page_text(prediction.get("explanation"), _MOST_TEXT)
    if replies is None:
        if explanation:
            yield Look("Its reasons", prediction["verdict"], explanation, None)
        return
    raw = [page_text(reply, _MOST_REPLY) for reply in replies]
    if "initial_verdict" not in prediction:
        if raw:
            yield Look("The only look", prediction["verdict"], explanation, raw[0])
        return
    if raw:
        initial = page_text(prediction.get("initial_explanation"), _MOST_TEXT)
        yield Look("First look", prediction["initial_verdict"], initial, raw[0])
    if len(raw) > 1:
        yield Look("Closer look", prediction["verdict"], explanation, raw[1])


def _told(evidence: Evidence, sentences: Iterable[str]) -> list[str]:
    """Sentences as they stand on the page, with the image's name in the place of its path."""
    name = evidence.name or evidence.image.name
    named = (sentence.replace(str(evidence.image), name) for sentence in sentences)
    return [page_text(without_folders(sentence, evidence.prediction["image"]), _MOST_TEXT) for sentence in named]


def _annotated(record: Record | None) -> list[str]:
    """The labels of the boxes that people drew, in order."""
    if record is None:
        return []
    return [page_text(label, MOST_LABEL) for label in record.box_labels[:MOST_REGIONS]]


def _description(name: str, headline: str | None, regions: list[RegionShown]) -> str:
    """The picture in words, for somebody who does not see it."""
    marked = [f"{region.number} {region.label or 'without a label'}" for region in regions if region.is_marked]
    named = f"marked regions: {'; '.join(marked)}" if marked else "no marked region"
    return f"{name}: {headline or 'no verdict'}; {named}"
