"""The demo with a model of its own, tiny and trained, and visitors who come with browsers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from demo_process import Demo, running_demo
from visitor import Visitor

from swift_zoomin.predictions import Prediction

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.slow]

VISITORS = 10


@pytest.fixture(scope="module")
def demo(trained_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    home = tmp_path_factory.mktemp("demo")
    with running_demo(home, "--model", trained_dir, "--max-new-tokens", 100) as demo:
        yield demo


@pytest.fixture
def page(demo: Demo, chromium: Any) -> Iterator[Any]:
    context = chromium.new_context(accept_downloads=True)
    page = context.new_page()
    page.goto(demo.url)
    yield page
    context.close()


@pytest.fixture(scope="module")
def alone(demo: Demo, benchmark_dir: Path) -> dict[Path, Prediction]:
    """What is said of pictures that are looked at one after the other."""
    return {picture: seen_alone(demo, picture) for picture in sorted((benchmark_dir / "train/images").iterdir())[:20]}


def test_a_picture_is_looked_at_doubted_and_kept_by_its_visitor_alone(
    page: Any, demo: Demo, alone: dict[Path, Prediction]
) -> None:
    # Trained for so short a time, the model says nothing that can be read of some of them.
    picture = next(picture for picture, seen in alone.items() if seen["initial_verdict"] and seen["verdict"])
    before = demo.noted(), demo.files()
    page.locator("#file").set_input_files(picture)
    page.locator("#further").wait_for(timeout=120_000)
    with page.expect_download() as waited:
        page.locator("#save-json").click()
    prediction = json.loads(Path(waited.value.path()).read_text())
    assert prediction["replies"] == alone[picture]["replies"]
    assert page.locator("#second-verdict").inner_text().lower() == prediction["verdict"]
    assert page.locator("#regions li img").count() == len(prediction["boxes"]) > 0
    page.locator("#probe").click()
    page.locator("#probed").wait_for(timeout=120_000)
    assert page.locator("#probe-rows tr").count() == 2 + len(prediction["boxes"])
    for query in (1, 2):
        page.locator(f"#heat-{query}").click()
        look = "first" if query == 1 else "second"
        page.locator(f"#heat-image[alt*='{look} look']").wait_for(timeout=120_000)
        assert page.locator("#heat-image").evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    with page.expect_download(timeout=60_000) as waited:
        page.locator("#save-page").click()
    found = page.locator("#probe-words").inner_text().partition(".")[0]
    assert found in Path(waited.value.path()).read_text()  # what the test found stands in the page
    page.close()
    demo.wait_until_held(0)
    assert (demo.noted(), demo.files()) == before


def test_ten_browsers_at_once_each_get_their_own_result(
    demo: Demo, chromium: Any, alone: dict[Path, Prediction]
) -> None:
    expected = list(alone.values())[:VISITORS]
    assert len({tuple(prediction["replies"]) for prediction in expected}) > 1
    contexts = [chromium.new_context() for _ in expected]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        page.goto(demo.url)
        page.locator("#limits").filter(has_text="At most").wait_for()
    for page, picture in zip(pages, alone, strict=False):
        page.locator("#file").set_input_files(picture)
    for page, prediction in zip(pages, expected, strict=True):
        page.locator("#further").wait_for(timeout=120_000)
        assert page.locator("#name").inner_text() == prediction["image"]
        assert page.locator("#second-explanation").text_content() == prediction["explanation"]
        assert page.locator("#regions li").count() == len(prediction["boxes"])
    assert demo.pictures_held() == VISITORS
    for context in contexts:
        context.close()
    demo.wait_until_held(0)


def seen_alone(demo: Demo, picture: Path) -> Prediction:
    with Visitor(demo.url, picture.read_bytes(), picture.name) as visitor:
        prediction: Prediction = visitor.wait_for("done")["prediction"]
    return prediction
