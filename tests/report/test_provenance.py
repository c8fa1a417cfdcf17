"""What a file says of itself, from files that Pillow wrote here."""

import struct
from pathlib import Path
from typing import Any

import pytest
from made_images import encoded, noise
from PIL import ExifTags, Image, PngImagePlugin

from swift_zoomin.report.provenance import NO_EVIDENCE_EITHER_WAY, SOURCES, file_says
from swift_zoomin.report.said import Said
from swift_zoomin.report.source_types import explained

PICTURE = noise(48, 32)
NEWSCODES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
# As ExifTool and Photoshop write it: properties as attributes, as elements, and in lists.
XMP = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Adobe Photoshop 25.0"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:Credit="Made with Google AI"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:mm="http://ns.adobe.com/xap/1.0/mm/" xmlns:ev="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#">
<ext:DigitalSourceType>{NEWSCODES}compositeWithTrainedAlgorithmicMedia</ext:DigitalSourceType>
<ext:AISystemUsed>A model</ext:AISystemUsed>
<dc:creator><rdf:Seq><rdf:li>Anna</rdf:li><rdf:li>Bert</rdf:li></rdf:Seq></dc:creator>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">A tower</rdf:li></rdf:Alt></dc:title>
<mm:History><rdf:Seq><rdf:li ev:action="created" ev:softwareAgent="Camera Raw"/>
<rdf:li ev:action="saved" ev:softwareAgent="Camera Raw"/></rdf:Seq></mm:History>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
XMP_ROWS = [
    (
        "DigitalSourceType",
        "compositeWithTrainedAlgorithmicMedia: put together or changed with the help of a generative model "
        f"({NEWSCODES}compositeWithTrainedAlgorithmicMedia)",
    ),
    ("CreatorTool", "Adobe Photoshop 25.0"),
    ("softwareAgent", "Camera Raw"),
    ("Credit", "Made with Google AI"),
    ("creator", "Anna"),
    ("creator", "Bert"),
    ("title", "A tower"),
    ("AISystemUsed", "A model"),
]


def rows_of(tmp_path: Path, content: bytes, source: str) -> list[tuple[str, str]]:
    """Fields and values that one source of a file has."""
    file = tmp_path / "picture"
    file.write_bytes(content)
    return [(row.field, row.value) for row in file_says(file).rows if row.source == source]


def exif_of_a_camera() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon", "EOS R5"
    exif[ExifTags.Base.Software] = "Firmware 1.8"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2026:05:04 03:02:01"
    details[0xA43B] = "Lightroom"  # ImageEditingSoftware, new in EXIF 3.0
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_exif_names_camera_software_and_date_and_not_the_place(tmp_path: Path, kind: str) -> None:
    content = encoded(PICTURE, kind, exif=exif_of_a_camera().tobytes())
    assert rows_of(tmp_path, content, "EXIF") == [
        ("Make", "Canon"),
        ("Model", "EOS R5"),
        ("Software", "Firmware 1.8"),
        ("DateTimeOriginal", "2026:05:04 03:02:01"),
        ("ImageEditingSoftware", "Lightroom"),
    ]


def png_texts(**texts: str) -> PngImagePlugin.PngInfo:
    information = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        information.add_itxt(key, text)
    return information


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_xmp_names_source_type_tools_credit_and_people(tmp_path: Path, kind: str) -> None:
    options: dict[str, Any] = {"xmp": XMP.encode()}
    if kind == "PNG":
        options = {"pnginfo": png_texts(**{"XML:com.adobe.xmp": XMP})}
    if kind == "TIFF":
        options = {"tiffinfo": {700: XMP.encode()}}
    assert rows_of(tmp_path, encoded(PICTURE, kind, **options), "XMP") == XMP_ROWS


def test_xmp_of_a_heif_that_was_copied_with_the_mark_of_a_jpeg_is_read(tmp_path: Path) -> None:
    content = encoded(PICTURE, "HEIF", xmp=b"http://ns.adobe.com/xap/1.0/\0" + XMP.encode())
    assert rows_of(tmp_path, content, "XMP") == XMP_ROWS


@pytest.mark.parametrize("form", [f"{NEWSCODES}digitalCapture", "digsrctype:digitalCapture", " digitalCapture "])
def test_a_source_type_is_explained_in_any_of_its_forms(form: str) -> None:
    assert explained(form).startswith("digitalCapture: taken of real life by a digital camera")


def test_an_unknown_source_type_stays_as_it_is() -> None:
    assert explained(f"{NEWSCODES}dreamt") == f"{NEWSCODES}dreamt"


def test_texts_of_a_png_name_the_generators_that_write_them(tmp_path: Path) -> None:
    information = png_texts(parameters="a tower\nSteps: 20", workflow="{}", Software="NovelAI")
    assert rows_of(tmp_path, encoded(PICTURE, "PNG", pnginfo=information), "PNG text") == [
        ("parameters (as Stable Diffusion web UI, Forge, SwarmUI, Fooocus)", "a tower Steps: 20"),
        ("workflow (as ComfyUI)", "{}"),
        ("Software", "NovelAI"),
    ]


def test_copies_of_exif_in_a_png_do_not_tell_the_place_either(tmp_path: Path) -> None:
    copies = {"exif:GPSLatitude": "52/1, 31/1, 12/1", "exif:BodySerialNumber": "062062059949"}  # as ImageMagick does
    information = png_texts(**copies, Software="ImageMagick")
    assert rows_of(tmp_path, encoded(PICTURE, "PNG", pnginfo=information), "PNG text") == [("Software", "ImageMagick")]


def test_texts_and_exif_behind_the_pixels_of_a_png_are_read(tmp_path: Path) -> None:
    content = encoded(PICTURE, "PNG", pnginfo=png_texts(Software="Tool"), exif=exif_of_a_camera().tobytes())
    head, chunks, end = content[:8], content[8:-12], content[-12:]
    moved = []
    while chunks:
        length = 12 + int.from_bytes(chunks[:4], "big")
        moved.append((chunks[4:8], chunks[:length]))
        chunks = chunks[length:]
    moved.sort(key=lambda chunk: chunk[0] in (b"iTXt", b"eXIf"))  # Pillow wrote these before the pixels
    late = head + b"".join(chunk for _, chunk in moved) + end
    assert late != content
    assert rows_of(tmp_path, late, "PNG text") == [("Software", "Tool")]
    assert ("Make", "Canon") in rows_of(tmp_path, late, "EXIF")


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
def test_settings_that_generators_write_into_exif_are_read(tmp_path: Path, encoding: str) -> None:
    exif = Image.Exif()
    comment = b"UNICODE\0" + "a tower, Steps: 20".encode(encoding)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    content = encoded(PICTURE, "JPEG", exif=exif.tobytes())
    assert rows_of(tmp_path, content, "EXIF") == [("UserComment", "a tower, Steps: 20")]


def iptc(**data_sets: bytes) -> bytes:
    """A block of IPTC's data sets of record 2, named by their number, as Photoshop stores it in a JPEG."""
    block = b"".join(
        b"\x1c\x02" + bytes([int(number[1:])]) + struct.pack(">H", len(value)) + value
        for number, value in data_sets.items()
    )
    return b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(block)) + block + bytes(len(block) % 2)


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + jpeg[2:]


def test_iptc_names_credit_and_date(tmp_path: Path) -> None:
    block = iptc(n110="Agence Générale".encode(), n55=b"20260504", n25=b"tower", n105="Ölkrise".encode("latin-1"))
    content = with_segment(encoded(PICTURE, "JPEG"), 0xED, block)
    assert rows_of(tmp_path, content, "IPTC") == [
        ("Date Created", "20260504"),
        ("Headline", "Ölkrise"),
        ("Credit", "Agence Générale"),
    ]


def test_a_comment_is_read(tmp_path: Path) -> None:
    content = with_segment(encoded(PICTURE, "JPEG"), 0xFE, b"Lavc58.134.100")
    assert rows_of(tmp_path, content, "comment") == [("comment", "Lavc58.134.100")]


def test_fields_that_are_not_shown_are_said_to_be_there(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    content = encoded(PICTURE, "JPEG", exif=exif.tobytes(), xmp=b"<x Rating='5'/>")
    file = tmp_path / "picture"
    file.write_bytes(with_segment(content, 0xED, iptc(n25=b"tower")))
    said = file_says(file)
    words = "present, but none of those that are shown here"
    assert said.rows == [Said(source, "further fields", words) for source in ("EXIF", "IPTC", "XMP")]
    assert said.silent == ["PNG text", "comment", "C2PA"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "GIF", "BMP", "PPM"])
def test_a_file_with_nothing_says_nothing(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "picture"
    file.write_bytes(encoded(PICTURE, kind))
    said = file_says(file)
    assert said.rows == []
    assert said.silent == list(SOURCES)


def test_the_words_for_the_pages_say_both_halves() -> None:
    assert "A missing mark is evidence of nothing" in NO_EVIDENCE_EITHER_WAY
    assert "can be forged" in NO_EVIDENCE_EITHER_WAY
    assert "not used for the verdict" in NO_EVIDENCE_EITHER_WAY
