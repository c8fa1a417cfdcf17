"""Detectors that mark regions as a mask: LEGION, and the second model of FakeShield. Masks become boxes.

A mask is a grey image as large as the upright image, white where it marks. Each patch of white that holds together
(also across a corner) gives one box. Neither repository writes a verdict beside its masks: join a file that has one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from swift_zoomin.evaluation.foreign.rows import Row, Stated, read_json
from swift_zoomin.pictures import IMAGE_SUFFIXES, open_upright
from swift_zoomin.records import RecordError

# Masks are drawn on 256 x 256 points and enlarged, and leave specks of a few points that no one would call a region.
# A box for each would drag a mean over boxes down.
_SMALLEST_SHARE = 0.001  # of the image
_WHITE = 127  # a mask saved as JPEG has all grey levels around its edges


def read_legion(path: Path, _: Stated) -> Iterator[Row]:
    """The folder that LEGION writes, one folder an image, called as the image:

        OUT/a.png/explanation.json   {"./inference_data/a.png": "The left hand has six fingers."}
        OUT/a.png/mask.png           white where the image has artefacts

    Source: opendatalab/LEGION, infer_loc_exp.py. Its classifier, eval_cls.py, prints totals of categories alone.
    """
    files = sorted(path.glob("*/explanation.json"))
    if not files:
        raise RecordError(f"{path}: no folder with an explanation.json in it; expected what infer_loc_exp.py wrote")
    for file in files:
        said = read_json(file)
        if not isinstance(said, dict) or len(said) != 1 or not all(isinstance(text, str) for text in said.values()):
            yield str(file), ValueError("expected one image and its explanation")
            continue
        ((image, explanation),) = said.items()
        marked = _marked(file.with_name("mask.png"))
        yield str(file), {"image": image, "verdict": None, "explanation": explanation, **marked}


def read_masks(path: Path, _: Stated) -> Iterator[Row]:
    """A folder of masks that are called as their images: `MFLM_output/a.jpg` of FakeShield.

    Source: zhipeixu/FakeShield, MFLM/test.py, which writes none for an image that it takes for real.
    """
    files = sorted(file for file in path.glob("*") if file.name.lower().endswith(IMAGE_SUFFIXES))
    if not files:
        raise RecordError(f"{path}: holds no image; expected a folder of masks that are called as their images")
    for file in files:
        yield str(file), {"image": file.name, "verdict": None, **_marked(file)}


def _marked(path: Path) -> dict[str, Any]:
    """The boxes of a mask, and its size, which has to be that of its image. Raises ImageError."""
    mask = open_upright(path).convert("L")
    return {"boxes": mask_boxes(mask), "width": mask.width, "height": mask.height}


def mask_boxes(mask: Image.Image) -> list[list[int]]:
    """A box [x1, y1, x2, y2] for each patch of a mask, in pixels, x2 and y2 exclusive."""
    from scipy import ndimage  # takes a second, and only masks need it

    is_marked = np.asarray(mask) > _WHITE
    patches, count = ndimage.label(is_marked, structure=np.ones((3, 3)))
    sizes_px = np.bincount(patches.ravel(), minlength=count + 1)[1:]
    boxes = []
    for (rows, columns), size_px in zip(ndimage.find_objects(patches), sizes_px, strict=True):
        if size_px >= _SMALLEST_SHARE * is_marked.size:
            boxes.append([columns.start, rows.start, columns.stop, rows.stop])
    return boxes
