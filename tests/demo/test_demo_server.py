"""The demo's server, as a process of its own, in front of a served model: who is answered, and what is left of whom."""

import socket
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from demo_process import Demo, running_demo
from made_images import encoded
from model_by_picture import ModelByPicture, model_by_picture
from PIL import Image
from visitor import Visitor, png

pytestmark = [pytest.mark.server, pytest.mark.slow]

MODEL = ("--model", "Qwen/Qwen2.5-VL-7B-Instruct", "--engine", "endpoint")
WIDTHS = [224 + 28 * number for number in range(10)]  # multiples of a token's side, so that the model sees them as sent
SLOW = 28 * 20


@pytest.fixture(scope="module")
def model() -> Iterator[ModelByPicture]:
    with model_by_picture() as model:
        yield model


@pytest.fixture(scope="module")
def demo(model: ModelByPicture, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    limits = ("--max-megabytes", 1, "--queue", 12, "--concurrency", 11)
    home = tmp_path_factory.mktemp("demo")
    with running_demo(home, *MODEL, "--url", model.url, *limits, OPENAI_API_KEY="none", MAX_PIXELS="1003520") as demo:
        yield demo


@pytest.fixture
def nobody_there(demo: Demo) -> Iterator[None]:
    yield
    demo.wait_until_held(0)


def claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is as large as that."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b"\0"), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(f">I{len(c)}sI", len(c) - 4, c, zlib.crc32(c)) for c in chunks)


@pytest.mark.usefixtures("nobody_there")
def test_a_visitor_hears_the_first_look_before_the_second_is_answered(demo: Demo, model: ModelByPicture) -> None:
    with Visitor(demo.url, png(224), "Strand – a.png") as visitor:
        taken = visitor.wait_for("taken")
        assert (taken["name"], taken["width"], taken["height"]) == ("Strand – a.png", 224, 224)
        first = visitor.wait_for("first")
        assert (first["verdict"], first["explanation"]) == ("generated", "First look at 224.")
        (region,) = first["regions"]
        assert (region["number"], region["box"], region["label"]) == (1, [28, 28, 84, 84], "melted letters")
        assert region["crop"].startswith("data:image/webp;base64,")
        prediction = visitor.wait_for("done")["prediction"]
        assert (prediction["initial_verdict"], prediction["verdict"]) == ("generated", "real")
        assert (prediction["image"], prediction["error"]) == ("Strand – a.png", None)
        assert prediction["made_by"].startswith("model Qwen/Qwen2.5-VL-7B-Instruct (served")


@pytest.mark.usefixtures("nobody_there")
def test_ten_visitors_at_once_each_get_their_own_result_beside_a_slow_one(demo: Demo, model: ModelByPicture) -> None:
    let_go = model.hold(SLOW)

    def visit(width: int) -> tuple[int, str, str]:
        with Visitor(demo.url, png(width), f"{width}.png") as visitor:
            prediction = visitor.wait_for("done")["prediction"]
            return prediction["width"], prediction["image"], prediction["explanation"]

    with Visitor(demo.url, png(SLOW)) as slow, ThreadPoolExecutor(10) as visitors:
        slow.wait_for("taken")
        seen = list(visitors.map(visit, WIDTHS))
        assert seen == [(width, f"{width}.png", f"Second look at {width}.") for width in WIDTHS]
        let_go.set()
        assert slow.wait_for("done")["prediction"]["width"] == SLOW


@pytest.mark.usefixtures("nobody_there")
def test_who_leaves_is_looked_at_no_more_and_nothing_is_held(demo: Demo, model: ModelByPicture) -> None:
    let_go = model.hold(SLOW + 28)
    with Visitor(demo.url, png(SLOW + 28)) as visitor:
        visitor.wait_for("taken")
        demo.wait_until_held(1)
        assert visitor.ask("page").status_code == 404  # there is no verdict yet
    demo.wait_until_held(0)
    let_go.set()
    with Visitor(demo.url, png(224)) as next_one:
        next_one.wait_for("done")  # a second look at the other would have been asked for by then
    assert model.asked.count(SLOW + 28) <= 1
    assert visitor.ask("page").status_code == 404


@pytest.mark.usefixtures("nobody_there")
def test_the_page_is_had_while_the_visitor_stays_and_no_longer(demo: Demo) -> None:
    with Visitor(demo.url, png(224), '"><script>x<.png') as visitor:
        visitor.wait_for("done")
        answer = visitor.ask("page")
        assert answer.headers["Content-Disposition"] == "attachment"
        assert "&lt;script&gt;x" in answer.text
        assert "<script>x" not in answer.text
        assert "/proc/" not in answer.text
        heat = visitor.ask("heat?query=2", "POST")
        assert heat.status_code == 409
        assert heat.json()["error"].startswith("No heat maps: they need the model's gradients, which --engine endpoint")
    demo.wait_until_held(0)
    assert visitor.ask("page").status_code == 404


@pytest.mark.usefixtures("nobody_there")
def test_a_probe_hides_regions_in_memory(demo: Demo) -> None:
    before = demo.noted(), demo.files()
    with Visitor(demo.url, png(252)) as visitor:
        visitor.wait_for("done")
        probed = visitor.ask("probe", "POST").json()
        assert [region["number"] for region in probed["regions"]] == [1]
        assert (probed["share"], probed["all_share"], probed["depends"]) == (0.0, 0.0, False)
        assert "does not depend on its regions" in probed["words"][0]
        assert "does not depend on its regions" in visitor.ask("page").text
    assert (demo.noted(), demo.files()) == before


@pytest.mark.usefixtures("nobody_there")
@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (claiming(10_000, 6_000), 415, "x.png: 10000x6000 pixels; expected at most 50.0 megapixels"),
        (claiming(100_000, 100_000), 415, "x.png: 100000x100000 pixels; expected at most 50.0 megapixels"),
        (encoded(Image.new("L", (9_000, 6_000)), "JPEG"), 415, "x.png: 9000x6000 pixels; expected at most 50.0"),
        (b"These are words.\n" * 100, 415, "x.png: not a readable image (expected JPEG, PNG"),
        (png(224)[:-5_000], 415, "x.png: damaged image (image file is truncated"),
        (b"", 415, "x.png: not a readable image"),
        (bytes(1_000_001), 413, "x.png: more than 1 MB; send a smaller file"),
        (iter([bytes(500_000)] * 3), 413, "x.png: more than 1 MB; send a smaller file"),  # without saying how many
    ],
    ids=["60 megapixels", "bomb", "jpeg", "text", "truncated", "empty", "bytes", "unstated bytes"],
)
def test_what_cannot_be_looked_at_is_refused_in_words(demo: Demo, content: bytes, status: int, words: str) -> None:
    with Visitor(demo.url, content, "x.png") as visitor:
        refused_status, refusal = visitor.refusal
    assert refused_status == status
    assert refusal.startswith(words)
    assert "/proc/" not in refusal


def test_an_upload_that_is_cut_in_the_middle_leaves_nothing(demo: Demo) -> None:
    address = urlsplit(demo.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = f"POST /look HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 100000\r\n\r\n"
        connection.sendall(head.encode() + png(224)[:50_000])
        demo.wait_until_held(1)
    demo.wait_until_held(0)
    assert requests.get(f"{demo.url}settings", timeout=10).ok
    assert "Traceback" not in demo.said()


def test_nothing_of_any_upload_is_written(demo: Demo) -> None:
    before = demo.noted(), demo.files()
    for content in (png(224, 1400), b"no picture", png(280)[:-99]):
        with Visitor(demo.url, content) as visitor:
            if visitor.answer.ok:
                visitor.wait_for("done")
                assert visitor.ask("page").ok
    demo.wait_until_held(0)
    assert (demo.noted(), demo.files()) == before


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"Host": "evil.example"}, 421, "this demo is reached as localhost or 127.0.0.1, not as 'evil.example'"),
        ({"Origin": "http://evil.example"}, 403, "asked by a page of another site"),
        ({"Origin": "null"}, 403, "asked by a page of another site"),
        ({"Sec_Fetch_Site": "cross-site"}, 403, "asked by a page of another site"),
    ],
)
def test_a_page_of_another_site_is_refused(demo: Demo, headers: dict[str, str], status: int, words: str) -> None:
    with Visitor(demo.url, png(224), **headers) as visitor:
        assert visitor.refusal[0] == status
        assert visitor.refusal[1].startswith(words)


def test_a_full_demo_lets_go_of_who_is_done_and_refuses_when_nobody_is(model: ModelByPicture, tmp_path: Path) -> None:
    limits = ("--queue", 2, "--concurrency", 1)
    command = (*MODEL, "--url", model.url, *limits)
    with running_demo(tmp_path / "demo", *command, OPENAI_API_KEY="none", MAX_PIXELS="1003520") as demo:
        done = Visitor(demo.url, png(224))
        done.wait_for("done")
        let_go = model.hold(SLOW + 56)
        slow = Visitor(demo.url, png(SLOW + 56))
        slow.wait_for("taken")
        waiting = Visitor(demo.url, png(252))
        assert done.wait_for("forgotten") == {"why": "others were waiting for the place"}
        assert waiting.wait_for("waiting") == {"ahead": 0}
        with Visitor(demo.url, png(280)) as refused:
            assert refused.refusal == (503, "2 pictures are being looked at or waiting; try again in a minute")
        slow.leave()  # whose place the other one then has
        assert waiting.wait_for("done")["prediction"]["width"] == 252
        let_go.set()
        waiting.leave()
        demo.wait_until_held(0)


def test_elsewhere_than_on_loopback_a_token_is_asked_for(model: ModelByPicture, tmp_path: Path) -> None:
    command = (*MODEL, "--url", model.url, "--host", "0.0.0.0")
    with running_demo(tmp_path / "demo", *command, OPENAI_API_KEY="none", MAX_PIXELS="1003520") as demo:
        assert len(demo.token) >= 32
        assert requests.get(demo.url, timeout=10).ok  # the page, which asks for it
        for headers in ({}, {"Authorization": f"Basic {demo.token}"}, {"Authorization": f"Bearer {demo.token}x"}):
            with Visitor(demo.url, png(224), **headers) as visitor:
                assert visitor.answer.headers["WWW-Authenticate"] == "Bearer"
                assert visitor.refusal[0] == 401
        with Visitor(demo.url, png(224), Authorization=f"Bearer {demo.token}") as visitor:
            assert visitor.wait_for("done")["prediction"]["verdict"] == "real"
            assert visitor.ask("page").status_code == 401
            assert visitor.ask("page", Authorization=f"Bearer {demo.token}").ok
        assert demo.token not in demo.said()
