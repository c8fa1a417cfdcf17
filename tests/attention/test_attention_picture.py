"""The page of heat maps: what it shows, and where."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swift_zoomin.attention.heat import Heat, Shown
from swift_zoomin.attention.picture import Explained, HeatOf
from swift_zoomin.drawing import MARGIN_PX, PANEL_PX, TITLE_PX
from swift_zoomin.images import ImageRef

SIZE = (800, 400)
TOP = MARGIN_PX + 2 * TITLE_PX + PANEL_PX // 4  # of the first row's pictures, which are half as high as wide


def explained(tmp_path: Path, heat: np.ndarray, words: str = "A sign melts.", query: int = 1) -> Explained:
    path = tmp_path / "grey.png"
    Image.new("RGB", SIZE, "grey").save(path)
    laid = Heat(SIZE, [Shown((0, 0, *SIZE), heat)])
    strengths = {"sign": 0.5, "melts": 1.0}
    return Explained(ImageRef.of(path), query, [[0, 0, 100, 100]], words, [HeatOf("melts", laid)], strengths)


def panel(page: Image.Image, column: int) -> np.ndarray:
    left = MARGIN_PX + column * (PANEL_PX + MARGIN_PX)
    return np.asarray(page.crop((left, TOP, left + PANEL_PX, TOP + PANEL_PX // 2))).astype(int)


def test_the_hot_token_is_bright_and_the_rest_stays_grey(tmp_path: Path) -> None:
    heat = np.zeros((2, 4))
    heat[1, 2] = 3.0
    shown = panel(explained(tmp_path, heat).picture(), 1)
    hot = shown[110:190, 210:290]
    assert hot.min() > 150
    assert (hot[..., 0] > hot[..., 2] + 30).all()  # yellow, of the ramp's end
    cold = shown[110:190, 310:390]
    assert (cold == 128).all()


def test_the_image_has_its_boxes_with_and_without_heat(tmp_path: Path) -> None:
    page = explained(tmp_path, np.ones((2, 4))).picture()
    for column in (0, 1):
        red = panel(page, column)[47:50, 5:45]
        assert (red[..., 0] > 180).any()
        assert (red[..., 1] < 60).any()


def test_a_reply_without_heat_is_drawn_and_says_so(tmp_path: Path) -> None:
    page = explained(tmp_path, np.zeros((2, 4))).picture()
    assert (panel(page, 1)[110:190, 210:290] == 128).all()
    with_heat = explained(tmp_path, np.ones((2, 4))).picture()
    assert page.height > with_heat.height  # by the line of text


def test_the_word_said_most_from_the_image_has_the_darkest_ground(tmp_path: Path) -> None:
    page = explained(tmp_path, np.ones((2, 4))).picture()
    strip = np.asarray(page.crop((0, page.height - 100, page.width, page.height)))
    grounds = {tuple(int(channel) for channel in colour) for colour in strip.reshape(-1, 3)}
    assert (253, 141, 60) in grounds  # melts
    assert (254, 198, 158) in grounds  # sign, half as much


@pytest.mark.parametrize("words", ["", "word " * 300, "x" * 2000, "‮evil <b>", "标志融化了。" * 40])
def test_any_explanation_is_drawn(tmp_path: Path, words: str) -> None:
    page = explained(tmp_path, np.ones((2, 4)), words).picture()
    assert page.width < 2000
    assert page.height < 6000
