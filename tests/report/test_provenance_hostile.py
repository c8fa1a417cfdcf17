"""Files made to break whoever reads what they say: everything is a row, short and printable, and nothing is raised."""

import random
import struct
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_images import encoded, noise
from PIL import ExifTags, Image, PngImagePlugin

from swift_zoomin.report.provenance import file_says
from swift_zoomin.report.said import FAULT, LONGEST_FIELD, LONGEST_VALUE, MOST_ROWS, Said, one_line

PICTURE = noise(48, 32)
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
RDF = '<r:Description xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"{}>{}</r:Description>'
HOSTILE_XMP = {
    "no XML": b"<x:xmpmeta <<<",
    "bytes": bytes(range(256)),
    "a bomb": f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><x><Credit>&l9;</Credit></x>'.encode(),
    "a file of this machine": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x><Credit>&e;</Credit></x>',
    "deep": b"<a>" * 5_000 + b"</a>" * 5_000,
    "huge": b"<x>" + b" " * (5 << 20) + b"</x>",
}


def rows_of(tmp_path: Path, content: bytes) -> list[Said]:
    """All rows of a file, each of which can stand in a page."""
    file = tmp_path / "picture"
    file.write_bytes(content)
    rows = file_says(file).rows
    for row in rows:
        assert row.field.isprintable()
        assert row.value.isprintable()
        assert len(row.field) < LONGEST_FIELD + 30
        assert len(row.value) < 10 * LONGEST_VALUE + 30, "each character written out as \\U0010ffff"
    return rows


def png_with_xmp(xmp: bytes) -> bytes:
    """A PNG with these bytes as XMP, which Pillow would not write."""
    text = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)
    chunk = struct.pack(">I", len(text)) + b"iTXt" + text + struct.pack(">I", zlib.crc32(b"iTXt" + text))
    content = encoded(PICTURE, "PNG")
    return content[:33] + chunk + content[33:]


@pytest.mark.parametrize("name", HOSTILE_XMP)
def test_hostile_xmp_is_a_fault(tmp_path: Path, name: str) -> None:
    content = encoded(PICTURE, "WEBP", xmp=HOSTILE_XMP[name])
    started = time.process_time()
    rows = rows_of(tmp_path, content)
    assert time.process_time() - started < 1
    assert [(row.source, row.field) for row in rows] == [("XMP", FAULT)]
    assert "root:" not in rows[0].value


def test_xmp_that_is_no_xml_is_called_that(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, png_with_xmp(b"<x:xmpmeta <<<"))
    assert row.value.startswith("cannot be read (no XML: not well-formed")


def test_a_word_of_100_000_characters_is_cut_and_its_length_told(tmp_path: Path) -> None:
    xmp = RDF.format(f' Credit="{"w" * 100_000}"', "").encode()
    (row,) = rows_of(tmp_path, encoded(PICTURE, "WEBP", xmp=xmp))
    assert row == Said("XMP", "Credit", "w" * LONGEST_VALUE + "... (100,000 characters)")


def test_of_many_values_the_first_are_kept_and_the_others_counted(tmp_path: Path) -> None:
    items = "".join(f"<r:li>{number}</r:li>" for number in range(1_000))
    xmp = RDF.format("", f"<creator><r:Seq>{items}</r:Seq></creator>").encode()
    rows = rows_of(tmp_path, encoded(PICTURE, "WEBP", xmp=xmp))
    assert len(rows) == MOST_ROWS + 1
    assert rows[-1] == Said("XMP", "further fields", f"{1_000 - MOST_ROWS:,}, not shown")


def test_controls_of_direction_and_nuls_are_written_out(tmp_path: Path) -> None:
    xmp = RDF.format(' Credit="evil\u202egpj.exe" CreatorTool="a\u2066b\u200bc&#10;d"', "").encode()
    rows = rows_of(tmp_path, encoded(PICTURE, "WEBP", xmp=xmp))
    assert [row.value for row in rows] == [r"a\u2066b\u200bc d", r"evil\u202egpj.exe"]
    information = PngImagePlugin.PngInfo()
    information.add_itxt("Soft\x85\xadware", "<script>\u202e</script>\0\0")
    assert rows_of(tmp_path, encoded(PICTURE, "PNG", pnginfo=information)) == [
        Said("PNG text", r"Soft \xadware", r"<script>\u202e</script>")
    ]


def exif(*fields: tuple[int, bytes]) -> bytes:
    image_file_directory = Image.Exif()
    for tag, value in fields:
        image_file_directory[tag] = value
    return image_file_directory.tobytes()


def test_exif_of_another_type_than_text_is_text(tmp_path: Path) -> None:
    data = exif((ExifTags.Base.Make, b"\0" * 50_000), (ExifTags.Base.Model, b"\xff\xfe\0evil"))
    rows = rows_of(tmp_path, encoded(PICTURE, "JPEG", exif=data))
    assert rows == [Said("EXIF", "Model", r"ÿþ\x00evil")]


def test_cut_exif_is_told_of_and_what_is_left_is_read(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    whole = exif((ExifTags.Base.Make, b"Canon"), (ExifTags.Base.Software, b"a long name of a program"))
    rows = rows_of(tmp_path, encoded(PICTURE, "JPEG", exif=whole[:-12]))
    assert Said("EXIF", "Make", "Canon") in rows
    assert Said("EXIF", FAULT, "damaged (Truncated File Read)") in rows
    assert not recwarn.list


def test_damaged_exif_iptc_and_chunks_raise_nothing(tmp_path: Path) -> None:
    details = Image.Exif()
    details[ExifTags.Base.Make] = "Canon"
    details.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:05:04 03:02:01"
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0c\x1c\x02\x6e\0\7Reuters"
    chance = random.Random(0)
    saw_a_fault = False
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        content = encoded(Image.new("RGB", (8, 8)), kind, exif=details.tobytes())
        if kind == "JPEG":
            content = content[:2] + b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc + content[2:]
        for _ in range(30):
            damaged = bytearray(content)
            for _ in range(chance.choice((1, 2, 8))):
                damaged[chance.randrange(12, len(damaged))] = chance.randrange(256)
            rows = rows_of(tmp_path, bytes(damaged[: chance.choice((None, len(damaged) // 2))]))
            saw_a_fault |= any(row.field == FAULT for row in rows)
    assert saw_a_fault


def test_texts_too_large_for_pillow_are_counted(tmp_path: Path) -> None:
    information = PngImagePlugin.PngInfo()
    information.add_text("Software", "Tool")
    information.add_text("parameters", "a" * (2 << 20), zip=True)
    assert rows_of(tmp_path, encoded(PICTURE, "PNG", pnginfo=information)) == [
        Said("PNG text", FAULT, "2 of 2 texts cannot be read: one is damaged, or too large")
    ]


@pytest.mark.parametrize("content", [b"", b"hello", encoded(PICTURE, "JPEG")[:15]])
def test_a_file_that_is_no_picture_is_one_fault(tmp_path: Path, content: bytes) -> None:
    (row,) = rows_of(tmp_path, content)
    assert (row.source, row.field) == ("file", FAULT)
    assert str(tmp_path) not in row.value


def test_a_missing_file_and_a_folder_are_faults(tmp_path: Path) -> None:
    assert file_says(tmp_path / "gone.jpg").rows == [Said("file", FAULT, "no such image file")]
    said = file_says(tmp_path)
    assert [row.field for row in said.rows] == [FAULT]
    assert said.silent == [], "nobody knows what it has"


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec=None), max_size=400))
def test_any_text_becomes_one_printable_line(text: str) -> None:
    line = one_line(text, 300)
    assert line.isprintable()
    assert line == one_line(line, len(line))
    line.encode("utf-8")
