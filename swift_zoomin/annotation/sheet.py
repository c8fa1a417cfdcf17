"""A contact sheet of a records file: pictures with their boxes, labels and reasons, like Figure 8 of the ZoomIn paper.

contact_sheet(Path("out/records.jsonl"), Path("out/sheet.png"))
"""

import io
import os
from dataclasses import replace
from itertools import cycle
from pathlib import Path

from PIL import Image

from swift_zoomin.boxes import scale_box
from swift_zoomin.drawing import (
    BOX_COLOURS,
    GREY,
    GROUND,
    PANEL_PX,
    RIGHT,
    TEXT_PX,
    WRONG,
    Line,
    Panel,
    draw_page,
    fitted,
    mark_boxes,
)
from swift_zoomin.files import write_whole
from swift_zoomin.outputs import naming
from swift_zoomin.pictures import open_upright
from swift_zoomin.records import Record
from swift_zoomin.replies import REAL
from swift_zoomin.sampling import draw_balanced

_RECORDS, _COLUMNS = 12, 4
_SEED = 0
_REASON_LINES, _LABEL_LINES = 5, 8
_CLOSE_PX = 2  # between the labels of one picture's boxes


def contact_sheet(records: Path, out: Path) -> None:
    """Draw 12 records, half of each label where there are enough, drawn from all of the file; each time the same.

    The file is read as a stream, and of its images only those shown are opened. A file without records makes a
    sheet that says so. Raises RecordError where a record drawn is faulty, ImageError where its image cannot be decoded,
    and OSError where `out` cannot be written.
    """
    sample = draw_balanced(records, _RECORDS, _SEED)
    # Both labels side by side would be compared; one after the other they are seen as two kinds.
    shown = sorted(sample.records, key=lambda record: record.label == REAL)
    panels = [_panel(record) for record in shown] or [_no_panel()]
    page = draw_page(panels, min(_COLUMNS, len(panels)))
    content = io.BytesIO()
    page.save(content, "PNG")
    with naming(out):
        write_whole(Path(os.path.realpath(out)), content.getvalue())


def _panel(record: Record) -> Panel:
    original = open_upright(record.image.path)
    picture = fitted(original, PANEL_PX)
    boxes = record.boxes_px or []
    mark_boxes(picture, [scale_box(box, original.size, picture.size) for box in boxes], BOX_COLOURS)
    lines = [
        Line(record.explanation or "No explanation.", most_lines=_REASON_LINES),
        *_named_boxes(record),
        Line(_origin(record), GREY, 1),
    ]
    return Panel(record.label.capitalize(), picture, lines, RIGHT if record.label == REAL else WRONG)


def _no_panel() -> Panel:
    """For a file in which every image was left out."""
    return Panel("No record", Image.new("RGB", (PANEL_PX, PANEL_PX), GROUND), [Line("The file holds none.", GREY)])


def _named_boxes(record: Record) -> list[Line]:
    """What is in each box, a line each, in the colour that the box is drawn in."""
    if not record.boxes_px:
        return [Line("No box." if record.boxes_px == [] else "Boxes not annotated.", GREY)]
    named = list(zip(record.box_labels, cycle(BOX_COLOURS), strict=False))
    lines = [
        Line(f"{number}  {label or 'no label'}", colour, 1, _CLOSE_PX)
        for number, (label, colour) in enumerate(named[:_LABEL_LINES], 1)
    ]
    if len(named) > _LABEL_LINES:
        lines.append(Line(f"and {len(named) - _LABEL_LINES} more", GREY))
    return [*lines[:-1], replace(lines[-1], space_px=TEXT_PX // 2)]


def _origin(record: Record) -> str:
    """The image's name, and where it is from, if the record says so."""
    source = record.extra.get("source")
    return f"{record.name} ({source})" if source else record.name
