"""One exchange as a picture: the image with its regions, what the first look saw, the crops, and both replies.

    python examples/show_exchange.py output/quickstart/records.jsonl output/quickstart/predictions.jsonl exchange.png

Shows the image that `--image` names as the records do; else, of those whose first verdict was wrong and whose second is
right, the one with most regions, and of those the one whose regions lie best. Crops are cut by the code that cuts them
for the model, of the regions and at the pixel limits that `made_by` states, and bear the numbers of their regions.
"""

import argparse
import re
import sys
from math import ceil
from pathlib import Path

from PIL import Image

from swift_zoomin.boxes import PixelLimits, scale_box
from swift_zoomin.drawing import (
    GAP_PX,
    GREY,
    MARK,
    PANEL_PX,
    RIGHT,
    WRONG,
    Line,
    Panel,
    draw_page,
    fitted,
    mark_boxes,
    put_number,
)
from swift_zoomin.episode import CHOOSERS, BoxChooser, Episode
from swift_zoomin.families import QWEN2_5_VL, TRAINED, family_named
from swift_zoomin.images import ImageError, ImageRef, load_references
from swift_zoomin.pairing import pair
from swift_zoomin.pictures import open_upright
from swift_zoomin.predictions import Prediction
from swift_zoomin.predictions_parquet import read_any_predictions
from swift_zoomin.records import Record, RecordError, read_records
from swift_zoomin.replies import Reply, parse_reply
from swift_zoomin.scoring import iou_reward


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, help="records file")
    parser.add_argument("predictions", type=Path, help="what `zoomin detect` wrote for its images")
    parser.add_argument("out", type=Path, help="the picture to write, as PNG")
    parser.add_argument("--image", help="the image to show, as the records file names it")
    options = parser.parse_args()
    try:
        pairs = pair(read_records(options.records, decode=False), read_any_predictions(options.predictions))
        record, prediction = choose(pairs, options.image)
        draw_exchange(record, prediction).save(options.out, optimize=True)
    except (RecordError, ImageError) as error:
        print(f"show_exchange: {error}", file=sys.stderr)
        return 2
    return 0


def choose(pairs: list[tuple[Record, Prediction | None]], name: str | None) -> tuple[Record, Prediction]:
    """The named image, else the one that shows best why there is a second look. Raises RecordError without any."""
    wanted = [(record, answer) for record, answer in pairs if name in (None, record.name)]
    whole = [(record, answer) for record, answer in wanted if answer and len(answer.get("replies", [])) == 2]
    if not whole:
        raise RecordError(f"no two replies to {name or 'any image'}; expected an image that `zoomin detect` answered")
    return max(whole, key=_worth_showing)


def _worth_showing(shown: tuple[Record, Prediction]) -> tuple[bool, int, float]:
    """Corrected by the second look or not, its regions, and how well they lie."""
    record, prediction = shown
    corrected = prediction["initial_verdict"] != record.label == prediction["verdict"]
    iou = iou_reward(prediction["boxes"], record.boxes_px)
    return corrected, len(prediction["boxes"]), iou or 0.0


def draw_exchange(record: Record, prediction: Prediction) -> Image.Image:
    """The picture of one exchange, in three columns: the annotated image, the first look, the second."""
    chooser = _chooser(prediction)
    image = record.image.under(_limits(prediction))
    question = Episode(image, prediction["replies"][:1], chooser).next_question()
    crops = question.images if question else []
    first_look, *close_ups = load_references([image, *crops])
    original = open_upright(image.path)
    first, second = map(parse_reply, prediction["replies"])
    columns = [
        Panel(f"The image, {_pixels(original)}", _with_numbers(original, crops), _annotation(record)),
        Panel(f"Query 1: shrunk to {_pixels(first_look)}", fitted(first_look, PANEL_PX), _answer(first, record)),
        Panel("Query 2: crops of the original", _numbered_grid(close_ups), _answer(second, record)),
    ]
    return draw_page(columns, len(columns))


def _limits(prediction: Prediction) -> PixelLimits:
    """The pixel limits of the model that made a prediction."""
    names = "|".join(family.name for family in TRAINED)
    pattern = rf"\|(?:family ({names})\|)?pixels (\d+)-(\d+)\|"
    name, least, most = _stated(prediction, pattern, "pixels LEAST-MOST")
    family = family_named(name) if name else QWEN2_5_VL
    assert family
    return PixelLimits(int(least), int(most), family)


def _chooser(prediction: Prediction) -> BoxChooser:
    """What chose the regions that the second look was shown."""
    names = "|".join(CHOOSERS)
    (name,) = _stated(prediction, rf"\|regions ({names})\|", f"regions {names}")
    return CHOOSERS[name]


def _stated(prediction: Prediction, pattern: str, expected: str) -> tuple[str, ...]:
    """What `made_by` says of a setting. Raises RecordError where it does not."""
    made_by = str(prediction.get("made_by", ""))
    stated = re.search(pattern, made_by)
    if not stated:
        came = f'made_by "{made_by}"' if made_by else "no made_by"
        raise RecordError(f'{prediction["image"]}: {came}; expected "{expected}" in it, as `zoomin detect` writes it')
    return stated.groups()


def _pixels(image: Image.Image) -> str:
    return f"{image.width} x {image.height}"


def _annotation(record: Record) -> list[Line]:
    regions = ", ".join(label for label in record.box_labels if label)
    return [Line(f"Annotated: {record.label}"), Line(record.explanation), Line(regions, GREY)]


def _answer(reply: Reply, record: Record) -> list[Line]:
    """A reply's verdict and whether it is right, its reasons, and the labels of its regions by number."""
    is_right = reply.verdict == record.label
    verdict = f"Verdict: {reply.verdict or 'none'} ({'right' if is_right else 'wrong'})"
    regions = [f"region {number}: {label}" for number, label in enumerate(reply.box_labels, 1)]
    return [Line(verdict, RIGHT if is_right else WRONG), Line(reply.explanation), Line(", ".join(regions), GREY)]


def _with_numbers(original: Image.Image, crops: list[ImageRef]) -> Image.Image:
    """The whole image with the windows that were cut from it, numbered as the crops are."""
    picture = fitted(original, PANEL_PX)
    windows = [crop.window for crop in crops if crop.window]
    mark_boxes(picture, [scale_box(window, original.size, picture.size) for window in windows], [MARK])
    return picture


def _numbered_grid(crops: list[Image.Image]) -> Image.Image:
    """The crops, numbered, in as few rows and columns as hold them."""
    grid = Image.new("RGB", (PANEL_PX, PANEL_PX), "white")
    columns = max(1, ceil(len(crops) ** 0.5))
    side = (PANEL_PX - GAP_PX * (columns - 1)) // columns
    for index, crop in enumerate(crops):
        row, column = divmod(index, columns)
        corner = (column * (side + GAP_PX), row * (side + GAP_PX))
        picture = fitted(crop, side)
        put_number(picture, index + 1, (0, 0))
        grid.paste(picture, corner)
    return grid


if __name__ == "__main__":
    sys.exit(main())
