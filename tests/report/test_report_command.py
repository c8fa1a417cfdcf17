"""`zoomin report` and `zoomin detect --report`: what is found, written, named, and never overwritten."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import engine_module
from evidence_rows import MADE_BY, calibration, picture, probe, row, scored
from PIL import Image
from scripted_engine import ScriptedEngine, answer
from zoomin_command import zoomin_command

from swift_zoomin.calibrations import as_json
from swift_zoomin.records import write_records
from swift_zoomin.replies import GENERATED, REAL
from swift_zoomin.report.crops import regions_of
from swift_zoomin.report.pictures import safe_name

Zoomin = Callable[..., tuple[int, str, str]]


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zoomin:
    return zoomin_command(monkeypatch, capsys)


def predictions_of(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A predictions file in the folder, its images named relative to it."""
    file = folder / "predictions.jsonl"
    write_records(file, [{**row, "image": str(Path(row["image"]).relative_to(folder))} for row in rows])
    return file


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Predictions of a/0.png, b/0.png and b/1.png."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    files = [picture(tmp_path / name, (300, 200)) for name in ("a/0.png", "b/0.png", "b/1.png")]
    return predictions_of(tmp_path, [row(file) for file in files])


@pytest.mark.parametrize("name", ["b/1.png", "1.png"])
def test_an_image_is_found_by_its_name_or_the_end_of_it(zoomin: Zoomin, data: Path, name: str) -> None:
    out = data.parent / "page.html"
    assert zoomin("report", data, "--image", name, "--out", out) == (0, f"wrote {out}\n", "")
    assert "<title>Generated: 1.png</title>" in out.read_text()


def test_an_image_is_found_by_its_path(zoomin: Zoomin, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data.parent / "b")
    assert zoomin("report", data, "--image", "0.png", "--out", "page.html")[0] == 0
    assert zoomin("report", data, "--image", data.parent / "b" / "0.png", "--out", "page.html")[0] == 0


def test_a_name_of_no_image_or_of_several_is_refused(zoomin: Zoomin, data: Path) -> None:
    code, _, err = zoomin("report", data, "--image", "2.png")
    assert (code, err) == (1, f"zoomin: {data}: has no prediction of 2.png; it has a/0.png, b/0.png, b/1.png\n")
    code, _, err = zoomin("report", data, "--image", "0.png")
    assert code == 1
    assert err.startswith(f"zoomin: {data}: --image 0.png is the end of 2 names: ")


def test_without_out_the_page_stands_beside_the_predictions(zoomin: Zoomin, data: Path) -> None:
    assert zoomin("report", data, "--image", "b/1.png")[0] == 0
    assert [file.name for file in data.parent.glob("*.html")] == [f"report-{safe_name('b/1.png')}.html"]


def test_what_stands_beside_a_prediction_is_shown(zoomin: Zoomin, tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png")
    data = predictions_of(tmp_path, [scored(file)])
    write_records(tmp_path / "records.jsonl", [{"image": "a.png", "label": GENERATED, "explanation": "Sharp hair."}])
    write_records(tmp_path / "probes.jsonl", [probe(depends=False).as_row()])
    (tmp_path / "calibration.json").write_text(as_json(calibration()))
    beside = ("--records", tmp_path / "records.jsonl", "--probes", tmp_path / "probes.jsonl")
    out = tmp_path / "page.html"
    code, _, err = zoomin(
        *("report", data, "--image", "a.png", "--out", out, *beside, "--calibration", tmp_path / "calibration.json")
    )
    assert code == 0, err
    page = out.read_text()
    for said in ("Sharp hair.", "This verdict does not depend on its regions", "In the calibration, 1 of 250 real"):
        assert said in page


@pytest.mark.parametrize(
    ("option", "said"),
    [("--records", "has no record of a.png"), ("--probes", "has no probe of a.png")],
)
def test_a_file_that_says_nothing_of_the_image_is_refused(
    zoomin: Zoomin, tmp_path: Path, option: str, said: str
) -> None:
    data = predictions_of(tmp_path, [row(picture(tmp_path / "a.png"))])
    picture(tmp_path / "b.png")
    write_records(tmp_path / "records.jsonl", [{"image": "b.png", "label": REAL}])
    write_records(tmp_path / "probes.jsonl", [{**probe().as_row(), "image": "b.png"}])
    file = tmp_path / f"{option.removeprefix('--')}.jsonl"
    assert zoomin("report", data, "--image", "a.png", option, file) == (1, "", f"zoomin: {file}: {said}\n")


def test_another_calibration_than_the_one_used_is_refused(zoomin: Zoomin, tmp_path: Path) -> None:
    data = predictions_of(tmp_path, [row(picture(tmp_path / "a.png"))])
    file = tmp_path / "calibration.json"
    file.write_text(as_json(calibration()))
    code, _, err = zoomin("report", data, "--image", "a.png", "--calibration", file)
    assert code == 1
    assert err.startswith(f"zoomin: {file}: not the calibration of this prediction, which was made by model toy")


def test_probes_of_another_model_are_refused(zoomin: Zoomin, tmp_path: Path) -> None:
    data = predictions_of(tmp_path, [row(picture(tmp_path / "a.png"))])
    file = tmp_path / "probes.jsonl"
    made_by = probe().made_by.replace("model toy", "model other")
    write_records(file, [{**probe().as_row(), "made_by": made_by}])
    said = f"zoomin: {file}: a.png was probed with {made_by}, and predicted with another\n"
    assert zoomin("report", data, "--image", "a.png", "--probes", file) == (1, "", said)
    assert zoomin("report", data, "--out", tmp_path / "out", "--probes", file) == (1, "", said)


@pytest.mark.parametrize("boxes", [[], [[105.0, 53.0, 293.0, 246.0]]])
def test_probes_of_other_regions_are_refused(zoomin: Zoomin, tmp_path: Path, boxes: list[list[float]]) -> None:
    data = predictions_of(tmp_path, [row(picture(tmp_path / "a.png"), boxes=boxes)])
    file = tmp_path / "probes.jsonl"
    write_records(file, [probe().as_row()])
    code, _, err = zoomin("report", data, "--image", "a.png", "--probes", file)
    assert (code, err) == (
        1,
        f"zoomin: {file}: a.png was probed with regions that it has no more; run zoomin probe on these predictions\n",
    )


def test_the_number_of_images_on_a_page_and_which_is_asked_for(zoomin: Zoomin, data: Path) -> None:
    page = data.parent / "out" / "index.html"
    code, said, err = zoomin("report", data, "--out", page.parent, "--sample", 2, "--seed", 5)
    assert (code, said, err) == (0, f"wrote {page}: a sample of 2 of 3 images (seed 5)\n", "")
    assert page.read_text().count("<article") == 2


def test_what_json_can_say_and_nobody_can_use_is_a_fault_of_its_line(zoomin: Zoomin, tmp_path: Path) -> None:
    file = tmp_path / "predictions.jsonl"
    rows = [
        f'{{"image": "a.png", "verdict": null, "seconds": 1{"0" * 400}}}',
        '{"image": "b\\ud800.png", "verdict": null}',
    ]
    file.write_text("\n".join(rows))
    code, _, err = zoomin("report", file, "--out", tmp_path / "out")
    assert code == 1
    assert f"{file}:1: seconds 1000" in err
    assert f"{file}:2: image 'b\\ud800.png'; expected a path relative to the predictions file" in err


def test_a_run_has_a_page_and_annotated_pictures_where_asked(zoomin: Zoomin, data: Path) -> None:
    (data.parent / "b" / "1.png").write_bytes(b"no picture")
    out = data.parent / "out"
    code, said, err = zoomin("report", data, "--out", out, "--pictures")
    assert code == 3
    assert said == f"wrote {out / 'index.html'}: all 3 images\nwrote 2 annotated pictures to {out / 'pictures'}\n"
    assert err == "zoomin: 1 image cannot be read, and have no picture: b/1.png\n"
    names = {f"{safe_name(name)}.png" for name in ("a/0.png", "b/0.png")}
    assert {file.name for file in (out / "pictures").iterdir()} == names
    assert zoomin("report", data, "--out", out, "--pictures")[0] == 3  # over its own
    assert not zoomin("report", data, "--out", data.parent / "without")[0]
    assert not (data.parent / "without" / "pictures").exists()


def test_an_annotated_picture_has_its_boxes_and_what_was_said_below(zoomin: Zoomin, tmp_path: Path) -> None:
    """A white picture of 1000 x 700 with a box from 105,54 to 293,246, at 1024 / 1000 of its size."""
    Image.new("RGB", (1000, 700), "white").save(tmp_path / "a.png")
    data = predictions_of(tmp_path, [row(tmp_path / "a.png")])
    assert zoomin("report", data, "--image", "a.png", "--out", tmp_path / "out.png")[0] == 0
    image = Image.open(tmp_path / "out.png")
    assert image.width == 1024
    assert image.height > 717 + 4 * 20
    red = (209, 36, 47)
    x1, y1, x2, y2 = (round(side * 1.024) for side in (105.26, 53.85, 293.23, 246.15))
    for corner in ((x1, y1), (x2 - 1, y1), (x1, y2 - 1), (x2 - 1, y2 - 1)):
        assert image.getpixel(corner) == red
    assert image.getpixel((x1 + 20, y1 + 60)) == (255, 255, 255)
    text = image.crop((0, 717, 1024, image.height)).convert("L")
    assert text.getextrema()[0] < 60


def test_an_annotated_picture_has_the_places_drawn_at_random(zoomin: Zoomin, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.new("RGB", (1024, 700), "white").save(file)
    prediction = row(file, made_by=MADE_BY.replace("regions first", "regions random"))
    marked, drawn = regions_of(prediction, file)
    assert marked.is_marked > drawn.is_marked
    assert zoomin("report", predictions_of(tmp_path, [prediction]), "--image", "a.png", "--out", tmp_path / "out.PNG")
    image = Image.open(tmp_path / "out.PNG")
    assert image.getpixel((round(drawn.box_px[2]) - 1, round(drawn.box_px[3]) - 1)) == (9, 105, 218)


@pytest.mark.parametrize(
    "name",
    [
        *('"><img src=x onerror=alert(1)>.png', "..", "../../etc/passwd", "a\nb.png", "$(touch x).png", "-rf", "'", ""),
        *("\u202egnp.exe", "\ud800.png", "\udcff.png", "x" * 400 + ".png", "字" * 100 + ".png", "a/b\\..\\c.png"),
        ".bashrc",
    ],
)
def test_a_safe_name_stays_in_its_folder_whatever_an_image_is_called(name: str) -> None:
    safe = safe_name(name)
    assert len(f"{safe}.png".encode()) < 200
    assert not set(safe) & set("/\\\"'<>\n$() \u202e\0")
    assert not safe.startswith(".")
    assert safe == safe_name(name)


def test_no_two_images_share_a_safe_name() -> None:
    assert len({safe_name(name) for name in ("a/0.png", "b/0.png", "0.png", "0.jpg", '"0.png', "'0.png")}) == 6
    # Of these two, found among some ten thousand, the first 8 digits of the hash are the same.
    assert safe_name("17274/0.png") != safe_name("27313/0.png")
    assert re.fullmatch(r"0-[0-9a-f]{16,}", safe_name("17274/0.png"))


def test_pictures_of_images_with_hostile_names_stay_in_the_folder(zoomin: Zoomin, tmp_path: Path) -> None:
    home = tmp_path / "home" / "deep"
    home.mkdir(parents=True)
    files = [picture(home / name, (40, 30)) for name in ('"quoted".png', "a\nb.png", "..png")]
    outside = picture(tmp_path / "outside.png", (40, 30))
    rows = [{"image": file.name, "verdict": REAL} for file in files]
    write_records(home / "predictions.jsonl", [*rows, {"image": "../../outside.png", "verdict": REAL}])
    before = sorted(file for file in tmp_path.rglob("*") if file.is_file())
    out = home / "out"
    code, _, err = zoomin("report", home / "predictions.jsonl", "--out", out, "--pictures")
    assert code == 0, err
    new = [file for file in tmp_path.rglob("*") if file.is_file() and file not in before]
    assert len(new) == 5  # the page, and a picture each
    assert all(file.is_relative_to(out) for file in new)
    assert outside.exists()


@pytest.mark.parametrize("name", ["mine.html", "mine.png", "mine.PNG", "mine.HTM"])
def test_no_file_of_another_kind_is_overwritten(zoomin: Zoomin, data: Path, name: str) -> None:
    mine = data.parent / name
    mine.write_bytes((data.parent / "a" / "0.png").read_bytes())
    before = mine.read_bytes()
    code, _, err = zoomin("report", data, "--image", "a/0.png", "--out", mine)
    assert code == 1
    assert f"{mine}: exists, and is no " in err
    assert mine.read_bytes() == before


def test_a_runs_page_replaces_no_other_page(zoomin: Zoomin, data: Path) -> None:
    site = data.parent / "site"
    site.mkdir()
    (site / "index.html").write_text("<!doctype html><title>Mine</title>")
    code, _, err = zoomin("report", data, "--out", site)
    assert (code, err) == (
        1,
        f"zoomin: {site / 'index.html'}: exists, and is no page of zoomin report; choose another name\n",
    )
    assert zoomin("report", data, "--out", data)[2] == (
        f"zoomin: {data}: a file; expected a folder for index.html, or --image NAME for one image\n"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "no --out; expected a folder"),
        (["--out", "x", "--calibration", "c"], "--calibration is about --image"),
        (["--image", "a/0.png", "--pictures"], "--pictures is about a whole run"),
        (["--image", "a/0.png", "--sample", "9"], "--sample and --seed are about a whole run"),
        (["--image", "a/0.png", "--seed", "0"], "--sample and --seed are about a whole run"),
        (["--image", "a/0.png", "--out", "x.jpg"], "x.jpg: expected a name that ends in .html for a page"),
        (["--image", "a/0.png", "--out", "."], ".: a folder; expected a file's name"),
    ],
)
def test_what_would_do_nothing_is_refused(zoomin: Zoomin, data: Path, options: list[str], said: str) -> None:
    code, _, err = zoomin("report", data, *options)
    assert code == 1
    assert err.startswith(f"zoomin: {said}")


def test_without_jinja2_one_line_names_the_extra(zoomin: Zoomin, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    said = "zoomin: report needs Jinja2: pip install 'swift-zoomin[report]'\n"
    assert zoomin("report", data, "--image", "a/0.png") == (1, "", said)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In a model's place one that marks a region, and calls every picture generated."""
    script = {"photo": [answer(REAL, [0, 0, 100, 100]), answer(GENERATED)]}

    class Engine(ScriptedEngine):
        def __init__(self, *_: object) -> None:
            super().__init__(script)

        def close(self) -> None:
            pass

    monkeypatch.setitem(sys.modules, "swift_zoomin.detection.engine", engine_module(Engine, tmp_path_factory))


@pytest.mark.usefixtures("engine")
def test_detect_writes_the_page_of_its_image(zoomin: Zoomin, tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.png")
    out = tmp_path / "photo.html"
    code, said, err = zoomin("detect", photo, "--model", "hub/none", "--report", out)
    assert code == 0, err
    assert said.endswith(f"wrote {out}\n")
    page = out.read_text()
    assert "a closer look changed that to generated." in page
    assert "Model</dt><dd>none (weights" in page
    assert str(tmp_path) not in page  # it may be filed: only the name of the picture is told


@pytest.mark.usefixtures("engine")
def test_detect_refuses_a_report_that_it_could_not_write(zoomin: Zoomin, tmp_path: Path) -> None:
    photo = picture(tmp_path / "photo.png")
    model = ("--model", "hub/none")
    one = "zoomin: --report is about one image file without --out; else: zoomin report PREDICTIONS --out DIR\n"
    assert zoomin("detect", photo, photo, *model, "--report", tmp_path / "x.html")[2] == one
    assert zoomin("detect", tmp_path, *model, "--report", tmp_path / "x.html")[2] == one
    out = ("--out", tmp_path / "p.jsonl")
    assert zoomin("detect", photo, *model, "--report", tmp_path / "x.html", *out)[2] == one
    assert "exists, and is no page" in zoomin("detect", photo, *model, "--report", _page_of_another(tmp_path))[2]


def _page_of_another(folder: Path) -> Path:
    (folder / "mine.html").write_text(json.dumps({}))
    return folder / "mine.html"
