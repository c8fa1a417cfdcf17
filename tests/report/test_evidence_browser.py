"""The page of one image in a real Chromium: hostile texts, somebody who cannot see it well, paper, and no script."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe import violations
from browser import DESKTOP, PHONE, Seen, has_sideways_scrolling
from evidence_rows import BOX_MODEL, calibration, picture, probe, reply, row, scored
from made_images import encoded
from PIL import ExifTags, Image, PngImagePlugin
from signed_pictures import signed

from swift_zoomin.images import ImageRef
from swift_zoomin.records import Record
from swift_zoomin.replies import GENERATED, REAL
from swift_zoomin.report.evidence import Evidence, evidence_page

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Seen]

# Each would run or fetch something, end the element it stands in, or disguise what follows, were it not kept as text.
HOSTILE = [
    "<script>window.ran = 1</script>",
    '"><img src=x onerror="window.ran = 1">',
    "</style><script>window.ran = 1</script>",
    "</pre></details></main><svg onload='window.ran = 1'>",
    "<!--<script>",
    "{{ 7 * 7 }} {% raw %}",
    "\u202egnp.exe",
]
LONG_WORD = "w" * 100_000


def written(folder: Path, evidence: Evidence) -> Path:
    page = folder / "page.html"
    page.write_text(evidence_page(evidence))
    return page


@pytest.fixture
def known(tmp_path: Path) -> Evidence:
    """All that can be known of a picture with EXIF data and a manifest."""
    image = Image.open(picture(tmp_path / "small.png"))
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Software] = "Canon", "Firmware 1.8"
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(signed(encoded(image, "JPEG", exif=exif), "image/jpeg", title="A tower"))
    record = Record("photo.jpg", ImageRef.of(photo), REAL, "A photograph.", [[500.0, 300.0, 700.0, 600.0]], ["tower"])
    return Evidence(scored(photo), photo, record, probe(), calibration())


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (DESKTOP, True), (PHONE, False)])
def test_axe_finds_nothing_wrong(
    open_page: OpenPage, tmp_path: Path, known: Evidence, size: tuple[int, int], dark: bool
) -> None:
    seen = open_page(written(tmp_path, known), size, dark)
    for details in seen.page.locator("summary").all():
        details.click()
    assert violations(seen.page) == []
    assert not has_sideways_scrolling(seen.page)
    assert (seen.requests, seen.errors) == ([], [])
    for said in ("Canon", "Firmware 1.8", "A tower", "validation"):
        assert seen.page.get_by_role("cell", name=said, exact=True).count() == 1


def test_axe_finds_nothing_wrong_with_a_page_of_next_to_nothing(open_page: OpenPage, tmp_path: Path) -> None:
    bare = Evidence({"image": "gone.png", "verdict": None}, tmp_path / "gone.png")
    seen = open_page(written(tmp_path, bare))
    assert violations(seen.page) == []
    assert "no such image file" in seen.page.locator("main").inner_text()


def test_every_control_is_reached_by_the_keyboard_and_every_picture_is_described(
    open_page: OpenPage, tmp_path: Path, known: Evidence
) -> None:
    page = open_page(written(tmp_path, known)).page
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached[:5] == ["show-marked", "show-annotated", "SUMMARY", "SUMMARY", "DIV"]
    described = page.locator("img").evaluate_all("images => images.map(image => image.alt)")
    assert described == ["photo.jpg: generated; marked regions: 1 sign", "Close-up 1: sign"]


def test_boxes_lie_where_they_were_marked_at_any_size(open_page: OpenPage, tmp_path: Path, known: Evidence) -> None:
    file = written(tmp_path, known)
    for size in (DESKTOP, PHONE):
        page = open_page(file, size).page
        frame = page.locator(".frame img").bounding_box()
        scale = frame["width"] / 1000
        assert frame["height"] == pytest.approx(700 * scale, abs=1)
        box = page.locator(".marked .line").evaluate("box => box.getBBox()['x'] + ' ' + box.getBBox()['width']")
        x, width = map(float, box.split())
        assert [x, width] == pytest.approx([105.26 * scale, 187.97 * scale], abs=0.2)


def test_boxes_can_be_taken_away_without_a_script(open_page: OpenPage, tmp_path: Path, known: Evidence) -> None:
    page = open_page(written(tmp_path, known)).page
    assert page.locator("script").count() == 0
    marked, annotated = page.locator(".marked .line"), page.locator(".annotated .line")
    page.locator("#show-marked").press("Space")
    assert (marked.is_visible(), annotated.is_visible()) == (False, True)
    page.get_by_label("Boxes of the annotation").uncheck()
    page.get_by_label("Regions that the model marked").check()
    assert (marked.is_visible(), annotated.is_visible()) == (True, False)


def test_paper_has_no_controls_and_both_replies(open_page: OpenPage, tmp_path: Path, known: Evidence) -> None:
    page = open_page(written(tmp_path, known), dark=True).page
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("input").first.is_hidden()
    assert page.locator("pre").first.bounding_box()["height"] > 20
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def hostile_evidence(folder: Path, text: str) -> Evidence:
    """The text wherever somebody else can put one: reply, label, record, name of the file, EXIF, PNG text, error."""
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = text.encode()  # Pillow would make a question mark of what is not ASCII
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("parameters", text)
    texts.add_itxt("XML:com.adobe.xmp", xmp_of(text))
    name = text[:50].replace("/", "∕")
    file = folder / f"{name}.png"
    Image.new("RGB", (1000, 700), "grey").save(file, "PNG", exif=exif, pnginfo=texts)
    first = reply(REAL, BOX_MODEL, label=text, explanation=text)
    prediction = row(file, first, f"{reply(GENERATED)}{text}", error=text, decision="cannot tell", decision_reason=text)
    prediction |= {"box_labels": [text], "explanation": text, "made_by": f"model {text}|regions first"}
    record = Record(name, ImageRef.of(file), REAL, text, [[0.0, 0.0, 9.0, 9.0]], [text])
    return Evidence(prediction, file, record, replace(probe(), error=text))


def xmp_of(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    rdf = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    described = f'<rdf:Description rdf:about="" xmp:CreatorTool="{escaped}"/>'
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {rdf}>{described}</rdf:RDF></x:xmpmeta>'


@pytest.mark.parametrize("text", [*HOSTILE, LONG_WORD], ids=lambda text: text[:12])
def test_nothing_of_a_picture_or_a_reply_runs_or_breaks_the_page(
    open_page: OpenPage, tmp_path: Path, text: str
) -> None:
    seen = open_page(written(tmp_path, hostile_evidence(tmp_path, text)), PHONE)
    page = seen.page
    assert page.evaluate("window.ran") is None
    assert (page.locator("script").count(), page.locator("main img").count()) == (0, 1)
    assert page.locator("body > main > section").count() == 8
    assert page.locator("main > :not(section)").count() == 0
    assert page.locator("main + *").count() == 0
    assert not has_sideways_scrolling(page)
    assert (seen.requests, seen.errors) == ([], [])
    shown = page.locator("body").evaluate("body => body.textContent")
    assert "\u202e" not in shown
    if text != LONG_WORD:
        visible = text.replace("\u202e", "\\u202e")
        # Name, decision's reason, error, label, two explanations, two replies, probe, annotation twice, EXIF, made by.
        assert shown.count(visible) >= 12
        cells = page.locator("td.text").all_inner_texts()
        assert sum(visible in cell for cell in cells) >= 3, cells  # EXIF, XMP and the PNG's own text


def test_the_policy_of_the_page_alone_would_stop_a_script(open_page: OpenPage, tmp_path: Path, known: Evidence) -> None:
    """Were something not escaped: what is put into the page by force neither runs nor is fetched."""
    file = written(tmp_path, known)
    forced = "<script>window.ran = 1</script><img src='https://example.invalid/x.png' onerror='window.ran = 1'>"
    file.write_text(file.read_text().replace("<main>", f"{forced}<main>"))
    seen: Any = open_page(file)
    assert seen.page.evaluate("window.ran") is None
    assert len(seen.errors) == 3
    assert all("Content Security Policy" in error for error in seen.errors)
