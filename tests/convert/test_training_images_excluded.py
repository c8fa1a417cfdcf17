"""Images that a model was trained on are left out of what it is tested on."""

import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import made_data_sets as made
import pytest
from PIL import Image
from zoomin_command import zoomin_command

from swift_zoomin.near_duplicates import copies_of, fingerprints, near_duplicates
from swift_zoomin.records import read_records, write_records

Zoomin = Callable[..., tuple[int, str, str]]


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zoomin:
    return zoomin_command(monkeypatch, capsys)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return made.genimage_unpacked(tmp_path / "data")


def train_on(folder: Path, *paths: Path) -> Path:
    """A training file of these images, which are not touched."""
    folder.mkdir(exist_ok=True)
    write_records(folder / "records.jsonl", [{"image": str(path), "label": "real"} for path in paths])
    return folder / "records.jsonl"


def left(out: Path) -> set[str]:
    return {record.extra["original"] for record in read_records(out / "records.jsonl")}


IMAGENET = "Midjourney/imagenet_midjourney/val/nature/ILSVRC2012_val_00000216.JPEG"


def test_a_training_image_is_known_by_its_stem_however_it_is_saved(zoomin: Zoomin, data: Path, tmp_path: Path) -> None:
    """ImageNet's image, saved anew in another size and as another kind."""
    other = made.picture(tmp_path / "train" / "n" / "ILSVRC2012_val_00000216.png", (9, 9))
    training = train_on(tmp_path / "train", other)
    status, out, _ = zoomin("convert", "genimage", data, "--out", tmp_path / "out", "--exclude", training)
    assert (status, f"left out as a training image by its name: 1 ({IMAGENET})\n" in out) == (0, True)
    assert len(left(tmp_path / "out")) == 11
    assert IMAGENET not in left(tmp_path / "out")


def test_numbered_names_exclude_none(zoomin: Zoomin, tmp_path: Path) -> None:
    for number, label in enumerate(("real", "fake")):
        made.picture(tmp_path / "data" / label / f"image_000{number}.png", (20 + number, 20))
    other = made.picture(tmp_path / "train" / "image_0000.png", (9, 30))
    training = train_on(tmp_path / "train", other)
    status, *_ = zoomin("convert", "folders", tmp_path / "data", "--out", tmp_path / "out", "--exclude", training)
    assert status == 0
    assert len(left(tmp_path / "out")) == 2


def test_squares_are_known_by_the_name_of_what_they_were_cut_from(zoomin: Zoomin, data: Path, tmp_path: Path) -> None:
    other = made.picture(tmp_path / "train" / "ILSVRC2012_val_00000216.png", (70, 30))
    training = train_on(tmp_path / "train", other)
    assert zoomin("convert", "square", training, tmp_path / "squares", "--side-px", "56")[0] == 0
    excluded = ("--exclude", tmp_path / "squares" / "records.jsonl")
    assert zoomin("convert", "genimage", data, "--out", tmp_path / "out", *excluded)[0] == 0
    assert IMAGENET not in left(tmp_path / "out")


def test_a_stem_that_any_image_may_have_excludes_none(zoomin: Zoomin, tmp_path: Path) -> None:
    data = made.real_fake_tree(tmp_path / "data")  # all six are 00001.png
    training = train_on(tmp_path / "train", made.picture(tmp_path / "train" / "images" / "00001.png"))
    status, out, _ = zoomin("convert", "folders", data, "--out", tmp_path / "out", "--exclude", training)
    assert (status, "left out" in out, len(left(tmp_path / "out"))) == (0, False, 6)


def test_a_training_image_is_known_by_its_bytes(zoomin: Zoomin, data: Path, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    training = train_on(tmp_path / "train", Path(shutil.copy(data / IMAGENET, tmp_path / "train" / "000017.png")))
    status, out, _ = zoomin("convert", "genimage", data, "--out", tmp_path / "out", "--exclude", training)
    assert (status, f"left out as a training image by its content: 1 ({IMAGENET})\n" in out) == (0, True)


def test_squares_remember_what_their_images_were_called(zoomin: Zoomin, data: Path, tmp_path: Path) -> None:
    """Their files are numbered, and cut from the middle: neither name nor bytes nor looks tell."""
    arguments = ["--split", "val", "--sample", 3, "--out", tmp_path / "train"]
    assert zoomin("convert", "genimage", data, *arguments)[0] == 0
    assert (
        zoomin("convert", "square", tmp_path / "train" / "records.jsonl", tmp_path / "square", "--side-px", 8)[0] == 0
    )
    squares = tmp_path / "square" / "records.jsonl"
    status, out, _ = zoomin("convert", "genimage", data, "--out", tmp_path / "out", "--exclude", squares)
    assert (status, "left out as a training image by its name: 3 (" in out) == (0, True)
    assert left(tmp_path / "out") == left_in(data) - left(tmp_path / "train")


def left_in(data: Path) -> set[str]:
    return {str(path.relative_to(data)) for path in data.rglob("*.*") if path.is_file()}


def test_several_training_files_are_taken_together_and_a_sample_is_filled_up(
    zoomin: Zoomin, data: Path, tmp_path: Path
) -> None:
    images = sorted(data.rglob("*.JPEG"))
    files = [train_on(tmp_path / str(number), image) for number, image in enumerate(images[:4])]
    arguments = ["--sample", 8, "--out", tmp_path / "out", "--copy"]
    assert zoomin("convert", "genimage", data, *arguments, "--exclude", *files)[0] == 0
    assert len(left(tmp_path / "out")) == 8
    assert left(tmp_path / "out") == left_in(data) - {str(image.relative_to(data)) for image in images[:4]}
    assert len(list((tmp_path / "out" / "images").iterdir())) == 8


def test_an_absent_training_file_is_named_before_anything_is_done(zoomin: Zoomin, data: Path, tmp_path: Path) -> None:
    status, _, err = zoomin("convert", "genimage", data, "--out", tmp_path / "out", "--exclude", tmp_path / "no.jsonl")
    assert (status, err) == (1, f"zoomin: {tmp_path / 'no.jsonl'}: no such records file\n")
    assert not (tmp_path / "out").exists()


def test_where_all_are_training_images_nothing_is_written(zoomin: Zoomin, data: Path, tmp_path: Path) -> None:
    training = train_on(tmp_path / "train", *(data / name for name in left_in(data)))
    status, out, err = zoomin("convert", "genimage", data, "--out", tmp_path / "out", "--exclude", training)
    assert (status, out) == (1, "")
    assert err.startswith("zoomin: none of 12 images can be used\nleft out as a training image by its name: 12 (")


@pytest.mark.parametrize("copy", [[], ["--copy"]])
def test_a_training_image_is_known_by_its_looks(zoomin: Zoomin, tmp_path: Path, copy: list[str]) -> None:
    data = tmp_path / "data"
    labels = ["0_real", "1_fake"] * 3
    originals = [made.picture(data / label / f"{number}.png", (160, 120)) for number, label in enumerate(labels)]
    (tmp_path / "train").mkdir()
    with Image.open(originals[3]) as image:
        image.resize((80, 60)).save(tmp_path / "train" / "0.jpg", quality=60)
    training = train_on(tmp_path / "train", tmp_path / "train" / "0.jpg")
    status, out, _ = zoomin("convert", "folders", data, "--out", tmp_path / "out", "--exclude", training, *copy)
    assert (status, "left out as a training image by its looks: 1 (1_fake/3.png)\n" in out) == (0, True)
    assert len(left(tmp_path / "out")) == 5
    if copy:
        assert len(list((tmp_path / "out" / "images").iterdir())) == 5


def test_copies_are_who_is_a_near_duplicate_of_a_known_one(tmp_path: Path) -> None:
    """Each pair by itself, as `near_duplicates` sees it; the last two are of one colour and so have no looks."""
    known = [made.picture(tmp_path / "known" / f"{number}.png", (160, 120)) for number in range(5)]
    known.append(tmp_path / "known" / "black.png")
    Image.new("RGB", (160, 120)).save(known[-1])
    others = [made.picture(tmp_path / "others" / f"{number}.png", (160, 120)) for number in range(5)]
    others.append(Path(shutil.copy(known[0], tmp_path / "others" / "same.png")))
    for number, quality in [(1, 30), (2, 80), (3, 5)]:
        others.append(tmp_path / "others" / f"{number}.jpg")
        with Image.open(known[number]) as image:
            image.resize((90, 70)).save(others[-1], quality=quality)
    others.append(Path(shutil.copy(known[-1], tmp_path / "others" / "black.png")))
    others.append(tmp_path / "others" / "black.jpg")
    Image.new("RGB", (80, 60)).save(others[-1])
    found = copies_of(fingerprints(others), fingerprints(known))
    pairwise = [any(near_duplicates(fingerprints([one, other])) for other in known) for one in others]
    assert found.tolist() == pairwise
    assert found.tolist()[:8] == [False] * 5 + [True] * 3
    assert found.tolist()[-2:] == [True, False]


@pytest.mark.parametrize("copy", [[], ["--copy"]])
def test_a_full_disk_names_what_could_not_be_written(
    zoomin: Zoomin, data: Path, tmp_path: Path, copy: list[str]
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        status, _, err = zoomin("convert", "genimage", data, "--out", tmp_path / "out", *copy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    first = "images/0_midjourney_112.png" if copy else "records.jsonl"
    assert (status, err.splitlines()[-1]) == (1, f"zoomin: {tmp_path / 'out' / first}: File too large")
    assert not (tmp_path / "out" / "records.jsonl").exists()
