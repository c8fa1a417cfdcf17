"""The command `zoomin review`: one HTML page to accept or reject records with, which loads nothing from elsewhere.

It stands beside records.jsonl as `review.html`, and beside a train.jsonl as `review-train.html`. What is
decided there is kept in the browser, under a hash of the records file's path, so that it outlives records made since
then, and downloaded as `decisions.json` (`swift_zoomin.decisions`). The page begins with the decisions that lay beside
it, and takes them over later where they are others than it has seen there or written itself. Whatever records hold is
text there: the page's policy lets only its own script run and nothing be fetched. Not covered: editing records; more
images than a browser opens.
"""

import argparse
import base64
import hashlib
import io
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from swift_zoomin import arguments
from swift_zoomin.boxes import Size
from swift_zoomin.checked_images import PixelBudget
from swift_zoomin.decisions import FILE_NAME, read_decisions
from swift_zoomin.drawing import BOX_COLOURS
from swift_zoomin.listing import shown
from swift_zoomin.outputs import write_output
from swift_zoomin.pictures import open_upright
from swift_zoomin.records import RECORDS_SUFFIXES, Record, RecordError
from swift_zoomin.replies import VERDICTS
from swift_zoomin.sampling import Sample, draw_records

_SIDE_PX = 1024  # at most, of an image on the page: what is larger would be shrunk on most screens anyway
_QUALITY = 85  # of WebP: hands and letters stay as they are, 128 kB a photograph of that size
_DEFAULT_RECORDS, _MOST_RECORDS = 500, 5000  # on one page: 85 MB of photographs, and what a browser still opens
_DECODED_PIXELS = 100_000_000  # at once
_GENERATOR = b'<meta name="generator" content="zoomin review">'
_HEAD_BYTES = 1024  # of a page, in which the generator stands
_SCRIPTS = ("review.js", "boxes.js", "keys.js")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("records", type=arguments.path, help="a records file, or a folder with records.jsonl in it")
    parser.add_argument(
        "--sample",
        type=_sample,
        default=_DEFAULT_RECORDS,
        metavar="N",
        help=f"records on the page at most, drawn from all (default {_DEFAULT_RECORDS}: about 30 to 90 MB)",
    )
    parser.add_argument("--seed", type=int, default=0, help="which records are drawn (default 0)")


def _sample(value: str) -> int:
    return arguments.count(value, _MOST_RECORDS)


def run(options: argparse.Namespace) -> int:
    path = _records_file(options.records)
    page = _page_of(path)
    _check_target(page)
    sample = draw_records(path, options.sample, options.seed)
    if not sample.records:
        raise RecordError(f"{path}: holds no record to review")
    write_output(page, render(path, sample, options.seed))
    print(f"wrote {page}: {_held(sample, options.seed)}; open it in a browser, and put {FILE_NAME} beside {path.name}")
    return 0


def _records_file(given: Path) -> Path:
    """The records file, itself or in a folder. Raises RecordError for a folder without one."""
    if not given.is_dir():
        return given
    found = [given / f"records{suffix}" for suffix in RECORDS_SUFFIXES if (given / f"records{suffix}").exists()]
    if not found:
        raise RecordError(f"{given}: no records.jsonl in it; name a records file, or a folder that `annotate` wrote")
    return found[0]


def _page_of(path: Path) -> Path:
    """Where the page of a records file stands: one a file, as those of a split lie in one folder."""
    return path.with_name("review.html" if path.stem == "records" else f"review-{path.stem}.html")


def _check_target(page: Path) -> None:
    """Raises RecordError where another page than ours would be overwritten."""
    if not page.is_file():
        return
    with page.open("rb") as file:
        if _GENERATOR not in file.read(_HEAD_BYTES):
            raise RecordError(f"{page}: exists, and is no page of `zoomin review`; move it away")


def _held(sample: Sample, seed: int) -> str:
    """How many records the page holds, and of how many."""
    if len(sample.records) == sample.total:
        return f"all {sample.total:,} records" if sample.total > 1 else "its one record"
    return f"a sample of {len(sample.records):,} of {sample.total:,} records (seed {seed})"


def render(path: Path, sample: Sample, seed: int) -> str:
    """The page of a sample of a records file. Raises ImageError for an image that cannot be decoded."""
    template = _template()
    style, script = _part("review.css"), "\n".join(map(_part, _SCRIPTS))
    images, sizes = zip(*_shrunken(sample.records), strict=True)
    records = [_shown_record(record, size) for record, size in zip(sample.records, sizes, strict=True)]
    data = {
        "key": _key(path),
        "file": path.name,
        "decisions_file": FILE_NAME,
        "total": sample.total,
        "records": records,
        "decisions": read_decisions(path),
        "colours": BOX_COLOURS,
    }
    # Nothing is fetched and no other script runs, even if something of a record were not escaped.
    policy = f"default-src 'none'; img-src data:; style-src {_hash_of(style)}; script-src {_hash_of(script)}"
    return template.render(
        policy=f"{policy}; base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        file=shown(path.name),
        held=_held(sample, seed).capitalize(),
        labels=VERDICTS,
        images=images,
        data=data,
    )


def _template() -> Any:
    try:
        import jinja2
    except ImportError:
        raise RecordError("review needs Jinja2: pip install 'swift-zoomin[annotate]'") from None
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_part("review.html"))


def _part(name: str) -> str:
    return (files("swift_zoomin.annotation") / "page" / name).read_text(encoding="utf-8")


def _hash_of(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _key(path: Path) -> str:
    """What the browser keeps the decisions of a records file under: the same whatever the file holds by then."""
    return f"zoomin review {hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()}"


def _shrunken(records: list[Record]) -> Iterator[tuple[str, Size]]:
    """Each record's image as WebP in base64, and its size there."""
    budget = PixelBudget(_DECODED_PIXELS)

    def shrink(record: Record) -> tuple[str, Size]:
        width, height = record.image.size
        with budget.hold(width * height):
            image = open_upright(record.image.path)
        image.thumbnail((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
        content = io.BytesIO()
        image.save(content, "WEBP", quality=_QUALITY, method=2, use_sharp_yuv=True)  # 4 takes twice the time for 2%
        return base64.b64encode(content.getvalue()).decode(), image.size

    with ThreadPoolExecutor() as pool:  # Pillow works outside the interpreter lock
        yield from tqdm(pool.map(shrink, records), "shrinking images", len(records), disable=len(records) < 100)


def _shown_record(record: Record, shown_size: Size) -> dict[str, Any]:
    """What the page knows of a record; boxes in pixels of the original."""
    width, height = record.image.size
    further = {name: value for name, value in record.extra.items() if name != "source" and value is not None}
    return {
        "name": record.name,
        "title": shown(record.name),
        "label": record.label,
        "explanation": record.explanation,
        "source": _as_text(record.extra.get("source") or ""),
        "boxes": record.boxes_px or [],
        "labels": record.box_labels,
        "is_annotated": record.boxes_px is not None,
        "fields": [[name, _as_text(value)] for name, value in further.items()],
        "width": width,
        "height": height,
        "shown_width": shown_size[0],
        "shown_height": shown_size[1],
    }


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
