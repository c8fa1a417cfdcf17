"""Annotated pictures: the image with its numbered boxes, and below it what was said, as one PNG to hand on.

A picture travels without its page, so the verdict and that it is no proof stand in it. Its name is made of the image's,
of which no character leads out of the folder or means anything to a shell.
"""

import hashlib
import io
import os
import re
from itertools import islice

from PIL import Image, ImageDraw, PngImagePlugin

from swift_zoomin.boxes import clip_box, scale_box
from swift_zoomin.drawing import BOX_COLOURS, INK, TEXT_PX, font_for, mark_boxes, plain_line, wrapped
from swift_zoomin.listing import shown
from swift_zoomin.pictures import open_upright
from swift_zoomin.predictions import Prediction
from swift_zoomin.report.crops import regions_of
from swift_zoomin.report.evidence import Evidence
from swift_zoomin.report.evidence_pictures import MOST_REGIONS, size_fault
from swift_zoomin.report.page_texts import page_text
from swift_zoomin.report.thumbnails import shown_size

_SOFTWARE = "zoomin report"
MADE_HERE = b"tEXtSoftware\0" + _SOFTWARE.encode()  # how the head of such a picture is known
_SIDE_PX, _NARROWEST_PX = 1024, 640  # longer side of the picture; of the text below it at least
_MARGIN_PX, _LINE_PX = 16, TEXT_PX + 8
_MOST_LINES, _MOST_TEXT = 4, 1000  # of one text
_UNSAFE = re.compile(r"[^\w.-]+|^[.-]+")
_DIGITS = 16  # of a hash: that two of a million images share one has a chance of 3 in 100 million
_LONGEST_STEM = 80  # bytes; what a file system takes is 255


def annotated_png(evidence: Evidence) -> bytes:
    """The annotated picture of an image. Raises ImageError where that cannot be read."""
    picture = _marked(evidence)
    lines = list(_lines(evidence, max(picture.width, _NARROWEST_PX) - 2 * _MARGIN_PX))
    width = max(picture.width, _NARROWEST_PX)
    sheet = Image.new("RGB", (width, picture.height + 2 * _MARGIN_PX + len(lines) * _LINE_PX), "white")
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    for index, line in enumerate(lines):
        top = picture.height + _MARGIN_PX + index * _LINE_PX
        draw.text((_MARGIN_PX, top), line, INK, font_for(line, TEXT_PX))
    made_by = PngImagePlugin.PngInfo()
    made_by.add_text("Software", _SOFTWARE)
    content = io.BytesIO()
    sheet.save(content, "PNG", pnginfo=made_by)
    return content.getvalue()


def _marked(evidence: Evidence) -> Image.Image:
    """The upright picture with its boxes; without them where it is not the one that was looked at."""
    image = open_upright(evidence.image)
    size = image.size
    picture = image.resize(shown_size(size, _SIDE_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if not size_fault(evidence.prediction, size):
        regions = regions_of(evidence.prediction, evidence.image)[:MOST_REGIONS]
        boxes = [scale_box(clip_box(region.box_px, size), size, picture.size) for region in regions]
        mark_boxes(picture, boxes, BOX_COLOURS)
    return picture


def _lines(evidence: Evidence, width_px: int) -> list[str]:
    """What stands below the picture, in lines that fit."""
    prediction = evidence.prediction
    texts = [page_text(shown(evidence.image.name), _MOST_TEXT), _verdict(prediction)]
    regions = regions_of(prediction, evidence.image)[:MOST_REGIONS]
    named = [(region.number, region.label if region.is_marked else "a place drawn at random") for region in regions]
    texts += [f"{number}. {label}" for number, label in named if label]
    texts.append(page_text(prediction.get("explanation"), _MOST_TEXT))
    texts.append("This is what a model thinks, and not proof.")
    lines: list[str] = []
    for text in texts:
        plain = plain_line(page_text(text, _MOST_TEXT))
        lines += islice(wrapped(plain, font_for(plain, TEXT_PX), width_px), _MOST_LINES)
    return lines


def _verdict(prediction: Prediction) -> str:
    """`Verdict: generated (at first sight real)`, or the decision."""
    verdict = prediction["verdict"] or "none"
    said = f"Verdict: {verdict}"
    if prediction.get("decision") not in (None, verdict):
        said = f"Decision: {prediction['decision']}. The model's own verdict: {verdict}"
    if "initial_verdict" in prediction:
        said += f" (at first sight {prediction['initial_verdict'] or 'none'})"
    return said


def safe_name(image: str) -> str:
    """A file's stem for an image that a predictions file calls `image`: `000017-1a2b3c4d5e6f7a8b`, for each its own."""
    digest = hashlib.sha256(image.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]
    stem = os.path.splitext(image.rpartition("/")[2])[0]
    safe = _UNSAFE.sub("_", stem.encode(errors="replace").decode())
    cut = safe.encode()[:_LONGEST_STEM].decode(errors="ignore")
    return f"{cut}-{digest}"
