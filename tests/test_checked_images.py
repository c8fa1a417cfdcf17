"""Images that were decoded once are not decoded again until their file changes."""

import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import PIL
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from swift_zoomin import __version__, checked_images
from swift_zoomin.files import cache_folder, write_whole
from swift_zoomin.images import open_upright
from swift_zoomin.records import Record, RecordError, read_records


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three records, and a cache folder of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in "abc":
        Image.new("RGB", (40, 20)).save(tmp_path / f"{name}.png")
    lines = [json.dumps({"image": f"{name}.png", "label": "real"}) for name in "abc"]
    (tmp_path / "records.jsonl").write_text("\n".join(lines))
    return tmp_path / "records.jsonl"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of images that were decoded."""
    names: list[str] = []

    def counting(path: str) -> Image.Image:
        names.append(Path(path).name)
        return open_upright(path)

    monkeypatch.setattr(checked_images, "open_upright", counting)
    return names


def cache_file(records: Path) -> Path:
    [file] = (records.parent / "cache" / "swift_zoomin" / "checked").iterdir()
    return file


def test_the_second_reading_decodes_nothing_and_reads_the_same(records: Path, decoded: list[str]) -> None:
    first = read_records(records)
    assert sorted(decoded) == ["a.png", "b.png", "c.png"]
    assert read_records(records) == first
    assert [record.where for record in first] == [f"{records}:{line}" for line in (1, 2, 3)]
    assert len(decoded) == 3


def test_the_cache_file_is_as_documented(records: Path) -> None:
    read_records(records)
    state = os.stat(records.parent / "b.png")
    content = json.loads(cache_file(records).read_text())
    assert content["rules"] == [1, __version__, PIL.__version__, pillow_heif.__version__, 178_956_970]
    assert set(content["images"]) == {"a.png", "b.png", "c.png"}
    assert content["images"]["b.png"] == [state.st_mtime_ns, state.st_size, 40, 20]


def change_content(image: Path) -> None:
    Image.new("RGB", (41, 20), "red").save(image)


def change_size_only(image: Path) -> None:
    state = image.stat()
    change_content(image)
    os.utime(image, ns=(state.st_atime_ns, state.st_mtime_ns))


def change_time_only(image: Path) -> None:
    state = image.stat()
    os.utime(image, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


def put_an_older_one_back(image: Path) -> None:
    change_content(image)
    os.utime(image, (0, 0))


@pytest.mark.parametrize("change", [change_content, change_size_only, change_time_only, put_an_older_one_back])
def test_only_a_changed_image_is_decoded_again(
    records: Path, decoded: list[str], change: Callable[[Path], None]
) -> None:
    read_records(records)
    decoded.clear()
    change(records.parent / "b.png")
    width = 40 if change is change_time_only else 41
    assert [record.image.size for record in read_records(records)] == [(40, 20), (width, 20), (40, 20)]
    assert decoded == ["b.png"]
    read_records(records)
    assert decoded == ["b.png"]


def test_an_image_that_is_gone_or_damaged_now_is_a_fault(records: Path) -> None:
    read_records(records)
    (records.parent / "a.png").unlink()
    (records.parent / "b.png").write_bytes(b"no image")
    with pytest.raises(RecordError) as caught:
        read_records(records)
    gone, damaged = str(caught.value).splitlines()
    assert gone == f"{records}:1: image {records.parent / 'a.png'}: no such image file"
    assert damaged.startswith(f"{records}:2: image {records.parent / 'b.png'}: not a readable image")


def test_a_fault_is_found_each_time_and_the_others_are_remembered(records: Path, decoded: list[str]) -> None:
    cut = records.parent / "b.png"
    Image.new("RGB", (40, 20)).save(cut, "BMP")
    cut.write_bytes(cut.read_bytes()[:-9])
    messages = []
    for _ in range(2):
        with pytest.raises(RecordError) as caught:
            read_records(records)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert sorted(decoded) == ["a.png", "b.png", "b.png", "c.png"]


def test_a_reading_that_is_stopped_goes_on_where_it_was(
    records: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(path: str) -> Image.Image:
        if path.endswith("c.png"):
            raise KeyboardInterrupt
        return open_upright(path)

    with monkeypatch.context() as patch:
        patch.setattr(checked_images, "open_upright", stopped)
        with pytest.raises(KeyboardInterrupt):
            read_records(records)
    read_records(records)
    assert decoded == ["c.png"]


def test_reading_afresh_decodes_all_and_serves_the_next_reading(records: Path, decoded: list[str]) -> None:
    for _ in range(2):
        read_records(records, afresh=True)
    assert len(decoded) == 6
    read_records(records)
    assert len(decoded) == 6


def test_an_image_found_damaged_afresh_is_trusted_by_no_later_reading(records: Path) -> None:
    """Also where no image of the file is whole any longer, so that there is nothing new to remember."""
    read_records(records)
    for name in "abc":
        image = records.parent / f"{name}.png"
        state, content = image.stat(), image.read_bytes()
        header, _, pixels = content.partition(b"IDAT")
        image.write_bytes(header + b"IDAT" + bytes(len(pixels)))
        os.utime(image, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert len(read_records(records)) == 3  # their time and size say nothing
    for afresh in (True, False):
        with pytest.raises(RecordError) as caught:
            read_records(records, afresh=afresh)
        assert len(str(caught.value).splitlines()) == 3


def test_reading_without_decoding_uses_what_was_checked_and_writes_nothing(
    records: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = read_records(records, decode=False)
    assert not (records.parent / "cache").exists()
    assert read_records(records) == sizes
    monkeypatch.setattr(checked_images.ImageRef, "of", None)  # opens no image
    assert read_records(records, decode=False) == sizes
    assert len(decoded) == 3


def test_another_records_file_is_remembered_by_itself(records: Path, decoded: list[str]) -> None:
    other = records.parent / "more" / "records.jsonl"
    other.parent.mkdir()
    shutil.copy(records.parent / "b.png", other.parent / "a.png")
    other.write_text('{"image": "a.png", "label": "real"}')
    read_records(records)
    read_records(other)
    read_records(records)
    read_records(other)
    assert sorted(decoded) == ["a.png", "a.png", "b.png", "c.png"]


def test_images_that_left_the_records_file_leave_the_cache_when_all_is_decoded_again(records: Path) -> None:
    read_records(records)
    records.write_text('{"image": "c.png", "label": "real"}\n{"image": "./a.png", "label": "real"}')
    read_records(records)
    assert set(json.loads(cache_file(records).read_text())["images"]) == {"a.png", "b.png", "c.png", "./a.png"}
    read_records(records, afresh=True)
    assert set(json.loads(cache_file(records).read_text())["images"]) == {"c.png", "./a.png"}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"[" * 100_000, b'{"rules": [], "images": {}}', b'{"images": 3}', b"null"],
)
def test_a_damaged_cache_is_ignored_and_replaced(records: Path, decoded: list[str], content: bytes) -> None:
    first = read_records(records)
    whole = json.loads(cache_file(records).read_text())
    cache_file(records).write_bytes(content)
    assert read_records(records) == first
    assert len(decoded) == 6
    assert json.loads(cache_file(records).read_text()) == whole


def test_a_cache_of_the_right_rules_that_holds_no_images_is_ignored(records: Path, decoded: list[str]) -> None:
    first = read_records(records)
    content = json.loads(cache_file(records).read_text())
    for images in (3, None, [], ["a.png"], "a.png"):
        cache_file(records).write_text(json.dumps({**content, "images": images}))
        decoded.clear()
        assert read_records(records) == first
        assert len(decoded) == 3


def damage(entry: list[Any]) -> list[Any]:
    """What may stand in an entry's place; of the right state where it has one."""
    state = entry[:2]
    return [None, 3, {"a": 1}, [], state, [*state, 9], [*state, 9, 9, 9], [*state, 9.0, 9], [*state, True, 9]]


@pytest.mark.parametrize("case", range(9))
def test_a_damaged_entry_is_ignored(records: Path, decoded: list[str], case: int) -> None:
    first = read_records(records)
    content = json.loads(cache_file(records).read_text())
    content["images"]["b.png"] = damage(content["images"]["b.png"])[case]
    cache_file(records).write_text(json.dumps(content))
    decoded.clear()
    assert read_records(records) == first
    assert decoded == ["b.png"]


def test_other_rules_for_images_forget_what_was_checked(
    records: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_records(records)
    monkeypatch.setattr(PIL, "__version__", "0.1")
    read_records(records)
    monkeypatch.setenv("ZOOMIN_MAX_MEGAPIXELS", "1")
    read_records(records)
    assert len(decoded) == 9


def test_a_cache_that_cannot_be_written_changes_nothing(records: Path, decoded: list[str]) -> None:
    (records.parent / "cache").write_text("a file where the folder should be")
    assert read_records(records) == read_records(records)
    assert len(decoded) == 6


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "taken", b"content")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize(
    ("home", "folder"),
    [("/big/cache", "/big/cache"), ("", "/users/u/.cache"), ("relative", "/users/u/.cache")],
)
def test_the_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, home: str, folder: str) -> None:
    monkeypatch.setenv("HOME", "/users/u")
    monkeypatch.setenv("XDG_CACHE_HOME", home)
    assert cache_folder() == Path(folder) / "swift_zoomin"


def test_several_processes_at_once_leave_a_whole_cache(records: Path) -> None:
    """Threads stand for them: each reads and replaces the file."""
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: read_records(records, afresh=True), range(16)))
    assert all(result == results[0] for result in results)
    assert len(json.loads(cache_file(records).read_text())["images"]) == 3
    assert [file.suffix for file in cache_file(records).parent.iterdir()] == [".json"]


changes = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.integers(0, 3), st.booleans()), min_size=1, max_size=6
)


@pytest.mark.slow
@given(changes)
@settings(max_examples=60, deadline=None)
def test_no_answer_is_stale_whatever_was_changed(changes: list[tuple[str, int, int, bool]]) -> None:
    """With what was remembered, reading says what it says without, after each change of a file's content or time."""
    folder = Path(os.environ["XDG_CACHE_HOME"]) / f"stale-{time.monotonic_ns()}"
    folder.mkdir()
    records = folder / "records.jsonl"
    records.write_text("\n".join(json.dumps({"image": f"{name}.bmp", "label": "real"}) for name in "abc"))
    for name in "abc":
        Image.new("RGB", (4, 4)).save(folder / f"{name}.bmp")
    said(records)
    for tick, (name, width, cut, keeps_time) in enumerate(changes, 1):
        image = folder / f"{name}.bmp"
        before = image.stat()
        Image.new("RGB", (4 * width, 4)).save(image)
        image.write_bytes(image.read_bytes()[: -cut or None])
        same_size = image.stat().st_size == before.st_size
        kept = before.st_mtime_ns if keeps_time and not same_size else before.st_mtime_ns + tick
        os.utime(image, ns=(kept, kept))
        assert said(records) == said(records, afresh=True) == said(records)
    shutil.rmtree(folder)


def said(records: Path, **options: bool) -> list[Record] | str:
    try:
        return read_records(records, **options)
    except RecordError as error:
        return str(error)
