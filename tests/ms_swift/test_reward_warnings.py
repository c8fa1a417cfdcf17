"""What a run hears of rewards that teach nothing: once, with the cause; a healthy run hears nothing."""

from pathlib import Path

import pytest
from conftest import COMMON, GRPO, ROLLOUT, run_swift, trainer_of
from rewarded import FIRST, LAST, LIMITS, NAMES, ROW, VARIANTS, run, two_turns
from swift.dataset import RowPreprocessor
from swift.utils import logger as swift_logger
from transformers import TrainerState

import swift_zoomin.register.swift_zoomin_register  # noqa: F401  registers the schedulers
from swift_zoomin.plugin.rewards import REWARDS
from swift_zoomin.plugin.watch import PATIENCE


@pytest.fixture(scope="module", autouse=True)
def _at_most_256_image_tokens():
    with trainer_of(LIMITS):
        yield


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of this test, in which nothing has been said yet; ms-swift remembers what it said once."""
    monkeypatch.setattr(swift_logger, "warning_set", set())
    return caplog


CUT = {"rollout_infos": {"replies": [FIRST], "boxes_px": []}, "is_truncated": True}
ONE_TURN = {**CUT, "is_truncated": False}
TWO_TURNS = {"rollout_infos": two_turns(FIRST, LAST)}


@pytest.mark.parametrize(
    ("rewards", "row", "cause"),
    [
        (["zoomin_accuracy", "zoomin_bleu"], {}, "no scheduler ran; give --multi_turn_scheduler"),
        (["zoomin_accuracy", "zoomin_bleu"], CUT, "every first reply was cut by length; raise --max_completion_length"),
        (["zoomin_accuracy", "zoomin_bleu"], ONE_TURN, "is --max_turns 1?"),
        (["zoomin_iou", "zoomin_format"], {"boxes": None}, "zoomin_iou was applicable to no reply"),
        (["zoomin_iou_union"], {**CUT, "boxes": None}, "zoomin_iou_union was applicable to no reply"),
        (["zoomin_bleu"], {**TWO_TURNS, "explanation": ""}, "zoomin_bleu was applicable to no reply"),
    ],
)
def test_what_trains_nothing_is_said_once_after_ten_batches(
    log: pytest.LogCaptureFixture, rewards: list[str], row: dict, cause: str
) -> None:
    assert PATIENCE == 10
    run(rewards, 9, **row)
    assert not log.messages
    run(rewards, 10, **row)
    [warning] = log.messages
    assert warning.startswith("swift_zoomin: ")
    assert cause in warning
    assert "in the first 10 batches" in warning
    run(rewards, 30, **row)  # nor by another process's worth of reward functions
    assert len(log.messages) == 1


def test_each_reward_without_use_is_named(log: pytest.LogCaptureFixture) -> None:
    run(["zoomin_iou", "zoomin_bleu"], 10, **TWO_TURNS, boxes=None, explanation=None)
    assert [warning.split()[1] for warning in log.messages] == ["zoomin_iou", "zoomin_bleu"]


def test_one_good_trajectory_in_ten_batches_is_enough(log: pytest.LogCaptureFixture) -> None:
    function = REWARDS["zoomin_bleu"](args=None)
    for batch in range(40):
        rows = [{**ROW, **CUT, "explanation": None}] * 2
        if batch == 4:
            rows[1] = {**ROW, **TWO_TURNS, "is_truncated": False}
        function(["", ""], trainer_state=None, **RowPreprocessor.rows_to_batched(rows))
    assert not log.messages


def test_one_first_reply_that_was_not_cut_points_to_max_turns(log: pytest.LogCaptureFixture) -> None:
    function = REWARDS["zoomin_accuracy"](args=None)
    for batch in range(10):
        rows = [{**ROW, **CUT}, {**ROW, **(ONE_TURN if batch == 4 else CUT)}]
        function([FIRST, FIRST], trainer_state=None, **RowPreprocessor.rows_to_batched(rows))
    assert [warning.endswith(": is --max_turns 1?") for warning in log.messages] == [True]


def logged(*shares: float) -> TrainerState:
    """The state of a trainer that logged these shares of groups without variance, among other entries."""
    history = [{"loss": 0.0, "frac_reward_zero_std": share, "step": step} for step, share in enumerate(shares)]
    return TrainerState(
        log_history=[{"eval_loss": 1.0}, *history[:5], {"eval_loss": 1.0}, *history[5:], {"runtime": 1}]
    )


@pytest.mark.parametrize("shares", [[1.0] * 10, [0.0] * 10 + [1.0] * 10, [0.5, *[1.0] * 15]])
def test_ten_logged_steps_without_variance_are_said_once(log: pytest.LogCaptureFixture, shares: list[float]) -> None:
    run(["zoomin_format", "zoomin_iou"], 1, logged(*shares[:-1], 0.0))
    assert not log.messages
    run([*NAMES, *VARIANTS], 5, logged(*shares), **TWO_TURNS)
    [warning] = log.messages
    assert "in each of the last 10 logged steps all generations of a prompt earned the same reward" in warning
    run(["zoomin_accuracy"], 5, logged(*shares, 1.0), **TWO_TURNS)
    assert len(log.messages) == 1


@pytest.mark.parametrize(
    ("rewards", "row"),
    [
        ([*NAMES, *VARIANTS], TWO_TURNS),
        (["zoomin_format", "zoomin_iou", "zoomin_accuracy_query1", *VARIANTS], {}),  # stage 1 asks one question
        (["zoomin_format"], {"boxes": None, "explanation": None}),
    ],
)
def test_a_healthy_run_hears_nothing(log: pytest.LogCaptureFixture, rewards: list[str], row: dict) -> None:
    for shares in ([], [1.0] * 9, [*[1.0] * 9, 0.9], [*[1.0] * 20, 0.0, *[1.0] * 9]):
        run(rewards, 15, logged(*shares), **row)
    assert not log.messages


@pytest.mark.swift
def test_a_real_run_that_trains_nothing_says_so_once(trained_dir: Path, benchmark_dir: Path, tmp_path: Path) -> None:
    printed = run_swift(
        *(*GRPO, *COMMON, *ROLLOUT, "--model", trained_dir, "--dataset", f"{benchmark_dir}/train/records.jsonl:query1"),
        *("--reward_funcs", "zoomin_accuracy", "zoomin_format", "--output_dir", tmp_path, "--max_steps", 12),
        *("--max_completion_length", 5),  # no reply comes to its verdict: all rewards are 0
    )
    for warning in ("no trajectory reached query 2 in the first 10 batches: no scheduler ran", "so nothing is learnt"):
        assert printed.count(warning) == 1
