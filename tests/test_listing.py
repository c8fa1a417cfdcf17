"""Which images a command looks at: by suffix in folders, whatever their links, and each by one plain path."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from swift_zoomin import listing
from swift_zoomin.files import plain_path
from swift_zoomin.listing import list_images
from swift_zoomin.pictures import IMAGE_SUFFIXES
from swift_zoomin.records import write_records


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of one image; listing opens none, so it is empty."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    return tmp_path / "photos"


def names(photos: Path) -> list[str]:
    return [str(path.relative_to(photos)) for path in list_images([photos]).images]


def left_out(photos: Path) -> dict[str, str]:
    return {str(path.relative_to(photos)): reason for path, reason in list_images([photos]).left_out.items()}


def test_a_folder_is_listed_with_those_in_it_and_in_order(photos: Path) -> None:
    for name in ("b/2.jpg", "b/1.jpg", "b/c/0.jpg", "b.png", "Z.png"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).touch()
    assert names(photos) == ["Z.png", "a.png", "b/1.jpg", "b/2.jpg", "b/c/0.jpg", "b.png"]
    assert left_out(photos) == {}


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_a_suffix_counts_in_either_case(photos: Path, suffix: str) -> None:
    (photos / f"b{suffix}").touch()
    (photos / f"c{suffix.upper()}").touch()
    assert names(photos) == ["a.png", f"b{suffix}", f"c{suffix.upper()}"]


@pytest.mark.parametrize("name", ["a.pdf", "a.eps", "a.h5", "a.mpg", "a.txt", "png", "a.png.part", "records.jsonl"])
def test_what_pillow_could_open_or_text_is_no_image_by_its_suffix(photos: Path, name: str) -> None:
    (photos / name).touch()
    assert (names(photos), left_out(photos)) == (["a.png"], {name: listing.BY_SUFFIX})


@pytest.mark.parametrize("name", ["._a.png", ".a.png", ".png", ".DS_Store"])
def test_hidden_files_are_left_out(photos: Path, name: str) -> None:
    (photos / name).touch()
    assert (names(photos), left_out(photos)) == (["a.png"], {name: listing.HIDDEN})


def test_a_hidden_folder_is_left_out_whole_unless_it_is_named(photos: Path) -> None:
    (photos / ".thumbnails").mkdir()
    (photos / ".thumbnails" / "a.png").touch()
    assert (names(photos), left_out(photos)) == (["a.png"], {".thumbnails": listing.HIDDEN})
    assert names(photos / ".thumbnails") == ["a.png"]


def test_two_links_to_one_file_are_two_images_under_their_own_names(photos: Path) -> None:
    (photos / "b.png").symlink_to("a.png")
    os.link(photos / "a.png", photos / "c.png")
    assert names(photos) == ["a.png", "b.png", "c.png"]


def test_linked_folders_are_followed(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.png").touch()
    for name in ("x", "y"):
        (photos / name).symlink_to(tmp_path / "elsewhere")
    assert names(photos) == ["a.png", "x/b.png", "y/b.png"]
    (tmp_path / "link").symlink_to(photos)
    assert list_images([tmp_path / "link"]).images[0] == tmp_path / "link" / "a.png"


def test_links_that_loop_end_nothing(photos: Path) -> None:
    (photos / "sub").mkdir()
    (photos / "sub" / "up").symlink_to("..")
    (photos / "here").symlink_to(".")
    (photos / "self.png").symlink_to("self.png")
    (photos / "ping").symlink_to("pong")
    (photos / "pong").symlink_to("ping")
    assert names(photos) == ["a.png"]
    assert left_out(photos) == dict.fromkeys(["here", "ping", "pong", "self.png", "sub/up"], listing.LOOPS)


def test_folders_that_link_to_each_other_are_listed_once_each_way(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.png").touch()
    (tmp_path / "other" / "back").symlink_to(photos)
    (photos / "on").symlink_to(tmp_path / "other")
    assert (names(photos), left_out(photos)) == (["a.png", "on/b.png"], {"on/back": listing.LOOPS})


def test_pipes_and_sockets_with_the_name_of_an_image_are_left_out(photos: Path, monkeypatch) -> None:
    monkeypatch.chdir(photos)  # the path of a socket must be short
    os.mkfifo("pipe.png")
    (photos / "linked.png").symlink_to("pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        assert names(photos) == ["a.png"]
    assert left_out(photos) == dict.fromkeys(["linked.png", "pipe.png", "socket.png"], listing.NO_FILES)


def test_a_link_to_an_image_that_is_gone_is_listed_so_that_its_row_says_so(photos: Path) -> None:
    (photos / "gone.png").symlink_to("absent.png")
    (photos / "gone.txt").symlink_to("absent.txt")
    assert (names(photos), left_out(photos)) == (["a.png", "gone.png"], {"gone.txt": listing.BY_SUFFIX})


@pytest.fixture
def powerless() -> Iterator[Path]:
    """A folder for everybody, seen without the rights of the superuser."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    shutil.rmtree(folder)


def test_folders_that_may_not_be_read_are_named(powerless: Path) -> None:
    for name in ("locked", "open"):
        (powerless / name).mkdir()
        (powerless / name / "a.png").touch()
    (powerless / "locked").chmod(0)
    (powerless / "open" / "b.png").symlink_to(powerless / "locked" / "a.png")
    assert names(powerless) == ["open/a.png", "open/b.png"]  # whoever opens b.png says why not
    assert left_out(powerless) == {"locked": listing.UNREADABLE_FOLDERS}
    assert list_images([powerless / "locked"]).left_out == {powerless / "locked": listing.UNREADABLE_FOLDERS}
    (powerless / "locked").chmod(0o700)
    (powerless / "locked" / "sub").mkdir()
    (powerless / "locked").chmod(0o444)  # its names may be read, and nothing of what they name
    assert left_out(powerless) == {"locked/sub": listing.UNREADABLE_FOLDERS}
    (powerless / "locked").chmod(0o700)


def test_folders_deeper_than_a_path_may_name_are_left_out(photos: Path, monkeypatch) -> None:
    monkeypatch.chdir(photos)
    for _ in range(45):  # of 100 letters: a path holds 4,096 bytes
        os.mkdir("x" * 100)
        os.chdir("x" * 100)
    listed = list_images([photos])
    assert listed.images == [photos / "a.png"]
    assert list(listed.left_out.values()) == [listing.UNREADABLE_FOLDERS]


def test_a_file_named_by_itself_is_an_image_whatever_its_name_and_state(photos: Path) -> None:
    arguments = [photos / "._a.png", photos / "scan.pdf", photos / "absent", Path("/dev/null"), photos / ("n" * 300)]
    (photos / "._a.png").touch()
    assert list_images(arguments).images == arguments


def test_a_records_file_names_its_images_and_a_folder_of_that_name_is_a_folder(photos: Path) -> None:
    Image.new("RGB", (30, 30)).save(photos / "a.png")
    write_records(photos / "records.jsonl", [{"image": "../photos/./a.png", "label": "real"}])
    (photos / "more.jsonl").mkdir()
    (photos / "more.jsonl" / "b.png").touch()
    listed = list_images([photos / "records.jsonl", photos / "more.jsonl"])
    assert listed.images == [photos / "a.png", photos / "more.jsonl" / "b.png"]


def test_an_image_named_in_many_ways_is_one(photos: Path, monkeypatch) -> None:
    (photos / "sub").mkdir()
    monkeypatch.chdir(photos)
    ways = ["a.png", "./a.png", "sub/../a.png", ".//a.png", str(photos / "a.png"), f"/{photos}/a.png", "."]
    assert list_images(map(Path, ways)).images == [photos / "a.png"]


def test_what_two_sources_leave_out_is_counted_once(photos: Path) -> None:
    (photos / "sub").mkdir()
    (photos / "sub" / "b.txt").touch()
    assert len(list_images([photos, photos / "sub"]).left_out) == 1


def test_dots_step_out_of_where_a_link_leads(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "far" / "b.png").touch()
    (photos / "link").symlink_to(tmp_path / "far" / "away")
    assert plain_path(photos / "link" / ".." / "b.png") == tmp_path / "far" / "b.png"
    assert plain_path(photos / "link" / "..") == tmp_path / "far"
    assert plain_path(photos / "link" / "b.png") == photos / "link" / "b.png"


parts = st.lists(st.sampled_from(["a", "b.png", "link", "..", ".", ""]), min_size=1, max_size=6)


@settings(deadline=None)
@given(parts)
def test_a_plain_path_names_the_same_file_and_is_its_own(parts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a").mkdir()
        (Path(folder) / "link").symlink_to("a")
        given_path = os.path.join(os.path.realpath(folder), *filter(None, parts))
        plain = plain_path(given_path)
        assert os.path.realpath(plain) == os.path.realpath(given_path)
        assert plain_path(plain) == plain
        assert plain.is_absolute()
        assert not {"..", "."} & set(plain.parts)


def test_the_summary_counts_by_reason_and_names_the_first(photos: Path, monkeypatch) -> None:
    monkeypatch.chdir(photos)
    for name in ("1.txt", "2.txt", "3.txt", "4.txt", "._a.png", "line\nend.pdf"):
        (photos / name).touch()
    summary = list_images([photos]).summary()
    assert summary == "1 hidden (._a.png), 5 without the suffix of an image (1.txt, 2.txt, 3.txt, ...)"
    (photos / "1.txt").rename(photos / "0\n\udce9.txt")
    assert r"('0\n\udce9.txt', 2.txt, 3.txt, ...)" in list_images([photos]).summary()
