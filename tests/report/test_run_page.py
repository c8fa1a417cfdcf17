"""The page of a run: what it counts, what an entry shows of any prediction, and that it is whole in itself."""

import base64
import hashlib
import re
import sys
from pathlib import Path

import pytest
from PIL import Image
from run_pages import BOX, GROUND, MADE_BY, MARKED, SIDE_PX, answered, images_of, picture, plain_text, write_page

from swift_zoomin.probes import Probe, ProbedRegion
from swift_zoomin.records import Record, RecordError, read_records, write_records
from swift_zoomin.replies import GENERATED, REAL
from swift_zoomin.report.page_texts import page_text
from swift_zoomin.report.run_page import write_run_page


def test_the_summary_counts_every_prediction(tmp_path: Path) -> None:
    rows = [
        answered(tmp_path, "a.png", REAL, GENERATED, score=0.95, decision=GENERATED),
        answered(tmp_path, "b.png", REAL, REAL, score=0.04, decision="cannot tell", decision_reason="share 0.5"),
        answered(tmp_path, "c.png", GENERATED, None, score=1.0),
        answered(tmp_path, "d.png", GENERATED, REAL, error="reply 2 was cut by the length limit"),
        {"image": "e.png", "verdict": GENERATED},
    ]
    page = write_page(tmp_path, rows)
    said = plain_text(page)
    assert "This page shows all 5 images." in said
    assert "images 5 generated 2 by the last look real 2 by the last look no verdict 1" in said
    assert "changed by the second look 2 of 3: 1 real to generated, 1 generated to real" in said
    assert "errors 1 could not be looked at, or cut short" in said
    assert "cannot tell 1 of 2 decided: 1 generated, 0 real" in said
    assert "Decision: cannot tell (share 0.5)" in said
    bars = re.search(r'aria-label="(Histogram[^"]*)"', page.read_text())
    assert bars
    assert "0.0 to 0.1: 1." in bars[1]
    assert "0.9 to 1.0: 2." in bars[1]  # a score of 1 lies in the last
    assert MADE_BY.replace("|", " | ") in said


def test_a_large_run_is_a_sample_that_says_so_and_is_counted_whole(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    rows = ({"image": "a.png", "verdict": (REAL, GENERATED)[number % 2]} for number in range(1000))
    held = write_run_page(rows, tmp_path, tmp_path / "run.html", most=7, seed=3)
    assert held == "a sample of 7 of 1,000 images (seed 3)"
    page, said = (tmp_path / "run.html").read_text(), plain_text(tmp_path / "run.html")
    assert f"This page shows {held}; the summary counts all." in said
    assert "images 1,000 generated 500 by the last look" in said
    places = [int(number) for number in re.findall(r'<article id="image-(\d+)"', page)]
    assert len(places) == 7
    assert places == sorted(places)
    assert places[-1] > 100  # drawn from all of the run, not its beginning


def test_crops_are_cut_where_the_model_was_shown_them(tmp_path: Path) -> None:
    whole, crop, other = images_of(write_page(tmp_path, [answered(tmp_path, "a.png", REAL, REAL, ("sign", "wall"))]))
    assert whole.size == (SIDE_PX, SIDE_PX)
    assert crop.size == (BOX[2] - BOX[0], BOX[3] - BOX[1])
    for image, colour in ((crop, MARKED), (other, GROUND)):
        middle = image.getpixel((image.width // 2, image.height // 2))
        assert max(abs(one - another) for one, another in zip(middle, colour, strict=True)) < 12, colour


def test_pictures_on_the_page_are_bounded_however_large_their_files(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (1400, 700))
    picture(tmp_path / "b.png", (40, 20))
    page = write_page(tmp_path, [{"image": name, "verdict": REAL, "boxes": [BOX]} for name in ("a.png", "b.png")])
    assert [image.size for image in images_of(page)] == [(384, 192), (40, 20)]
    assert page.read_text().count('width="384" height="192"') == 2  # both are shown as large


def test_a_foreign_detectors_row_is_shown_with_what_it_has(tmp_path: Path) -> None:
    """Of the fields below nobody has checked the kind."""
    picture(tmp_path / "a.png")
    strange = {"box_labels": "no list", "error": {"code": 7}, "initial_explanation": 3, "made_by": [1], "replies": 5}
    rows = [
        {"image": "a.png", "verdict": None},
        {"image": "a.png", "verdict": REAL, "boxes": [[90, 90, -20, 500]], **strange},
    ]
    said = plain_text(write_page(tmp_path, rows))
    assert "no verdict" in said
    assert "Error {'code': 7}" in said
    assert "no label -20,90 to 90,500" in said


def test_an_image_that_cannot_be_opened_has_an_entry_that_says_why(tmp_path: Path) -> None:
    rows = [answered(tmp_path, name, REAL, REAL) for name in ("gone.png", "damaged.png", "fine.png")]
    (tmp_path / "gone.png").unlink()
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    page = write_page(tmp_path, rows)
    said = plain_text(page)
    assert said.count("The image could not be opened.") == 2
    assert said.count("Image no such image file") == 1
    assert said.count("Image not a readable image") == 1
    assert said.count("sign 28,28 to 56,56") == 3  # what was answered is kept
    assert str(tmp_path) not in page.read_text()


def test_an_error_is_the_rows_in_the_summary_and_in_the_filter(tmp_path: Path) -> None:
    """An image that is gone by now is none: of a large run nobody has opened them all."""
    said = "/home/anna/my secret/a.png: damaged"
    picture(tmp_path / "a.png")
    rows = [{"image": "gone.png", "verdict": REAL}, {"image": "sub/a.png", "verdict": None, "error": said}]
    rows.append({"image": "a.png", "verdict": REAL, "error": ""})
    page = write_page(tmp_path, rows)
    assert "errors 2 could not be looked at" in plain_text(page)
    assert re.findall(r'data-error="(\w+)"', page.read_text()) == ["no", "yes", "yes"]
    assert "Error a.png: damaged" in plain_text(page)
    assert "anna" not in page.read_text()


def test_no_box_is_drawn_on_a_file_that_has_changed_its_size(tmp_path: Path) -> None:
    row = answered(tmp_path, "a.png", REAL, REAL)
    picture(tmp_path / "a.png", (200, 100))
    page = write_page(tmp_path, [row])
    assert "200 × 100 pixels now, and had 112 × 112 when" in plain_text(page)
    assert '<svg class="boxes"' not in page.read_text()
    assert len(images_of(page)) == 1  # no crop either


def test_records_put_the_annotation_beside_the_verdict(tmp_path: Path) -> None:
    verdicts = {"a": REAL, "b": GENERATED, "c": None}
    rows = [answered(tmp_path, f"{name}.png", REAL, verdict) for name, verdict in verdicts.items()]
    noted = {"label": REAL, "explanation": "Even light.", "boxes": [[28, 28, 56, 60]], "box_labels": ["street sign"]}
    write_records(tmp_path / "records.jsonl", [{"image": f"{name}.png", **noted} for name in "abc"])
    records: list[Record] = read_records(tmp_path / "records.jsonl")
    page = write_page(tmp_path, rows, records)
    said = plain_text(page)
    assert "as annotated 1 of 3 with an annotation" in said  # a missing verdict is a wrong one
    assert said.count("Even light. Dashed boxes: street sign") == 3
    assert re.findall(r'data-annotation="(\w*)"', page.read_text()) == ["right", "wrong", "wrong"]
    assert page.read_text().count('class="annotated"') == 3


def test_a_record_behind_a_link_is_found(tmp_path: Path) -> None:
    rows = [answered(tmp_path / "images", "a.png", REAL, REAL)]
    (tmp_path / "link").symlink_to(tmp_path / "images")
    write_records(tmp_path / "records.jsonl", [{"image": "link/a.png", "label": REAL}])
    page = write_page(tmp_path / "images", rows, read_records(tmp_path / "records.jsonl"))
    assert "as annotated 1 of 1" in plain_text(page)


def test_probes_say_which_verdicts_rest_on_their_regions(tmp_path: Path) -> None:
    rows = [answered(tmp_path, f"{name}.png", REAL, GENERATED) for name in "abcde"]
    sampled = "samples 8 at temperature 1.0"
    hidden = ProbedRegion(rows[0]["boxes"][0], 0.125, [0, 0, 28, 28], 0.875)
    probes = {
        tmp_path / "a.png": Probe("a.png", 1.0, [hidden], 0.125, 0.875, made_by=sampled),
        tmp_path / "b.png": Probe("b.png", 1.0, [hidden], 1.0, 0.25, made_by=sampled),
        tmp_path / "c.png": Probe("c.png", error="gone"),
        tmp_path / "d.png": Probe("d.png", 1.0, [hidden], 0.5625, 0.875, made_by=sampled),
        tmp_path / "e.png": Probe("e.png", 0.25, [hidden], 0.75, 0.875, made_by=sampled),  # mostly another verdict
    }
    page = write_page(tmp_path, rows, None, probes)
    said = plain_text(page)
    assert "depend on their regions 1 of 3 tested (95%: 6% to 79%), by the majority of sampled looks; 1 with " in said
    assert "1 with random places hidden instead; 1 not clear one by one" in said
    # A region's changes: three times 0.875 and once 0.125; a random one's: three times 0.125 and once 0.625.
    assert (
        "change of the share by hiding a region 0.688 mean of 4; of as many random places 0.250; ratio 2.8 (95%" in said
    )
    assert "This verdict does not depend on its regions" in said
    assert "12% of sampled" in said
    assert "gone" in said
    assert re.findall(r'data-depends="(\w*)"', page.read_text()) == ["yes", "no", "", "unclear", ""]


def test_the_page_is_whole_in_itself_and_the_same_each_time(tmp_path: Path) -> None:
    rows = [answered(tmp_path, f"{number}.png", REAL, GENERATED) for number in range(3)]
    page = write_page(tmp_path, rows).read_text()
    assert not re.search(r"https?://|<link(?! rel=\"icon\" href=\"data:,\")|<script[^>]*\ssrc|@import|url\(", page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in page
    assert write_page(tmp_path, rows).read_text() == page


def test_a_picture_is_described_by_its_verdicts_and_regions(tmp_path: Path) -> None:
    rows = [answered(tmp_path, "a.png", REAL, GENERATED, ("sign", "")), {"image": "a.png", "verdict": None}]
    descriptions = re.findall(r'alt="([^"]*)" decoding="async" loading="lazy"', write_page(tmp_path, rows).read_text())
    assert descriptions[0] == "a.png: generated, at first real; regions: 1 sign; 2 without a label"
    assert descriptions[-1] == "a.png: no verdict; no region"


def test_a_page_that_cannot_be_written_leaves_the_one_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "run.html").mkdir()
    with pytest.raises(OSError, match=r"run\.html"):
        write_run_page([], tmp_path, tmp_path / "run.html")


def test_without_jinja_one_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(RecordError, match=r"^report needs Jinja2: pip install 'swift-zoomin\[report\]'$"):
        write_page(tmp_path, [])


@pytest.mark.parametrize(
    ("given", "most", "text"),
    [
        (None, 9, ""),
        ("a\r\nb\tc", 9, "a\nb\tc"),
        ("a" * 12, 10, "a" * 10 + " ... and 2 more characters"),
        ("a\u202egnp.exe", 20, "a\\u202egnp.exe"),  # would read as aexe.png
        ("\u2066x\u2069 \x00 \x1b[2J \ud800 \u2028", 30, "\\u2066x\\u2069 \\x00 \\x1b[2J \\ud800 \\u2028"),
        (
            "क्\u200dष \u05d0\u200f 👩\u200d🚀 e\u0301",
            30,
            "क्\u200dष \u05d0\u200f 👩\u200d🚀 e\u0301",
        ),  # writing needs these
        ({"code": 7}, 30, "{'code': 7}"),
    ],
)
def test_texts_of_other_hands_are_bounded_and_hide_nothing(given: object, most: int, text: str) -> None:
    assert page_text(given, most) == text


def test_a_name_that_is_no_text_is_shown_as_it_can_be(tmp_path: Path) -> None:
    Image.new("RGB", (30, 30)).save(tmp_path / "a\udcff.png")
    page = write_page(tmp_path, [{"image": "a\udcff.png", "verdict": REAL}])
    assert "&#39;a\\udcff.png&#39;" in page.read_text()
    assert len(images_of(page)) == 1
