"""The rewards as Python sees them: plain classes, which can be pickled and read."""

import inspect
import pickle

import pytest
from swift.rewards import ORM, orms

import swift_zoomin.register.swift_zoomin_register  # noqa: F401  registers the rewards
from swift_zoomin.plugin.rewards import REWARDS, ZoomInReward

NAMES = [
    "zoomin_format",
    "zoomin_iou",
    "zoomin_accuracy",
    "zoomin_bleu",
    "zoomin_accuracy_query1",
    "zoomin_iou_unique",
    "zoomin_iou_f1",
    "zoomin_iou_union",
]


def test_these_rewards_are_offered_under_the_names_of_their_classes() -> None:
    """ms-swift logs a reward under the name of its class, and finds it under its key."""
    assert list(REWARDS) == NAMES
    assert [reward.__name__ for reward in REWARDS.values()] == NAMES
    assert all(issubclass(reward, ORM) for reward in REWARDS.values())
    assert {name: orms[name] for name in NAMES} == REWARDS


@pytest.mark.parametrize("name", NAMES)
def test_a_reward_can_be_pickled(name: str) -> None:
    assert pickle.loads(pickle.dumps(REWARDS[name])) is REWARDS[name]
    reward = pickle.loads(pickle.dumps(REWARDS[name](args=None)))
    assert isinstance(reward, REWARDS[name])
    assert reward.watch.reward == name


@pytest.mark.parametrize("name", NAMES)
def test_the_source_of_a_reward_can_be_read(name: str) -> None:
    source = inspect.getsource(REWARDS[name])
    assert source.startswith(f"class {name}(")
    assert "scoring." in source  # it says by which rule it scores
    assert issubclass(REWARDS[name], ZoomInReward)
