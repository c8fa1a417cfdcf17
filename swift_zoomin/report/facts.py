"""What can be checked later: which file it was, and with which model and settings it was looked at."""

import hashlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from PIL import Image

from swift_zoomin.images import ImageError
from swift_zoomin.made_by import MadeBy, parse_made_by
from swift_zoomin.predictions import Prediction
from swift_zoomin.probes import Probe
from swift_zoomin.report.crops import reference_of
from swift_zoomin.report.page_texts import page_text

MOST_SETTING = 500  # characters
Fact = tuple[str, str]  # a name and a value

_ASKED = {
    "explain": "one question: an explanation and a verdict",
    "ground": "one question: an explanation, regions and a verdict",
    "verdict": "one question: a verdict alone",
}
_LOOKED_AT = {
    "first": "those named first",
    "largest-3": "the three largest",
    "largest-4": "the four largest",
    "random": "none of those marked, but places of their sizes drawn at random",
}


def file_facts(path: Path, image: Image.Image | None) -> Iterator[Fact]:
    """Size and hashes of a file, `image` being its upright picture; what cannot be read is left out."""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            yield "Size", f"{file.tell():,} bytes"
    except OSError as error:
        yield "Size", f"cannot be read ({error.strerror})"
        return
    if image:
        yield "Pixels", f"{image.width} × {image.height}, upright"
    yield "SHA-256", sha256
    if image:
        yield "Perceptual hash", f"{_perceptual_hash(image)} (pHash, 64 bits, of the upright picture)"


def _perceptual_hash(image: Image.Image) -> str:
    """As `near_duplicates` compares them: saved again or scaled, a picture keeps nearly all bits."""
    from imagehash import phash

    return str(phash(image.convert("L")))


def settings(prediction: Prediction, path: Path, probe: Probe | None) -> Iterator[Fact]:
    """The model and what it was asked with, as `made_by` says, and what the page itself was made with."""
    stated = prediction.get("made_by")
    made_by = parse_made_by(stated)
    if made_by:
        yield from _parts(made_by, prediction, path)
    elif stated:
        yield "Made by", page_text(stated, MOST_SETTING)
    else:
        yield "Made by", "not stated: it is another detector's row"
    if isinstance(prediction.get("seconds"), int | float):
        yield "Time", page_text(f"{prediction['seconds']:.2f} s", MOST_SETTING)
    probed_by = parse_made_by(probe.made_by) if probe else None
    if probed_by:
        yield "Regions tested with", page_text(", ".join(probed_by.further), MOST_SETTING)
    yield "This page", f"zoomin {version('swift-zoomin')}, Pillow {version('pillow')}"


def _parts(made_by: MadeBy, prediction: Prediction, path: Path) -> Iterator[Fact]:
    yield "Model", page_text(made_by.model, MOST_SETTING)
    yield "Family", made_by.limits.family.name
    if made_by.chooser:
        yield "Asked", f"two questions; the close-ups show {_LOOKED_AT[made_by.chooser]}"
    else:
        yield "Asked", _ASKED[made_by.one_turn or ""]
    yield "Picture shown to the model", _first_look(made_by, prediction, path)
    yield "Longest reply", f"{made_by.tokens:,} tokens"
    yield "Prompts", made_by.prompts
    versions = f"zoomin {made_by.version}; versions of other packages are not recorded"
    yield "Looked at with", page_text(versions, MOST_SETTING)
    for part in made_by.further:
        name, _, value = part.partition(" ")
        yield page_text(name.capitalize(), MOST_SETTING), page_text(value, MOST_SETTING)


def _first_look(made_by: MadeBy, prediction: Prediction, path: Path) -> str:
    """The size that the model saw the whole image with."""
    limits = f"{made_by.limits.min_pixels:,} to {made_by.limits.max_pixels:,} pixels"
    try:
        reference = reference_of(prediction, path)
    except ImageError:
        reference = None
    if reference is None:
        return limits
    width, height = reference.size_model
    return f"{width} × {height} pixels (limits: {limits})"
