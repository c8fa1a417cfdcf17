"""Records that would run or fetch something on the page of `zoomin review`, or break it, do not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from browser import Seen, has_sideways_scrolling
from review_pages import downloaded, make_folder, press, text
from zoomin_command import zoomin_command

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Seen]
Zoomin = Callable[..., tuple[int, str, str]]

# Each would run or fetch something, or end the element it stands in, where it is not kept as text.
HOSTILE = [
    "<script>window.ran = 1</script>",
    '"><img src=x onerror="window.ran = 1">',
    "</script><script>window.ran = 1</script>",
    "</style><svg onload='window.ran = 1'>",
    "<!--<script>",
    "<img src='https://example.invalid/pixel.png'>",
    "\u202egnp.exe \u2066 \u2028 line \u2029 separators",
    "{{ 7 * 7 }} {% raw %} ${window.ran = 1} `${1}`",
    "'; window.ran = 1; '",
    "__proto__",
]


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zoomin:
    return zoomin_command(monkeypatch, capsys)


def test_nothing_of_a_record_runs_or_breaks_the_page(open_page: OpenPage, tmp_path: Path, zoomin: Zoomin) -> None:
    rows = [
        {
            "image": hostile.replace("/", "∕") + ".png",  # a file's name has no slash
            "label": "generated",
            "explanation": hostile,
            "boxes": [[10, 10, 100, 100]],
            "box_labels": [hostile],
            "source": hostile,
            hostile: hostile,
        }
        for hostile in HOSTILE
    ]
    folder = make_folder(tmp_path / "data", rows)
    records = (folder / "records.jsonl").rename(folder / '"><img src=x onerror="window.ran = 1">.jsonl')
    assert zoomin("review", records)[0] == 0
    seen = open_page(records.with_name(f"review-{records.stem}.html"))
    page = seen.page
    assert page.title() == f"Review of {records.name}"
    for hostile, row in zip(HOSTILE, rows, strict=True):
        assert page.locator("#explanation").evaluate("shown => shown.textContent") == hostile
        assert page.locator("#labels bdi").evaluate("shown => shown.textContent") == hostile
        assert page.locator("#source bdi").evaluate("shown => shown.textContent") == hostile
        assert hostile in page.locator("#fields dt").evaluate_all("shown => shown.map(one => one.textContent)")
        press(page, "r")
        assert row["image"] in downloaded(page, folder)["decisions"]
    assert page.evaluate("window.ran") is None
    assert page.locator("script").count() == len(rows) + 2  # an image each, the data, and the page's own
    assert page.locator("main img").count() == 1
    assert text(page, "#progress") == f"{len(rows)} of {len(rows)} decided: 0 accepted, {len(rows)} rejected."
    assert not has_sideways_scrolling(page)
    assert (seen.requests, seen.errors) == ([], [])


def test_a_right_to_left_override_ends_with_the_text_it_stands_in(
    open_page: OpenPage, tmp_path: Path, zoomin: Zoomin
) -> None:
    """A name with one could look like another name: it is shown escaped."""
    row = {"image": "a\u202egnp.exe", "label": "real", "source": "\u202eflickr"}
    folder = make_folder(tmp_path / "data", [row])
    assert zoomin("review", folder)[0] == 0
    page = open_page(folder / "review.html").page
    assert text(page, "#name") == "'a\\u202egnp.exe'"
    assert page.locator("#source bdi").evaluate("shown => getComputedStyle(shown).unicodeBidi") == "isolate"


def test_the_policy_of_the_page_alone_would_stop_a_script(open_page: OpenPage, tmp_path: Path, zoomin: Zoomin) -> None:
    """Were something not escaped: what is put into the page by force neither runs nor is fetched."""
    folder = make_folder(tmp_path / "data", [{"image": "0.png", "label": "real"}])
    assert zoomin("review", folder)[0] == 0
    page_file = folder / "review.html"
    forced = "<script>window.ran = 1</script><img src='https://example.invalid/x.png' onerror='window.ran = 1'>"
    page_file.write_text(page_file.read_text().replace("<main>", f"{forced}<main>"))
    seen = open_page(page_file)
    assert text(seen.page, "#name") == "0.png"
    assert seen.page.evaluate("window.ran") is None
    assert len(seen.errors) == 3
    assert all("Content Security Policy" in error for error in seen.errors)
