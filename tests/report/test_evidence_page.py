"""The page of one image, read as text: any row of a predictions file gives one that says what there is, and no more."""

import hashlib
import re
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from evidence_rows import LIMITS, MADE_BY, calibration, picture, probe, reply, row, scored

from swift_zoomin.episode import Episode, cut_error
from swift_zoomin.images import ImageRef
from swift_zoomin.predictions import CANNOT_TELL, prediction_fault, to_prediction
from swift_zoomin.probes import Probe
from swift_zoomin.records import Record
from swift_zoomin.replies import GENERATED, REAL
from swift_zoomin.report.evidence import Evidence, evidence_page
from swift_zoomin.report.provenance import NO_EVIDENCE_EITHER_WAY


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return picture(tmp_path / "a.png")


def text_of(page: str) -> str:
    """What a reader sees, in one line."""
    body = page[page.index("<body>") :]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def page_of(prediction: dict[str, Any], file: Path, **more: Any) -> str:
    assert prediction_fault(prediction) is None
    return text_of(evidence_page(Evidence(prediction, file, **more)))


def test_a_page_shows_all_that_is_known(file: Path) -> None:
    box = [100.0, 50.0, 300.0, 250.0]
    record = Record("a.png", ImageRef.of(file), GENERATED, "The sign melts.", [box], ["the sign"])
    page = evidence_page(Evidence(scored(file), file, record, probe(), calibration()))
    text = text_of(page)
    for said in (
        "It said real at first sight; a closer look changed that to generated.",
        "This is what a model thinks, and not proof.",
        "at 105,54 to 293,246; cut at 105,53 to 294,247: 189 × 194 pixels, shown to the model with 224 × 252",
        "Hidden, 10% of sampled looks say generated",
        "First look real Clean.",
        "Closer look generated Melted.",
        "In the calibration, 1 of 250 real images were called generated wrongly",
        "This verdict depends on its regions",
        "UTC; when the model looked is not recorded.",
        "The records file calls this picture generated . The sign melts.",
        NO_EVIDENCE_EITHER_WAY,
        "Nothing was found of: EXIF, IPTC, XMP, PNG text, comment, C2PA.",
        f"SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()}",
        "Pixels 1000 × 700, upright",
        "Model toy (weights 0123456789ab)",
        "Picture shown to the model 532 × 364 pixels (limits: 3,136 to 200,704 pixels)",
        "Samples 8 at temperature 1.0",
        "Regions tested with close-ups blurred, samples 8 at temperature 1.0",
    ):
        assert said in text
    sides = re.findall(r'<rect class="line" x="(.+)%" y="(.+)%" width="(.+)%" height="(.+)%"', page)
    marked, annotated = [[float(side) for side in box] for box in sides]
    assert marked == pytest.approx([10.526, 7.693, 18.797, 27.471], abs=0.02)  # of 1000 x 700 pixels
    assert annotated == pytest.approx([10, 7.143, 20, 28.571], abs=0.02)
    assert 'alt="a.png: generated; marked regions: 1 sign"' in page


def test_another_detectors_image_and_verdict_are_enough(file: Path) -> None:
    text = page_of({"image": "a.png", "verdict": GENERATED}, file)
    assert "Another detector gave this verdict" in text
    unsure = page_of({"image": "a.png", "verdict": None}, file)
    assert "Another detector was asked, and gave no verdict" in unsure
    assert "gave this verdict;" not in unsure
    assert "The reply names" not in unsure
    assert "No region is marked." in text
    assert "not stated: it is another detector's row" in text
    assert "What the model said" not in text


def test_places_drawn_at_random_have_boxes_in_the_picture_too(file: Path) -> None:
    page = evidence_page(Evidence(row(file, made_by=MADE_BY.replace("regions first", "regions random")), file))
    listed = re.findall(r"\d\. </span><b class=\"text\">(.*?)</b>", page)
    assert listed == ["sign", "a place drawn at random"]
    sides = re.findall(r'<rect class="line" x="(.+)%" y="(.+)%" width="(.+)%" height="(.+)%"', page)
    (x1, y1), (x2, y2) = (map(int, corner.split(",")) for corner in re.findall(r"cut at (\S+) to (\S+):", page)[0])
    drawn = [float(side) for side in sides[1]]
    assert drawn == pytest.approx([x1 / 10, y1 / 7, (x2 - x1) / 10, (y2 - y1) / 7], abs=0.02)
    assert "Regions that the model marked, and places drawn at random (numbers)" in page


@pytest.mark.parametrize("folder", ["/home/anna/my secret", "/anna", "anna/deep"])
def test_no_folder_of_the_image_is_told(tmp_path: Path, folder: str) -> None:
    """The row was made on another machine than the page is."""
    error = f"{folder}/gone.png: no such image file"
    prediction = {"image": "deep/gone.png", "verdict": None, "replies": [], "error": error}
    tested = Probe("deep/gone.png", error=f"cannot be looked at ({folder}/gone.png: damaged)")
    text = page_of(prediction, tmp_path / "gone.png", probe=tested)
    assert "as something went wrong: gone.png: no such image file." in text
    assert "(gone.png: damaged)" in text
    assert "anna" not in text


def test_the_page_says_what_was_compared_and_which_date_it_has(file: Path) -> None:
    text = page_of(row(file), file)
    assert re.search(r"Page made [-\d]+ [:\d]+ UTC; when the model looked is not recorded.", text)
    assert "only its size in pixels is recorded; nothing else was compared" in text
    assert "Looked at with zoomin 0.1.0; versions of other packages are not recorded" in text
    foreign = page_of({"image": "a.png", "verdict": REAL}, file)
    assert "Whether it is the file that was looked at is not known" in foreign


def test_another_detectors_regions_and_reasons_are_shown_without_close_ups(file: Path) -> None:
    foreign = {"image": "a.png", "verdict": REAL, "boxes": [[1, 2, 30, 40]], "made_by": "LEGION"}
    text = page_of(foreign | {"explanation": "Sharp."}, file)
    assert "no label at 1,2 to 30,40; no close-up was shown, or it is not known which" in text
    assert "Its reasons real Sharp." in text
    assert "Made by LEGION" in text


def test_an_image_that_could_not_be_read_has_a_page(tmp_path: Path) -> None:
    gone = tmp_path / "gone.png"
    prediction = to_prediction(str(gone), None, f"{gone}: no such image file", 0.0) | {"made_by": MADE_BY}
    text = page_of(prediction, gone)
    assert "no verdict The model came to no verdict, as something went wrong:" in text
    assert "The picture and what was marked no such image file" in text
    assert "file fault no such image file" in text
    assert "Size cannot be read (No such file or directory)" in text
    assert str(tmp_path) not in text


def test_a_damaged_image_has_the_hash_of_its_file(tmp_path: Path) -> None:
    damaged = tmp_path / "a.png"
    damaged.write_bytes(b"no picture")
    text = page_of({"image": "a.png", "verdict": REAL, "boxes": [[1, 2, 3, 4]]}, damaged)
    assert hashlib.sha256(b"no picture").hexdigest() in text
    assert "not a readable image" in text
    assert "at 1,2 to 3,4" in text


def test_a_reply_that_was_cut_says_so(file: Path) -> None:
    prediction = row(file, "<explanation>It", error=cut_error(1))
    text = page_of(prediction, file)
    assert "Something went wrong: reply 1 was cut by the length limit." in text
    assert "First look no verdict It" in text
    assert "Closer look" not in text


def test_a_reply_without_a_verdict_says_so(file: Path) -> None:
    text = page_of(row(file, reply(REAL), "I cannot say."), file)
    assert "no verdict The reply names no verdict, or more than one." in text
    assert "At first sight its verdict was real; after a closer look it is none." in text


def test_no_region_is_told_and_what_the_closer_look_saw(file: Path) -> None:
    text = page_of(row(file, reply(REAL), reply(REAL)), file)
    assert "It said real at first sight, and the same after a closer look." in text
    assert "It marked no region, so the closer look was at the whole picture once more." in text
    assert "No region is marked." in text


@pytest.mark.parametrize("variant", ["explain", "ground", "verdict"])
def test_a_one_turn_variant_has_one_look(file: Path, variant: str) -> None:
    episode = Episode(ImageRef.of(file).under(LIMITS), [reply(GENERATED, [56, 28, 156, 128])], one_turn=variant)
    prediction = to_prediction(str(file), episode, None, 1.0, variant)
    text = page_of(prediction | {"made_by": MADE_BY.replace("regions first", variant)}, file)
    assert "The model was asked one question, and looked at the whole picture only." in text
    assert "The only look generated" in text
    assert "Asked one question: " in text
    assert ("sign at 105,54" in text) == (variant == "ground")


def test_a_decision_stands_before_the_models_own_verdict(file: Path) -> None:
    undecided = scored(file) | {"decision": CANNOT_TELL, "decision_reason": "share 0.5 of sampled verdicts"}
    text = page_of(undecided, file, calibration=calibration())
    assert "a.png cannot tell The model's own verdict is generated; no decision is made on it." in text
    assert "Why: share 0.5 of sampled verdicts." in text
    decided = page_of(scored(file) | {"decision": REAL}, file)
    assert "a.png real The decision was made from sampled looks; the model's own verdict differs" in decided


def test_a_file_that_was_replaced_has_no_boxes(file: Path) -> None:
    prediction = row(file)
    picture(file, (500, 350))
    page = evidence_page(Evidence(prediction, file))
    assert "The file has 500 × 350 pixels now, and had 1000 × 700 when the model was shown it" in text_of(page)
    assert '<rect class="line"' not in page


def test_more_regions_than_letters_are_counted(file: Path) -> None:
    many = {"image": "a.png", "verdict": REAL, "boxes": [[n, n, n + 9, n + 9] for n in range(40)]}
    assert "and 14 more regions, not shown here" in page_of(many, file)


def test_texts_are_bounded_and_say_how_much_is_missing(file: Path) -> None:
    long = "x" * 300_000
    page = evidence_page(Evidence(row(file, reply(REAL, explanation=long), long), file))
    assert len(page) < 500_000
    assert "... and 280,000 more characters" in page
    assert "... and 200,000 more characters" in page


@pytest.mark.parametrize("package", ["Jinja2", "defusedxml"])
def test_a_missing_package_is_one_line_that_names_the_extra(
    file: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package.lower(), None)
    with pytest.raises(ValueError, match=rf"report needs {package}: pip install 'swift-zoomin\[report\]'"):
        evidence_page(Evidence(row(file), file))


def test_a_page_loads_nothing_and_has_no_script(file: Path) -> None:
    page = evidence_page(Evidence(row(file), file))
    assert "<script" not in page
    assert "script-src &#39;none&#39;" in page
    addresses = set(re.findall(r"(?:https?:)?//[^\s\"'`<]+", re.sub(r"base64,[^\"]*", "", page)))
    assert addresses == set()
