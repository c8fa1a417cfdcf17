"""Which files are pictures, how large they are upright without decoding them, and what is refused by name."""

import base64
import io
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from swift_zoomin import pictures
from swift_zoomin.images import ImageRef
from swift_zoomin.pictures import IMAGE_SUFFIXES, ImageError, open_upright, upright_size

TWO_MIB_OF_NOTHING = zlib.compress(bytes(2 << 20))
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
FORMATS = {  # Pillow's name of each, by the suffixes that stand for it
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".mpo",),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "HEIF": (".heic", ".heif", ".hif"),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k"),
    "PPM": (".ppm", ".pgm"),
}
KINDS = [kind for kind in FORMATS if kind != "JPEG2000"]


def noise(random: Random, width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.randbytes(width * height * 3))


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def exif(orientation: bytes, kind: int = 3, count: int = 1) -> bytes:
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHI4sI", 1, 0x0112, kind, count, orientation, 0)


def xmp(orientation: int) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


def any_exif(random: Random) -> bytes:
    """EXIF data with an orientation from 0 to 9, mostly; of the wrong type; or no EXIF data at all."""
    orientation = bytes([random.randrange(10)])
    return random.choice(
        [
            *[exif(orientation)] * 4,
            exif(orientation, random.choice([1, 2, 4, 5, 7, 12]), random.randrange(4)),
            b"Exif\0\0" + random.randbytes(random.randrange(30)),
            random.randbytes(random.randrange(30)),
        ]
    )


def any_png_chunk(random: Random) -> bytes:
    """A chunk in which an orientation may stand, as cameras, ImageMagick and Photoshop write it, or a trap."""
    data = any_exif(random)
    magick = b"\nexif\n      38\n" + (data.hex().encode() if random.random() < 0.8 else b"zz") + b"\n"
    keyword = random.choice([b"exif", b"xmp", b"XML:com.adobe.xmp", b"transparency", b"icc_profile", b"bbox"])
    trap = keyword + random.choice([b"\0", b"\0\0"]) + random.choice([data, xmp(6), TWO_MIB_OF_NOTHING])
    return random.choice(
        [
            *[chunk(b"eXIf", data[6:])] * 3,
            chunk(b"tEXt", b"Raw profile type exif\0" + magick),
            chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(magick)),
            chunk(b"iTXt", b"Raw profile type exif\0\0\0\0\0" + magick),
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(random.randrange(10))),
            chunk(random.choice([b"tEXt", b"zTXt"]), trap),
        ]
    )


def any_file(random: Random, kind: str) -> bytes:
    """A small picture with orientations in every place that its format has for them."""
    picture = noise(random, random.randrange(1, 9), random.randrange(1, 9))
    options: dict[str, Any] = {}
    if kind == "PNG":
        content = encoded(picture.convert(random.choice(["RGB", "RGB", "L", "P", "RGBA", "LA", "1", "I;16"])), "PNG")
        before, end = content.index(b"IDAT") - 4, content.index(b"IEND") - 4
        early, late = (b"".join(any_png_chunk(random) for _ in range(random.choice([0, 0, 1, 2]))) for _ in range(2))
        return content[:before] + early + content[before:end] + late + content[end:]
    if kind in ("JPEG", "MPO", "WEBP", "AVIF", "HEIF") and random.random() < 0.8:
        options["exif"] = any_exif(random) if kind not in ("AVIF", "HEIF") else exif(bytes([random.randrange(10)]))
    if kind in ("JPEG", "WEBP", "AVIF", "HEIF") and random.random() < 0.3:
        options["xmp"] = xmp(random.randrange(10))
    if kind == "TIFF":
        options["compression"] = random.choice([None, "tiff_lzw", "tiff_adobe_deflate"])
        tag = random.choice([{0x0112: random.randrange(1, 9)}, {700: xmp(random.randrange(10))}, {}])
        options["tiffinfo"] = tag
    if kind in ("GIF", "MPO"):
        options |= {"save_all": True, "append_images": [picture.rotate(90)]}
    return encoded(picture, kind, **options)


def damaged(content: bytes, random: Random) -> bytes:
    """With bytes changed, lost or cut off."""
    broken = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 5])):
        place = random.randrange(len(broken) or 1)
        change = random.randrange(10)
        if change < 6:
            broken[place : place + 1] = random.randbytes(1)
        elif change < 9:
            del broken[place : place + random.randrange(1, 9)]
        else:
            del broken[place:]
    return bytes(broken)


def size_by(use: Any, content: bytes) -> Any:
    """The size that `use` finds, or "refused"; other errors than ImageError escape."""
    try:
        return getattr(found := use(content), "size", found)
    except ImageError as error:
        return "thin" if "aspect ratio" in str(error) else "refused"


def size_by_pillow(content: bytes) -> Any:
    """The size after decoding and `exif_transpose`; None where Pillow does not get that far."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            return ImageOps.exif_transpose(image).size
    except Exception:  # Pillow lets many kinds out
        return None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**64))
@settings(max_examples=200, deadline=None)
def test_the_size_read_without_decoding_is_that_of_the_decoded_image(kind: str, seed: int) -> None:
    content = any_file(Random(seed), kind)
    size = size_by(upright_size, content)
    assert size == size_by(open_upright, content) != "refused"
    assert size_by_pillow(content) in (size, None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**64))
@settings(max_examples=200, deadline=None)
def test_a_damaged_file_is_read_alike_both_ways_or_refused(kind: str, seed: int) -> None:
    random = Random(seed)
    content = damaged(any_file(random, kind), random)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOOMIN_MAX_MEGAPIXELS", "1")  # what the damage may say of the size
        size, decoded = size_by(upright_size, content), size_by(open_upright, content)
    if size == "thin" or decoded == "refused":  # the head may be whole where the pixels are not
        return
    assert size == decoded
    assert size_by_pillow(content) in (size, None)


def test_the_size_of_a_png_is_read_without_decoding(monkeypatch: Any) -> None:
    picture = noise(Random(0), 60, 40)
    turned = chunk(b"eXIf", exif(b"\6")[6:])
    contents = [encoded(picture, "PNG"), encoded(picture, "PNG", exif=exif(b"\6"))]
    contents.append(contents[0].replace(PNG_END, turned + PNG_END))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    assert [upright_size(content) for content in contents] == [(60, 40), (40, 60), (40, 60)]


def test_of_an_animated_png_the_first_frame_counts() -> None:
    frames = [noise(Random(seed), 60, 40) for seed in range(3)]
    content = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    turned = chunk(b"eXIf", exif(b"\6")[6:])
    late = content.replace(PNG_END, turned + PNG_END)  # behind the last frame, which is not read
    early = content.replace(b"\0\0\0\x08acTL", turned + b"\0\0\0\x08acTL")
    for changed, size in ((content, (60, 40)), (late, (60, 40)), (early, (40, 60))):
        assert upright_size(changed) == open_upright(changed).size == size_by_pillow(changed) == size
    assert open_upright(content).tobytes() == frames[0].tobytes()


def test_the_last_orientation_of_a_png_holds() -> None:
    content = encoded(noise(Random(0), 60, 40), "PNG", exif=exif(b"\1"))
    content = content.replace(PNG_END, chunk(b"eXIf", exif(b"\6")[6:]) + PNG_END)
    assert upright_size(content) == open_upright(content).size == size_by_pillow(content) == (40, 60)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_listed_suffix_is_of_a_format_that_is_opened(tmp_path: Path, kind: str) -> None:
    assert sorted(IMAGE_SUFFIXES) == sorted(suffix for suffixes in FORMATS.values() for suffix in suffixes)
    options = {"save_all": True, "append_images": [noise(Random(0), 60, 40)]} if kind in ("MPO", "GIF") else {}
    content = encoded(noise(Random(0), 60, 40), kind, **options)
    for suffix in (*FORMATS[kind], ".dat", ""):  # the content tells, not the name
        path = tmp_path / f"a{suffix}"
        path.write_bytes(content)
        assert upright_size(path) == open_upright(path).size == (60, 40)


def eps() -> bytes:
    return encoded(noise(Random(0), 60, 40), "EPS")


NO_PICTURES = {
    "eps": eps,
    "eps named png": eps,
    "pdf": lambda: encoded(noise(Random(0), 60, 40), "PDF"),
    "hdf5": lambda: b"\x89HDF\r\n\x1a\n" + bytes(100),
    "mpeg": lambda: b"\0\0\1\xb3" + bytes(100),
    "wmf": lambda: b"\xd7\xcd\xc6\x9a\0\0" + bytes(100),
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "ico": lambda: encoded(noise(Random(0), 16, 16), "ICO"),
    "resource fork": lambda: b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(100),  # ._x.jpg
}


@pytest.mark.parametrize("use", [upright_size, open_upright])
@pytest.mark.parametrize("kind", NO_PICTURES)
def test_drawings_documents_and_films_are_never_opened(tmp_path: Path, kind: str, use: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started a program"))
    path = tmp_path / ("a.png" if "named" in kind else f"a.{kind}")
    path.write_bytes(NO_PICTURES[kind]())
    with pytest.raises(ImageError, match=rf"^{re.escape(str(path))}: not a readable image \(expected JPEG, PNG, "):
        use(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phones_heic_file_is_seen_upright(orientation: int) -> None:
    picture = Image.new("RGB", (64, 48), "blue")
    picture.paste("red", (0, 0, 32, 24))
    content = encoded(picture, "HEIF", exif=exif(bytes([orientation])), quality=95)
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(picture, "PNG", exif=exif(bytes([orientation]))))))
    seen = open_upright(content)
    assert upright_size(content) == seen.size == turned.size == ((48, 64) if orientation > 4 else (64, 48))
    for x, y in ((8, 8), (seen.width - 9, 8), (8, seen.height - 9), (seen.width - 9, seen.height - 9)):
        assert seen.getpixel((x, y)) == pytest.approx(turned.getpixel((x, y)), abs=12)


@pytest.mark.parametrize("use", [upright_size, open_upright, ImageRef.of])
def test_what_is_no_regular_file_is_refused_and_waited_for_by_nobody(tmp_path: Path, use: Any) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.png"))
    for path in (tmp_path / "pipe.png", tmp_path / "folder.png", tmp_path / "socket.png", Path("/dev/zero")):
        with pytest.raises(ImageError, match=rf"^{re.escape(str(path))}: not a regular file"):
            use(path)


@pytest.mark.parametrize("use", [upright_size, open_upright, ImageRef.of])
def test_a_path_that_leads_nowhere_is_named(tmp_path: Path, use: Any) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "dangling.png").symlink_to("gone.png")
    for path, said in (
        (tmp_path / "loop.png", "cannot be opened (Too many levels of symbolic links)"),
        (tmp_path / "dangling.png", "no such image file"),
        (tmp_path / "gone.png", "no such image file"),
        (f"{tmp_path}/a\0b.png", "cannot be opened (embedded null byte)"),
        (f"{tmp_path}/{'a' * 300}.png", "cannot be opened (File name too long)"),
    ):
        with pytest.raises(ImageError) as caught:
            use(path)
        assert str(caught.value) == f"{path}: {said}"


def test_a_link_to_a_picture_is_that_picture(tmp_path: Path) -> None:
    noise(Random(0), 60, 40).save(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to("a.png")
    assert ImageRef.of(tmp_path / "link.png") == ImageRef(str(tmp_path / "link.png"), (60, 40))


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may read every file")
def test_a_locked_file_is_named(tmp_path: Path) -> None:
    noise(Random(0), 60, 40).save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(ImageError, match=r"a\.png: cannot be opened \(Permission denied\)"):
        open_upright(tmp_path / "a.png")


@pytest.mark.parametrize("use", [upright_size, open_upright, ImageRef.of])
@pytest.mark.parametrize("name", ["abcd", "images/abcd", "iVBORw0KGgo=", "Qk0/abcd", "R0lGODlh", "/9j/4AAQSkZJRg=="])
def test_a_missing_path_that_happens_to_be_base64_is_a_missing_path(use: Any, name: str) -> None:
    with pytest.raises(ImageError) as caught:
        use(name)
    assert str(caught.value).endswith(f"{name}: no such image file")


def test_a_small_picture_in_base64_is_a_picture() -> None:
    content = encoded(Image.new("1", (1, 1)), "PNG")
    assert len(content) < 100
    assert upright_size(base64.b64encode(content).decode()) == (1, 1)


LARGE = encoded(Image.new("1", (20000, 10000)), "PNG")


@pytest.mark.parametrize("use", [upright_size, open_upright])
@pytest.mark.parametrize("given_as", [bytes, lambda content: base64.b64encode(content).decode()])
def test_what_is_too_large_is_refused_and_the_setting_named(use: Any, given_as: Any) -> None:
    expected = "20000x10000 pixels; expected at most 179.0 megapixels; ZOOMIN_MAX_MEGAPIXELS can raise that"
    with pytest.raises(ImageError, match=expected):
        use(given_as(LARGE))


@pytest.mark.slow
def test_the_setting_raises_and_lowers_the_limit(monkeypatch: Any) -> None:
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is said of an image within the limit
        monkeypatch.setenv("ZOOMIN_MAX_MEGAPIXELS", "200")
        assert upright_size(LARGE) == open_upright(LARGE).size == (20000, 10000)
        monkeypatch.setenv("ZOOMIN_MAX_MEGAPIXELS", "0.002")
        assert open_upright(encoded(noise(Random(0), 50, 40), "PNG")).size == (50, 40)
        for use in (upright_size, open_upright):
            with pytest.raises(ImageError, match=r"51x40 pixels; expected at most 0\.0 megapixels;"):
                use(encoded(noise(Random(0), 51, 40), "PNG"))
    assert before == Image.MAX_IMAGE_PIXELS
    for nonsense in ("many", "nan", "inf", "-1", "0"):
        monkeypatch.setenv("ZOOMIN_MAX_MEGAPIXELS", nonsense)
        with pytest.raises(ImageError, match=f'ZOOMIN_MAX_MEGAPIXELS is "{nonsense}"; expected a number'):
            upright_size(LARGE)


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "GIF", "JPEG"])
def test_formats_that_look_at_pillows_limit_themselves_obey_ours(kind: str, monkeypatch: Any) -> None:
    content = encoded(noise(Random(0), 60, 40), kind, **({"compression": "tiff_lzw"} if kind == "TIFF" else {}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for pillows in (1000, 1500):  # refused by Pillow; warned of
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows)
            assert upright_size(content) == open_upright(content).size == (60, 40)
            assert pillows == Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    monkeypatch.setenv("ZOOMIN_MAX_MEGAPIXELS", "0.0023")
    for use in (upright_size, open_upright):
        with pytest.raises(ImageError, match="ZOOMIN_MAX_MEGAPIXELS can raise that"):
            use(content)


def test_pillows_limit_is_the_same_again_for_other_threads(monkeypatch: Any) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    content = encoded(noise(Random(0), 60, 40), "TIFF")
    threads = [threading.Thread(target=open_upright, args=(content,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_pictures_need_neither_torch_nor_an_engine() -> None:
    code = "import sys, swift_zoomin.pictures; print({'torch', 'swift', 'vllm', 'transformers'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_the_default_limit_is_pillows_own() -> None:
    assert pictures._MOST_PIXELS == 2 * Image.MAX_IMAGE_PIXELS
