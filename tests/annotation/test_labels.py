"""Labels of images to annotate: one for all, the names of folders, or a table; all faults before a model is asked."""

import gc
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from swift_zoomin.annotation.inputs import LabelledImage, LabelledImages, labelled_images
from swift_zoomin.folder_labels import LABEL_OF_FOLDER
from swift_zoomin.listing import BY_SUFFIX, HIDDEN, list_images
from swift_zoomin.records import _SHOWN_FAULTS, RecordError, write_records
from swift_zoomin.replies import GENERATED, REAL, VERDICTS

NAMES = list(LABEL_OF_FOLDER.items())


def touch(folder: Path, *names: str) -> None:
    """Images without content: labels are told by names alone."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def by_folder(*sources: Path) -> dict[str, str]:
    return {image.path.name: image.label for image in labelled_images(sources, "FOLDER", None)}


def by_table(folder: Path, table: str, name: str = "labels.csv") -> list[LabelledImage]:
    (folder / name).write_text(table)
    return list(labelled_images([folder / "images"], None, folder / name))


def faults(call: Any, *arguments: Any) -> list[str]:
    with pytest.raises(RecordError) as caught:
        list(call(*arguments))
    return str(caught.value).splitlines()


@pytest.mark.parametrize("label", VERDICTS)
def test_one_label_for_all_goes_to_each_image_once(tmp_path: Path, label: str) -> None:
    touch(tmp_path, "b.png", "sub/a.jpg", "notes.txt")
    images = labelled_images([tmp_path / "sub", tmp_path, tmp_path / "b.png"], label, None)
    assert images.count == 2
    assert images.listing.left_out == {tmp_path / "notes.txt": BY_SUFFIX}
    assert list(images) == [LabelledImage(tmp_path / "sub" / "a.jpg", label), LabelledImage(tmp_path / "b.png", label)]


def test_a_label_that_is_none_is_refused(tmp_path: Path) -> None:
    expected = 'label "fake"; expected "real" or "generated", or FOLDER to take labels from folders\' names'
    assert faults(labelled_images, [tmp_path], "fake", None) == [expected]


@pytest.mark.parametrize(("name", "label"), NAMES)
@pytest.mark.parametrize("written", [str.lower, str.upper, str.title])
def test_each_name_of_a_folder_means_its_label_in_either_case(tmp_path: Path, name: str, label: str, written) -> None:
    folder = written(name)
    touch(tmp_path, f"{folder}/a.png", f"{folder}/deep/er/b.png")
    assert by_folder(tmp_path) == {"a.png": label, "b.png": label}


def test_names_that_merely_contain_the_word_mean_nothing(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{folder}/x.png" for folder in ("imagenet_ai_0419_sdv4", "real_estate", "unreal", "fakes")))
    touch(tmp_path, "real.png")
    found = faults(by_folder, tmp_path)
    assert len(found) == 5
    assert found[0] == (
        f"{tmp_path}/fakes/x.png: no folder above it is named real, 0_real, nature, generated, 1_fake, fake, ai; "
        "rename one, or give --labels"
    )


def test_a_tree_of_genimage_in_the_home_of_a_user_named_ai(tmp_path: Path) -> None:
    tree = tmp_path / "ai" / "GenImage"
    touch(tree, "sdv14/imagenet_ai_0419_sdv4/train/nature/n.png", "sdv14/imagenet_ai_0419_sdv4/train/ai/g.png")
    assert by_folder(tree) == {"n.png": REAL, "g.png": GENERATED}
    assert by_folder(tree / "sdv14" / "imagenet_ai_0419_sdv4" / "train" / "nature") == {"n.png": REAL}


def test_the_names_above_the_folder_that_was_given_count_too(tmp_path: Path, monkeypatch) -> None:
    touch(tmp_path, "1_fake/flux/a.png", "1_fake/flux/b.png", "nature/1_fake/c.png")
    assert by_folder(tmp_path / "1_fake" / "flux") == {"a.png": GENERATED, "b.png": GENERATED}
    assert by_folder(tmp_path / "1_fake" / "flux" / "a.png") == {"a.png": GENERATED}
    assert by_folder(tmp_path / "nature" / "1_fake") == {"c.png": GENERATED}  # the nearest
    monkeypatch.chdir(tmp_path / "1_fake" / "flux")
    assert by_folder(Path()) == {"a.png": GENERATED, "b.png": GENERATED}


def test_folders_of_both_labels_are_no_answer(tmp_path: Path) -> None:
    touch(tmp_path, "generated/nature/a.png", "generated/b.png")
    expected = "lies in folders of both labels, generated and nature; rename one, or give --labels"
    assert faults(by_folder, tmp_path) == [f"{tmp_path}/generated/nature/a.png: {expected}"]
    assert faults(by_folder, tmp_path / "generated") == [f"{tmp_path}/generated/nature/a.png: {expected}"]


def test_a_records_file_names_images_whose_folders_are_asked(tmp_path: Path) -> None:
    (tmp_path / "fake" / "real").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "fake" / "real" / "a.png")
    (tmp_path / "other").mkdir()
    write_records(tmp_path / "other" / "records.jsonl", [{"image": "../fake/real/a.png", "label": REAL}])
    assert by_folder(tmp_path / "other" / "records.jsonl") == {"a.png": REAL}


@pytest.mark.parametrize("given", ["real", "FOLDER", None])
def test_a_records_file_that_says_another_label_is_refused(tmp_path: Path, given: str | None) -> None:
    (tmp_path / "real").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / "real" / name)
    records = tmp_path / "records.jsonl"
    write_records(records, [{"image": "real/a.png", "label": REAL}, {"image": "real/b.png", "label": GENERATED}])
    table = tmp_path / "labels.csv"
    table.write_text("image,label\nreal/a.png,real\nreal/b.png,real\n")
    sources = [tmp_path / "real", records]
    expected = f'{records}:2: label "generated"; expected "real", as given for this image; correct one of them'
    assert faults(labelled_images, sources, given, None if given else table) == [expected]


def test_images_without_a_label_are_listed_with_how_many_there_are(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.png", *(f"{number:02d}.png" for number in range(_SHOWN_FAULTS + 5)))
    found = faults(labelled_images, [tmp_path], "FOLDER", None)
    assert len(found) == _SHOWN_FAULTS + 1
    assert found[-1] == "... and 5 more"


def test_a_name_with_a_line_end_takes_one_line(tmp_path: Path) -> None:
    touch(tmp_path, "a\nb.png")
    assert len(faults(by_folder, tmp_path)) == 1


def test_a_file_that_comes_without_a_label_after_the_first_pass_is_no_image_of_any(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.png")
    images = labelled_images([tmp_path], "FOLDER", None)
    touch(tmp_path, "z.png")
    assert faults(lambda: images)[0].startswith(f"{tmp_path}/z.png: no folder above it")


def test_a_table_gives_labels_and_further_fields(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "images/b.png", "images/c, d.png")
    table = (
        "\ufeffimage,label,source,group,explanation\r\n"  # as a spreadsheet writes it
        'images/a.png,generated,"gpt-image-1, high",17,"over\r\ntwo lines"\r\n'
        "\r\n"
        "images/b.png, real,,17,\r\n"
        '"images/c, d.png",real,camera,,\r\n'
    )
    images = tmp_path / "images"
    assert by_table(tmp_path, table) == [
        LabelledImage(images / "a.png", GENERATED, {"source": "gpt-image-1, high", "group": "17"}),
        LabelledImage(images / "b.png", REAL, {"group": "17"}),
        LabelledImage(images / "c, d.png", REAL, {"source": "camera"}),
    ]


def test_spaces_around_the_cells_of_a_table_mean_nothing(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png")
    table = '"image", "label", "source"\nimages/a.png , real ,"camera" \n'
    assert by_table(tmp_path, table) == [LabelledImage(tmp_path / "images" / "a.png", REAL, {"source": "camera"})]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_may_be_divided_as_spreadsheets_do(tmp_path: Path, delimiter: str) -> None:
    touch(tmp_path, "images/a.png")
    table = "".join(delimiter.join(cells) + "\n" for cells in [("label", "image", "n"), (REAL, "images/a.png", "1")])
    assert by_table(tmp_path, table) == [LabelledImage(tmp_path / "images" / "a.png", REAL, {"n": "1"})]


def test_json_lines_keep_what_values_are(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png")
    row = {"image": str(tmp_path / "images" / "a.png"), "label": REAL, "group": 17, "tags": ["x"], "boxes": []}
    found = by_table(tmp_path, json.dumps(row) + "\n", "labels.jsonl")
    assert found == [LabelledImage(tmp_path / "images" / "a.png", REAL, {"group": 17, "tags": ["x"]})]


ROW = {"image": "images/a.png", "label": REAL}
FAULTY_ROWS = [
    ([{**ROW, "label": "fake"}], '1: label "fake"; expected "real" or "generated"'),
    ([{"image": "images/a.png"}], '1: label null; expected "real" or "generated"'),
    ([{**ROW, "label": [REAL]}], '1: label ["real"]; expected "real" or "generated"'),
    ([{**ROW, "image": 3}], "1: image 3; expected a path relative to labels.jsonl"),
    ([{**ROW, "image": ""}], "1: image ''; expected a path relative to labels.jsonl"),
    ([ROW, 5], "2: int; expected a JSON object"),
    ([ROW, {**ROW, "image": "images/../images/a.png"}], "2: image 'images/../images/a.png' stands in FILE:1 already"),
    ([ROW, {**ROW, "image": "images/absent.png"}], "2: image 'images/absent.png'; no such file; correct the path"),
    ([ROW, {**ROW, "image": "images/b.txt"}], f"2: image 'images/b.txt'; not looked at: {BY_SUFFIX}; remove the row"),
    (
        [ROW, {**ROW, "image": "images/.h/c.png"}],
        f"2: image 'images/.h/c.png'; not looked at: {HIDDEN}; remove the row",
    ),
    ([{**ROW, "group": 1}, {**ROW, "image": "x.png", "group": "1"}], "2: group is text; expected a number, as in the"),
    ([{**ROW, "id": 2**64}], "1: id holds a number beyond 64 bits"),
    ([{**ROW, "score": float("nan")}], "1: score holds NaN or Infinity, which a records file cannot say; leave it out"),
    ([{**ROW, "scores": [0.5, float("inf")]}], "1: scores holds NaN or Infinity"),
]


@pytest.mark.parametrize(("rows", "fault"), FAULTY_ROWS)
def test_a_fault_of_a_row_names_file_line_and_field(tmp_path: Path, rows: list[Any], fault: str) -> None:
    touch(tmp_path, "images/a.png", "images/b.txt", "images/.h/c.png")
    file = tmp_path / "labels.jsonl"
    found = faults(by_table, tmp_path, "".join(json.dumps(row) + "\n" for row in rows), file.name)
    assert len(found) == 1
    assert found[0].startswith(f"{file}:{fault.replace('FILE', str(file))}")


FAULTY_TABLES = [
    ("", "1: columns ; expected image, label and others, each with its name"),
    ("path,label\nimages/a.png,real\n", "1: columns path, label; expected image, label and others, each with its name"),
    ("image,label,label\n", "1: columns image, label, label; expected image, label and others, each with its name"),
    ("image,label\nimages/a.png,real\nimages/a.png\n", "3: 1 cells; expected 2, one for each column"),
    ("image,label\nimages/a.png,real,x\n", "2: 3 cells; expected 2, one for each column"),
    ("image,label\nimages/a.png,\n", '2: label null; expected "real" or "generated"'),
    ("image,label\n" + "x" * 200_000 + ",real\n", "2: field larger than field limit (131072)"),
]


@pytest.mark.parametrize(("table", "fault"), FAULTY_TABLES)
def test_a_fault_of_a_table_names_file_and_line(tmp_path: Path, table: str, fault: str) -> None:
    touch(tmp_path, "images/a.png")
    assert faults(by_table, tmp_path, table) == [f"{tmp_path}/labels.csv:{fault}"]


def test_all_faults_of_a_table_are_said_at_once(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png")
    found = faults(by_table, tmp_path, "image,label\nimages/a.png,fake\nimages/b.png\n,real\n")
    assert [line.split(":")[1] for line in found] == ["2", "3", "4"]


def test_an_image_without_a_row_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "images/b.png")
    expected = f"no row in {tmp_path}/labels.csv; add one, or leave the image out"
    found = faults(by_table, tmp_path, "image,label\nimages/a.png,real\n")
    assert found == [f"{tmp_path}/images/b.png: {expected}"]


def test_rows_for_images_elsewhere_are_no_fault_so_that_one_table_serves_all_folders(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "other/b.png")
    table = "image,label\nimages/a.png,real\nother/b.png,generated\nabsent/c.png,generated\n"
    assert [image.path.name for image in by_table(tmp_path, table)] == ["a.png"]


def test_a_row_is_found_through_a_linked_folder_and_links_to_one_file_have_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "store/a.png")
    (tmp_path / "store" / "b.png").symlink_to("a.png")
    (tmp_path / "images").symlink_to("store")
    table = "image,label,n\nstore/a.png,real,1\nstore/b.png,generated,2\n"
    images = tmp_path / "images"
    assert by_table(tmp_path, table) == [
        LabelledImage(images / "a.png", REAL, {"n": "1"}),
        LabelledImage(images / "b.png", GENERATED, {"n": "2"}),
    ]


def test_files_that_are_no_table_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png")
    sources = [tmp_path / "images"]
    absent = f"{tmp_path}/absent.csv: cannot be read (No such file or directory)"
    assert faults(labelled_images, sources, None, tmp_path / "absent.csv") == [absent]
    (tmp_path / "labels.csv").write_bytes(b"image,label\nimages/\xe9.png,real\n")
    latin = f"{tmp_path}/labels.csv: no text in UTF-8; expected CSV in UTF-8, or JSON Lines"
    assert faults(labelled_images, sources, None, tmp_path / "labels.csv") == [latin]
    (tmp_path / "labels.jsonl").write_text("image,label\nimages/a.png,real\n")
    assert "this is CSV" in faults(labelled_images, sources, None, tmp_path / "labels.jsonl")[0]


def test_two_images_of_one_row_share_no_fields(tmp_path: Path) -> None:
    touch(tmp_path, "store/a.png")
    (tmp_path / "images").mkdir()
    for name in ("x", "y"):
        (tmp_path / "images" / name).symlink_to(tmp_path / "store")
    first, second = by_table(tmp_path, "image,label,n\nstore/a.png,real,1\n")
    assert first.path != second.path
    first.extra["n"] = "2"
    assert second.extra == {"n": "1"}


tops = st.sampled_from(["", "a", "a/b", "a/real", "c", "a/b/fake/z.png", "link"])


@settings(deadline=None, max_examples=60)
@given(st.lists(tops, min_size=1, max_size=4))
def test_however_sources_overlap_each_image_comes_once_and_in_order(sources: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(os.path.realpath(name))
        touch(folder, "a/real/x.png", "a/real/.y.png", "a/b/fake/z.png", "a/b/t.txt", "c/ai/w.png")
        (folder / "link").symlink_to("a/b")
        paths = [image.path for image in labelled_images([folder / source for source in sources], "FOLDER", None)]
        one_by_one = [path for source in sources for path in list_images([folder / source]).images]
        assert paths == list(dict.fromkeys(one_by_one))


def paths_held(images: LabelledImages) -> int:
    """How many paths are in memory when an iteration comes to its last image."""
    for _ in range(images.count):
        next(images)
    gc.collect()
    return sum(isinstance(thing, Path | os.DirEntry) for thing in gc.get_objects())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    touch(tmp_path / "few", *(f"real/{part}/{number}.png" for part in range(2) for number in range(25)))
    touch(tmp_path / "many", *(f"real/{part}/{number}.png" for part in range(12) for number in range(25)))
    few, many = (paths_held(labelled_images([tmp_path / name], "FOLDER", None)) for name in ("few", "many"))
    assert abs(many - few) < 100
