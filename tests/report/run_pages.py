"""Runs of a detector, made by its own code from replies, with the page of `write_run_page`, and what it shows."""

import base64
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from swift_zoomin.episode import Episode
from swift_zoomin.images import ImageRef
from swift_zoomin.made_by import parse_made_by
from swift_zoomin.predictions import Prediction, to_prediction
from swift_zoomin.replies import REAL, Reply, render_reply
from swift_zoomin.report.run_page import write_run_page

MADE_BY = "model tiny (weights 47db)|regions first|pixels 3136-12544|tokens 80|prompts 04feac84|zoomin 0.1.0"
# The model sees an image of this size as it is, so that boxes are the same in its frame.
SIDE_PX = 112
BOX, OTHER_BOX = (28, 28, 56, 56), (56, 56, 112, 112)
GROUND, MARKED = (60, 90, 160), (200, 30, 30)


def picture(path: Path, size: tuple[int, int] = (SIDE_PX, SIDE_PX)) -> Path:
    """An image whose BOX is red."""
    image = Image.new("RGB", size, GROUND)
    ImageDraw.Draw(image).rectangle((BOX[0], BOX[1], BOX[2] - 1, BOX[3] - 1), fill=MARKED)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG")
    return path


def answered(
    folder: Path, name: str, initial: str | None, verdict: str | None, labels: Sequence[str] = ("sign",), **more: Any
) -> Prediction:
    """A prediction of a picture of its own, as a detector makes it of two replies; `more` are fields put in by hand."""
    boxes = [list(map(float, box)) for box in (BOX, OTHER_BOX)][: len(labels)]
    first = Reply(initial, boxes, list(labels), f"At first {name} looks {initial}.")
    last = Reply(verdict, explanation=f"From near {name} looks {verdict}.")
    replies = [_written(first, ("explanation", "regions", "verdict")), _written(last, ("explanation", "verdict"))]
    limits = parse_made_by(MADE_BY).limits
    episode = Episode(ImageRef.of(picture(folder / name)).under(limits), replies)
    return to_prediction(name, episode, None, 0.1) | {"made_by": MADE_BY} | more


def _written(reply: Reply, parts: tuple[str, ...]) -> str:
    if reply.verdict is None:  # a gold reply always has one, a model's may not
        return render_reply(replace(reply, verdict=REAL), parts[:-1])
    return render_reply(reply, parts)


def write_page(folder: Path, rows: Sequence[Prediction], *more: Any, **options: Any) -> Path:
    """The page of a run, beside its images. What is read from a file has gone through JSON."""
    write_run_page(json.loads(json.dumps(rows)), folder, folder / "run.html", *more, **options)
    return folder / "run.html"


def images_of(page: Path) -> list[Image.Image]:
    """All pictures in a page, decoded."""
    found = re.findall(r'src="data:image/webp;base64,([^"]*)"', page.read_text())
    return [Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB") for content in found]


def plain_text(page: Path) -> str:
    """What the page says, without its marks, style and script, every white space a space."""
    content = re.sub(r"<(style|script)>.*?</\1>", "", page.read_text(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", "", content)).split())
