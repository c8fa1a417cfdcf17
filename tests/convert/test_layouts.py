"""What each layout's labels, words, boxes and sources become, by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_data_sets as made
import pytest
from zoomin_command import zoomin_command

from swift_zoomin.records import Record, read_records
from swift_zoomin.replies import GENERATED, REAL

Convert = Callable[..., dict[str, Record]]


@pytest.fixture
def convert(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Convert:
    """Converts, and gives the records by the name that each image had."""
    zoomin = zoomin_command(monkeypatch, capsys)

    def run(kind: str, source: Path, *arguments: object) -> dict[str, Record]:
        status, run.out, err = zoomin("convert", kind, source, "--out", tmp_path / "out", *arguments)
        assert (status, err) == (0, "")
        return {record.extra["original"]: record for record in read_records(tmp_path / "out" / "records.jsonl")}

    return run


@pytest.mark.parametrize(
    ("folders", "generator"),
    [
        ("stable_diffusion_v_1_4/imagenet_ai_0419_sdv4", "Stable Diffusion V1.4"),
        ("imagenet_ai_0424_sdv5", "Stable Diffusion V1.5"),
        ("Stable Diffusion V1.5", "Stable Diffusion V1.5"),
        ("stable_diffusion_v_1_5", "Stable Diffusion V1.5"),
        ("imagenet_ai_0508_adm", "ADM"),
        ("ADM/imagenet_ai_0508_adm", "ADM"),
        ("imagenet_midjourney", "Midjourney"),
        ("glide/imagenet_glide", "GLIDE"),
        ("wukong/imagenet_ai_0424_wukong", "Wukong"),
        ("imagenet_ai_0419_vqdm", "VQDM"),
        ("BigGAN/imagenet_ai_0419_biggan", "BigGAN"),
        ("Midjourney/unpacked", "Midjourney"),
        ("imagenet_ai", "imagenet_ai"),  # all generators in one, as the tutorial of GenImage has it
    ],
)
@pytest.mark.parametrize("depth", ["the root", "the generator", "the split"])
def test_a_generator_has_one_name_whichever_folders_name_it(convert, tmp_path, folders, generator, depth) -> None:
    data = tmp_path / "data"
    made.picture(data / folders / "val" / "ai" / "x.png")
    made.picture(data / folders / "val" / "nature" / "y.JPEG")
    source = {"the root": data, "the generator": data / folders, "the split": data / folders / "val"}[depth]
    records = convert("genimage", source, "--split", "val")
    assert {record.extra["source"] for record in records.values()} == {generator}
    assert {Path(name).name: record.label for name, record in records.items()} == {"x.png": GENERATED, "y.JPEG": REAL}
    assert all(record.boxes_px is None and not record.explanation for record in records.values())


@pytest.mark.parametrize("split", ["train", "val"])
def test_genimage_gives_the_split_asked_for(convert, tmp_path: Path, split: str) -> None:
    records = convert("genimage", made.genimage_unpacked(tmp_path / "data"), "--split", split)
    assert len(records) == 6
    assert all(f"/{split}/" in name for name in records)


def test_a_tree_of_folders_names_its_sources_by_what_stands_above_the_labels(convert, tmp_path: Path) -> None:
    records = convert("folders", made.real_fake_tree(tmp_path / "data"))
    found = {name: (record.label, record.extra["source"]) for name, record in records.items()}
    assert found["progan/cat/0_real/00001.png"] == (REAL, "progan/cat")
    assert found["progan/car/1_fake/00001.png"] == (GENERATED, "progan/car")
    assert found["deepfake/fake/00001.png"] == (GENERATED, "deepfake")
    assert len(found) == 6


def test_a_tree_whose_labels_are_its_first_level_is_its_own_source(convert, tmp_path: Path) -> None:
    made.picture(tmp_path / "stylegan" / "Real" / "beds" / "1.png")
    made.picture(tmp_path / "stylegan" / "FAKE" / "1.png")
    records = convert("folders", tmp_path / "stylegan")
    assert [(record.label, record.extra["source"]) for record in records.values()] == [
        (GENERATED, "stylegan"),
        (REAL, "stylegan"),
    ]


def test_mmfr_joins_what_is_said_by_attribute_and_leaves_out_null(convert, tmp_path: Path) -> None:
    records = convert("mmfr", made.mmfr(tmp_path / "data"), "--split", "test")
    fake = records["gigagan/1_fake/gigagan_1.png"]
    assert (fake.label, fake.extra["source"], fake.boxes_px) == (GENERATED, "gigagan", None)
    assert fake.explanation == "Waxy skin. Blurred."  # "Anomalous ..." before "Low ...", though written after it
    assert records["stablediffusion/0_real/stablediffusion_0.png"].explanation == "Crisp."
    assert len(records) == 4


def test_mmfr_reads_reasons_and_labels_of_its_training_texts(convert, tmp_path: Path) -> None:
    records = convert("mmfr", made.mmfr(tmp_path / "data"), "--split", "train")
    found = {name: (record.label, record.explanation, record.extra["source"]) for name, record in records.items()}
    assert found == {
        "diffusiondb/part-000001/0a3c75bb.png": (GENERATED, "Because of diffu.", "diffusiondb"),
        "laion/00000/000000000.jpg": (REAL, "Because of laion.", "laion"),
    }


@pytest.mark.parametrize("conclusion", ["Can not determine if the image is real or fake.", "Unclear.", None])
def test_mmfr_leaves_out_texts_that_conclude_nothing(convert, tmp_path: Path, conclusion: str | None) -> None:
    data = made.mmfr(tmp_path / "data")
    file = data / "forgery_reasoning_cot.json"
    entries = json.loads(file.read_text())
    said = f"<CONCLUSION>{conclusion}</CONCLUSION>" if conclusion else "It is real."
    entries[0]["conversations"][1]["value"] = said
    made.write_json(file, entries)
    assert list(convert("mmfr", data, "--split", "train")) == ["laion/00000/000000000.jpg"]
    assert "left out as saying neither real nor fake: 1 (diffusiondb/part-000001/0a3c75bb.png)\n" in convert.out


@pytest.mark.parametrize("depth", ["evaluation_sets", "evaluation_sets/gigagan"])
@pytest.mark.parametrize("names", ["with the generator", "with the label alone"])
def test_mmfr_is_found_from_inside_and_with_either_kind_of_names(convert, tmp_path: Path, depth, names) -> None:
    data = made.mmfr(tmp_path / "data")
    if names == "with the label alone":
        for file in data.glob("evaluation_sets/*/*.json"):
            reasons = {name.split("/", 1)[1]: said for name, said in json.loads(file.read_text()).items()}
            made.write_json(file, reasons)
    records = convert("mmfr", data / depth)
    assert len(records) == (4 if depth == "evaluation_sets" else 2)
    assert [record.label for record in records.values()][:2] == [REAL, GENERATED]
    assert next(iter(records.values())).extra["source"] == "gigagan"


def test_synthscars_polygons_become_the_boxes_of_their_corners(convert, tmp_path: Path) -> None:
    records = convert("synthscars", made.synthscars(tmp_path / "data"))
    a, b = records["train/images/a.jpg"], records["train/images/b.png"]
    # The corners of the eyes; the line has no inside.
    assert (a.boxes_px, a.box_labels) == ([[43.5, 10.75, 55.0, 24.5]], ["man's eyes"])
    # Two pieces of one zipper; of the image's other entry the edge, cut where rounding carried it past 64 x 48.
    assert b.boxes_px == [[4, 4, 10, 12], [20, 30, 28, 44], [60, 40, 64, 48]]
    assert b.box_labels == ["twisted zipper", "twisted zipper", "the edge"]
    assert records["test/images/d.jpg"].boxes_px == []
    assert "left out as a box without an area: 2 (a line, a line)\n" in convert.out


def test_synthscars_captions_stay_as_they_are_but_for_quotes_around_them(convert, tmp_path: Path) -> None:
    records = convert("synthscars", made.synthscars(tmp_path / "data"), "--split", "test")
    found = "To elaborate, I have found the following artifacts. man's eyes:The pupil is not round."
    assert list(records) == ["test/images/c.jpg", "test/images/d.jpg"]
    assert records["test/images/c.jpg"].explanation == f"Upon examining the image. I have found: A man, 7.\n{found}"
    assert {(record.label, record.extra["source"]) for record in records.values()} == {(GENERATED, "SynthScars")}


def test_synthscars_names_of_its_makers_machines_are_looked_for_among_its_images(convert, tmp_path: Path) -> None:
    data = made.synthscars(tmp_path / "data")
    file = data / "test" / "annoations" / "test.json"
    file.write_text(file.read_text().replace('"c.jpg"', '"/mnt/hwfile/richhf-18k/train/raw_imgs/c.jpg"'))
    assert list(convert("synthscars", data, "--split", "test")) == ["test/images/c.jpg", "test/images/d.jpg"]


@pytest.mark.parametrize(
    ("polygon", "box"),
    [
        ([0, 0, 10, 0, 10, 10], [0, 0, 10, 10]),
        ([0, 0, 10, 10, 10, 0, 0, 10], [0, 0, 10, 10]),  # a bow tie: its signed area is 0, and it has an inside
        ([0, 0, 5, 5, 9, 9], None),
        ([3, 3, 3, 3, 3, 3], None),
        ([1, 1, 9, 9], None),
        ([5, 1, 5, 9, 5, 4, 5, 2], None),
        ([-20, -20, -10, -20, -10, -10], None),  # outside
        ([-20, 40, 30, 40, 30, 90], [0, 40, 30, 48]),
        ([0.001, 0, 0.004, 0, 0.002, 9], None),  # narrower than a record's boxes tell
        ([], None),
    ],
)
def test_a_polygon_without_an_inside_gives_no_box(convert, tmp_path: Path, polygon: list[float], box: Any) -> None:
    made.picture(tmp_path / "data" / "test" / "images" / "c.jpg")
    entry = {"img_file_name": "c.jpg", "caption": "Odd.", "refs": [made.ref("here", polygon)]}
    made.write_json(tmp_path / "data" / "test" / "annotations" / "test.json", [{"1": entry}])
    (record,) = convert("synthscars", tmp_path / "data").values()
    assert record.boxes_px == ([box] if box else [])
    assert ("left out as a box without an area: 1 (here)" in convert.out) == (box is None)


def test_fakeclue_labels_are_1_for_real_and_the_verdict_is_no_reason(convert, tmp_path: Path) -> None:
    records = convert("fakevlm", made.fakevlm(tmp_path / "data"), "--split", "test")
    real, fake = records["doc/real/test_1.png"], records["ff++/fake/test_0.png"]
    assert (real.label, real.explanation) == (REAL, "The letters of doc say so.")
    assert (fake.label, fake.explanation) == (GENERATED, "The letters of ff++ say so.")
    assert fake.extra == {"source": "ff++", "original": "ff++/fake/test_0.png", "category": "deepfake"}
    assert (len(records), fake.boxes_px) == (6, None)


@pytest.mark.parametrize(
    "place", ["json beside the folder", "archive unpacked into its own folder", "images at the root"]
)
def test_fakeclue_is_found_as_its_users_unpack_it(convert, tmp_path: Path, place: str) -> None:
    data = made.fakevlm(tmp_path / "data")
    if place == "json beside the folder":
        (data / "data_json" / "test.json").rename(data / "test.json")
    elif place == "a folder in the folder":
        (data / "test").rename(data / "unpacked")
        (data / "test").mkdir()
        (data / "unpacked").rename(data / "test" / "test")
    else:
        for kind in (data / "test").iterdir():
            kind.rename(data / kind.name)
    assert len(convert("fakevlm", data, "--split", "test")) == 6


def test_fakeclue_entries_that_contradict_themselves_are_left_out(convert, tmp_path: Path) -> None:
    data = made.fakevlm(tmp_path / "data")
    file = data / "data_json" / "test.json"
    rows = json.loads(file.read_text())
    rows[0]["label"] = 1
    rows[1]["conversations"][1]["value"] = "The light is even."  # without a verdict the label stands
    made.write_json(file, rows)
    records = convert("fakevlm", data, "--split", "test")
    assert "genimage/fake/test_0.png" not in records
    assert records["genimage/real/test_1.png"].explanation == "The light is even."
    assert "left out as contradicting its own label: 1 (genimage/fake/test_0.png)\n" in convert.out


def test_mllm_defake_rows_become_reasons_in_words_and_boxes_in_the_image(convert, tmp_path: Path) -> None:
    records = convert("mllm-defake", made.mllm_defake(tmp_path / "data") / "train.jsonl")
    fake, real = records["fake/1.png"], records["real/1.png"]
    assert fake.explanation == "The left hand has six fingers, and a sign melts."
    assert (fake.label, fake.boxes_px) == (GENERATED, [[4, 5, 20, 21], [30, 9, 64, 30]])  # 70 is past the edge
    assert (fake.box_labels, fake.extra["source"]) == (["left hand", "a sign"], "train")
    assert (real.label, real.explanation, real.boxes_px) == (REAL, "Light is even.", None)


@pytest.mark.parametrize(
    ("said", "boxes", "label"),
    [
        ("Even light.", [], REAL),  # empty objects mean real
        ("Six fingers.", [[4, 4, 9, 9]], GENERATED),
        ("Odd. <verdict> Generated </verdict>", [], GENERATED),
        ("Odd, but <verdict>real</verdict>", [[4, 4, 9, 9]], REAL),
        ("<verdict>FAKE</verdict>", [], GENERATED),
    ],
)
def test_mllm_defake_labels_are_verdicts_or_else_whether_objects_are_empty(
    convert, tmp_path, said, boxes, label
) -> None:
    data = tmp_path / "data"
    made.picture(data / "1.png")
    (data / "a.jsonl").write_text(json.dumps(made.defake_row("1.png", said, ["hand"] * len(boxes), boxes)))
    (record,) = convert("mllm-defake", data).values()
    assert record.label == label
    assert "verdict" not in record.explanation


@pytest.mark.parametrize(
    "said", ["<verdict>real</verdict> or <verdict>generated</verdict>", "<verdict>unknown</verdict>"]
)
def test_an_mllm_defake_row_without_one_known_verdict_is_a_fault(zoomin, tmp_path, said) -> None:
    data = tmp_path / "data"
    made.picture(data / "1.png")
    (data / "a.jsonl").write_text(json.dumps(made.defake_row("1.png", said, [], [])))
    status, _, err = zoomin("convert", "mllm-defake", data, "--out", tmp_path / "out")
    assert status == 1
    assert "expected one of real, generated, fake" in err


@pytest.mark.parametrize("objects", [None, {}, {"ref": [], "bbox": []}, "absent"])
def test_mllm_defake_objects_may_be_empty_in_every_way(convert, tmp_path: Path, objects: Any) -> None:
    data = tmp_path / "data"
    made.picture(data / "1.png")
    row = {**made.defake_row("1.png", "Even light.", [], []), "objects": objects}
    if objects == "absent":
        del row["objects"]
    (data / "a.jsonl").write_text(json.dumps(row))
    (record,) = convert("mllm-defake", data).values()
    assert (record.label, record.boxes_px) == (REAL, None)


def test_coco_gives_real_images_without_words_or_boxes(convert, tmp_path: Path) -> None:
    data = made.coco(tmp_path / "data")
    made.write_json(data / "annotations" / "stuff_val2017.json", {"images": []})  # instances come before it
    records = convert("coco", data, "--split", "val")
    assert list(records) == ["val2017/000000000139.jpg", "val2017/000000000285.jpg"]
    for record in records.values():
        assert (record.label, record.explanation, record.boxes_px) == (REAL, "", None)
        assert record.extra["source"] == "COCO"


@pytest.mark.parametrize("kept", ["captions", "instances"])
def test_coco_is_read_by_any_of_its_files_and_with_images_in_a_folder_of_that_name(convert, tmp_path, kept) -> None:
    data = made.coco(tmp_path / "data")
    other = {"captions": "instances", "instances": "captions"}[kept]
    (data / "annotations" / f"{other}_val2017.json").unlink()
    (data / "images").mkdir()
    (data / "val2017").rename(data / "images" / "val2017")
    assert len(convert("coco", data)) == 2
