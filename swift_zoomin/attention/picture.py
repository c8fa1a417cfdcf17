"""The page that `zoomin attention` writes: the image, the heat of each part of a reply laid over it, the explanation.

Each heat is as bright as it can be: pictures compare places, not words. How much a word was said from the image, beside
the other words, shows in the explanation, where its ground is the darker the more.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageOps

from swift_zoomin.attention.heat import Heat
from swift_zoomin.boxes import scale_box
from swift_zoomin.drawing import (
    BOX_COLOURS,
    GREY,
    INK,
    MARGIN_PX,
    PANEL_PX,
    TEXT_PX,
    TITLE_PX,
    Corner,
    Font,
    Line,
    Panel,
    draw_page,
    fitted,
    font_for,
    mark_boxes,
    plain_line,
)
from swift_zoomin.images import ImageRef
from swift_zoomin.keywords import word_spans
from swift_zoomin.pictures import open_upright

_COLUMNS = 4
_LINE_PX = 2 * TEXT_PX  # from one line of the explanation to the next
_STRONGEST = "#fd8d3c"  # the ground of the word said most from the image; ink on it has a contrast of 6.8
_LEGEND = "Explanation: the darker the ground of a word, the more the image adds to its logit"
# Shares of the most heat of a picture and the colours there: cold places stay the picture, in grey.
_SHARES = (0.0, 1 / 3, 2 / 3, 1.0)
_COLOURS = ("#51127c", "#b73779", "#fc8961", "#fcfdbf")  # matplotlib's magma, without its darkest quarter
_COVER = 0.85  # of the picture, where it is hottest


@dataclass(frozen=True)
class HeatOf:
    """A part of a reply, and the heat of the image for it."""

    said: str
    heat: Heat


@dataclass(frozen=True)
class Explained:
    """One reply and where it was said from.

    `heats` are those of the verdict, of the regions (query 1) and of words, in this order. `strengths` are the total
    heats of all content words of the explanation, without smoothing, in lower case. `boxes_px` are the regions of the
    first reply, in pixels of the upright original.
    """

    image: ImageRef
    query: int
    boxes_px: list[list[float]]
    explanation: str
    heats: list[HeatOf]
    strengths: dict[str, float]

    def picture(self) -> Image.Image:
        """The image with its boxes, the heat of each part laid over it, and the explanation, as one page."""
        return _draw(self)


def _draw(explained: Explained) -> Image.Image:
    original = open_upright(explained.image.path)
    picture = fitted(original, PANEL_PX)
    boxes = [scale_box(box, explained.image.size, picture.size) for box in explained.boxes_px]
    marked = picture.copy()
    mark_boxes(marked, boxes, BOX_COLOURS)
    panels = [Panel(f"Query {explained.query}", marked, [])]
    for part in explained.heats:
        heated = _heated(picture, part.heat.laid_on(picture.size))
        mark_boxes(heated, boxes, BOX_COLOURS)
        panels.append(Panel(_title(part), heated, list(_lines(part))))
    page = draw_page(panels, _COLUMNS)
    return _below(page, _strip(explained, page.width))


def _title(part: HeatOf) -> str:
    """What a part says, as much of it as fits above a panel."""
    whole = plain_line(part.said)
    font = font_for(whole, TITLE_PX)
    shown = whole
    while shown and font.getlength(f"{shown}...") > PANEL_PX:
        shown = shown[:-1]
    return whole if shown == whole else f"{shown.rstrip()}..."


def _lines(part: HeatOf) -> Iterator[Line]:
    if not part.heat.total:
        yield Line("no heat anywhere", GREY)
    elif len(part.heat.shown) > 1:
        yield Line(f"{part.heat.crop_share:.0%} of the heat is the crops'", GREY)


def _heated(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """The picture in grey, and over it the colour of each pixel's share of the most heat, the hotter the denser."""
    grey = np.asarray(ImageOps.grayscale(picture).convert("RGB"), np.float64)
    share = heat / heat.max() if heat.max() else heat
    anchors = np.array([ImageColor.getrgb(colour) for colour in _COLOURS], np.float64)
    colour = np.stack([np.interp(share, _SHARES, anchors[:, channel]) for channel in range(3)], -1)
    cover = _COVER * share[:, :, None]
    return Image.fromarray((grey * (1 - cover) + colour * cover).round().astype(np.uint8))


def _strip(explained: Explained, width: int) -> Image.Image:
    """The explanation, the ground of each content word by how much of its logit comes from the image."""
    text = plain_line(explained.explanation)
    font = font_for(text, TEXT_PX)
    placed = list(_placed(text, font, width - 2 * MARGIN_PX))
    lines = 2 + max((line for _, (_, line) in placed), default=0)
    strip = Image.new("RGB", (width, lines * _LINE_PX + MARGIN_PX), "white")
    draw = ImageDraw.Draw(strip)
    strongest = max(explained.strengths.values(), default=0.0) or 1.0
    draw.text((MARGIN_PX, 4), _LEGEND, GREY, font)
    for word, (left, line) in placed:
        top = (1 + line) * _LINE_PX
        for start, end, known in word_spans(word):
            share = explained.strengths.get(known, 0.0) / strongest
            first, last = (MARGIN_PX + left + font.getlength(word[:count]) for count in (start, end))
            draw.rectangle((first - 2, top, last + 2, top + _LINE_PX - 8), fill=_ground(share))
        draw.text((MARGIN_PX + left, top + 4), word, INK, font)
    return strip


def _ground(share: float) -> tuple[int, ...]:
    strongest = ImageColor.getrgb(_STRONGEST)
    return tuple(round(255 + (channel - 255) * share) for channel in strongest)


def _placed(text: str, font: Font, width: int) -> Iterator[tuple[str, Corner]]:
    """The words of a text, each with where it begins: pixels from the left, and the line."""
    left, line = 0.0, 0
    for word in text.split():
        length = font.getlength(word)
        if left and left + length > width:
            left, line = 0.0, line + 1
        yield word, (round(left), line)
        left += length + font.getlength(" ")


def _below(page: Image.Image, strip: Image.Image) -> Image.Image:
    whole = Image.new("RGB", (page.width, page.height + strip.height), "white")
    whole.paste(page, (0, 0))
    whole.paste(strip, (0, page.height))
    return whole
