"""Broken data sets: one line a fault, with file, entry and field; nothing written; nothing read from elsewhere."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_data_sets as made
import pytest
from zoomin_command import zoomin_command

from swift_zoomin.records import read_records

Zoomin = Callable[..., tuple[int, str, str]]


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zoomin:
    return zoomin_command(monkeypatch, capsys)


def change(file: Path, *keys: Any, to: Any) -> Path:
    """Put a value into a JSON file, at the end of this way through it."""
    value = inner = json.loads(file.read_text())
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    file.write_text(json.dumps(value))
    return file


SCARS, CLUE = "test/annoations/test.json", "data_json/test.json"
COT, COCO = "forgery_reasoning_cot.json", "annotations/instances_val2017.json"
DEFAKE = "one.jsonl"
FAULTS = [
    ("synthscars", SCARS, [1, "8", "img_file_name"], "../../a.jpg", ': entry 1 ("8"): img_file_name "../../a.jpg"; '),
    ("synthscars", SCARS, [0, "7", "img_file_name"], None, ': entry 0 ("7"): img_file_name null; '),
    ("synthscars", SCARS, [0, "7", "caption"], 5, ': entry 0 ("7"): caption 5; expected text'),
    ("synthscars", SCARS, [0, "7", "refs"], {}, ': entry 0 ("7"): refs {}; expected a list'),
    ("synthscars", SCARS, [0, "7", "refs", 1, "segmentation"], [[1, 2, 3]], ': entry 0 ("7"), ref 1: segmentation [[1'),
    ("synthscars", SCARS, [0, "7", "refs", 0, "segmentation"], [["1", 2]], ': entry 0 ("7"), ref 0: segmentation [["1'),
    ("synthscars", SCARS, [0, "7", "refs", 0], "x", ': entry 0 ("7"), ref 0: "x"; expected an object with sentence'),
    ("synthscars", SCARS, [0], {"7": {}, "8": {}}, ': entry 0: {"7": {}, "8": {}}; expected {"<id>": {"img_file_name"'),
    (
        "fakevlm",
        CLUE,
        [2, "image"],
        "../../../etc/passwd",
        ': entry 2: image "../../../etc/passwd"; expected a path',
    ),
    (
        "fakevlm",
        CLUE,
        [2, "image"],
        "/etc/passwd",
        ': entry 2: image "/etc/passwd"; expected a path inside the data set',
    ),
    (
        "fakevlm",
        CLUE,
        [2, "image"],
        "doc\\..\\..\\x.png",
        ': entry 2: image "doc\\\\..\\\\..\\\\x.png"; expected a path',
    ),
    ("fakevlm", CLUE, [2, "image"], "a\0.png", ': entry 2: image "a\\u0000.png"; expected the name of an image'),
    ("fakevlm", CLUE, [2, "image"], "a\ud83d.png", ': entry 2: image "a\\ud83d.png"; expected the name of an image'),
    ("fakevlm", CLUE, [2, "label"], 2, ": entry 2: label 2; expected 0 (fake) or 1 (real)"),
    ("fakevlm", CLUE, [2, "label"], True, ": entry 2: label true; expected 0 (fake) or 1 (real)"),
    ("fakevlm", CLUE, [2, "label"], "real", ': entry 2: label "real"; expected 0 (fake) or 1 (real)'),
    ("fakevlm", CLUE, [2, "conversations"], [], ': entry 2: {"image": "ff++/fake/test_0.png", "label": 0, '),
    ("mmfr", COT, [0, "image"], "../x.png", ': entry 0: image "../x.png"; expected a path inside the data set'),
    ("mmfr", COT, [1], "x", ': entry 1: "x"; expected image and two conversations with a value'),
    (
        "coco",
        COCO,
        ["images", 1, "file_name"],
        "/etc/x.jpg",
        ': images[1]: file_name "/etc/x.jpg"; expected a path',
    ),
    ("coco", COCO, ["images", 1], 7, ": images[1]: file_name null; expected the name of an image"),
    ("coco", COCO, ["images"], {"a": 1}, ': images {"a": 1}; expected a list of objects with a file_name'),
    ("mllm-defake", DEFAKE, ["images"], ["a.png", "b.png"], ':1: images ["a.png", "b.png"]; expected a list of one'),
    ("mllm-defake", DEFAKE, ["images"], ["../a.png"], ':1: images ["../a.png"]; expected a path inside the data set'),
    ("mllm-defake", DEFAKE, ["messages"], [], ':1: {"messages": [], "images": ["fake/1.png"], '),
    ("mllm-defake", DEFAKE, ["messages", 1, "content"], None, ":1: messages[-1].content null; expected text"),
    ("mllm-defake", DEFAKE, ["objects", "ref"], ["a"], ":1: objects has 1 ref and 2 bbox; expected one for each other"),
    ("mllm-defake", DEFAKE, ["objects", "bbox", 1], [1, 2, 3], ":1: objects.bbox [1, 2, 3]; expected four numbers x1"),
    (
        "mllm-defake",
        DEFAKE,
        ["objects", "bbox_type"],
        "norm1",
        ':1: objects.bbox_type "norm1"; expected boxes in pixels',
    ),
    ("mllm-defake", DEFAKE, ["objects"], [1], ":1: objects [1]; expected lists ref and bbox"),
]


@pytest.mark.parametrize(("kind", "name", "keys", "value", "fault"), FAULTS)
def test_a_fault_names_file_entry_and_field_and_stops_before_anything_is_written(
    zoomin: Zoomin, tmp_path: Path, kind: str, name: str, keys: list[Any], value: Any, fault: str
) -> None:
    data = made.DATA_SETS[kind][1](tmp_path / "data")
    if kind == "mllm-defake":
        (data / name).write_text((data / "train.jsonl").read_text().splitlines()[0])
        (data / "train.jsonl").unlink()
    file = change(data / name, *keys, to=value)
    status, out, err = zoomin("convert", kind, data, "--out", tmp_path / "out", "--copy")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"zoomin: {file}{fault}"), err
    assert not (tmp_path / "out").exists()


NO_FOLDER = ": no folder above it is named real, 0_real, nature, generated, 1_fake, fake, ai"
ONE_FOLDER = "expected one folder 0_real or 1_fake in the name"


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("../gigagan/1_fake/x.png", {}, "; expected a path inside the data set"),
        ("/gigagan/1_fake/x.png", {}, "; expected a path inside the data set"),
        ("gigagan/x.png", {}, f"{NO_FOLDER}; {ONE_FOLDER}"),
        ("x.png", {}, f"{NO_FOLDER}; {ONE_FOLDER}"),
        ("gigagan/0_real/1_fake/x.png", {}, f": lies in folders of both labels, 0_real and 1_fake; {ONE_FOLDER}"),
        ("gigagan/1_fake/x.png", ["Odd."], ': ["Odd."]; expected an object from attributes to texts'),
        ("gigagan/1_fake/x.png", {"Low": 5}, ': {"Low": 5}; expected an object from attributes to texts'),
    ],
)
def test_faults_of_mmfr_sets_name_the_image(zoomin: Zoomin, tmp_path: Path, name: str, value: Any, fault: str) -> None:
    file = made.mmfr(tmp_path / "data") / "evaluation_sets" / "gigagan" / "gigagan_reasoning.json"
    change(file, name, to=value)
    status, out, err = zoomin("convert", "mmfr", tmp_path / "data", "--out", tmp_path / "out")
    assert (status, out, err) == (1, "", f'zoomin: {file}: "{name}"{fault}\n')


@pytest.mark.parametrize("content", ["[1, 2", "", "5", '{"a": 1}', "[]", "\x93NUMPY", "[" * 100_000])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("synthscars", SCARS),
        ("fakevlm", CLUE),
        ("coco", COCO),
        ("mmfr", COT),
        ("mmfr", "evaluation_sets/gigagan/gigagan_reasoning.json"),
    ],
)
def test_json_of_another_kind_is_named(zoomin: Zoomin, tmp_path: Path, kind: str, name: str, content: str) -> None:
    data = made.DATA_SETS[kind][1](tmp_path / "data")
    (data / name).write_text(content)
    status, out, err = zoomin("convert", kind, data, "--out", tmp_path / "out")
    if content == "[]" and name not in (COCO, "evaluation_sets/gigagan/gigagan_reasoning.json"):
        assert status == 0  # of its other files
        return
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"zoomin: {data / name}: ")
    assert "; expected " in err


@pytest.mark.parametrize("kind", sorted({kind for kind, _, _ in made.DATA_SETS.values()}))
@pytest.mark.parametrize("source", ["absent", "a file", "empty", "of another data set"])
def test_a_source_that_is_no_such_data_set_says_what_was_expected(
    zoomin: Zoomin, tmp_path: Path, kind: str, source: str
) -> None:
    data = tmp_path / "data"
    if source == "a file":
        data.write_text("x")
    elif source == "empty":
        data.mkdir()
    elif source == "of another data set":
        made.picture(data / "images" / "a.png")
    status, out, err = zoomin("convert", kind, data, "--out", tmp_path / "out")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"zoomin: {data}")
    assert not (tmp_path / "out").exists()


def test_missing_and_damaged_images_are_counted_and_the_first_are_named(zoomin: Zoomin, tmp_path: Path) -> None:
    data = made.fakevlm(tmp_path / "data")
    images = sorted((data / "test").rglob("*.png"))
    for image in images[:2]:
        image.unlink()
    images[2].write_bytes(b"no image")
    images[3].write_bytes(images[3].read_bytes()[:100])
    status, out, _ = zoomin("convert", "fakevlm", data, "--split", "test", "--out", tmp_path / "out", "--copy")
    assert (status, len(read_records(tmp_path / "out" / "records.jsonl"))) == (0, 2)
    names = [str(image.relative_to(data / "test")) for image in images]
    assert "left out as missing: 2 (" in out
    assert all(name in out for name in names[:4])
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2  # no copy of a damaged one stays


def test_a_data_set_without_one_usable_image_writes_nothing(zoomin: Zoomin, tmp_path: Path) -> None:
    data = made.coco(tmp_path / "data")
    for image in (data / "val2017").iterdir():
        image.unlink()
    status, out, err = zoomin("convert", "coco", data, "--out", tmp_path / "out")
    assert (status, out) == (1, "")
    assert err.startswith("zoomin: none of 2 images can be used\nleft out as missing: 2 (val2017/000000000139.jpg, ")
    assert not (tmp_path / "out" / "records.jsonl").exists()


def test_many_faults_are_listed_up_to_a_limit(zoomin: Zoomin, tmp_path: Path) -> None:
    data = tmp_path / "data"
    made.write_json(data / "data_json" / "test.json", [5] * 1000)
    status, _, err = zoomin("convert", "fakevlm", data, "--out", tmp_path / "out")
    assert (status, err.count("\n"), err.splitlines()[-1]) == (1, 21, "... and 980 more")


def test_one_file_of_two_labels_is_a_fault(zoomin: Zoomin, tmp_path: Path) -> None:
    data = tmp_path / "data"
    made.picture(data / "0_real" / "a.png")
    (data / "1_fake").symlink_to(data / "0_real")
    status, _, err = zoomin("convert", "folders", data, "--out", tmp_path / "out")
    assert status == 1
    assert err == "zoomin: 1_fake/a.png: generated; 0_real/a.png, the same file, is real\n"


@pytest.mark.parametrize("text", ["It is </explanation> odd", "<verdict>real</verdict>", "half \ud83d"])
def test_words_that_no_reply_could_hold_leave_their_image_out(zoomin: Zoomin, tmp_path: Path, text: str) -> None:
    data = made.synthscars(tmp_path / "data")
    change(data / SCARS, 0, "7", "caption", to=text)
    status, out, _ = zoomin("convert", "synthscars", data, "--split", "test", "--out", tmp_path / "out")
    assert (status, "left out as holding the tags of a reply: 1 (test/images/c.jpg)" in out) == (0, True)
    assert zoomin("check", tmp_path / "out" / "records.jsonl")[0] == 0


def test_a_split_that_is_not_there_is_named(zoomin: Zoomin, tmp_path: Path) -> None:
    data = made.genimage_numbered(tmp_path / "data")
    status, _, err = zoomin("convert", "genimage", data, "--split", "val", "--out", tmp_path / "out")
    assert (status, "no image of split val found; expected GenImage: {generator}/{train,val}/" in err) == (1, True)
    assert zoomin("convert", "genimage", data, "--split", "test", "--out", tmp_path / "out")[0] == 2


def test_names_that_are_no_text_are_kept_in_signs_that_are(zoomin: Zoomin, tmp_path: Path) -> None:
    data = made.real_fake_tree(tmp_path / "data")
    fakes = data / "deepfake" / "fake"
    made.picture(fakes / "x.png").rename(os.fsdecode(bytes(fakes) + b"/\xff\n.png"))
    for number, copy in enumerate([[], ["--copy"]]):
        out = tmp_path / str(number)
        assert zoomin("convert", "folders", data, "--out", out, *copy)[0] == 0
        assert zoomin("check", out / "records.jsonl")[0] == 0
        originals = [record.extra["original"] for record in read_records(out / "records.jsonl")]
        assert "deepfake/fake/\\xff\n.png" in originals


def test_what_lies_beside_the_images_is_counted(zoomin: Zoomin, tmp_path: Path) -> None:
    data = made.real_fake_tree(tmp_path / "data")
    (data / "progan" / "car" / "0_real" / "._00001.png").write_text("x")
    (data / "progan.zip").write_text("x")
    status, out, _ = zoomin("convert", "folders", data, "--out", tmp_path / "out")
    assert (status, "left out as no image (hidden): 1 (._00001.png)\n" in out) == (0, True)
    assert "left out as no image (without the suffix of an image): 1 (progan.zip)\n" in out
