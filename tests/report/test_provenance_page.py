"""The page about one picture, on files that say something of themselves, something hostile, and nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe import violations
from browser import DESKTOP, PHONE, Seen, has_sideways_scrolling
from made_images import encoded, noise
from PIL import ExifTags, Image
from signed_pictures import signed, tampered

from swift_zoomin.report.evidence import Evidence, evidence_page
from swift_zoomin.report.provenance import NO_EVIDENCE_EITHER_WAY

pytestmark = pytest.mark.browser

PICTURE = noise(320, 200)
SCRIPT = '</td></style><script>alert(1)</script><img src=x onerror="alert(2)">'


def camera_file() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon", "EOS R5"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:05:04 03:02:01"
    return encoded(PICTURE, "JPEG", exif=exif.tobytes())


def hostile_file() -> bytes:
    """Scripts, long words and controls of direction in EXIF, XMP and a comment."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = SCRIPT
    comment = "\u202egpj.evil " + "w" * 100_000
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"UNICODE\0" + comment.encode("utf-16-be")
    escaped = SCRIPT.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    xmp = f'<a Credit="{escaped}" CreatorTool="{"W" * 100_000}"/>'
    return encoded(PICTURE, "WEBP", exif=exif.tobytes(), xmp=xmp.encode())


def opened(folder: Path, open_page: Callable[..., Seen], name: str, content: bytes, **look: Any) -> Seen:
    """The page about a picture with this content."""
    image = folder / name
    image.write_bytes(content)
    prediction = {
        "image": name,
        "verdict": "generated",
        "initial_verdict": "real",
        "boxes": [[40, 30, 120, 90]],
        "box_labels": ["sign"],
        "explanation": "The letters are blurred.",
        "initial_explanation": "The street looks plain.",
        "replies": ["first", "second"],
        "width": 320,
        "height": 200,
        "seconds": 1.0,
        "error": None,
        "made_by": "model toy|zoomin 0.1.0",
    }
    page = folder / "page.html"
    page.write_text(evidence_page(Evidence(prediction, image)), encoding="utf-8")
    return open_page(page, **look)


def rows_of(seen: Seen) -> list[list[str]]:
    """The cells of the table of what the file says."""
    rows = seen.page.locator("section[aria-labelledby=says] tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in rows]


def words_of(seen: Seen) -> str:
    return str(seen.page.locator("section[aria-labelledby=says]").inner_text())


def test_the_page_shows_what_a_camera_wrote(open_page: Callable[..., Seen], tmp_path: Path) -> None:
    seen = opened(tmp_path, open_page, "camera.jpg", camera_file())
    assert rows_of(seen) == [
        ["EXIF", "Make", "Canon"],
        ["EXIF", "Model", "EOS R5"],
        ["EXIF", "DateTimeOriginal", "2026:05:04 03:02:01"],
    ]
    assert NO_EVIDENCE_EITHER_WAY in words_of(seen)
    assert "Nothing was found of: IPTC, XMP, PNG text, comment, C2PA." in words_of(seen)


def test_names_of_sources_and_fields_stay_whole_on_a_phone(open_page: Callable[..., Seen], tmp_path: Path) -> None:
    seen = opened(tmp_path, open_page, "camera.jpg", camera_file(), size=PHONE)
    names = seen.page.locator("section[aria-labelledby=says] :is(th, td:nth-child(2))")
    lines = names.evaluate_all("""cells => cells.map(cell => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        return range.getClientRects().length;
    })""")
    assert lines == [1] * 9, "three heads, and two names in each of three rows"


@pytest.mark.parametrize(("change", "state"), [(bytes, "Valid: "), (tampered, "Invalid: ")])
def test_the_page_shows_a_manifest_and_whether_it_fits(
    open_page: Callable[..., Seen], tmp_path: Path, change: Callable[[bytes], bytes], state: str
) -> None:
    seen = opened(tmp_path, open_page, "signed.jpg", change(signed(encoded(PICTURE, "JPEG"))))
    (validation,) = [row for row in rows_of(seen) if row[1] == "validation"]
    assert validation[2].startswith(state)
    assert ["C2PA", "signed by", "Test Newsroom"] in rows_of(seen)
    assert seen.page.locator("header .verdict").inner_text() == "generated", "the manifest does not touch it"


def test_the_page_says_that_nothing_is_evidence_of_nothing(open_page: Callable[..., Seen], tmp_path: Path) -> None:
    seen = opened(tmp_path, open_page, "plain.png", encoded(PICTURE, "PNG"))
    assert rows_of(seen) == []
    assert "Nothing was found of: EXIF, IPTC, XMP, PNG text, comment, C2PA." in words_of(seen)
    assert NO_EVIDENCE_EITHER_WAY in words_of(seen)


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_hostile_metadata_runs_disguises_and_breaks_nothing(
    open_page: Callable[..., Seen], tmp_path: Path, size: tuple[int, int]
) -> None:
    seen = opened(tmp_path, open_page, "hostile.webp", hostile_file(), size=size)
    values = {field: value for _, field, value in rows_of(seen)}
    assert values["Make"] == SCRIPT
    assert values["Credit"] == SCRIPT
    assert values["UserComment"].startswith(r"\u202egpj.evil www")
    assert values["CreatorTool"].endswith("W... (100,000 characters)")
    assert seen.page.locator("script").count() == 0
    assert not seen.errors
    assert not seen.requests
    assert not has_sideways_scrolling(seen.page)


@pytest.mark.parametrize("dark", [False, True])
def test_the_table_of_what_a_file_says_is_accessible(
    open_page: Callable[..., Seen], tmp_path: Path, dark: bool
) -> None:
    seen = opened(tmp_path, open_page, "signed.jpg", signed(camera_file()), dark=dark)
    assert len(rows_of(seen)) == 7
    assert violations(seen.page) == []
