"""What stands in an opened picture beside its pixels: EXIF, IPTC, XMP, the texts of a PNG, comments.

Pillow reads all of it; here the fields are chosen that tell where a picture comes from. Not among them: where it was
taken and the numbers of camera and lens, which concern the photographer's safety more than the picture's origin;
maker notes; C2PA (see `manifest`). Not covered: IPTC in a PNG, and XMP that a JPEG continues in further segments.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from PIL import ExifTags, Image, ImageFile, IptcImagePlugin, PngImagePlugin, TiffImagePlugin

from swift_zoomin.report.said import FURTHER, Said, as_text, says
from swift_zoomin.report.source_types import explained

EXIF, IPTC, XMP, PNG_TEXT, COMMENT = "EXIF", "IPTC", "XMP", "PNG text", "comment"

_FIRST_TAGS = {
    ExifTags.Base[name].value: name
    for name in (
        *("Make", "Model", "Software", "ProcessingSoftware", "HostComputer", "DateTime"),
        *("Artist", "Copyright", "ImageDescription"),
    )
}
_SECOND_TAGS = {
    ExifTags.Base[name].value: name
    for name in ("LensMake", "LensModel", "DateTimeOriginal", "OffsetTimeOriginal", "DateTimeDigitized")
}
# Of EXIF 3.0, which Pillow 13 has no names for.
_SECOND_TAGS |= {
    0xA438: "ImageEditor",
    0xA439: "CameraFirmware",
    0xA43A: "RAWDevelopingSoftware",
    0xA43B: "ImageEditingSoftware",
    0xA43C: "MetadataEditingSoftware",
}
# Data sets of the Information Interchange Model, record 2.
_IPTC_FIELDS = {
    5: "Object Name",
    40: "Special Instructions",
    55: "Date Created",
    60: "Time Created",
    62: "Digital Creation Date",
    65: "Originating Program",
    70: "Program Version",
    80: "By-line",
    105: "Headline",
    110: "Credit",
    115: "Source",
    116: "Copyright Notice",
    120: "Caption",
}
_SOURCE_TYPE = "DigitalSourceType"  # of Iptc4xmpExt
# Names without their namespace, as Pillow gives them.
_XMP_FIELDS = (
    _SOURCE_TYPE,
    *("CreatorTool", "softwareAgent", "Credit", "Source", "source", "creator", "rights", "title", "description"),
    *("CreateDate", "DateCreated", "ModifyDate", "MetadataDate", "UserComment"),
    *("AISystemUsed", "AISystemVersionUsed", "AIPromptInformation", "AIPromptWriterName"),  # IPTC 2025.1
    "AIGC",  # the label that China's standard GB 45438-2025 asks for
)
_NO_TEXT = ("lang", "about", "parseType", "datatype")  # attributes that say how a value is to be read
_XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"  # stands before it there, and by mistake in some HEIF files
_LARGEST_XMP = 4 << 20  # bytes; the largest of edited photographs have some hundred thousand
# Keys of PNG texts, with the generators that write them.
_PNG_KEYS = {
    "parameters": "Stable Diffusion web UI, Forge, SwarmUI, Fooocus",
    "prompt": "ComfyUI, Easy Diffusion",
    "workflow": "ComfyUI",
    "invokeai_metadata": "InvokeAI",
    "invokeai_workflow": "InvokeAI",
    "invokeai_graph": "InvokeAI",
    "sd-metadata": "InvokeAI until 2.3",
    "Dream": "InvokeAI until 1.15",
    "fooocus_scheme": "Fooocus",
    "negative_prompt": "Easy Diffusion",
    "Negative Prompt": "Easy Diffusion",
    "parameters-json": "Stability Matrix",
    "smproj": "Stability Matrix",
    "generation_data": "TensorArt",
    "AIGC": "generators that follow China's standard GB 45438-2025",
}
# XMP, whole profiles, and the copies of EXIF's fields that ImageMagick makes, places and serial numbers among them.
_READ_ELSEWHERE = ("XML:com.adobe.xmp", "Raw profile type ", "exif:")


def exif_says(image: Image.Image) -> Iterator[Said]:
    """Camera, software and dates of a picture's first directory."""
    yield from _tags(Image.Image.getexif(image), _FIRST_TAGS)  # a PNG's own method would decode it


def exif_details_say(image: Image.Image) -> Iterator[Said]:
    """The same of its second directory, which may be damaged while the first is not."""
    exif = Image.Image.getexif(image)
    directory = exif.get_ifd(ExifTags.IFD.Exif)
    rows = list(_tags(directory, _SECOND_TAGS))
    comment = directory.get(ExifTags.Base.UserComment)
    if comment is not None:
        rows.append(says(EXIF, "UserComment", _user_comment(comment) if isinstance(comment, bytes) else comment))
    yield from rows
    tags = set(exif.keys())
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags &= _FIRST_TAGS.keys() | {ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}  # its others describe its pixels
    if tags and not rows and not tags & _FIRST_TAGS.keys():
        yield _only_others(EXIF)


def iptc_says(image: Image.Image) -> Iterator[Said]:
    """The older form of IPTC's fields, which has no source type."""
    if not isinstance(image, ImageFile.ImageFile):
        return
    found = IptcImagePlugin.getiptcinfo(image) or {}
    rows = [says(IPTC, field, found[2, number]) for number, field in _IPTC_FIELDS.items() if (2, number) in found]
    yield from rows
    if found and not rows:
        yield _only_others(IPTC)


def xmp_says(image: Image.Image) -> Iterator[Said]:
    """Raises ValueError for XMP that is no XML, declares entities, or is longer than anybody's."""
    packet = image.info.get("xmp", b"")
    if not isinstance(packet, bytes):
        raise ValueError("no text, but numbers")
    if len(packet) > _LARGEST_XMP:
        raise ValueError(f"{len(packet):,} bytes; at most {_LARGEST_XMP:,} are read")
    if not packet:
        return
    image.info["xmp"] = packet.removeprefix(_XMP_IN_JPEG)
    try:
        content = image.getxmp()
    except SyntaxError as error:
        raise ValueError(f"no XML: {error}") from error
    found: dict[str, dict[str, None]] = {name: {} for name in _XMP_FIELDS}
    for name, value in _leaves(content):
        found[name][value] = None  # a history names the same program many times
    for name, values in found.items():
        for value in values:
            yield says(XMP, name, explained(value) if name == _SOURCE_TYPE else value)
    if not any(found.values()):
        yield _only_others(XMP)


def png_texts_say(image: Image.Image) -> Iterator[Said]:
    """All texts of a PNG. A key that generators write names them: `parameters (as Stable Diffusion web UI, ...)`."""
    if not isinstance(image, PngImagePlugin.PngImageFile) or image.png is None:
        return
    for key, text in image.png.im_text.items():
        if not key.startswith(_READ_ELSEWHERE):
            writers = _PNG_KEYS.get(key)
            yield says(PNG_TEXT, f"{key} (as {writers})" if writers else key, text)


def comments_say(image: Image.Image) -> Iterator[Said]:
    """The free text that a JPEG or a GIF may have."""
    if "comment" in image.info:
        yield says(COMMENT, COMMENT, image.info["comment"])


def _only_others(source: str) -> Said:
    """The row of a source that is there, so that nobody takes it for missing."""
    return says(source, FURTHER, "present, but none of those that are shown here")


def _tags(directory: Any, fields: dict[int, str]) -> Iterator[Said]:
    for tag, name in fields.items():
        if tag in directory:
            yield says(EXIF, name, directory[tag])


def _user_comment(content: bytes) -> str:
    """The text behind the eight bytes that name its encoding. Generators write their settings here."""
    encoding, text = content[:8], content[8:]
    if encoding != b"UNICODE\0":
        return as_text(text if encoding in (b"ASCII\0\0\0", bytes(8)) else content)
    # Which byte comes first is not said. Of most texts the higher one is zero.
    is_little = text[1::2].count(0) > text[::2].count(0)
    return text.decode("utf-16-le" if is_little else "utf-16-be", errors="replace")


def _leaves(content: Any) -> Iterator[tuple[str, str]]:
    """The texts in XMP as Pillow gives it, each with the nearest name around it that is one of the wanted ones."""
    waiting: list[tuple[str, Any]] = [("", content)]
    while waiting:
        wanted, value = waiting.pop()
        if isinstance(value, dict):
            inner = [(name if name in _XMP_FIELDS else wanted, item) for name, item in value.items()]
            waiting += reversed([pair for pair, name in zip(inner, value, strict=True) if name not in _NO_TEXT])
        elif isinstance(value, list):
            waiting += _each(wanted, reversed(value))
        elif isinstance(value, str) and wanted and value.strip():
            yield wanted, value.strip()


def _each(name: str, values: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for value in values)
