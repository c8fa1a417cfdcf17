"""Where pages and annotated pictures are written: nothing that this package did not make is overwritten."""

from pathlib import Path

from swift_zoomin.outputs import write_output
from swift_zoomin.records import RecordError
from swift_zoomin.report.evidence import Evidence, evidence_page
from swift_zoomin.report.pictures import MADE_HERE, annotated_png

PICTURE_SUFFIX, _PAGE_SUFFIXES = ".png", (".html", ".htm")
_GENERATOR = b'<meta name="generator" content="zoomin report">'
_HEAD_BYTES = 1024  # in which the marks of our pages and pictures stand


def check_target(out: Path) -> None:
    """Raises RecordError for a name of neither a page nor a picture, or of a file that is no such. Raises OSError."""
    is_picture = _is_picture(out)
    kind = "annotated picture" if is_picture else "page"
    if out.is_dir():
        raise RecordError(f"{out}: a folder; expected a file's name, as {out / 'photo.html'}")
    if not is_picture and out.suffix.lower() not in _PAGE_SUFFIXES:
        raise RecordError(f"{out}: expected a name that ends in .html for a page, or in {PICTURE_SUFFIX} for a picture")
    if not out.is_file():
        return
    with out.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head and (MADE_HERE if is_picture else _GENERATOR) not in head:
        raise RecordError(f"{out}: exists, and is no {kind} of zoomin report; choose another name")


def write_evidence(out: Path, evidence: Evidence) -> None:
    """Write the page of an image, or its annotated picture where `out` is named .png.

    Raises RecordError, OSError, and for a picture ImageError.
    """
    check_target(out)
    write_output(out, annotated_png(evidence) if _is_picture(out) else evidence_page(evidence))


def _is_picture(out: Path) -> bool:
    return out.suffix.lower() == PICTURE_SUFFIX
