"""Predictions, records and names that would run, fetch, disguise or break something on the page of a run do not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from browser import PHONE, Seen, has_sideways_scrolling
from run_pages import answered, picture, write_page

from swift_zoomin.probes import Probe
from swift_zoomin.records import read_records, write_records
from swift_zoomin.replies import GENERATED, REAL

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Seen]

# Each would run or fetch something, or end the element or attribute it stands in, where it is not kept as text.
HOSTILE = [
    "<script>window.ran = 1</script>",
    '"><img src=x onerror="window.ran = 1">',
    "' onmouseover='window.ran = 1' x='",
    "</script><script>window.ran = 1</script>",
    "</style><svg onload='window.ran = 1'>",
    "</title><!--<script>",
    "<img src='https://example.invalid/pixel.png'><base href='https://example.invalid/'>",
    "<meta http-equiv='refresh' content='0;url=https://example.invalid/'>",
    "{{ 7 * 7 }} {% raw %} ${window.ran = 1} `${1}`",
    "&lt;b&gt; &#x22; javascript:window.ran=1",
]


def text_of(page: object, selector: str) -> list[str]:
    return page.locator(selector).evaluate_all("all => all.map((one) => one.textContent)")  # type: ignore[attr-defined]


def test_nothing_of_a_prediction_runs_or_breaks_the_page(open_page: OpenPage, tmp_path: Path) -> None:
    rows, noted, probes = [], [], {}
    for hostile in HOSTILE:
        name = hostile.replace("/", "∕") + ".png"  # a file's name has no slash
        fields = ("explanation", "initial_explanation", "error", "made_by", "decision_reason")
        more = dict.fromkeys(fields, hostile) | {"box_labels": [hostile], "decision": "cannot tell"}
        rows.append(answered(tmp_path, name, REAL, GENERATED) | more)
        noted.append({"image": name, "label": REAL, "explanation": hostile, "boxes": [[0, 0, 9, 9]]})
        noted[-1]["box_labels"] = [hostile]
        probes[tmp_path / name] = Probe(name, error=hostile)
    write_records(tmp_path / "records.jsonl", noted)
    records = read_records(tmp_path / "records.jsonl")
    seen = open_page(write_page(tmp_path, rows, records, probes, title=HOSTILE[1]))
    page = seen.page
    assert page.title() == f"Report on {HOSTILE[1]}"
    for index, (hostile, row) in enumerate(zip(HOSTILE, rows, strict=True), 1):
        entry = f"#image-{index} "
        assert text_of(page, f"{entry}.name") == [row["image"]]
        assert text_of(page, f"{entry}.label") == [hostile]
        said = [hostile, hostile, f"The regions could not be tested: {hostile}", hostile]
        assert text_of(page, f"{entry}p.text") == said
        assert text_of(page, f"{entry}.error .text") == [hostile]
        assert text_of(page, f"{entry}.decision bdi") == [f"cannot tell ({hostile})"]
        assert hostile in page.locator(f"{entry}.frame img").get_attribute("alt")
    assert page.evaluate("window.ran") is None
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == page.locator("svg.boxes").count() == len(rows)  # no crop: unknown made_by
    assert page.locator("base, meta[http-equiv=refresh], [onerror], [onload], [onmouseover]").count() == 0
    page.locator("#by-text").fill(HOSTILE[1])
    assert page.locator("#status").text_content() == f"1 of {len(rows)} shown."
    assert not has_sideways_scrolling(page)
    assert (seen.requests, seen.errors) == ([], [])


def test_marks_that_turn_a_line_around_are_written_out(open_page: OpenPage, tmp_path: Path) -> None:
    """Otherwise `real` could be read from right to left, and a name could look like that of another file."""
    turned = "a\u202egnp.exe"
    picture(tmp_path / turned)
    row = {"image": turned, "verdict": REAL, "boxes": [[0, 0, 9, 9]]}
    row |= {"box_labels": ["\u202elaer"], "explanation": "\u2067x\ud800", "error": "\x1b[2J\u0000"}
    page = open_page(write_page(tmp_path, [row])).page
    assert text_of(page, ".name") == ["'a\\u202egnp.exe'"]
    assert text_of(page, ".label") == ["\\u202elaer"]
    assert text_of(page, "p.text") == ["\\u2067x\\ud800"]
    assert text_of(page, ".error .text") == ["\\x1b[2J\\x00"]
    isolated = page.locator(".name, .label, .text").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).unicodeBidi)"
    )
    assert set(isolated) == {"isolate"}


def test_words_without_end_are_cut_and_wrapped(open_page: OpenPage, tmp_path: Path) -> None:
    word = "w" * 100_000
    many = [[0, 0, 50 + number, 50] for number in range(3000)]
    row = {"image": f"{word}.png", "verdict": REAL, "boxes": many, "box_labels": [word] * 3000, "made_by": word}
    row |= dict.fromkeys(("explanation", "initial_explanation", "error", "decision_reason"), word)
    file = write_page(tmp_path, [row | {"decision": REAL}], title=word)
    assert file.stat().st_size < 100_000
    for size in ((1440, 900), PHONE):
        page = open_page(file, size).page
        assert not has_sideways_scrolling(page)
        assert "... and 98,000 more characters" in page.locator("article").text_content()
        assert "and 2988 more" in page.locator("article").text_content()


def test_the_policy_of_the_page_alone_would_stop_a_script(open_page: OpenPage, tmp_path: Path) -> None:
    """Were something not escaped: what is put into the page by force neither runs nor is fetched."""
    file = write_page(tmp_path, [answered(tmp_path, "a.png", REAL, REAL)])
    forced = "<script>window.ran = 1</script><img src='https://example.invalid/x.png' onerror='window.ran = 1'>"
    file.write_text(file.read_text().replace("<main>", f"{forced}<main>"))
    seen = open_page(file)
    assert text_of(seen.page, ".name") == ["a.png"]
    assert seen.page.evaluate("window.ran") is None
    assert len(seen.errors) == 3
    assert all("Content Security Policy" in error for error in seen.errors)
