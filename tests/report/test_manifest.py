"""C2PA manifests, each signed here with a certificate made here: valid, tampered with, broken, elsewhere, or absent."""

import random
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import c2pa
import pytest
from made_images import encoded, noise
from signed_pictures import GENERATED_BY_A_MODEL, edited, signed, signed_elsewhere, tampered

from swift_zoomin.report.provenance import file_says
from swift_zoomin.report.said import FAULT, LONGEST_VALUE, MOST_ROWS

PICTURE = noise(48, 32)
JPEG = encoded(PICTURE, "JPEG")


def rows_of(tmp_path: Path, content: bytes) -> list[tuple[str, str]]:
    """What the manifest of a file says: fields and values."""
    file = tmp_path / "picture"
    file.write_bytes(content)
    return [(row.field, row.value) for row in file_says(file).rows if row.source == "C2PA"]


def field(tmp_path: Path, content: bytes, name: str) -> str:
    """The only value of a field."""
    (value,) = [value for field, value in rows_of(tmp_path, content) if field == name]
    return value


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("TIFF", "image/tiff"),
        ("GIF", "image/gif"),
        ("AVIF", "image/avif"),
        ("HEIF", "image/heif"),
    ],
)
def test_a_signed_picture_says_who_made_it_of_what(tmp_path: Path, kind: str, media_type: str) -> None:
    rows = rows_of(tmp_path, signed(encoded(PICTURE, kind), media_type, title="A tower"))
    (state, *signature), rest = rows[0], rows[1:]
    assert (state, signature[0].split(":")[0]) == ("validation", "Valid")
    assert rest == [
        ("signed by", "Test Newsroom"),
        ("written by", "Toy studio 1"),
        ("title", "A tower"),
        (
            "action",
            f"c2pa.created; Toy model 2; trainedAlgorithmicMedia: made by a generative model ({GENERATED_BY_A_MODEL})",
        ),
    ]


def test_one_changed_bit_of_the_pixels_makes_the_manifest_invalid(tmp_path: Path) -> None:
    content = signed(JPEG)
    assert field(tmp_path, tampered(content), "validation").startswith("Invalid: file, manifest and signature do not")
    assert field(tmp_path, tampered(content), FAULT).startswith("assertion.dataHash.mismatch: ")
    assert FAULT not in dict(rows_of(tmp_path, content))


def test_a_changed_manifest_is_invalid(tmp_path: Path) -> None:
    content = signed(JPEG)
    assert content.count(b"Toy model") == 1
    changed = content.replace(b"Toy model", b"My camera")
    assert field(tmp_path, changed, "validation").startswith("Invalid")
    assert "My camera" in field(tmp_path, changed, "action")


def test_anybody_can_sign_in_a_camera_makers_name_and_the_row_says_so(tmp_path: Path) -> None:
    content = signed(JPEG, signer="Leica Camera AG")
    assert field(tmp_path, content, "signed by") == "Leica Camera AG"
    state = field(tmp_path, content, "validation")
    assert state.startswith("Valid")
    assert "Whether the signer is who the certificate says is not known" in state


def test_what_an_earlier_manifest_says_is_told_too(tmp_path: Path) -> None:
    rows = dict(rows_of(tmp_path, edited(signed(JPEG))))
    assert rows["signed by"] == "Test Editor"
    assert rows["earlier action"].startswith("c2pa.created; Toy model 2; trainedAlgorithmicMedia")


def test_a_picture_without_a_manifest_says_nothing(tmp_path: Path) -> None:
    assert rows_of(tmp_path, JPEG) == []
    assert rows_of(tmp_path, encoded(PICTURE, "BMP")) == [], "BMP has no place for one"


class Requests(BaseHTTPRequestHandler):
    """Writes down what is asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and what it was asked for."""
    asked: list[str] = []
    handler = type("Handler", (Requests,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/manifest.c2pa", asked
        listening.shutdown()


def test_a_manifest_that_lies_elsewhere_is_not_fetched(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    address, asked = server
    content = signed_elsewhere(JPEG, address)
    assert field(tmp_path, content, FAULT) == (
        "the manifest does not lie in the file, and nothing is fetched "
        f"(Remote: must fetch remote manifests from url {address})"
    )
    assert asked == []
    with pytest.raises(c2pa.C2paError):
        c2pa.Reader(tmp_path / "picture")
    assert asked == ["/manifest.c2pa"], "the library fetches it where nobody forbids that"


def test_a_manifest_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    broken = signed(JPEG).replace(b"c2cl", b"????")
    assert [name for name, _ in rows_of(tmp_path, broken)] == [FAULT]
    assert field(tmp_path, broken, FAULT).startswith("no manifest could be read (")


def test_a_damaged_manifest_raises_nothing(tmp_path: Path) -> None:
    content = signed(JPEG)
    chance = random.Random(0)
    start = content.index(b"jumb") - 12
    states = set()
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 3, 20))):
            damaged[chance.randrange(start, start + 3000)] = chance.randrange(256)
        rows = rows_of(tmp_path, bytes(damaged))
        states |= {value.split(":")[0] for name, value in rows if name == "validation"}
        states |= {name for name, _ in rows if name == FAULT}
    assert states >= {"Invalid", FAULT}


def test_a_huge_manifest_is_cut(tmp_path: Path) -> None:
    created = {"action": "c2pa.created", "digitalSourceType": GENERATED_BY_A_MODEL}
    long = {"action": "c2pa.edited", "softwareAgent": {"name": "\u202eW" + "w" * 100_000}}
    more = [{"action": "c2pa.edited", "softwareAgent": {"name": f"{number}"}} for number in range(60)]
    many = {"label": "c2pa.actions.v2", "data": {"actions": [created, long, *more]}}
    rows = rows_of(tmp_path, signed(JPEG, assertions=[many]))
    assert len(rows) == MOST_ROWS + 1
    assert rows[-1][0] == "further fields"
    assert all(value.isprintable() and len(value) < 2 * LONGEST_VALUE for _, value in rows)
    assert [value for name, value in rows if name == "action"][1].startswith(r"c2pa.edited; \u202eWwww")


def test_a_missing_package_is_a_row_that_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = signed(JPEG)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert rows_of(tmp_path, content) == [
        ("not looked for", 'c2pa-python is not installed; pip install "swift-zoomin[c2pa]"')
    ]
