"""Where heat is laid on the original: worked out by hand, and for any size."""

import numpy as np
import pytest

from swift_zoomin.attention.heat import Heat, Shown, to_heat
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.families import QWEN2_5_VL
from swift_zoomin.images import ImageRef


def test_each_token_is_spread_evenly_over_its_part_of_the_image() -> None:
    heat = Heat((4, 2), [Shown((0, 0, 4, 2), np.array([[4.0, 8.0]]))])
    assert heat.laid_on((4, 2)).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]
    assert heat.laid_on((2, 1)).tolist() == [[4, 8]]
    assert heat.laid_on((8, 1)).tolist() == [[1, 1, 1, 1, 2, 2, 2, 2]]


def test_a_token_ends_inside_a_pixel() -> None:
    """Three tokens over two pixels: half of the middle one lies in each."""
    heat = Heat((2, 1), [Shown((0, 0, 2, 1), np.array([[3.0, 2.0, 5.0]]))])
    assert heat.laid_on((2, 1)) == pytest.approx(np.array([[4, 6]]))


def test_a_crop_is_laid_back_where_it_was_cut_and_added() -> None:
    whole = Shown((0, 0, 8, 4), np.full((1, 2), 16.0))  # 1 a pixel
    crop = Shown((5, 1, 7, 3), np.array([[1.0, 2.0], [3.0, 4.0]]))
    heat = Heat((8, 4), [whole, crop])
    expected = np.ones((4, 8))
    expected[1:3, 5:7] += [[1, 2], [3, 4]]
    assert heat.laid_on((8, 4)) == pytest.approx(expected)
    assert heat.laid_on((8, 4)).dtype == np.float32
    assert heat.crop_share == pytest.approx(10 / 42)
    # At half the size the crop begins and ends inside a pixel: 2.5 to 3.5 across, 0.5 to 1.5 down.
    halved = np.full((2, 4), 4.0)
    halved[:, 2:4] += [[1, 2], [3, 4]]
    assert heat.laid_on((4, 2)) == pytest.approx(halved)


@pytest.mark.parametrize("size", [(400, 300), (401, 299), (1333, 1000), (7, 5), (1, 1)])
def test_no_heat_is_lost_at_any_size(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    crops = [Shown((13, 17, 101, 59), rng.random((3, 5))), Shown((0, 250, 1333, 1000), rng.random((8, 8)))]
    heat = Heat((1333, 1000), [Shown((0, 0, 1333, 1000), rng.random((18, 24))), *crops])
    assert heat.laid_on(size).sum(dtype=np.float64) == pytest.approx(heat.total, rel=1e-5)


def test_tokens_are_laid_out_image_by_image_and_row_by_row() -> None:
    image = ImageRef("a.png", (112, 56), limits=PixelLimits(4 * 784, 16 * 784, QWEN2_5_VL))
    crop = image.crop([28, 0, 84, 56])
    heat = to_heat(np.arange(12.0), [(2, 4), (2, 2)], [image, crop])
    assert [shown.window_px for shown in heat.shown] == [(0, 0, 112, 56), (28, 0, 84, 56)]
    assert [shown.heat.tolist() for shown in heat.shown] == [[[0, 1, 2, 3], [4, 5, 6, 7]], [[8, 9], [10, 11]]]


def test_without_heat_the_crops_have_none_of_it() -> None:
    assert Heat((2, 2), [Shown((0, 0, 2, 2), np.zeros((1, 1)))]).crop_share == 0.0
