"""What `zoomin detect` writes into `made_by` is read back, whatever a served model is called."""

from types import SimpleNamespace

import pytest

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.checkpoints import Settings
from swift_zoomin.detection.command import made_by_of
from swift_zoomin.episode import CHOOSERS, ONE_TURN
from swift_zoomin.families import QWEN2_5_VL, QWEN3_VL, Family, Frame
from swift_zoomin.made_by import parse_made_by

FAMILIES = [QWEN2_5_VL, QWEN3_VL]
UNKNOWN = Family("unknown", Frame.NORM1000, 28)  # as a served model's whose name tells none


def written(name: str, family: Family, regions: str = "first", one_turn: str | None = None) -> str:
    """As the command writes it, of a model of this name."""
    settings = Settings(PixelLimits(3136, 262144, family), "0a1b2c3d")
    model = SimpleNamespace(settings=settings, name_with_hash=lambda: name)
    return made_by_of(SimpleNamespace(one_turn=one_turn, regions=regions, max_new_tokens=80), model)


@pytest.fixture(autouse=True)
def _no_limits_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_PIXELS", "MIN_PIXELS", "IMAGE_MAX_TOKEN_NUM", "IMAGE_MIN_TOKEN_NUM"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("regions", CHOOSERS)
def test_a_two_turn_detection_is_read_back(regions: str, family: Family) -> None:
    text = written("m (weights 1a)", family, regions)
    made_by = parse_made_by(f"{text}|samples 8 at temperature 1.0|stable jpeg90")
    assert made_by is not None
    assert (made_by.model, made_by.chooser, made_by.one_turn) == ("m (weights 1a)", regions, None)
    assert made_by.limits == PixelLimits(3136, 262144, family)
    assert f"|tokens {made_by.tokens}|prompts {made_by.prompts}|zoomin {made_by.version}" in text
    assert made_by.further == ["samples 8 at temperature 1.0", "stable jpeg90"]


@pytest.mark.parametrize("one_turn", ONE_TURN)
def test_a_one_turn_detection_is_read_back(one_turn: str) -> None:
    made_by = parse_made_by(written("m", QWEN2_5_VL, one_turn=one_turn))
    assert made_by is not None
    assert (made_by.chooser, made_by.one_turn) == (None, one_turn)


@pytest.mark.parametrize("name", ["a|regions first|pixels 1-2", "a\nb", "Qwen/Qwen3-VL-8B (weights 0)", "|"])
def test_a_model_may_be_called_anything(name: str) -> None:
    made_by = parse_made_by(written(name, QWEN2_5_VL))
    assert made_by is not None
    assert (made_by.model, made_by.limits.max_pixels) == (name, 262144)


def test_a_served_model_writes_boxes_as_its_user_said() -> None:
    made_by = parse_made_by(written("mine (served, boxes norm1000)", UNKNOWN))
    assert made_by is not None
    assert made_by.limits.family == UNKNOWN
    made_by = parse_made_by(written("Qwen2.5-VL-7B (served, boxes norm1000)", QWEN2_5_VL))
    assert made_by is not None
    assert made_by.limits.family.frame is Frame.NORM1000


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "LEGION",
        "model x|regions first",
        "model x|regions all|pixels 1-2|tokens 3|prompts 4|zoomin 5",
        "model x|regions first|pixels 0-2|tokens 3|prompts 4|zoomin 5",
        "model x|regions first|pixels 1-999999999999|tokens 3|prompts 4|zoomin 5",  # would fill the memory
        "model " + "|regions first|pixels 1-2|tokens 3|prompts 4|zoomin 5" * 20_000 + "|",
        "model x|regions first|family Other|pixels 1-2|tokens 3|prompts 4|zoomin 5",  # of no known frame
    ],
)
def test_anything_else_is_no_made_by_of_ours(text: object) -> None:
    assert parse_made_by(text) is None
