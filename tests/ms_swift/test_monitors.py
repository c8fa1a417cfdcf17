"""The monitors, called as ms-swift calls them: their values, where they are absent, and what they warn of."""

import asyncio
import json
import pickle
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import trainer_of
from rewarded import FIRST, LAST, LIMITS, REF, ROW, two_turns
from swift.dataset import RowPreprocessor
from swift.infer_engine.protocol import ChatCompletionResponseChoice, ChatMessage, RolloutInferRequest
from swift.rewards import orms
from swift.utils import logger as swift_logger

import swift_zoomin.register.swift_zoomin_register  # noqa: F401  registers the monitors
from swift_zoomin import prompts
from swift_zoomin.families import Frame
from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.monitors import MONITORS
from swift_zoomin.plugin.scheduler import ZoomInQuery2Scheduler, ZoomInScheduler
from swift_zoomin.replies import REAL, VERDICTS

SHORT = ["second_look", "regions", "covered", "changed", "corrected", "cut"]
NAMES = [f"zoomin_watch_{name}" for name in SHORT]
WHOLE_IMAGE = [[0.0, 0.0, 1000.0, 700.0]]
AT_MOST_STEPS = 30


@pytest.fixture(scope="module", autouse=True)
def _at_most_256_image_tokens() -> Iterator[None]:
    with trainer_of(LIMITS):
        yield


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of this test, in which nothing has been said yet; ms-swift remembers what it said once."""
    monkeypatch.setattr(swift_logger, "warning_set", set())
    return caplog


def says(verdict: str) -> str:
    return f"<explanation>Seen.</explanation>\n<verdict>{verdict}</verdict>"


def columns_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    common = {"messages": [], "images": [{"bytes": None, "path": REF}], "is_truncated": False, "rollout_infos": {}}
    return RowPreprocessor.rows_to_batched([{**common, **ROW, **row} for row in rows])


def watch(completion: str, **row: Any) -> dict[str, float | None]:
    """All monitors of one trajectory, by the last part of their names."""
    columns = columns_of([row])
    return {name: MONITORS[f"zoomin_watch_{name}"](args=None)([completion], **columns)[0] for name in SHORT}


def values(*expected: float | None) -> dict[str, Any]:
    return dict(zip(SHORT, expected, strict=True))


def test_they_are_offered_under_the_names_of_their_classes_and_can_be_pickled() -> None:
    assert list(MONITORS) == NAMES
    assert {name: orms[name] for name in NAMES} == MONITORS
    for name, monitor in MONITORS.items():
        assert monitor.__name__ == name  # ms-swift logs it so
        assert isinstance(pickle.loads(pickle.dumps(monitor(args=None))), monitor)


HALF = [[100.0, 70.0, 300.0, 350.0], [300.0, 70.0, 500.0, 350.0]]  # together ROW's box
OVERLAPPING = [[0.0, 0.0, 500.0, 350.0], [250.0, 0.0, 750.0, 350.0], [0.0, 0.0, 500.0, 350.0]]
OUTSIDE = [[1000.0, 0.0, 1000.0, 700.0]]  # clipped to the image, nothing is left


@pytest.mark.parametrize(
    ("infos", "row", "expected"),
    [  # second look, regions, covered, changed, corrected, cut; the image has 1000 x 700 pixels
        (two_turns(FIRST, LAST), {}, (1, 1, 0.16, 1, 1, 0)),  # 400 x 280 / 700,000; real becomes generated, the label
        (two_turns(LAST, FIRST), {}, (1, 1, 0.16, 1, 0, 0)),  # the right verdict is spoilt
        (two_turns(FIRST, FIRST), {}, (1, 1, 0.16, 0, 0, 0)),  # a wrong one is kept
        (two_turns(LAST, LAST), {}, (1, 1, 0.16, 0, 0, 0)),
        (two_turns(FIRST, LAST, HALF), {}, (1, 2, 0.16, 1, 1, 0)),
        (two_turns(FIRST, LAST, OVERLAPPING), {}, (1, 3, 0.375, 1, 1, 0)),  # 750 x 350 / 700,000
        (two_turns(FIRST, LAST, WHOLE_IMAGE), {}, (1, 1, 1, 1, 1, 0)),
        (two_turns(FIRST, LAST, OUTSIDE), {}, (1, 0, 0, 1, 1, 0)),
        (two_turns(FIRST, LAST, []), {}, (1, 0, 0, 1, 1, 0)),
        # what has no valid verdict changes none
        (two_turns(FIRST, "no tag"), {}, (1, 1, 0.16, 0, 0, 0)),
        (two_turns("no tag", LAST, []), {}, (1, 0, 0, 0, 0, 0)),
        (two_turns(FIRST, LAST[:-3]), {"is_truncated": True}, (1, 1, 0.16, 0, 0, 1)),
        # the first reply was cut: no second look
        ({"replies": [FIRST[:-3]], "boxes_px": ROW["boxes"]}, {"is_truncated": True}, (0, 1, 0.16, None, None, 1)),
        # a server or an engine of stage 1 has none to give
        ({"replies": [FIRST], "boxes_px": ROW["boxes"], "max_turns": 1}, {}, (None, 1, 0.16, None, None, 0)),
        # no scheduler, which is stage 1 too: boxes in model pixels become the same ones
        ({}, {}, (None, 1, pytest.approx(0.16), None, None, 0)),
        ({}, {"is_truncated": None}, (None, 1, pytest.approx(0.16), None, None, None)),
        # rows of other data sets
        ({}, {"label": "cat"}, (None, None, None, None, None, None)),
        ({"num_turns": 1}, {"label": None, "images": []}, (None, None, None, None, None, None)),
    ],
)
def test_each_value_is_what_one_counts_by_hand(infos: dict, row: dict, expected: tuple) -> None:
    completion = infos.get("replies", [FIRST])[-1]
    assert watch(completion, rollout_infos=infos, **row) == values(*expected)


def rolled_out(scheduler: ZoomInScheduler, *replies: str) -> dict[str, Any]:
    """A row after its rollout on a server: what the scheduler says of it travels as JSON."""
    request = RolloutInferRequest([{"role": "user", "content": prompts.query1(Frame.ABSOLUTE)}], images=[REF])
    infos: dict[str, Any] = {"num_turns": len(replies)}
    for turn, reply in enumerate(replies, 1):
        choice = ChatCompletionResponseChoice(0, ChatMessage("assistant", reply), "stop", token_ids=[1])
        request.messages.append({"role": "assistant", "content": reply})
        infos |= asyncio.run(scheduler.on_turn_end(request, choice, turn))["rollout_infos"]
        if turn < scheduler.max_turns:
            infos |= scheduler.step(request, choice, turn)["rollout_infos"]
    infos = json.loads(json.dumps(infos))
    return {"rollout_infos": infos, "images": infos.get("images", [REF])}


def test_a_rollout_server_of_each_stage_gives_what_its_stage_has() -> None:
    for scheduler in (ZoomInScheduler(), ZoomInQuery2Scheduler()):
        seen = watch(LAST, **rolled_out(scheduler, FIRST, LAST))
        assert seen == values(1, 1, pytest.approx(0.16), 1, 1, 0)
    seen = watch(FIRST, **rolled_out(ZoomInScheduler(max_turns=1), FIRST))
    assert seen == values(None, 1, pytest.approx(0.16), None, None, 0)


# ---- a weight of 0


def command(monkeypatch: pytest.MonkeyPatch, *rewards: str) -> None:
    monkeypatch.setattr("sys.argv", ["rlhf.py", "--rlhf_type", "grpo", "--reward_funcs", *rewards])


def test_a_monitor_that_would_be_rewarded_is_refused_with_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, "zoomin_format", "zoomin_watch_cut", "zoomin_iou", "zoomin_watch_regions")
    wanted = r"is watched and not rewarded; expected a weight of 0 for it: --reward_weights 1 0 1 0$"
    for weights in (None, [1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.5]):
        with pytest.raises(ValueError, match=wanted):
            MONITORS["zoomin_watch_regions"](SimpleNamespace(reward_weights=weights))


def test_a_weight_of_0_is_accepted_and_one_that_is_not_known_is_taken_on_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, "zoomin_format", "zoomin_watch_cut")
    MONITORS["zoomin_watch_cut"](SimpleNamespace(reward_weights=[1.0, 0.0]))
    monkeypatch.setattr("sys.argv", ["a_program_of_their_own.py"])
    MONITORS["zoomin_watch_cut"](SimpleNamespace(reward_weights=[1.0, 0.0]))
    with pytest.raises(ValueError, match=r"expected a weight of 0 for it: --reward_weights$"):
        MONITORS["zoomin_watch_cut"](SimpleNamespace(reward_weights=None))  # which are all ones


# ---- warnings


def opposite(verdict: str) -> str:
    return VERDICTS[1 - VERDICTS.index(verdict)]


def trajectories(rng: random.Random, images: int, generations: int, **planted: Any) -> list[dict[str, Any]]:
    """A step of two-turn replies as the quickstart's model gives them, or with something planted.

    It names the one annotated region, its first verdict is a coin's, and its second one right. `copies` is the share of
    images of which query 2 copies query 1's verdict, `spoils` whether it is wrong where it does not.
    """
    rows = []
    for _ in range(images):
        image = str(ImageRef(f"/images/{rng.random()}.png", (1000, 700), limits=LIMITS))
        label = planted.get("label") or rng.choice(VERDICTS)
        copies = rng.random() < planted.get("copies", 0)
        for _ in range(generations):
            first = planted.get("first") or rng.choice(VERDICTS)
            own = opposite(label) if planted.get("spoils") else label
            infos = two_turns(says(first), says(first if copies else own), planted.get("boxes_px"))
            rows.append({"label": label, "images": [image], "rollout_infos": infos, **planted.get("row", {})})
    return rows


class Run:
    """A run's monitors, its steps, and what it was told by each step."""

    def __init__(self, log: pytest.LogCaptureFixture, images: int = 8, generations: int = 2) -> None:
        self.log, self.images, self.generations = log, images, generations
        self.monitors = [monitor(args=None) for monitor in MONITORS.values()]
        self.rng = random.Random(0)
        self.steps = 0

    def step(self, **planted: Any) -> None:
        columns = columns_of(trajectories(self.rng, self.images, self.generations, **planted))
        replies = [infos.get("replies", [planted.get("reply")])[-1] for infos in columns["rollout_infos"]]
        for monitor in self.monitors:
            monitor(replies, trainer_state=None, **columns)
        self.steps += 1

    def until_told(self, at_most: int = AT_MOST_STEPS, **planted: Any) -> list[str]:
        for _ in range(at_most):
            self.step(**planted)
            if self.log.messages:
                break
        return self.log.messages


PLANTED = {
    "regions": ({"boxes_px": []}, "names a region, so query 2 has nothing to look at"),
    "covered": ({"boxes_px": WHOLE_IMAGE}, "cover 90% of the image or more"),
    "changed": ({"copies": 1}, "changed no verdict of query 1"),
    "corrected": ({"spoils": True}, "is wrong whenever it changes a verdict"),
    "cut": ({"row": {"is_truncated": True}}, "are cut by the length limit"),
}


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize(("images", "generations"), [(1, 4), (2, 2), (8, 2)])
def test_each_planted_collapse_is_said_once_within_30_steps_after_a_healthy_start(
    log: pytest.LogCaptureFixture, name: str, images: int, generations: int
) -> None:
    run = Run(log, images, generations)
    assert not run.until_told(21)
    planted, said = PLANTED[name]
    [warning] = run.until_told(**planted)
    assert warning.startswith(f"swift_zoomin: zoomin_watch_{name}: ")
    assert said in warning
    assert "images of this process" in warning
    for _ in range(21):
        run.step(**planted)
    assert len(log.messages) == 1


def test_a_warning_says_how_many_replies_it_rests_on(log: pytest.LogCaptureFixture) -> None:
    [warning] = Run(log, images=5, generations=2).until_told(boxes_px=[])
    assert "hardly any of the 40 replies to the last 20 images of this process" in warning


def test_a_healthy_run_of_any_size_hears_nothing(log: pytest.LogCaptureFixture) -> None:
    """The quickstart's held-out figures, as synthetic replies: i_acc 0.485, c_cases 0.515, c_acc 1, iou 1."""
    for images, generations in ((1, 1), (1, 2), (8, 2)):
        assert not Run(log, images, generations).until_told(100)


@pytest.mark.parametrize(
    "planted",
    [
        {"boxes_px": [], "row": {"boxes": []}},  # nothing to mark, and nothing marked
        {"boxes_px": WHOLE_IMAGE, "row": {"boxes": WHOLE_IMAGE}},  # the whole image is the region
        {"first": REAL, "label": REAL},  # query 1 is right, and query 2 keeps it
    ],
)
def test_what_looks_like_a_collapse_and_is_right_is_not_warned_of(
    log: pytest.LogCaptureFixture, planted: dict[str, Any]
) -> None:
    assert not Run(log).until_told(30, **planted)


def test_a_second_look_that_corrects_half_of_what_is_wrong_is_not_said_to_copy(log: pytest.LogCaptureFixture) -> None:
    """As after joint SFT at full size, where 0.235 of the verdicts change and 0.475 are wrong."""
    assert not Run(log, images=8, generations=4).until_told(60, copies=0.54)


STAGE_1 = {"replies": [FIRST], "boxes_px": ROW["boxes"], "max_turns": 1}


@pytest.mark.parametrize("infos", [{}, STAGE_1], ids=["no scheduler", "a server of stage 1"])
def test_stage_1_hears_of_regions_and_never_of_verdicts(log: pytest.LogCaptureFixture, infos: dict) -> None:
    run = Run(log)
    assert not run.until_told(40, reply=FIRST, row={"rollout_infos": infos})
    nothing = {**infos, "replies": [says(REAL)], "boxes_px": []} if infos else {}
    [warning] = run.until_told(reply=says(REAL), row={"rollout_infos": nothing})
    assert warning.startswith("swift_zoomin: zoomin_watch_regions: hardly any of")


def test_replies_that_cannot_be_read_are_no_sign_of_anything(log: pytest.LogCaptureFixture) -> None:
    infos = two_turns("no tag", "no tag", [])
    assert not Run(log).until_told(30, row={"rollout_infos": infos})
