"""What other detectors write, read as their repositories write it: each format with a file made in it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign_files
import numpy as np
import pytest
from foreign_files import BOX, ELSEWHERE, NAMES, make_mask, make_set
from PIL import Image

from swift_zoomin.evaluation.foreign.classifiers import read_community_forensics
from swift_zoomin.evaluation.foreign.formats import FORMATS
from swift_zoomin.evaluation.foreign.masks import mask_boxes
from swift_zoomin.evaluation.foreign.replies import fakeshield_verdict, fakevlm_verdict
from swift_zoomin.evaluation.foreign.rows import Stated
from swift_zoomin.evaluation.reading import read_method
from swift_zoomin.evaluation.sources import Source
from swift_zoomin.records import RecordError, read_records

REAL, GENERATED = "real", "generated"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("foreign") / "set")


def read(records: Path, form: str, path: Path) -> list[dict[str, Any]]:
    """The predictions of a file in a format, of the four images in their order; {} where there is none."""
    predictions, _ = read_method([Source(None, form, path)], read_records(records), Stated())
    return [predictions.get(records.parent / name, {}) for name in NAMES]


@pytest.mark.parametrize(
    ("form", "make", "verdicts"),
    [
        ("fakeshield", foreign_files.fakeshield, [REAL, GENERATED, None, GENERATED]),
        ("fakevlm", foreign_files.fakevlm, [REAL, GENERATED, None, GENERATED]),
        ("legion", foreign_files.legion, [None, None, None, None]),
        ("community-forensics", foreign_files.community_forensics, [REAL, REAL, GENERATED, GENERATED]),
        ("cnnspot", foreign_files.scores, [REAL, GENERATED, REAL, GENERATED]),
        ("npr", foreign_files.scores, [REAL, GENERATED, REAL, GENERATED]),
        ("dire", foreign_files.scores, [REAL, GENERATED, REAL, GENERATED]),
        ("dire", foreign_files.dire_log, [REAL, REAL, REAL, GENERATED]),
        ("antifakeprompt", foreign_files.antifakeprompt, [REAL, GENERATED, None, GENERATED]),
    ],
)
def test_each_format_gives_its_verdicts(
    records: Path, tmp_path: Path, form: str, make: Callable[[Path], Path], verdicts: list[str | None]
) -> None:
    rows = read(records, form, make(tmp_path))
    assert [row["verdict"] for row in rows] == verdicts
    assert {row["made_by"] for row in rows} == {f"read as {form}"}


def test_every_format_is_tested_here() -> None:
    tested = {"table", "masks"}  # in other tests
    marks = test_each_format_gives_its_verdicts.pytestmark  # type: ignore[attr-defined]
    tested |= {form for form, *_ in marks[0].args[1]}
    assert tested == set(FORMATS)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("The picture has been tampered with.", GENERATED),
        ("The picture has not been tampered with.", REAL),
        ("The picture hasn't been tampered with.", REAL),
        ("1. Whether the image has been tampered with: The image has not been tampered with.", REAL),
        ("1. Whether the picture has been tampered with / Description of the tampered area: none", None),
        ("It has not been tampered with. It has been tampered with.", None),
        ("The picture hasn’t been tampered with.", REAL),
        ("The picture does not appear to have been tampered with.", None),
        ("No part of the image has been tampered with.", None),
        ("It is unlikely that the picture has been tampered with.", None),
        ("It has not been tampered with.\n\n2. Judgment basis: nothing that has been tampered with looks so", REAL),
        ("No tampering.", None),
        ("", None),
    ],
)
def test_a_fakeshield_answer_says_what_its_statement_says(said: str, verdict: str | None) -> None:
    assert fakeshield_verdict(said) == verdict


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("This is a real image. It is not fake.", REAL),
        ("This is a Fake image with no real hands", None),  # both words
        ("This is a fake image with no clear edges.", GENERATED),
        ("A realistic picture. It is fake.", GENERATED),  # the repository takes the first sentence for real
        ("This is an unreal scene. Nothing else. It is fake.", None),  # the third sentence is not looked at
        ("This is not a real image.", None),
        ("It isn't fake.", None),
        ("This does not look like a real image.", None),
        ("I cannot tell.", None),
        ("", None),
    ],
)
def test_a_fakevlm_answer_that_does_not_say_one_word_is_no_verdict(said: str, verdict: str | None) -> None:
    assert fakevlm_verdict(said) == verdict


def test_the_other_field_names_of_the_same_repositories_are_read(records: Path, tmp_path: Path) -> None:
    rows = read(records, "fakevlm", foreign_files.fakevlm(tmp_path, "id", "caption"))
    assert [row["verdict"] for row in rows] == [REAL, GENERATED, None, GENERATED]
    assert rows[0]["explanation"] == "This is a real image. The light falls evenly."
    older = tmp_path / "older.jsonl"
    line = {"question_id": 7, "image": f"{ELSEWHERE}/real/a.png", "mask": "m.png", "text": "It has been tampered with."}
    older.write_text(json.dumps(line) + "\n")
    assert read(records, "fakeshield", older)[0]["verdict"] == GENERATED


def test_scores_and_seconds_are_those_of_the_file(records: Path, tmp_path: Path) -> None:
    rows = read(records, "community-forensics", foreign_files.community_forensics(tmp_path))
    assert [row["score"] for row in rows] == [0.25, 0.5, 0.51, 0.99]  # of two runs on a.png, the later one
    assert {row["seconds"] for row in rows} == {0.2}
    assert [row["score"] for row in read(records, "dire", foreign_files.dire_log(tmp_path))] == [
        0.0312,
        0.5,
        0.4999,
        0.9712,
    ]
    assert [row["score"] for row in read(records, "cnnspot", foreign_files.scores(tmp_path))] == [0.1, 0.7, 0.5, 0.9]


def test_two_runs_that_disagree_are_refused(records: Path, tmp_path: Path) -> None:
    out = foreign_files.community_forensics(tmp_path)
    last = sorted(out.iterdir())[-1]
    again = json.loads(last.read_text()) | {"Result": {"Fake Probability": 0.1}, "Date": "2025-05-02 00:00:00"}
    (out / "result_05022025_000000_d_png.json").write_text(json.dumps(again))
    with pytest.raises(RecordError, match=r"d_png\.json: verdict 'real'; an earlier row of .*d\.png' has 'generated'"):
        read(records, "community-forensics", out)


def test_legion_gives_the_explanation_and_boxes_of_its_mask(records: Path, tmp_path: Path) -> None:
    rows = read(records, "legion", foreign_files.legion(tmp_path))
    assert [row["boxes"] for row in rows] == [[], [], [list(BOX)], [list(BOX)]]
    assert {row["explanation"] for row in rows} == {"The left hand has six fingers."}


def boxes_of(mask: Path) -> list[list[float]]:
    with Image.open(mask) as opened:
        return mask_boxes(opened.convert("L"))


def test_a_mask_of_another_size_is_refused(records: Path, tmp_path: Path, zoomin) -> None:
    masks = foreign_files.fakeshield_masks(tmp_path)
    for mask in masks.iterdir():
        Image.open(mask).resize((32, 24)).save(mask)
    status, _, err = zoomin("evaluate", records, f"F=masks:{masks}")
    assert status == 1
    assert "a mask of 32x24 for an image of 64x48" in err
    assert "resize each mask to its image" in err


def test_a_patch_of_a_mask_is_a_box(tmp_path: Path) -> None:
    mask = make_mask(tmp_path / "m.png", (0, 0, 20, 10), (20, 10, 40, 15), (50, 40, 64, 48), (30, 30, 31, 33))
    # The first two touch at a corner; 3 pixels of 3072 are less than one in a thousand.
    assert boxes_of(mask) == [[0, 0, 40, 15], [50, 40, 64, 48], [30, 30, 31, 33]][:2]
    assert boxes_of(make_mask(tmp_path / "n.png", (30, 30, 32, 32))) == [[30, 30, 32, 32]]  # 4 pixels are more
    assert boxes_of(make_mask(tmp_path / "none.png")) == []
    assert boxes_of(make_mask(tmp_path / "all.png", (0, 0, 64, 48))) == [[0, 0, 64, 48]]


def test_a_mask_that_was_saved_as_jpeg_gives_the_same_boxes(tmp_path: Path) -> None:
    boxes = ((5, 7, 21, 26), (40, 16, 61, 43))
    Image.open(make_mask(tmp_path / "m.png", *boxes)).save(tmp_path / "m.jpg", quality=75)
    assert len(np.unique(np.asarray(Image.open(tmp_path / "m.jpg")))) > 10, "nothing but black and white"
    assert boxes_of(tmp_path / "m.jpg") == [list(box) for box in boxes]


def test_answers_and_masks_of_one_name_are_one_method(records: Path, tmp_path: Path, zoomin) -> None:
    answers, masks = foreign_files.fakeshield(tmp_path), foreign_files.fakeshield_masks(tmp_path)
    sources = (f"FakeShield=fakeshield:{answers}", f"FakeShield=masks:{masks}")
    status, out, err = zoomin("evaluate", records, *sources, "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())["methods"]["FakeShield"]
    assert figures["accuracy"]["value"] == 0.5  # a and d right, b wrong, c without a verdict
    assert figures["unparsed"]["value"] == 1
    assert figures["iou"]["value"] == pytest.approx((1 + 0 + 0 + 1) / 4)  # b marks nothing that is annotated
    assert figures["bleu2"]["value"] > 0
    assert "read as fakeshield; read as masks" in out
    found = f"4 images found by the end of a path: {ELSEWHERE}/real/a.png is taken for real/a.png"
    assert found in out.splitlines()


def test_a_method_without_verdicts_says_so_and_can_be_given_some(records: Path, tmp_path: Path, zoomin) -> None:
    masks = foreign_files.legion(tmp_path)
    status, out, err = zoomin("evaluate", records, f"legion:{masks}")
    assert (status, err) == (3, f"zoomin: {masks}: no verdict on any record, so all count as wrong\n")
    assert "has no verdicts, so all images count as wrong; join them: NAME=verdicts.csv" in out
    lines = [f"{ELSEWHERE}/{name},{'fake' if name == NAMES[3] else 'real'}" for name in NAMES]
    verdicts = foreign_files.table(tmp_path / "verdicts.csv", "image,verdict", *lines)
    status, out, err = zoomin("evaluate", records, f"L=legion:{masks}", f"L={verdicts}", "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())["methods"]["L"]
    assert (figures["accuracy"]["value"], figures["iou"]["value"]) == (0.75, 1.0)
    assert "has no verdicts" not in out


def test_sources_that_contradict_each_other_are_refused(records: Path, tmp_path: Path, zoomin) -> None:
    one = foreign_files.table(tmp_path / "one.csv", "image,verdict", "real/a.png,real", "real/b.png,")
    two = foreign_files.table(tmp_path / "two.csv", "image,verdict", "real/a.png,fake", "real/b.png,fake")
    status, _, err = zoomin("evaluate", records, f"M={one}", f"M={two}")
    image = records.parent / "real/a.png"
    assert (status, err) == (1, f"zoomin: {two}: verdict of {image} differ from an earlier source's\n")


@pytest.mark.parametrize(
    ("form", "name", "content", "said"),
    [
        ("cnnspot", "t.csv", "x model testing on...\ntestset,accuracy,avg precision\nbiggan,0.7,0.9\n", "y_pred"),
        ("npr", "t.csv", "testset,accuracy,avg precision\nbiggan,0.7,0.9\n", "totals say nothing of an image"),
        ("dire", "t.csv", "TestSet,ACC,AP,R_ACC,F_ACC\nadm,0.9,0.9,0.9,0.9\n", "totals say nothing of an image"),
        (
            "dire",
            "t.log",
            "Testing images from 'd'\n***\nProb of being synthetic: 0.9\n",
            "t.log:3: a number without its",
        ),
        (
            "dire",
            "t.log",
            "Testing on image 'a.png'\nProb of being synthetic: 0.9\nProb of being synthetic: 0.8\n",
            "t.log:3: a number without its image; run demo.py on one image at a time",
        ),
        ("antifakeprompt", "log.txt", "=== Overall ===\nAcc: 91.60%\n        | Pred real | Pred fake |\n", "ans_list"),
        ("antifakeprompt", "t.csv", "img_path,label\nreal/a.png,yes\n", "no table with img_path and ans"),
        ("antifakeprompt", "t.csv", "img_path,ans\nreal/a.png,maybe\n", "t.csv:2: ans 'maybe'; expected yes, no"),
        ("fakevlm", "t.json", '{"image_path": "a.png", "output": "real"}', "dict; expected one JSON array"),
        ("fakevlm", "t.json", '[{"image_path": "a.png"}]', "entry 1: has image_path; expected output or caption"),
        ("fakevlm", "t.json", "[", "t.json: not JSON"),
        ("fakeshield", "t.jsonl", '{"image": "a.png"}', "t.jsonl:1: has image; expected outputs or text"),
        ("fakeshield", "t.jsonl", '{"image": 3, "outputs": ""}', "t.jsonl:1: image 3; expected text"),
        ("fakeshield", "t.jsonl", "{\n", "JSON"),
        ("legion", "out", None, "no folder with an explanation.json in it"),
        ("masks", "out", None, "holds no image"),
        ("community-forensics", "out", None, "holds no result_*.json"),
    ],
)
def test_files_that_are_something_else_are_named_with_what_to_do(
    records: Path, tmp_path: Path, zoomin, form: str, name: str, content: str | None, said: str
) -> None:
    path = tmp_path / name
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    status, out, err = zoomin("evaluate", records, f"{form}:{path}")
    assert (status, out) == (1, "")
    assert err.startswith(f"zoomin: {path}")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_folder_without_its_detector_is_refused_with_how_to_say_it(records: Path, tmp_path: Path, zoomin) -> None:
    out = foreign_files.legion(tmp_path)
    said = f"zoomin: {out}: a folder; say which detector wrote it, as legion:{out}\n"
    assert zoomin("evaluate", records, out) == (1, "", said)


def test_a_probability_that_is_none_is_named(tmp_path: Path, records: Path) -> None:
    out = foreign_files.community_forensics(tmp_path)
    (out / "result_x.json").write_text('{"Input File": "a.png", "Result": {}}')
    (out / "result_y.json").write_text('{"Input File": "a.png", "Result": {"Fake Probability": 1.5}}')
    with pytest.raises(RecordError) as caught:
        read(records, "community-forensics", out)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"{out}/result_x.json: expected an object with")
    assert lines[1].endswith("score 1.5; expected a probability from 0 to 1 or null")
    assert len(list(read_community_forensics(out, Stated()))) == 7


def test_all_detectors_stand_in_one_table(records: Path, tmp_path: Path, zoomin) -> None:
    """Right answers of four, counted by hand from the files."""
    made = {
        "FakeShield=fakeshield": (foreign_files.fakeshield, 2),
        "FakeVLM=fakevlm": (foreign_files.fakevlm, 2),
        "ComFor=community-forensics": (foreign_files.community_forensics, 4),
        "CNNSpot=cnnspot": (foreign_files.scores, 2),
        "DIRE=dire": (foreign_files.dire_log, 3),
        "AfPr=antifakeprompt": (foreign_files.antifakeprompt, 2),
    }
    sources = [f"{name}:{make(tmp_path)}" for name, (make, _) in made.items()]
    status, _, err = zoomin("evaluate", records, *sources, "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    methods = json.loads((tmp_path / "out" / "metrics.json").read_text())["methods"]
    right = {name.partition("=")[0]: count / 4 for name, (_, count) in made.items()}
    assert {name: figures["accuracy"]["value"] for name, figures in methods.items()} == right
    assert methods["ComFor"]["auc"]["value"] == 1
    assert methods["CNNSpot"]["auc"]["value"] == 0.75  # 0.5 beats 0.1 alone, 0.9 beats both
    assert methods["FakeVLM"]["unparsed"]["value"] == 1
