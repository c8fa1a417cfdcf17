"""The demo's page in Chromium: pictures that are chosen, pasted and dropped, what is refused, and who is asked."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe import violations
from browser import DESKTOP, PHONE, Seen, has_sideways_scrolling
from demo_process import Demo, running_demo
from model_by_picture import ModelByPicture, model_by_picture
from PIL import Image
from visitor import png

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.slow]

SERVED = ("--model", "Qwen/Qwen2.5-VL-7B-Instruct", "--engine", "endpoint", "--max-megabytes", 1)
HOSTILE = '"><img src=x onerror=alert(1)>\u202egnp.'
# A picture is put on the clipboard as another program would do it.
COPY = """async (width) => {
  const canvas = new OffscreenCanvas(width, 224);
  canvas.getContext("2d").fillRect(0, 0, width, 100);
  const picture = await canvas.convertToBlob({type: "image/png"});
  await navigator.clipboard.write([new ClipboardItem({"image/png": picture})]);
}"""
DROP = """([text, name]) => {
  const data = new DataTransfer();
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  data.items.add(new File([bytes], name, {type: "image/png"}));
  document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


@pytest.fixture(scope="module")
def model() -> Iterator[ModelByPicture]:
    with model_by_picture() as model:
        yield model


@pytest.fixture(scope="module")
def demo(model: ModelByPicture, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Where a token is asked for: as it listens beyond loopback."""
    command = (*SERVED, "--url", model.url, "--host", "0.0.0.0")
    home = tmp_path_factory.mktemp("demo")
    with running_demo(home, *command, OPENAI_API_KEY="none", MAX_PIXELS="1003520") as demo:
        yield demo


@pytest.fixture
def seen(demo: Demo, open_page: Callable[..., Seen]) -> Seen:
    return open_page(f"{demo.url}#token={demo.token}")


def picture(folder: Path, width: int = 224, name: str = "a.png") -> Path:
    (folder / name).write_bytes(png(width))
    return folder / name


def choose(page: Any, file: Path) -> None:
    page.locator("#file").set_input_files(file)


def said(page: Any, selector: str) -> str:
    return str(page.locator(selector).inner_text())


def problem_after(page: Any, file: Path) -> str:
    choose(page, file)
    page.locator("#problem:not(:empty)").wait_for()
    return said(page, "#problem")


def test_a_chosen_picture_is_looked_at_twice(seen: Seen, model: ModelByPicture, tmp_path: Path) -> None:
    page = seen.page
    assert "token" not in page.url  # nor in the history
    choose(page, picture(tmp_path))
    page.locator("#further").wait_for()
    assert said(page, "#first-verdict").lower() == "generated"
    assert said(page, "#first-explanation") == "First look at 224."
    assert said(page, "#second-verdict").lower() == "real"
    assert said(page, "#changed") == "The second look changed the verdict from generated to real."
    assert page.locator("#image").get_attribute("alt") == "a.png, verdict: real; 1 marked region"
    assert said(page, "#regions li .label").split() == ["1", "melted", "letters"]
    crop = page.locator("#regions li img")
    assert crop.get_attribute("alt") == "Close-up of region 1 as the model saw it"
    assert crop.evaluate("image => image.naturalWidth") == 224
    box, image = page.locator("#boxes .box").bounding_box(), page.locator("#image").bounding_box()
    assert box["x"] - image["x"] == pytest.approx(image["width"] * 28 / 224, abs=1)
    assert box["width"] == pytest.approx(image["width"] * 56 / 224, abs=1)
    assert not seen.requests
    assert not seen.errors


def test_regions_are_there_while_the_second_look_is_still_waited_for(
    seen: Seen, model: ModelByPicture, tmp_path: Path
) -> None:
    let_go = model.hold_second(252)
    choose(seen.page, picture(tmp_path, 252))
    seen.page.locator("#regions li img").wait_for()
    assert said(seen.page, "#status").startswith("Second look")
    assert said(seen.page, "#second-verdict") == ""
    assert seen.page.locator("#further").is_hidden()
    let_go.set()
    seen.page.locator("#further").wait_for()


def test_a_picture_can_be_pasted_and_dropped(seen: Seen, demo: Demo, tmp_path: Path) -> None:
    page = seen.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=demo.url.rstrip("/"))
    choose(page, picture(tmp_path, 280))
    page.locator("#further").wait_for()
    page.evaluate(COPY, 308)
    page.keyboard.press("Control+v")
    page.locator("#size").filter(has_text="308 ×").wait_for()
    page.locator("#further").wait_for()
    demo.wait_until_held(1)  # the first one has been let go
    page.evaluate(DROP, [base64.b64encode(png(336)).decode(), "dropped.png"])
    page.locator("#name").filter(has_text="dropped.png").wait_for()
    page.locator("#further").wait_for()
    assert said(page, "#second-explanation") == "Second look at 336."
    assert not seen.requests
    assert not seen.errors


def test_the_keyboard_reaches_what_the_mouse_does(seen: Seen, tmp_path: Path) -> None:
    page = seen.page
    page.locator("#limits").filter(has_text="At most").wait_for()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    chooser.value.set_files(picture(tmp_path))
    page.locator("#further").wait_for()
    page.locator("#choose").focus()
    reached = set()
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {"save-page", "save-json", "probe"} <= reached  # and no heat map, which is not offered here
    assert not {"heat-1", "heat-2"} & reached
    assert "--engine transformers does" in said(page, "#heat-fault")


def test_page_and_row_are_downloaded(seen: Seen, tmp_path: Path) -> None:
    page = seen.page
    choose(page, picture(tmp_path, 224, "strand.png"))
    page.locator("#further").wait_for()
    with page.expect_download() as waited:
        page.locator("#save-json").click()
    assert waited.value.suggested_filename == "strand.json"
    prediction = json.loads(Path(waited.value.path()).read_text())
    assert (prediction["image"], prediction["verdict"]) == ("strand.png", "real")
    with page.expect_download() as waited:
        page.locator("#save-page").click()
    assert waited.value.suggested_filename == "strand.html"
    saved = Path(waited.value.path()).read_text()
    assert "strand.png" in saved
    assert "Second look at 224." in saved
    assert not seen.requests


def test_what_is_refused_is_said_on_the_page(seen: Seen, tmp_path: Path) -> None:
    page = seen.page
    (tmp_path / "words.png").write_text("These are words.")
    assert problem_after(page, tmp_path / "words.png").startswith("words.png: not a readable image")
    Image.new("L", (10_000, 6_000)).save(tmp_path / "large.png")
    assert problem_after(page, tmp_path / "large.png").startswith("large.png: 10000x6000 pixels; expected at most 50.0")
    (tmp_path / "cut.png").write_bytes(png(224)[:9000])
    assert problem_after(page, tmp_path / "cut.png").startswith("cut.png: damaged image")
    (tmp_path / "heavy.png").write_bytes(bytes(1_200_000))
    assert problem_after(page, tmp_path / "heavy.png") == "heavy.png: 1.2 MB; expected at most 1 MB."
    page.route("**/look", lambda route: route.abort("connectionreset"))
    broken = "The connection broke off. Nothing of the picture is kept there; try again."
    assert problem_after(page, picture(tmp_path)) == broken
    page.unroute("**/look")
    choose(page, picture(tmp_path))
    page.locator("#further").wait_for()
    assert said(page, "#problem") == ""


def test_without_the_token_the_page_asks_for_it(demo: Demo, chromium: Any, tmp_path: Path) -> None:
    page = chromium.new_context().new_page()
    page.goto(demo.url)
    page.locator("#ask-token").wait_for()
    assert said(page, "#problem") == "no token; open the address that the demo printed at its start"
    page.locator("#token").fill("another-token-than-this-demo-has")
    page.keyboard.press("Enter")
    page.locator("#problem").filter(has_text="is it of an earlier start?").wait_for()
    choose(page, picture(tmp_path))  # it waits for the token
    page.locator("#token").fill(demo.token)
    page.keyboard.press("Enter")
    page.locator("#further").wait_for()
    assert page.locator("#ask-token").is_hidden()
    page.reload()
    page.locator("#limits").filter(has_text="At most").wait_for()  # it is known in this tab
    page.context.close()


def test_nothing_that_a_model_or_a_file_says_runs(seen: Seen, model: ModelByPicture, tmp_path: Path) -> None:
    model.label = HOSTILE
    try:
        choose(seen.page, picture(tmp_path, 224, '"><img src=x onerror=alert(1)>.png'))
        seen.page.locator("#further").wait_for()
    finally:
        model.label = "melted letters"
    assert said(seen.page, "#regions bdi") == HOSTILE
    assert said(seen.page, "#name") == '"><img src=x onerror=alert(1)>.png'
    assert not seen.requests
    assert not seen.errors


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (DESKTOP, True), (PHONE, False), (PHONE, True)])
def test_axe_finds_nothing_wrong_with_the_page(
    demo: Demo, open_page: Callable[..., Seen], tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    seen = open_page(f"{demo.url}#token={demo.token}", size, dark)
    seen.page.locator("#limits").filter(has_text="At most").wait_for()
    assert violations(seen.page) == []
    (tmp_path / "words.png").write_text("These are words.")
    problem_after(seen.page, tmp_path / "words.png")
    choose(seen.page, picture(tmp_path))
    seen.page.locator("#further").wait_for()
    seen.page.locator("#probe").click()
    seen.page.locator("#probed").wait_for()
    assert violations(seen.page) == []
    assert not has_sideways_scrolling(seen.page)
