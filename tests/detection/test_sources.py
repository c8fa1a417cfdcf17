"""Where `zoomin detect` gets its images from: a list on standard input, huge folders, records files."""

import os
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_commands import make_images, rows

from swift_zoomin import listing
from swift_zoomin.listing import LeftOut, Names, list_images, walk_images
from swift_zoomin.remembered import Remembered


@pytest.fixture
def data(tmp_path: Path, engine) -> Path:
    return make_images(tmp_path / "data")


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Puts bytes on standard input."""
    opened: list[TextIOWrapper] = []

    def put(content: bytes) -> None:
        read_end, write_end = os.pipe()
        os.write(write_end, content)
        os.close(write_end)
        opened.append(os.fdopen(read_end))
        monkeypatch.setattr("sys.stdin", opened[-1])

    yield put
    for stream in opened:
        stream.close()


def test_names_on_standard_input_are_looked_at_with_those_named(zoomin, data: Path, listed, monkeypatch) -> None:
    monkeypatch.chdir(data)
    listed(b"b.png\n./b.png\n\nabsent.png\nc.png")
    status, printed, _ = zoomin("detect", "a.png", "-", "--model", "hub/none", "--out", "out.jsonl")
    assert (status, printed) == (3, "4 images: 3 with a verdict, 1 unreadable\n")
    assert sorted(row["image"] for row in rows(data / "out.jsonl")) == ["a.png", "absent.png", "b.png", "c.png"]


def test_names_that_end_in_nul_may_have_line_ends_and_any_bytes(zoomin, data: Path, listed, monkeypatch) -> None:
    monkeypatch.chdir(data)
    names = [b"line\nend.png", b"caf\xe9.png", b"a.png"]
    for name in names[:2]:
        os.rename(b"a.png" if name == names[0] else b"b.png", name)
    listed(b"\0".join(names[:2]) + b"\0c.png\0")
    assert zoomin("detect", "-0", "-", "--model", "hub/none", "--out", "out.jsonl")[0] == 0
    images = {os.fsencode(row["image"]) for row in rows(data / "out.jsonl")}
    assert images == {*names[:2], b"c.png"}


def test_a_list_with_nul_that_is_read_by_lines_says_what_to_do(zoomin, data: Path, listed) -> None:
    listed(b"a.png\0b.png\0")
    status, printed, err = zoomin("detect", "-", "--model", "hub/none")
    assert (status, printed) == (1, "")
    assert err == "zoomin: standard input: a name with a NUL byte; where names end in one, say -0\n"


def test_an_empty_list_has_no_image(zoomin, data: Path, listed) -> None:
    listed(b"\n")
    assert zoomin("detect", "-", "--model", "hub/none")[::2] == (1, "zoomin: -: no image found\n")


@given(st.lists(st.binary(min_size=1, max_size=9).filter(lambda name: not {0, 10} & set(name)), max_size=20))
def test_names_arrive_whole_however_they_are_cut(names: list[bytes]) -> None:
    for end in (b"\n", b"\0"):
        read_end, write_end = os.pipe()
        os.write(write_end, end.join(names))
        os.close(write_end)
        with open(read_end, "rb") as file:
            assert [os.fsencode(path) for path in Names(file, end)] == [
                os.fsencode(Path(os.fsdecode(n))) for n in names
            ]


def test_a_list_is_read_as_it_comes(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as file, open(write_end, "wb", buffering=0) as writer:
        images = walk_images([Names(file, b"\n")], {})
        writer.write(b"/a.png\n/b")
        assert next(images) == Path("/a.png")  # while the other program still looks for more
        writer.write(b".png\n")
        assert next(images) == Path("/b.png")


def test_a_faulty_records_file_is_said_before_an_image_is_looked_at(zoomin, data: Path, engine) -> None:
    (data / "faulty.jsonl").write_text('{"image": "a.png", "label": "fake"}\n')
    status, printed, err = zoomin("detect", data / "a.png", data / "faulty.jsonl", "--model", "hub/none")
    assert (status, printed, engine.made) == (1, "", 0)
    assert err.startswith(f"zoomin: {data / 'faulty.jsonl'}:1: label ")


def test_a_huge_folder_comes_in_sorted_parts_and_nothing_is_missed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(listing, "_SORTED_AT_ONCE", 7)
    for number in range(40):
        (tmp_path / f"{number:02}.png").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").touch()
    listed = list_images([tmp_path]).images
    assert sorted(listed) == sorted([tmp_path / "sub" / "a.png", *(tmp_path / f"{n:02}.png" for n in range(40))])
    monkeypatch.setattr(listing, "_SORTED_AT_ONCE", 42)
    assert list_images([tmp_path]).images == sorted(listed)


def test_what_is_left_out_is_counted_once_and_the_first_few_are_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "abcde":
        (tmp_path / f"{name}.txt").touch()
    left_out = LeftOut()
    assert list(walk_images([tmp_path, tmp_path], left_out)) == []
    assert left_out.summary() == "5 without the suffix of an image (a.txt, b.txt, c.txt, ...)"


@given(st.dictionaries(st.text(min_size=1).filter(lambda name: "\0" not in name), st.integers(0, 2**62)))
def test_what_is_remembered_is_known_again(numbers: dict[str, int]) -> None:
    remembered = Remembered()
    paths = {Path(name): number for name, number in numbers.items() if not any(map(is_surrogate, name))}
    for path, number in paths.items():
        assert remembered.get(path) is None
        assert remembered.add(path)
        remembered.put(path, number)
        assert not remembered.add(path)
    assert {path: remembered.get(path) for path in paths} == paths


def is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def test_a_full_folder_for_temporary_files_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = Remembered()
    remembered._database.execute("PRAGMA max_page_count = 3")
    paths = (Path(f"/photos/{number}.png") for number in range(1000))
    with pytest.raises(OSError, match=r"temporary files cannot be used \(database or disk is full\); set TMPDIR"):
        list(map(remembered.add, paths))
