"""Paths of another machine are known by their ends: the right record, or a refusal that says why."""

from pathlib import Path, PurePosixPath

import pytest
from foreign_files import NAMES, make_set, table
from hypothesis import given
from hypothesis import strategies as st

from swift_zoomin.evaluation.path_tails import _longest, _tail, match_tails
from swift_zoomin.records import RecordError

MATCHED = [
    (["a.png"], ["/r/x/a.png"], {"a.png": "/r/x/a.png"}),
    (["/d/x/a.png"], ["/r/x/a.png", "/r/y/a.png"], {"/d/x/a.png": "/r/x/a.png"}),
    (["C:\\d\\x\\a.png"], ["/r/x/a.png", "/r/y/a.png"], {"C:\\d\\x\\a.png": "/r/x/a.png"}),
    (["../d/./x/a.png"], ["/r/x/a.png"], {"../d/./x/a.png": "/r/x/a.png"}),
    (["d/z/../x/a.png"], ["/r/x/a.png", "/r/z/a.png"], {"d/z/../x/a.png": "/r/x/a.png"}),
    (["/d/b.png"], ["/r/a.png"], {}),
    (["/d/a.PNG"], ["/r/a.png"], {}),  # another name
    (["a.png.png"], ["/r/a.png"], {}),
    ([], ["/r/a.png"], {}),
    (["a.png"], [], {}),
    # All were put into one folder, and the records lie in two.
    (["/d/a.png", "/d/b.png"], ["/r/x/a.png", "/r/y/b.png"], {"/d/a.png": "/r/x/a.png", "/d/b.png": "/r/y/b.png"}),
    # The folder that both share says that y/a.png is another image, and its own record is not asked about.
    (["/d/x/a.png", "/d/y/a.png"], ["/r/x/a.png"], {"/d/x/a.png": "/r/x/a.png"}),
    # Several generators call their images alike: that of BigGAN is none of ADM's, also where ADM's is missing.
    (["/d/BigGAN/1.png", "/d/ADM/2.png", "/d/BigGAN/2.png", "/d/SD/1.png"], ["/r/ADM/1.png", "/r/ADM/2.png"],
     {"/d/ADM/2.png": "/r/ADM/2.png"}),
]  # fmt: skip


@pytest.mark.parametrize(("names", "images", "matched"), MATCHED)
def test_a_path_is_taken_for_the_record_that_shares_most_of_its_end(
    names: list[str], images: list[str], matched: dict[str, str]
) -> None:
    assert match_tails(names, images) == matched


@pytest.mark.parametrize(
    ("names", "images", "said"),
    [
        (["a.png"], ["/r/x/a.png", "/r/y/a.png"], "a.png could be /r/x/a.png or /r/y/a.png; write more of its path"),
        (["/d/a.png"], ["/r/x/a.png", "/r/y/a.png", "/r/z/a.png"], "/d/a.png could be /r/"),
        (["x/a.png"], ["/r/x/a.png", "/s/x/a.png", "/a.png"], "x/a.png could be /r/x/a.png or /s/x/a.png"),
        (["C:/a.png", "C:\\a.png"], ["/r/a.png"], "could both be /r/a.png; write more of their paths"),
    ],
)
def test_what_fits_twice_is_refused(names: list[str], images: list[str], said: str) -> None:
    with pytest.raises(RecordError) as caught:
        match_tails(names, images)
    assert said in str(caught.value)


PARTS = st.sampled_from(["a", "b", "c"])
RELATIVE = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@given(st.lists(RELATIVE, min_size=1, max_size=8, unique=True), PARTS, PARTS)
def test_a_tree_under_another_root_is_matched_rightly_or_refused(relative: list[str], old: str, new: str) -> None:
    names, images = ([f"/{root}/{path}" for path in relative] for root in (old, new))
    try:
        matched = match_tails(names, images)
    except RecordError:
        return
    assert matched.items() <= dict(zip(names, images, strict=True)).items()


@given(st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8, unique=True))
def test_a_tree_of_base_names_that_differ_is_matched_whole(folders: list[str]) -> None:
    relative = [f"{folder}/{number}.png" for number, folder in enumerate(folders)]
    names, images = ([f"{root}/{path}" for path in relative] for root in ("/data/old", "/new"))
    assert match_tails(names, images) == dict(zip(names, images, strict=True))


@given(RELATIVE, st.lists(RELATIVE, max_size=10, unique=True))
def test_the_search_finds_what_a_look_at_every_image_finds(name: str, images: list[str]) -> None:
    def shared(image: str) -> int:
        pairs = zip(reversed(PurePosixPath(name).parts), reversed(PurePosixPath(image).parts), strict=False)
        return next(
            (index for index, (one, other) in enumerate(pairs) if one != other), min(map(len_of, (name, image)))
        )

    length, fitting = _longest(_tail(name), sorted((_tail(image), image) for image in images))
    most = max(map(shared, images), default=0)
    best = {image for image in images if shared(image) == most}
    assert length == most
    assert set(fitting) <= best
    assert len(fitting) == min(len(best), 2)


def len_of(path: str) -> int:
    return len(PurePosixPath(path).parts)


def test_a_table_of_another_machine_is_matched_and_it_is_said(tmp_path: Path, zoomin) -> None:
    records = make_set(tmp_path / "set")
    path = table(tmp_path / "t.csv", "image,verdict", *(f"/mnt/x/{name},real" for name in NAMES))
    status, out, err = zoomin("evaluate", records, path)
    assert (status, err) == (0, "")
    said = f"4 images found by the end of a path: /mnt/x/{NAMES[0]} is taken for {NAMES[0]}"
    assert said in out.splitlines()


def test_paths_that_are_records_as_they_stand_are_not_searched_for(tmp_path: Path, zoomin) -> None:
    """Also through a link, and where the end of the path would fit another record as well."""
    records = make_set(tmp_path / "set")
    (tmp_path / "link").symlink_to("set")
    path = table(tmp_path / "t.csv", "image,verdict", *(f"link/{name},real" for name in NAMES))
    status, out, err = zoomin("evaluate", records, path)
    assert (status, err) == (0, "")
    assert "found by the end" not in out
    assert "missing            0" in out


def test_an_image_that_a_row_names_as_it_stands_is_no_other_row_s(tmp_path: Path, zoomin) -> None:
    records = make_set(tmp_path / "set")
    rows = [f"set/{name},real" for name in NAMES]
    path = table(tmp_path / "t.csv", "image,verdict", *rows, f"/mnt/x/other/{Path(NAMES[0]).name},fake")
    status, out, err = zoomin("evaluate", records, path)
    assert (status, err) == (0, "")
    assert "left out: 1 prediction of an image that no record names" in out
    assert "found by the end" not in out


def test_an_ambiguous_table_is_refused_by_its_name(tmp_path: Path, zoomin) -> None:
    records = make_set(tmp_path / "set")
    again = make_set(tmp_path / "set" / "again")
    lines = records.read_text() + again.read_text().replace('"image": "', '"image": "again/')
    (tmp_path / "set" / "both.jsonl").write_text(lines)
    path = table(tmp_path / "t.csv", "image,verdict", "a.png,real")
    status, out, err = zoomin("evaluate", tmp_path / "set" / "both.jsonl", path)
    assert (status, out) == (1, "")
    assert err.startswith(f"zoomin: {path}: a.png could be {tmp_path}/set/")
    assert err.endswith("; write more of its path\n")


def test_predictions_of_ours_are_relative_to_their_file_and_nothing_else(tmp_path: Path, zoomin) -> None:
    records = make_set(tmp_path / "set")
    ours = tmp_path / "p.jsonl"
    ours.write_text('{"image": "/mnt/x/real/a.png", "verdict": "real"}\n')
    status, _, err = zoomin("evaluate", records, ours)
    assert status == 1
    assert "no prediction belongs to a record" in err
    assert zoomin("evaluate", records, f"table:{ours}")[0] == 0
