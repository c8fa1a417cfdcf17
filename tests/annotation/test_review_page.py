"""The page of `zoomin review` as a person uses it, in a real Chromium."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import DESKTOP, PHONE, Seen, has_sideways_scrolling
from review_pages import downloaded, make_folder, press, put_beside, text, wait_for
from zoomin_command import zoomin_command

from swift_zoomin.records import read_records, write_records

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Seen]
Zoomin = Callable[..., tuple[int, str, str]]


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zoomin:
    return zoomin_command(monkeypatch, capsys)


@pytest.fixture
def folder(tmp_path: Path, zoomin: Zoomin) -> Path:
    """Six records, 0.png to 5.png, real and generated in turn, with a page."""
    rows: list[dict[str, Any]] = [
        {"image": f"{number}.png", "label": ("real", "generated")[number % 2], "explanation": f"Reason {number}."}
        for number in range(6)
    ]
    rows[0] |= {"boxes": [[40, 30, 200, 150], [390, 290, 392, 291]], "box_labels": ["sign", ""], "source": "coco"}
    made = make_folder(tmp_path / "data", rows)
    assert zoomin("review", made)[0] == 0
    return made


def opened(open_page: OpenPage, folder: Path, size: tuple[int, int] = DESKTOP, dark: bool = False) -> Any:
    return open_page(folder / "review.html", size, dark).page


def test_a_record_is_shown_with_its_boxes_where_they_lie(open_page: OpenPage, folder: Path) -> None:
    page = opened(open_page, folder)
    assert text(page, "#name") == "0.png"
    assert text(page, ".verdict").lower() == "real from coco"
    assert text(page, "#explanation") == "Reason 0."
    assert text(page, "#labels").split("\n") == ["1", "sign", "2", "no label"]
    picture, box = page.locator("#image").bounding_box(), page.locator("#boxes rect.box").first
    scale = picture["width"] / 400
    assert picture["height"] == pytest.approx(300 * scale, abs=1)
    drawn = [float(box.get_attribute(name)) for name in ("x", "y", "width", "height")]
    assert drawn == pytest.approx([40 * scale, 30 * scale, 160 * scale, 120 * scale], abs=0.01)
    # An svg of the picture's own size: what is drawn in it is in the picture's CSS pixels.
    assert page.locator("#boxes").bounding_box() == picture
    sides = page.locator("#image").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert sides == [400, 300]


def test_decisions_by_key_are_counted_marked_and_undone(open_page: OpenPage, folder: Path) -> None:
    page = opened(open_page, folder)
    press(page, "ar")
    assert text(page, "#name") == "2.png"
    assert text(page, "#progress") == "2 of 6 decided: 1 accepted, 1 rejected."
    # What changes is read aloud, with the count.
    said = page.locator("#status[aria-live=polite]").evaluate("status => status.textContent")
    assert said == "Rejected: 1.png. 2 of 6 decided: 1 accepted, 1 rejected."
    press(page, "<")
    assert (text(page, "#name"), text(page, "#decision")) == ("1.png", "rejected")
    press(page, "uu")
    assert (text(page, "#name"), text(page, "#decision")) == ("0.png", "undecided")
    assert text(page, "#progress").startswith("0 of 6 decided")
    press(page, "u")
    assert text(page, "#status").strip() == "Nothing to undo."


def test_undo_brings_an_earlier_decision_back(open_page: OpenPage, folder: Path) -> None:
    page = opened(open_page, folder)
    press(page, "a<r<")
    assert text(page, "#decision") == "rejected"
    press(page, "u")
    assert (text(page, "#name"), text(page, "#decision")) == ("0.png", "accepted")


def test_buttons_do_what_keys_do(open_page: OpenPage, folder: Path) -> None:
    page = opened(open_page, folder)
    for button in ("accept", "next", "reject", "previous", "undo"):
        page.locator(f"#{button}").click()
    assert text(page, "#progress") == "1 of 6 decided: 1 accepted, 0 rejected."
    assert text(page, "#name") == "2.png"
    page.locator("#first").click()
    assert text(page, "#name") == "1.png"
    page.locator("#list button").nth(4).click()
    assert text(page, "#name") == "4.png"


def test_a_reload_loses_nothing_and_undo_still_works(open_page: OpenPage, folder: Path) -> None:
    page = opened(open_page, folder)
    press(page, "ara")
    page.reload()
    assert text(page, "#name") == "3.png"
    assert text(page, "#progress") == "3 of 6 decided: 2 accepted, 1 rejected."
    press(page, "uu")
    assert text(page, "#progress") == "1 of 6 decided: 1 accepted, 0 rejected."


def test_two_tabs_of_one_page_lose_nothing_to_each_other(open_page: OpenPage, folder: Path) -> None:
    first, second = opened(open_page, folder), opened(open_page, folder)
    press(first, "aa")
    wait_for(second, "#progress", "2 of 6 decided")
    press(second, ">>r")
    assert downloaded(second, folder)["decisions"] == {"0.png": "accept", "1.png": "accept", "2.png": "reject"}


def test_decisions_outlive_records_that_come_and_go(open_page: OpenPage, folder: Path, zoomin: Zoomin) -> None:
    """As when more images are annotated, and one of those before is left out."""
    press(opened(open_page, folder), "ara")
    write_records(folder / "records.jsonl", [{"image": f"{name}.png", "label": "real"} for name in (5, 3, 2, 0)])
    assert zoomin("review", folder)[0] == 0
    page = opened(open_page, folder)
    assert text(page, "#progress") == "2 of 4 decided: 2 accepted, 0 rejected."
    assert text(page, "#name") == "3.png"
    assert downloaded(page, folder)["decisions"] == {"2.png": "accept", "0.png": "accept"}
    assert text(page, "#status").startswith("Downloaded 2 decisions.")


def test_progress_of_another_file_is_not_mixed_in(open_page: OpenPage, folder: Path, zoomin: Zoomin) -> None:
    press(opened(open_page, folder), "aaa")
    other = folder.parent / "other"
    make_folder(other, [{"image": f"{number}.png", "label": "real"} for number in range(6)])
    assert zoomin("review", other)[0] == 0
    assert text(opened(open_page, other), "#progress").startswith("0 of 6 decided")


def test_convert_honours_what_the_button_downloads(open_page: OpenPage, folder: Path, zoomin: Zoomin) -> None:
    page = opened(open_page, folder)
    press(page, "arr")
    expected = {"0.png": "accept", "1.png": "reject", "2.png": "reject"}
    assert downloaded(page, folder) == {"records": "records.jsonl", "decisions": expected}
    code, out, _ = zoomin("convert", "square", folder / "records.jsonl", folder / "square")
    assert (code, out.endswith("; 2 records left out by decisions.json\n")) == (0, True)
    reasons = [record.explanation for record in read_records(folder / "square" / "records.jsonl")]
    assert reasons == ["Reason 0.", "Reason 3.", "Reason 4.", "Reason 5."]


def test_a_page_begins_with_the_decisions_beside_its_records(open_page: OpenPage, folder: Path, zoomin: Zoomin) -> None:
    put_beside(folder, {"0.png": "reject"})
    assert zoomin("review", folder)[0] == 0
    page = opened(open_page, folder)
    assert (text(page, "#decision"), text(page, "#progress")[:6]) == ("rejected", "1 of 6")


def test_decisions_put_beside_the_records_later_are_taken_over_once(
    open_page: OpenPage, folder: Path, zoomin: Zoomin
) -> None:
    press(opened(open_page, folder), "a>")
    put_beside(folder, {"0.png": "reject", "1.png": "reject", "gone.png": "reject"})
    assert zoomin("review", folder)[0] == 0
    page = opened(open_page, folder)
    assert text(page, "#progress") == "2 of 6 decided: 0 accepted, 2 rejected."
    said = "Imported 2 decisions from decisions.json beside records.jsonl. Undo takes them back."
    assert text(page, "#status").strip() == said
    press(page, "u")
    assert text(page, "#progress") == "1 of 6 decided: 1 accepted, 0 rejected."
    page.reload()  # what was taken back stays so
    assert text(page, "#progress") == "1 of 6 decided: 1 accepted, 0 rejected."
    assert text(page, "#status").strip() == ""


def test_what_was_decided_after_a_download_is_not_lost_to_it(open_page: OpenPage, folder: Path, zoomin: Zoomin) -> None:
    page = opened(open_page, folder)
    press(page, "ar")
    assert downloaded(page, folder)["decisions"] == {"0.png": "accept", "1.png": "reject"}
    press(page, "<<r")
    assert zoomin("review", folder)[0] == 0
    assert text(opened(open_page, folder), "#progress") == "2 of 6 decided: 0 accepted, 2 rejected."


def test_an_import_is_merged_and_undone_in_one_step(open_page: OpenPage, folder: Path, tmp_path: Path) -> None:
    page = opened(open_page, folder)
    press(page, "a")
    file = tmp_path / "earlier.json"
    decisions = {"0.png": "reject", "5.png": "accept", "9.png": "reject"}
    file.write_text(json.dumps({"records": "records.jsonl", "decisions": decisions}))
    page.locator("#file").set_input_files(file)
    wait_for(page, "#status", "Imported")
    assert text(page, "#status").startswith("Imported 2 decisions. 1 of records that are not on this page left out.")
    assert downloaded(page, folder)["decisions"] == {"0.png": "reject", "5.png": "accept"}
    press(page, "u")
    assert downloaded(page, folder)["decisions"] == {"0.png": "accept"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "it is not JSON"),
        ("[]", 'expected {"records": ..., "decisions": {...}}'),
        ('{"decisions": {"0.png": "accept"}}', 'expected {"records": ..., "decisions": {...}}'),
        ('{"records": "train.jsonl", "decisions": {"0.png": "accept"}}', "it is of train.jsonl, not of records.jsonl"),
        (
            '{"records": "records.jsonl", "decisions": {"0.png": "maybe"}}',
            '0.png is "maybe"; expected "accept" or "reject"',
        ),
        (
            '{"records": "records.jsonl", "decisions": {"9.png": "accept"}}',
            "none of its decisions is of a record on this page",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_changes_nothing(
    open_page: OpenPage, folder: Path, tmp_path: Path, content: str, reason: str
) -> None:
    page = opened(open_page, folder)
    press(page, "a")
    (tmp_path / "wrong.json").write_text(content)
    page.locator("#file").set_input_files(tmp_path / "wrong.json")
    wait_for(page, "#problem", "wrong.json")
    assert text(page, "#problem") == f"wrong.json was not imported: {reason}."
    assert text(page, "#progress").startswith("1 of 6 decided")


def test_filters_by_label_and_decision(open_page: OpenPage, folder: Path) -> None:
    page = opened(open_page, folder)
    page.locator("#by-label").select_option("generated")
    assert (text(page, "#name"), text(page, "#position")) == ("1.png", "Record 1 of 3")
    page.locator("#by-decision").select_option("undecided")
    page.locator("#by-decision").evaluate("select => select.blur()")
    press(page, "a")  # leaves the list, and the one after it takes its place
    assert (text(page, "#name"), text(page, "#position")) == ("3.png", "Record 1 of 2")
    press(page, ">r")  # the last of the list
    assert (text(page, "#name"), text(page, "#position")) == ("3.png", "Record 1 of 1")
    press(page, "a")
    assert page.locator("#none").is_visible()
    assert not page.locator("#record").is_visible()
    press(page, "a")  # decides nothing that is not seen
    page.locator("#show-all").click()
    assert text(page, "#progress") == "3 of 6 decided: 2 accepted, 1 rejected."
    page.locator("#by-decision").select_option("reject")
    assert (text(page, "#name"), text(page, "#position")) == ("5.png", "Record 1 of 1")


def test_a_review_by_keyboard_alone(open_page: OpenPage, folder: Path) -> None:
    page = open_page(folder / "review.html").page
    for _ in range(4):  # label, decision, download, import
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "import"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    press(page, "z")
    assert page.locator("#full").is_visible()
    press(page, "b")
    assert page.locator("#full-svg rect").count() == 0
    press(page, "br")  # decides, and closes
    assert not page.locator("#full").is_visible()
    assert text(page, "#name") == "1.png"
    press(page, "?")
    assert page.locator("#help").is_visible()
    press(page, "r")  # the help is read: nothing is decided
    page.keyboard.press("Escape")
    press(page, "aaaaa")
    assert text(page, "#progress") == "6 of 6 decided: 5 accepted, 1 rejected."
    press(page, "f")
    assert text(page, "#status").strip() == "Every record is decided."
    page.locator("#save").focus()
    with page.expect_download():
        page.keyboard.press("Enter")


def test_keys_can_be_switched_off_and_do_not_take_those_of_the_browser(open_page: OpenPage, folder: Path) -> None:
    page = open_page(folder / "review.html").page
    page.keyboard.press("Control+a")
    page.locator("#by-label").focus()
    press(page, "r")  # chooses "real" in the list, as everywhere
    assert text(page, "#progress").startswith("0 of 6 decided")
    page.locator("#help-button").click()
    page.locator("#keys-on").uncheck()
    page.locator("#help-close").click()
    press(page, "a")
    assert text(page, "#progress").startswith("0 of 6 decided")


def test_the_image_opens_at_full_size_and_larger(open_page: OpenPage, folder: Path) -> None:
    page = open_page(folder / "review.html").page
    page.locator("#picture").click()
    sizes = []
    for _ in range(2):
        sizes.append(page.locator("#full-image").bounding_box()["width"])
        page.locator("#larger").click()
    assert page.locator("#zoom").inner_text() == "600 %"
    assert sizes == [400 * 3, 400 * 4]
    assert float(page.locator("#full-svg rect.box").first.get_attribute("x")) == 40 * 6
    page.locator("#close").click()
    assert not page.locator("#full").is_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(
    open_page: OpenPage, tmp_path: Path, zoomin: Zoomin, dark: bool
) -> None:
    name = "a_very_long_name_without_any_space_" * 5 + ".png"
    rows = [
        {
            "image": name,
            "label": "generated",
            "explanation": "unbroken" * 40,
            "boxes": [[0, 0, 400, 300]] * 7,
            "box_labels": ["letters" * 20] * 7,
            "a_field_with_a_long_name_" * 3: "value" * 30,
        }
    ]
    folder = make_folder(tmp_path / "data", rows)
    assert zoomin("review", folder)[0] == 0
    page = opened(open_page, folder, PHONE, dark)
    assert not has_sideways_scrolling(page)
    page.locator("summary").tap()
    assert not has_sideways_scrolling(page)
    box = page.locator("#accept").bounding_box()
    assert box["y"] + box["height"] <= PHONE[1]  # within reach, however long the record is
    assert min(box["width"], box["height"]) >= 44  # pixels, for a finger
    page.locator("#accept").tap()
    assert text(page, "#progress") == "1 of 1 decided: 1 accepted, 0 rejected."
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")


def test_a_browser_that_keeps_nothing_says_so(open_page: OpenPage, folder: Path) -> None:
    page = opened(open_page, folder)
    page.evaluate("void (Storage.prototype.setItem = () => { throw new Error('full') })")
    press(page, "a")
    assert text(page, "#problem").startswith("This browser keeps nothing of this page: download decisions.json")
    assert downloaded(page, folder)["decisions"] == {"0.png": "accept"}


def test_five_hundred_records_are_on_one_page(open_page: OpenPage, tmp_path: Path, zoomin: Zoomin) -> None:
    rows = [{"image": "a.png", "label": "real", "explanation": f"Reason {number}."} for number in range(997)]
    folder = make_folder(tmp_path / "data", rows, (40, 30))
    code, out, _ = zoomin("review", folder)
    assert (code, "a sample of 500 of 997 records (seed 0)" in out) == (0, True)
    page = opened(open_page, folder)
    assert page.locator("#list li").count() == 500
    press(page, "r")  # one image, and so one decision
    assert text(page, "#progress").startswith("500 of 500 decided")


def test_a_sample_says_so_and_keeps_decisions_of_other_records(
    open_page: OpenPage, folder: Path, zoomin: Zoomin
) -> None:
    put_beside(folder, {f"{number}.png": "accept" for number in range(6)})
    code, out, _ = zoomin("review", folder, "--sample", 2, "--seed", 3)
    assert (code, "a sample of 2 of 6 records (seed 3)" in out) == (0, True)
    page = opened(open_page, folder)
    assert "A sample of 2 of 6 records (seed 3)" in text(page, ".title")
    assert text(page, "#progress").startswith("2 of 2 decided")
    press(page, "<r")
    assert sorted(downloaded(page, folder)["decisions"].values()) == ["accept"] * 5 + ["reject"]
