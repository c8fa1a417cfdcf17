"""`examples/probe_rewards.py`: what each reward pays for replies that were worked out by hand."""

import runpy

import pytest
from conftest import ROOT, trainer_of
from rewarded import NAMES, VARIANTS

import swift_zoomin.register.swift_zoomin_register  # noqa: F401  registers the schedulers
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.families import QWEN2_5_VL

NEAR = 32_400 / 47_600  # 180 x 180 pixels shared by two boxes of 40,000
FULL = 1008 * 1008


@pytest.mark.parametrize(
    ("reply", "words", "eq_2", "unique", "f1", "union"),
    [  # words: verdict and explanation are right; then the four IoU rewards, three regions of 40,000 pixels annotated
        ("all three regions", True, 1, 1, 1, 1),
        ("one region of three", True, 1, 1, 2 / 4, 1 / 3),
        ("one region and a near one", True, *[(1 + NEAR) / 2] * 2, 2 * (1 + NEAR) / 5, 72_400 / 127_600),
        ("one region, a near one, a miss", True, *[(1 + NEAR) / 3] * 2, 2 * (1 + NEAR) / 6, 72_400 / 137_600),
        ("nine duplicates and a miss", True, 9 / 10, 1 / 2, 2 / 13, 40_000 / 130_000),
        ("100 duplicates", True, 1, 1, 2 / 103, 1 / 3),
        ("one tiny box", True, 16 / 40_000, 16 / 40_000, 2 * 16 / 40_000 / 4, 16 / 120_000),
        ("the whole image", True, 40_000 / FULL, 40_000 / FULL, 2 * 40_000 / FULL / 4, 120_000 / FULL),
        ("no region", True, 0, 0, 0, 0),
        ("swapped corners", True, 1, 1, 1, 1),  # put in order
        ("NaN", True, 1, 1, 2 * 2 / 5, 2 / 3),  # the box without a place is left out
        ("two verdicts", False, 1, 1, 1, 1),
        ("verdict in words", False, 1, 1, 1, 1),
        ("cut in the middle", False, 1, 1, 2 / 4, 1 / 3),  # after the first box
        ("nothing", None, 0, 0, 0, 0),
    ],
)
def test_the_probe_shows_what_each_reward_pays(
    pay: dict, reply: str, words: bool | None, eq_2: float, unique: float, f1: float, union: float
) -> None:
    right = float(words or False)
    explained = float(words is not None)
    expected = [right, eq_2, right, explained, right, unique, f1, union]
    assert list(pay[reply]) == [*NAMES, *VARIANTS]
    assert list(pay[reply].values()) == pytest.approx(expected)


@pytest.fixture(scope="module")
def pay() -> dict:
    with trainer_of(PixelLimits(3136, 1008 * 1008, QWEN2_5_VL)):
        return runpy.run_path(str(ROOT / "examples/probe_rewards.py"))["pay"]()


def test_every_reply_of_the_probe_is_worked_out(pay: dict) -> None:
    [cases] = [mark.args[1] for mark in test_the_probe_shows_what_each_reward_pays.pytestmark]
    assert [case[0] for case in cases] == list(pay)
