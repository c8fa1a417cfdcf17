"""`zoomin split`: what belongs together stays together, each record comes once, and every file gets its share."""

import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from swift_zoomin.files import write_whole
from swift_zoomin.records import Record, read_records, write_records
from swift_zoomin.replies import GENERATED, REAL, VERDICTS
from swift_zoomin.splitting.shares import Stratum, assign

PARTS = ("train", "val", "test")


def picture(number: int) -> Image.Image:
    """A picture of its own for each number: soft spots, as much structure as a hash can see."""
    spots = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(spots).resize((64, 64), Image.Resampling.BICUBIC)


def make(folder: Path, rows: list[dict[str, Any]], **fixed: Any) -> Path:
    """Records of these rows. A row without an image gets one of its own; the label is real unless given."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    written = []
    for number, row in enumerate(rows):
        name = f"images/{number}.png"
        if "image" not in row:
            picture(number).save(folder / name, compress_level=1)
        written.append({"image": name, "label": REAL, **fixed, **row})
    write_records(folder / "records.jsonl", written)
    return folder / "records.jsonl"


def parts_of(out: Path) -> dict[str, list[Record]]:
    return {part: read_records(out / f"{part}.jsonl") for part in PARTS if (out / f"{part}.jsonl").exists()}


def sizes(out: Path) -> dict[str, int]:
    return {part: len(records) for part, records in parts_of(out).items()}


def part_of_each(out: Path) -> dict[str, str]:
    """For each image file the part that it is in. No image is in two."""
    found = [(os.path.realpath(record.image.path), part) for part, held in parts_of(out).items() for record in held]
    assert len({path for path, _ in found}) == len(set(found))
    return dict(found)


def test_each_record_comes_once_with_all_its_fields(zoomin, tmp_path: Path) -> None:
    boxed = {"boxes": [[1, 2, 30, 40.5]], "box_labels": ["a"], "explanation": "It melts.", "source": "x", "n": 3}
    records = make(tmp_path / "data", [boxed, {"boxes": []}, {"tags": ["a", {"b": 1}]}, *[{}] * 37])
    assert zoomin("split", records, "--out", tmp_path / "far" / "out")[0] == 0
    given_records = {os.path.realpath(record.image.path): record for record in read_records(records)}
    found = [record for held in parts_of(tmp_path / "far" / "out").values() for record in held]
    assert len(found) == len(given_records) == 40
    for record in found:
        given_record = given_records[os.path.realpath(record.image.path)]
        assert record.name == os.path.relpath(given_record.image.path, tmp_path / "far" / "out")
        for name in ("label", "explanation", "boxes_px", "box_labels", "extra"):
            assert getattr(record, name) == getattr(given_record, name)


def test_what_a_review_rejected_is_in_no_file(zoomin, tmp_path: Path) -> None:
    records = make(tmp_path / "data", [{}] * 40)
    rejected = {f"images/{number}.png": "reject" for number in (3, 5)}
    decisions = {"records": records.name, "decisions": {**rejected, "images/4.png": "accept"}}
    (tmp_path / "data" / "decisions.json").write_text(json.dumps(decisions))
    status, printed, _ = zoomin("split", records, "--out", tmp_path / "out")
    assert (status, printed.splitlines()[0]) == (0, "2 records left out by decisions.json")
    names = {Path(name).name for name in part_of_each(tmp_path / "out")}
    assert names == {f"{number}.png" for number in range(40) if number not in (3, 5)}


def test_single_images_are_dealt_out_exactly_and_every_label_and_source_has_its_share(zoomin, tmp_path: Path) -> None:
    kinds = [(REAL, "camera"), (GENERATED, "flux"), (GENERATED, "sd")]
    rows = [{"label": label, "source": source} for label, source in kinds for _ in range(40)]
    status, out, err = zoomin("split", make(tmp_path, rows), "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "                  train      val     test",
        "generated flux       34        2        4",
        "generated sd         34        2        4",
        "real camera          34        2        4",
        "all                 102        6       12",
        "0 records with near-duplicate images in 0 groups kept together (at most 8 of 64 bits apart)",
        f"wrote {tmp_path}/out",
    ]
    summary = json.loads((tmp_path / "out" / "split.json").read_text())
    assert summary.pop("made_by").startswith("zoomin ")
    assert summary == {
        "records": "records.jsonl",
        "seed": 0,
        "distance": 8,
        "shares": {"train": 0.85, "val": 0.05, "test": 0.1},
        "counts": {"train": 102, "val": 6, "test": 12},
        "groups": {"train": 102, "val": 6, "test": 12},
        "near_duplicates": {"records": 0, "groups": 0},
        "strata": [
            {"label": GENERATED, "source": "flux", "train": 34, "val": 2, "test": 4},
            {"label": GENERATED, "source": "sd", "train": 34, "val": 2, "test": 4},
            {"label": REAL, "source": "camera", "train": 34, "val": 2, "test": 4},
        ],
    }


def test_planted_copies_never_straddle(zoomin, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    rows = []
    for number in range(20):
        original = picture(number).resize((256, 256))
        original.save(tmp_path / "images" / f"{number}-a.png", compress_level=1)
        original.save(tmp_path / "images" / f"{number}-b.jpg", quality=60)
        original.resize((100, 100)).save(tmp_path / "images" / f"{number}-c.webp", quality=80)
        rows += [{"image": f"images/{number}-{name}"} for name in ("a.png", "b.jpg", "c.webp")]
    status, out, _ = zoomin("split", make(tmp_path, rows), "--out", tmp_path / "out", "--test", "0.3", "--val", "0.2")
    assert status == 0
    assert "60 records with near-duplicate images in 20 groups kept together" in out
    assert "largest groups, in records: 3 (images/0-a.png, images/0-b.jpg, images/0-c.webp); 3 (" in out
    by_number = defaultdict(set)
    for path, part in part_of_each(tmp_path / "out").items():
        by_number[Path(path).name.partition("-")[0]].add(part)
    assert [len(parts) for parts in by_number.values()] == [1] * 20
    assert sizes(tmp_path / "out") == {"train": 30, "val": 12, "test": 18}


@pytest.mark.parametrize(
    "values", [range(10), [f"scene {number}" for number in range(10)], [[n, "a"] for n in range(10)]]
)
def test_records_of_one_group_stay_together(zoomin, tmp_path: Path, values: Any) -> None:
    rows = [{"group": value, "label": label} for value in values for label in (*VERDICTS, GENERATED)]
    records = make(tmp_path, [*rows, {}, {}])  # and two of none, which are not one
    assert zoomin("split", records, "--out", tmp_path / "out", "--test", "0.3", "--val", "0.2")[0] == 0
    by_group = defaultdict(set)
    for part, held in parts_of(tmp_path / "out").items():
        for record in held:
            by_group[json.dumps(record.extra.get("group"))].add(part)
    by_group.pop("null")
    assert [len(parts) for parts in by_group.values()] == [1] * 10


def test_records_whose_group_is_empty_are_not_one_group(zoomin, tmp_path: Path) -> None:
    records = make(tmp_path, [{}] * 20, group="")
    assert zoomin("split", records, "--out", tmp_path / "out", "--test", "0.3", "--val", "0.2")[0] == 0
    assert sizes(tmp_path / "out") == {"train": 10, "val": 4, "test": 6}


def test_several_records_of_one_image_stay_together_whichever_way_they_name_it(zoomin, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{} for _ in range(20)]
    (tmp_path / "link").symlink_to("images")
    rows += [{"image": f"{folder}/{number}.png"} for number in range(20) for folder in ("images", "link")]
    records = make(tmp_path, rows)
    assert zoomin("split", records, "--out", tmp_path / "out", "--test", "0.3", "--val", "0.2")[0] == 0
    assert len(part_of_each(tmp_path / "out")) == 20
    assert sizes(tmp_path / "out") == {"train": 30, "val": 12, "test": 18}


def test_the_same_seed_gives_the_same_files_and_another_one_others(zoomin, tmp_path: Path) -> None:
    records = make(tmp_path, [{} for _ in range(40)])
    contents = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert zoomin("split", records, "--out", tmp_path / name, "--seed", seed)[0] == 0
        contents[name] = [(tmp_path / name / f"{part}.jsonl").read_bytes() for part in PARTS]
    assert contents["a"] == contents["b"] != contents["c"]


def test_the_order_of_the_records_and_the_names_of_files_do_not_matter(zoomin, tmp_path: Path) -> None:
    records = make(tmp_path, [{"group": number % 13} for number in range(40)])
    (tmp_path / "other").mkdir()
    (tmp_path / "images").rename(tmp_path / "other" / "pictures")
    lines = records.read_text().replace("images/", "pictures/").splitlines(keepends=True)
    (tmp_path / "other" / "shuffled.jsonl").write_text("".join(lines[::-1]))
    (tmp_path / "images").symlink_to(tmp_path / "other" / "pictures")
    assert zoomin("split", records, "--out", tmp_path / "a")[0] == 0
    assert zoomin("split", tmp_path / "other" / "shuffled.jsonl", "--out", tmp_path / "b")[0] == 0
    assert part_of_each(tmp_path / "a") == part_of_each(tmp_path / "b")


def test_thirty_records_are_split_and_what_is_absent_is_said(zoomin, tmp_path: Path) -> None:
    rows = [{"source": "rare"}, *[{"source": "common"}] * 29]
    status, _, err = zoomin("split", make(tmp_path, rows), "--out", tmp_path / "out")
    assert status == 0
    held = sizes(tmp_path / "out")
    assert sum(held.values()) == 30
    assert held["test"] == 3
    assert held["val"] in (1, 2)
    assert "zoomin: warning: too few to be in every file; none of real rare (1 record) in val and test\n" in err


@pytest.mark.parametrize(("number", "train"), [(3, 1), (10, 8), (12, 10), (14, 12)])
def test_a_share_of_less_than_a_record_is_one_record(zoomin, tmp_path: Path, number: int, train: int) -> None:
    """5% of 14 is 0.7, and 10% of 12 is 1.2."""
    assert zoomin("split", make(tmp_path, [{}] * number), "--out", tmp_path / "out")[0] == 0
    assert sizes(tmp_path / "out") == {"train": train, "val": 1, "test": 1}


def test_a_group_of_most_records_is_kept_whole_and_said(zoomin, tmp_path: Path) -> None:
    records = make(tmp_path, [{"group": 1 if number < 18 else number} for number in range(30)])
    status, out, err = zoomin("split", records, "--out", tmp_path / "out", "--test", "0.5", "--val", "0")
    assert status == 0
    assert sorted(sizes(tmp_path / "out").values()) == [12, 18]
    assert "largest groups, in records: 18 (images/0.png, images/1.png, images/2.png, ...)" in out
    expected = "holds 60% of the records; 50% was asked for (the largest group holds 60%)"
    assert expected in err


def test_a_group_of_more_than_half_goes_where_there_is_room(zoomin, tmp_path: Path) -> None:
    records = make(tmp_path, [{"group": 1 if number < 18 else number} for number in range(30)])
    assert zoomin("split", records, "--out", tmp_path / "out")[::2] == (0, "")
    assert sizes(tmp_path / "out") in ({"train": 26, "val": 1, "test": 3}, {"train": 25, "val": 2, "test": 3})


def test_no_share_means_no_file(zoomin, tmp_path: Path) -> None:
    records = make(tmp_path, [{} for _ in range(10)])
    assert zoomin("split", records, "--out", tmp_path / "out", "--val", "0", "--test", "0.2")[0] == 0
    assert sizes(tmp_path / "out") == {"train": 8, "test": 2}


def test_parquet_with_bytes_is_split_too(zoomin, tmp_path: Path) -> None:
    rows = []
    for number in range(10):
        picture(number).save(tmp_path / "one.png")
        rows.append({"image": {"bytes": (tmp_path / "one.png").read_bytes()}, "label": REAL, "n": number})
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "data.parquet")
    assert zoomin("split", tmp_path / "data.parquet", "--out", tmp_path / "out", "--val", "0")[0] == 0
    held = parts_of(tmp_path / "out")
    assert sorted(record.extra["n"] for records in held.values() for record in records) == list(range(10))
    assert held["test"][0].name.startswith("../data.images/")


def test_parquet_in_a_folder_that_cannot_be_written_leaves_its_images_beside_the_split(
    zoomin, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def refusing(path: Path, content: bytes) -> None:
        if "data.images" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        write_whole(path, content)

    monkeypatch.setattr("swift_zoomin.records.write_whole", refusing)
    rows = []
    for number in range(4):
        picture(number).save(tmp_path / "one.png")
        rows.append({"image": (tmp_path / "one.png").read_bytes(), "label": REAL})
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "data.parquet")
    assert zoomin("split", tmp_path / "data.parquet", "--out", tmp_path / "out", "--val", "0", "--test", "0.3")[0] == 0
    names = [record.name for records in parts_of(tmp_path / "out").values() for record in records]
    assert len(names) == 4
    assert all(name.startswith("images/") for name in names)


@pytest.mark.parametrize("name", ["train.jsonl", "val.jsonl", "test.jsonl", "split.json"])
def test_a_split_is_not_replaced(zoomin, tmp_path: Path, name: str) -> None:
    records = make(tmp_path, [{} for _ in range(10)])
    (tmp_path / name).symlink_to("absent")
    expected = f"{tmp_path}: holds a split already ({name}); choose another --out, or remove it"
    assert zoomin("split", records, "--out", tmp_path) == (1, "", f"zoomin: {expected}\n")


def test_a_split_may_stand_beside_its_records(zoomin, tmp_path: Path) -> None:
    records = make(tmp_path, [{} for _ in range(10)])
    assert zoomin("split", records, "--out", tmp_path, "--val", "0")[0] == 0
    assert parts_of(tmp_path)["test"][0].name.startswith("images/")


def test_shares_that_leave_nothing_are_refused(zoomin, tmp_path: Path) -> None:
    records = make(tmp_path, [{} for _ in range(10)])
    said = "zoomin: --val 0.4 and --test 0.6 leave nothing to train on\n"
    assert zoomin("split", records, "--out", tmp_path / "out", "--val", "0.4", "--test", "0.6") == (1, "", said)


@pytest.mark.parametrize(
    ("flag", "value"), [("--test", "1.5"), ("--val", "-0.1"), ("--seed", "x"), ("--distance", "17")]
)
def test_numbers_out_of_range_are_refused(zoomin, tmp_path: Path, flag: str, value: str) -> None:
    status, _, said = zoomin("split", tmp_path / "records.jsonl", "--out", tmp_path / "out", flag, value)
    assert status == 2
    assert flag in said


def test_too_few_groups_are_refused_before_anything_is_written(zoomin, tmp_path: Path) -> None:
    records = make(tmp_path, [{"group": number % 2} for number in range(10)])
    status, out, err = zoomin("split", records, "--out", tmp_path / "out")
    assert (status, out) == (1, "")
    assert "nothing is left for" in err
    need = "each file needs a group of its own: ask for none with 0, or have fewer records in one group"
    assert f"of 10 records in 2 groups; {need}" in err
    assert not (tmp_path / "out").exists()


def test_an_image_that_cannot_be_read_stops_it(zoomin, tmp_path: Path) -> None:
    records = make(tmp_path, [{} for _ in range(10)])
    content = (tmp_path / "images" / "3.png").read_bytes()
    (tmp_path / "images" / "3.png").write_bytes(content[: len(content) // 2])
    status, out, err = zoomin("split", records, "--out", tmp_path / "out")
    assert (status, out) == (1, "")
    assert str(tmp_path / "images" / "3.png") in err
    assert not (tmp_path / "out").exists()


STRATA = [Stratum(label, source) for label in VERDICTS for source in ("a", "b", "c")]
SHARES = {"train": 0.85, "val": 0.05, "test": 0.1}
groups_of_strata = st.lists(st.lists(st.sampled_from(STRATA), min_size=1, max_size=8), min_size=1, max_size=60)


@settings(deadline=None, max_examples=100)
@given(groups_of_strata)
def test_no_part_exceeds_its_share_by_the_largest_group(groups: list[list[Stratum]]) -> None:
    parts = assign(groups, SHARES, [str(index) for index in range(len(groups))])
    total, largest = sum(map(len, groups)), max(map(len, groups))
    held: Counter[str] = Counter()
    for group, part in zip(groups, parts, strict=True):
        held[part] += len(group)
    for part, share in SHARES.items():
        assert held[part] < share * total + largest + 1e-9
        assert held[part] > share * total - 2 * largest - 1e-9  # both others may exceed theirs


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(STRATA), min_size=1, max_size=200))
def test_a_stratum_of_single_images_is_at_most_two_records_off_in_each_part(strata: list[Stratum]) -> None:
    parts = assign([[stratum] for stratum in strata], SHARES, [str(index) for index in range(len(strata))])
    held, total = Counter(zip(strata, parts, strict=True)), Counter(strata)
    for stratum, records in total.items():
        for part, share in SHARES.items():
            assert abs(held[stratum, part] - share * records) <= 2


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(st.sampled_from(STRATA), min_size=1, max_size=3), min_size=3, max_size=40))
def test_as_many_groups_as_parts_leave_no_part_empty(groups: list[list[Stratum]]) -> None:
    assert set(assign(groups, SHARES, [str(index) for index in range(len(groups))])) == set(SHARES)


def test_many_sources_of_one_image_each_still_fill_every_part() -> None:
    strata = [[Stratum(VERDICTS[number % 2], str(number))] for number in range(200)]
    parts = assign(strata, SHARES, [str(number) for number in range(200)])
    assert Counter(parts) == {"train": 170, "val": 10, "test": 20}
