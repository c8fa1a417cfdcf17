"""Pictures for people to look at: boxes with numbers, and pages of panels with lines of text below their pictures.

    picture = fitted(original, PANEL_PX)
    mark_boxes(picture, [[12, 8, 60, 90]], BOX_COLOURS)
    draw_page([Panel("Generated", picture, [Line("The letters melt together.")])], columns=4).save("sheet.png")

Text is drawn in Pillow's own font, which knows little more than English, or else in the first font of this machine that
has all its characters. Not covered: text in a script for which this machine has no font; it becomes empty boxes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice

from PIL import Image, ImageDraw, ImageFont

from swift_zoomin.boxes import Box, Size

PANEL_PX, MARGIN_PX, GAP_PX = 400, 24, 8  # side of a panel; around panels; between crops
TITLE_PX, TEXT_PX, NUMBER_PX = 24, 20, 28  # heights of what is still read where the picture is shown at two thirds
INK, GREY, MARK, RIGHT, WRONG = "#1f2328", "#59636e", "#d1242f", "#1a7f37", "#d1242f"
GROUND = "#f6f8fa"  # behind a picture that does not fill its panel
# One a box, in this order and again from the first. White numbers on each have a contrast of at least 4.5.
BOX_COLOURS = (MARK, "#0969da", "#1a7f37", "#8250df", "#9a6700", "#bf3989", "#1b7c83")
_SPACING_PX = 6  # between lines of one text
_LINE_PX = 3  # width of a box's outline
# Fonts of Debian, macOS and Windows that know many scripts, as Pillow finds them by name.
_FONTS = (
    *("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "wqy-zenhei.ttc"),
    *("Arial Unicode.ttf", "PingFang.ttc", "msyh.ttc", "arial.ttf"),
)
# What English texts hold and Pillow's own font does not.
_PLAIN = str.maketrans({"—": "-", "–": "-", "−": "-", "‑": "-", "\xa0": " ", "•": "·"})

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Corner = tuple[int, int]


@dataclass(frozen=True)
class Line:
    """A text below a picture, as many lines as it needs, or `most_lines`, of which the last then ends in dots."""

    text: str
    colour: str = INK
    most_lines: int | None = None
    space_px: int = TEXT_PX // 2  # below it


@dataclass(frozen=True)
class Panel:
    """A column of a page: what it is called, its picture, and texts below it."""

    title: str
    picture: Image.Image
    lines: Sequence[Line]
    title_colour: str = INK


def fitted(image: Image.Image, side_px: int) -> Image.Image:
    """The image as large as a square of this side holds; enlarged without smoothing, to show how little it holds."""
    scale = side_px / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def mark_boxes(picture: Image.Image, boxes: Sequence[Box], colours: Sequence[str]) -> None:
    """Draw boxes, given in pixels of this picture, each in the next colour and with its number from 1 beside it."""
    draw = ImageDraw.Draw(picture)
    outlines = [_outline(box) for box in boxes]
    for left, top, right, bottom in outlines:  # all of them first: none may cover the colour of another
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline="white")
    for outline, colour in zip(outlines, cycle(colours), strict=False):
        draw.rectangle(outline, outline=colour, width=_LINE_PX)
    corners = number_corners(boxes, picture.size)
    for number, (corner, colour) in enumerate(zip(corners, cycle(colours), strict=False), 1):
        put_number(picture, number, corner, colour)


def number_corners(boxes: Sequence[Box], size: Size) -> list[Corner]:
    """Left upper corners of the places for the boxes' numbers in a picture of this size: NUMBER_PX a side."""
    taken: list[Corner] = []
    for box in boxes:
        taken.append(_free_corner(_outline(box), size, taken))
    return taken


def _outline(box: Box) -> tuple[int, int, int, int]:
    """The first and last pixel of a box's outline along both axes; a tiny box becomes one that can be seen."""
    left, top, right, bottom = map(round, box)
    return left, top, max(right - 1, left + 2 * _LINE_PX), max(bottom - 1, top + 2 * _LINE_PX)


def _free_corner(outline: tuple[int, int, int, int], size: Size, taken: list[Corner]) -> Corner:
    """Left upper corner of the place for a box's number: beside the box, where no other number is, if there is one."""
    left, top, right, bottom = outline
    places = [(left, top - NUMBER_PX), (right + 1 - NUMBER_PX, top - NUMBER_PX)]
    if min(right - left, bottom - top) > 3 * NUMBER_PX:  # large enough to be seen with a number in it
        places.append((left, top))
    places += [(left, bottom + 1), (right + 1, top), (left - NUMBER_PX, top), (right + 1 - NUMBER_PX, bottom + 1)]
    places += [(left, top), (right + 1 - NUMBER_PX, bottom + 1 - NUMBER_PX)]
    for x, y in taken:  # where boxes crowd, beside another's number
        places += [(x + NUMBER_PX, y), (x - NUMBER_PX, y), (x, y + NUMBER_PX), (x, y - NUMBER_PX)]
    for x, y in places:
        is_inside = 0 <= x <= size[0] - NUMBER_PX and 0 <= y <= size[1] - NUMBER_PX
        if is_inside and all(max(abs(x - other_x), abs(y - other_y)) >= NUMBER_PX for other_x, other_y in taken):
            return x, y
    return max(0, min(left, size[0] - NUMBER_PX)), max(0, top - NUMBER_PX)


def put_number(picture: Image.Image, number: int, corner: Corner, colour: str = MARK) -> None:
    """A white number on a coloured square whose left upper corner is given."""
    left, top = corner
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left, top, left + NUMBER_PX - 1, top + NUMBER_PX - 1), fill=colour)
    font = _own_font(TITLE_PX if number < 10 else TEXT_PX)
    draw.text((left + NUMBER_PX // 2, top + NUMBER_PX // 2), str(number), "white", font, anchor="mm")


def draw_page(panels: Sequence[Panel], columns: int) -> Image.Image:
    """The panels on white, row by row, each row as high as its longest text wants."""
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    images = [_draw_row(row) for row in rows]
    width = MARGIN_PX + columns * (PANEL_PX + MARGIN_PX)
    page = Image.new("RGB", (width, sum(image.height for image in images)), "white")
    top = 0
    for image in images:
        page.paste(image, (0, top))
        top += image.height
    return page


def _draw_row(panels: Sequence[Panel]) -> Image.Image:
    texts = [[_laid_out(line) for line in panel.lines] for panel in panels]
    top = MARGIN_PX + 2 * TITLE_PX
    below = top + PANEL_PX + MARGIN_PX
    lowest = max(below + sum(height for *_, height in of_panel) for of_panel in texts)
    row = Image.new("RGB", (MARGIN_PX + len(panels) * (PANEL_PX + MARGIN_PX), lowest + MARGIN_PX // 2), "white")
    draw = ImageDraw.Draw(row)
    for index, (panel, of_panel) in enumerate(zip(panels, texts, strict=True)):
        left = MARGIN_PX + index * (PANEL_PX + MARGIN_PX)
        draw.text((left, MARGIN_PX), panel.title, panel.title_colour, font_for(panel.title, TITLE_PX))
        _put_picture(row, panel.picture, (left, top))
        height = below
        for text, font, colour, height_px in of_panel:
            draw.multiline_text((left, height), text, colour, font, spacing=_SPACING_PX)
            height += height_px
    return row


def _put_picture(page: Image.Image, picture: Image.Image, corner: Corner) -> None:
    """A picture in the middle of its panel."""
    left, top = corner
    if picture.size != (PANEL_PX, PANEL_PX):
        page.paste(GROUND, (left, top, left + PANEL_PX, top + PANEL_PX))
    page.paste(picture, (left + (PANEL_PX - picture.width) // 2, top + (PANEL_PX - picture.height) // 2))


def _laid_out(line: Line) -> tuple[str, Font, str, int]:
    """A text in lines that fit below a panel, its font, its colour, and its height in pixels with the space below."""
    plain = plain_line(line.text)
    font = font_for(plain, TEXT_PX)
    # One more than are shown tells whether the text goes on.
    lines = list(islice(wrapped(plain, font, PANEL_PX), line.most_lines and line.most_lines + 1))
    if line.most_lines and len(lines) > line.most_lines:
        lines = [*lines[: line.most_lines - 1], _ending_in_dots(lines[line.most_lines - 1], font)]
    if not lines:
        return "", font, line.colour, 0
    line_px = round(font.getbbox("A")[3]) + _SPACING_PX  # as Pillow sets lines, whatever characters stand in them
    return "\n".join(lines), font, line.colour, len(lines) * line_px + line.space_px


def _ending_in_dots(line: str, font: Font) -> str:
    """A line that goes on: its last words give way to dots, or where it is one word, its last characters."""
    while line and font.getlength(f"{line}...") > PANEL_PX:
        line = line.rpartition(" ")[0] or line[:-1]
    return f"{line.rstrip(' .,;:')}..."


def wrapped(text: str, font: Font, width_px: int) -> Iterator[str]:
    """Lines of a text that fit into a width; a word that does not, or text without spaces, is broken."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= width_px:
            line = longer
            continue
        if line:
            yield line
        line = word
        while font.getlength(line) > width_px:
            fits = _how_much_fits(line, font, width_px)
            yield line[:fits]
            line = line[fits:]
    if line:
        yield line


def _how_much_fits(word: str, font: Font, width_px: int) -> int:
    """How many characters of a word too long for a line fit into it, at least one."""
    fits = 1
    while fits < len(word) and font.getlength(word[: fits + 1]) <= width_px:
        fits += 1
    return fits


def plain_line(text: str) -> str:
    """A text in one line: spaces for line ends, and without what cannot be printed, as marks of writing direction."""
    return "".join(sign for sign in " ".join(text.split()).translate(_PLAIN) if sign.isprintable())


def font_for(text: str, height_px: int) -> Font:
    """The first font that has all characters of a text: Pillow's own, or one of this machine."""
    own = _own_font(height_px)
    characters = {sign for sign in text if not sign.isspace()}
    for font in (own, *_fonts_here(height_px)):
        if all(_has(font, sign) for sign in characters):
            return font
    return own


@cache
def _own_font(height_px: int) -> Font:
    return ImageFont.load_default(height_px)


@cache
def _fonts_here(height_px: int) -> tuple[Font, ...]:
    found = []
    for name in _FONTS:
        try:
            found.append(ImageFont.truetype(name, height_px))
        except OSError:
            continue  # not on this machine
    return tuple(found)


def _has(font: Font, sign: str) -> bool:
    """Whether a font has a character: it else draws the same box for it as for one that stands for none."""
    return sign.isascii() or bytes(font.getmask(sign)) != _no_character(font)


@cache
def _no_character(font: Font) -> bytes:
    return bytes(font.getmask("\uffff"))
