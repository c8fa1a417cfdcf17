"""The command `zoomin review`: which file it reads, what it refuses to overwrite, and what its page holds."""

import base64
import hashlib
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made_images import encoded, exif, noise
from PIL import Image
from zoomin_command import ROWS, make_data, zoomin_command

import swift_zoomin
from swift_zoomin.records import write_records
from swift_zoomin.replies import VERDICTS

Zoomin = Callable[..., tuple[int, str, str]]
PACKAGE = Path(swift_zoomin.__file__).parent


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data")


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zoomin:
    return zoomin_command(monkeypatch, capsys)


def page_data(page: Path) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])


def page_image(page: Path, index: int) -> Image.Image:
    found = re.search(rf'<script type="text/plain" id="image-{index}">(.*?)</script>', page.read_text())
    assert found
    return Image.open(io.BytesIO(base64.b64decode(found[1])))


def test_a_folder_and_its_records_file_give_the_same_page(zoomin: Zoomin, data: Path) -> None:
    page = data / "review.html"
    said = f"wrote {page}: all 3 records; open it in a browser, and put decisions.json beside records.jsonl\n"
    assert zoomin("review", data)[:2] == (0, said)
    first = page.read_bytes()
    assert zoomin("review", data / "records.jsonl")[:2] == (0, said)  # over its own page
    assert page.read_bytes() == first
    shown = page_data(page)
    assert [record["name"] for record in shown["records"]] == [row["image"] for row in ROWS]
    assert shown["records"][0]["boxes"] == [[10, 10, 30, 30]]
    assert [record["is_annotated"] for record in shown["records"]] == [True, False, True]
    assert all(f"<option>{label}</option>" in page.read_text() for label in VERDICTS)


def test_the_page_is_whole_in_itself(zoomin: Zoomin, data: Path) -> None:
    """No address but that of SVG's namespace, which is never opened."""
    assert zoomin("review", data)[0] == 0
    page = (data / "review.html").read_text()
    assert set(re.findall(r"https?://[^\s\"'`<]+", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<link(?! rel=\"icon\" href=\"data:,\")|<script[^>]*\ssrc|@import|url\(", page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in page


def test_images_are_upright_and_at_most_1024_pixels(zoomin: Zoomin, data: Path) -> None:
    """A photograph of 2100 x 700 turned upright is 700 x 2100, and 341 x 1024 on the page; its boxes stay as given."""
    turned = encoded(noise(2100, 700), "JPEG", exif=exif(b"\x06\0\0\0"))
    (data / "images" / "turned.jpg").write_bytes(turned)
    box = [0, 1000, 700, 2100]
    write_records(data / "records.jsonl", [{"image": "images/turned.jpg", "label": "real", "boxes": [box]}])
    assert zoomin("review", data)[0] == 0
    (record,) = page_data(data / "review.html")["records"]
    assert (record["width"], record["height"]) == (700, 2100)
    assert (record["shown_width"], record["shown_height"]) == (341, 1024)
    assert record["boxes"] == [box]
    image = page_image(data / "review.html", 0)
    assert (image.format, image.size) == ("WEBP", (341, 1024))


def test_what_a_picture_shows_is_on_the_page_as_good_as_it_is(zoomin: Zoomin, data: Path) -> None:
    """A small one is not enlarged; 3 levels of 255 are less than anybody sees."""
    picture = Image.linear_gradient("L").convert("RGB")
    picture.save(data / "images" / "0.png")
    write_records(data / "records.jsonl", [{"image": "images/0.png", "label": "real"}])
    assert zoomin("review", data)[0] == 0
    shown = page_image(data / "review.html", 0).convert("RGB")
    assert shown.size == picture.size
    pairs = zip(shown.tobytes(), picture.tobytes(), strict=True)
    assert sum(abs(one - other) for one, other in pairs) / len(shown.tobytes()) < 3


def test_progress_is_kept_under_the_path_of_the_file(zoomin: Zoomin, data: Path) -> None:
    assert zoomin("review", data)[0] == 0
    key = page_data(data / "review.html")["key"]
    # Another sample goes on with the same progress, and so does a file with one more record, named by a link.
    assert zoomin("review", data, "--sample", 1)[0] == 0
    assert page_data(data / "review.html")["key"] == key
    write_records(data / "records.jsonl", [*ROWS, {"image": "images/0.png", "label": "real"}])
    (data.parent / "link").symlink_to(data)
    assert zoomin("review", data.parent / "link")[0] == 0
    assert page_data(data / "review.html")["key"] == key
    shutil.copytree(data, data.parent / "other")
    assert zoomin("review", data.parent / "other")[0] == 0
    assert page_data(data.parent / "other" / "review.html")["key"] != key


def test_the_help_names_every_command_that_leaves_rejected_records_out(zoomin: Zoomin, data: Path) -> None:
    """These, and no other module, ask for the records that a review left."""
    users = {path.name for path in PACKAGE.rglob("*.py") if "import without_rejected" in path.read_text()}
    assert users == {"square_records.py", "command.py"}
    assert zoomin("review", data)[0] == 0
    page = " ".join((data / "review.html").read_text().split())
    commands = "<code>zoomin split</code> and <code>zoomin convert square</code>"
    assert f"{commands} then leave rejected records out" in page


def test_a_name_of_bytes_that_are_no_text_stays_that_name(zoomin: Zoomin, data: Path) -> None:
    name = "a\udcff.png"
    Image.new("RGB", (30, 30)).save(data / name)
    write_records(data / "records.jsonl", [{"image": name, "label": "real"}])
    assert zoomin("review", data)[0] == 0
    (record,) = page_data(data / "review.html")["records"]
    assert (record["name"], record["title"]) == (name, "'a\\udcff.png'")


def test_records_files_of_one_folder_have_a_page_each(zoomin: Zoomin, data: Path) -> None:
    for part in ("train", "val"):
        shutil.copy(data / "records.jsonl", data / f"{part}.jsonl")
        code, out, _ = zoomin("review", data / f"{part}.jsonl")
        assert (code, out.startswith(f"wrote {data}/review-{part}.html: ")) == (0, True)
    assert page_data(data / "review-train.html")["file"] == "train.jsonl"
    assert not (data / "review.html").exists()


def test_a_page_that_is_not_ours_is_not_overwritten(zoomin: Zoomin, data: Path) -> None:
    (data / "review.html").write_text("<!doctype html><title>My notes</title>")
    code, _, err = zoomin("review", data)
    said = f"zoomin: {data}/review.html: exists, and is no page of `zoomin review`; move it away\n"
    assert (code, err) == (1, said)
    assert "My notes" in (data / "review.html").read_text()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: (data / "records.jsonl").unlink(), "{data}: no records.jsonl in it; name a records "),
        (lambda data: (data / "records.jsonl").write_text(""), "{data}/records.jsonl: holds no record to review"),
        (
            lambda data: (data / "images/1.png").write_bytes(b"no"),
            "{data}/records.jsonl:2: image {data}/images/1.png: ",
        ),
        (lambda data: (data / "decisions.json").write_text("{"), "{data}/decisions.json: not JSON (Expecting "),
    ],
    ids=["no records", "empty", "damaged image", "damaged decisions"],
)
def test_what_stops_a_review_is_one_line_and_leaves_no_page(
    zoomin: Zoomin, data: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(data)
    code, out, err = zoomin("review", data)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"zoomin: {said.format(data=data)}")
    assert not (data / "review.html").exists()


def test_without_jinja_one_line_names_the_extra(zoomin: Zoomin, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert zoomin("review", data)[2] == "zoomin: review needs Jinja2: pip install 'swift-zoomin[annotate]'\n"
