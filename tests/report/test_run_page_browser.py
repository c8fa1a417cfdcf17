"""The page of a run as a person uses it, in a real Chromium: sorted, filtered, by keys, without script, on paper."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe import violations
from browser import DESKTOP, PHONE, Seen, has_sideways_scrolling
from run_pages import answered, picture, write_page

from swift_zoomin.probes import Probe, ProbedRegion
from swift_zoomin.records import read_records, write_records
from swift_zoomin.replies import GENERATED, REAL

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Seen]
CUT = "reply 2 was cut by the length limit"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images with all that a page can show: scores, decisions, errors, annotations, probes, a missing file."""
    folder = tmp_path_factory.mktemp("run")
    rows = [
        answered(folder, "2.png", REAL, GENERATED, ("sign", "wall"), score=0.9, decision=GENERATED),
        answered(folder, "10.png", REAL, REAL, ("Hand",), score=0.2, decision="cannot tell", decision_reason="0.5"),
        answered(folder, "1.png", GENERATED, REAL, ("red sign",), score=0.05, decision=REAL),
        answered(folder, "a.png", GENERATED, None, (), error=CUT),
        answered(folder, "gone.png", GENERATED, GENERATED, ("", "hand"), score=0.6),
        answered(folder, "b.png", REAL, REAL, ("sky",), explanation="A seam runs through the SKY.", score=0.4),
    ]
    (folder / "gone.png").unlink()
    for name in ("2.png", "10.png"):
        note = {"label": GENERATED, "explanation": "The sign melts.", "boxes": [[20, 20, 60, 60]]}
        write_records(folder / f"{name}.jsonl", [{"image": name, **note, "box_labels": ["melting sign"]}])
    records = [record for name in ("2.png", "10.png") for record in read_records(folder / f"{name}.jsonl")]
    hidden = ProbedRegion(rows[0]["boxes"][0], 0.1, [0, 0, 28, 28], 0.9)
    sampled = {"made_by": "samples 8 at temperature 1.0"}
    probes = {
        folder / "2.png": Probe("2.png", 0.9, [hidden], 0.1, 0.9, **sampled),
        folder / "1.png": Probe("1.png", 0, [], 0, 0, **sampled),
        folder / "b.png": Probe("b.png", 0.4, [], 0.6, 0, **sampled),
    }
    return write_page(folder, rows, records, probes, title="predictions.jsonl")


def names(page: Any) -> list[str]:
    """The images that are shown, in order."""
    return list(page.locator("article:not([hidden]) .name").all_text_contents())


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.closest('article')?.querySelector('.name').textContent ?? ''"))


def choose(page: Any, **values: str) -> list[str]:
    """The images shown once these, and no others, are chosen: `by_verdict="real"`."""
    page.get_by_role("button", name="Show all").click()
    page.locator("#status").filter(has_text="All 6 shown.").wait_for()
    for name, value in values.items():
        field = page.locator(f"#{name.replace('_', '-')}")
        field.select_option(value) if field.evaluate("field => field.matches('select')") else field.fill(value)
    return names(page)


def test_filters_show_what_was_asked_for_and_say_how_many(open_page: OpenPage, page_file: Path) -> None:
    page = open_page(page_file).page
    assert len(names(page)) == 6
    for values, expected in (
        ({"by_verdict": GENERATED}, ["2.png", "gone.png"]),
        ({"by_verdict": "none"}, ["a.png"]),
        ({"by_change": "changed"}, ["2.png", "1.png"]),
        ({"by_change": f"{GENERATED} to {REAL}"}, ["1.png"]),
        ({"by_change": "same"}, ["10.png", "gone.png", "b.png"]),
        ({"by_error": "yes"}, ["a.png"]),
        ({"by_error": "no", "by_verdict": REAL}, ["10.png", "1.png", "b.png"]),
        ({"by_decision": "cannot tell"}, ["10.png"]),
        ({"by_annotation": "wrong"}, ["10.png"]),
        ({"by_depends": "yes"}, ["2.png"]),
        ({"by_depends": "no"}, ["1.png"]),
        ({"by_depends": "unclear"}, ["b.png"]),
        ({"from": "0.2", "to": "0.6"}, ["10.png", "gone.png", "b.png"]),
        ({"from": "0"}, ["2.png", "10.png", "1.png", "gone.png", "b.png"]),  # not those without a score
        ({"by_label": " HAND"}, ["10.png", "gone.png"]),
        ({"by_label": "sign"}, ["2.png", "1.png"]),  # of what was marked, not of the annotation
        ({"by_text": "through the sky"}, ["b.png"]),
        ({"by_text": "could not be opened"}, ["gone.png"]),
    ):
        assert choose(page, **values) == expected, values
        assert page.locator("#status").text_content() == f"{len(expected)} of 6 shown."
    assert choose(page, by_text="no such words") == []
    assert page.locator("#none").is_visible()


def test_sorting_puts_first_what_was_asked_for_and_last_what_is_absent(open_page: OpenPage, page_file: Path) -> None:
    page = open_page(page_file).page
    for order, expected in (
        ("name", ["1.png", "2.png", "10.png", "a.png", "b.png", "gone.png"]),
        ("highest", ["2.png", "gone.png", "b.png", "10.png", "1.png", "a.png"]),
        ("lowest", ["1.png", "10.png", "b.png", "gone.png", "2.png", "a.png"]),
        ("verdict", ["2.png", "gone.png", "a.png", "10.png", "1.png", "b.png"]),
        ("change", ["1.png", "2.png", "a.png", "10.png", "gone.png", "b.png"]),
        ("label", ["10.png", "gone.png", "1.png", "2.png", "b.png", "a.png"]),
        ("error", ["a.png", "2.png", "10.png", "1.png", "gone.png", "b.png"]),
        ("place", ["2.png", "10.png", "1.png", "a.png", "gone.png", "b.png"]),
    ):
        page.locator("#sort").select_option(order)
        assert names(page) == expected, order


def test_keys_lead_through_the_images_that_are_shown(open_page: OpenPage, page_file: Path) -> None:
    page = open_page(page_file).page
    page.keyboard.press("j")
    assert focused(page) == "2.png"
    page.keyboard.press("j")
    page.keyboard.press("ArrowRight")
    assert focused(page) == "1.png"
    top = page.locator("article:focus").bounding_box()["y"]
    assert 0 <= top < DESKTOP[1] / 2
    page.keyboard.press("k")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("k")  # the first stays the first
    assert focused(page) == "2.png"
    page.keyboard.press("/")
    page.keyboard.type("jkb")  # in the field these are letters
    assert page.locator("#by-text").input_value() == "jkb"
    page.locator("#by-text").fill("from NEAR 1")
    page.keyboard.press("Enter")
    assert focused(page) == "10.png"
    page.keyboard.press("j")
    assert focused(page) == "1.png"
    page.keyboard.press("j")
    assert focused(page) == "1.png"  # the last one that is shown
    page.keyboard.press("b")
    assert not page.locator(".boxes:visible").count()
    page.keyboard.press("b")
    assert page.locator(".boxes:visible").count()


def test_keys_are_told_on_the_page_and_can_be_switched_off(open_page: OpenPage, page_file: Path) -> None:
    page = open_page(page_file).page
    page.keyboard.press("?")
    assert page.locator(".keys").is_visible()
    said = page.locator(".keys").text_content()
    assert all(word in said for word in ("next image", "previous image", "first image", "the boxes", "search"))
    page.locator("#keys-on").uncheck()
    page.locator("#keys-on").evaluate("box => box.blur()")
    page.keyboard.press("j")
    assert focused(page) == ""
    page.locator("#keys-on").check()
    page.locator("#keys-on").evaluate("box => box.blur()")
    page.keyboard.press("Control+j")  # the browser's own
    assert focused(page) == ""


def test_every_control_is_reached_by_the_tab_key(open_page: OpenPage, page_file: Path) -> None:
    page = open_page(page_file).page
    page.locator("#help").evaluate("help => { help.open = true; }")
    controls = page.locator("select, input, button, summary").evaluate_all(
        "all => all.filter((one) => one.checkVisibility()).map((one) => one.id || one.textContent)"
    )
    reached = []
    for _ in controls:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert len(controls) == 14
    assert reached == controls


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_wrong(open_page: OpenPage, page_file: Path, size: tuple[int, int], dark: bool) -> None:
    seen = open_page(page_file, size, dark)
    seen.page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    assert not has_sideways_scrolling(seen.page)
    assert violations(seen.page) == []
    assert (seen.requests, seen.errors) == ([], [])
    ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")


def test_without_script_all_of_it_can_be_read(chromium: Any, page_file: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.locator("article").count() == 6
    assert page.locator("article:visible").count() == 6
    assert not page.locator("#tools").is_visible()  # what would do nothing
    assert page.locator("#status").text_content() == "6 images."
    assert "A seam runs through the SKY." in page.locator("article").last.text_content()
    assert page.get_by_role("img", name="Close-up of region 1").count() == 4
    context.close()


def test_on_paper_there_are_all_entries_and_no_tools(open_page: OpenPage, page_file: Path) -> None:
    page = open_page(page_file, dark=True).page
    page.emulate_media(media="print")
    assert not page.locator("#tools").is_visible()
    style = "one => { const found = getComputedStyle(one); return [found.contentVisibility, found.breakInside]; }"
    assert set(map(tuple, page.locator("article").evaluate_all(f"all => all.map({style})"))) == {("visible", "avoid")}
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf().startswith(b"%PDF")


def test_boxes_lie_over_the_picture_where_they_were_marked(open_page: OpenPage, page_file: Path) -> None:
    page = open_page(page_file).page
    entry = page.locator("article").first
    image, box = entry.locator(".frame img").bounding_box(), entry.locator(".boxes .box").first.bounding_box()
    scale = image["width"] / 112
    # The line is 3 of the picture's 384 units wide, one half of it outside.
    width = 3 * image["width"] / 384
    corners = [box["x"] - image["x"], box["y"] - image["y"], box["width"], box["height"]]
    expected = [28 * scale, 28 * scale, 28 * scale, 28 * scale]
    assert corners == pytest.approx(expected, abs=width + 1)
    numbers = entry.locator(".boxes text").all_text_contents()
    assert numbers == ["1", "2"]
    sides = entry.locator(".frame img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert sides == [112, 112]


def test_five_hundred_predictions_are_on_one_page(open_page: OpenPage, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    rows = [
        {"image": "a.png", "verdict": (REAL, GENERATED)[number % 2], "score": number / 999, "boxes": [[0, 0, 9, 9]]}
        for number in range(500)
    ]
    seen = open_page(write_page(tmp_path, rows))
    assert seen.page.locator("article").count() == 500
    laid_out = "all => all.filter((one) => one.checkVisibility({ contentVisibilityAuto: true })).length"
    assert seen.page.locator("article h3").evaluate_all(laid_out) < 50  # what is far away costs nothing
    seen.page.locator("#sort").select_option("highest")
    assert seen.page.locator(".place").first.text_content() == "500"
    seen.page.keyboard.press("Escape")
    seen.page.locator("#sort").evaluate("field => field.blur()")
    for _ in range(30):
        seen.page.keyboard.press("j")
    assert seen.page.evaluate("document.activeElement.querySelector('.place').textContent") == "471"
    assert 0 <= seen.page.locator("article:focus").bounding_box()["y"] < DESKTOP[1] / 2
