"""Reward functions for `--reward_funcs`, each one score of one trajectory. They translate; `scoring` decides.

Rows of other data sets may be mixed in. Every reward, format too, is None for a row without an image, with one on the
web, or without a verdict as its label: its reply answers another question.

A reward is called like its class, because ms-swift logs it under the name of the class.
"""
# ruff: noqa: N801

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from swift.rewards import ORM

from swift_zoomin import scoring
from swift_zoomin.plugin.rollout_settings import scheduler_of
from swift_zoomin.plugin.scheduler import unusable_loss
from swift_zoomin.plugin.trajectories import Trajectory, read_trajectories
from swift_zoomin.plugin.watch import Watch

Score = float | None
Boxes = list[list[float]]


class ZoomInReward(ORM, ABC):
    """Base of the rewards: `score` judges one trajectory; `query` says whose reply earns it."""

    query: int

    def __init__(self, args: Any = None, **kwargs: Any) -> None:
        """Raises ValueError for a loss that cannot do without a trained token in a step."""
        super().__init__(args, **kwargs)
        fault = unusable_loss(scheduler_of(args), getattr(args, "loss_type", None))
        if fault:
            raise ValueError(f"swift_zoomin: {fault}")
        self.watch = Watch(type(self).__name__, self.query)

    def __call__(self, completions: list[str], **columns: Any) -> list[Score]:
        batch = read_trajectories(completions, columns, self.args)
        scores = [self.score(trajectory) if trajectory.is_of_record else None for trajectory in batch]
        self.watch.observe(batch, scores, columns)
        return scores

    @abstractmethod
    def score(self, trajectory: Trajectory) -> Score:
        """Judge one trajectory that comes from a record."""


class BoxesReward(ZoomInReward):
    """Base of the rewards of query 1's boxes: `compare` scores the predicted against the annotated ones."""

    query = 1
    compare: Callable[[Boxes | None, Boxes], Score]

    def score(self, trajectory: Trajectory) -> Score:
        # This is asked before the predicted boxes, which may need the image's file.
        if trajectory.annotated_px is None:
            return None
        return self.compare(trajectory.predicted_px, trajectory.annotated_px)


class zoomin_format(ZoomInReward):
    """Eq. 1 for query 1: whether the reply has a valid verdict."""

    query = 1

    def score(self, trajectory: Trajectory) -> Score:
        return scoring.format_reward(trajectory.first)


class zoomin_iou(BoxesReward):
    """Eq. 2: the mean over the predicted boxes of the best IoU with an annotated one."""

    compare = staticmethod(scoring.iou_reward)


class zoomin_accuracy(ZoomInReward):
    """Eq. 3 for query 2: whether the final verdict is the label."""

    query = 2

    def score(self, trajectory: Trajectory) -> Score:
        return scoring.accuracy_reward(trajectory.last, trajectory.label)


class zoomin_bleu(ZoomInReward):
    """Eq. 4: BLEU-2 of query 2's explanation against the reference."""

    query = 2

    def score(self, trajectory: Trajectory) -> Score:
        return scoring.bleu_reward(trajectory.last, trajectory.explanation)


class zoomin_accuracy_query1(ZoomInReward):
    """Eq. 3 for query 1, for the ablation: whether the initial verdict is the label."""

    query = 1

    def score(self, trajectory: Trajectory) -> Score:
        return scoring.accuracy_reward(trajectory.first, trajectory.label)


class zoomin_iou_unique(BoxesReward):
    """Eq. 2 without boxes that repeat another."""

    compare = staticmethod(scoring.iou_unique_reward)


class zoomin_iou_f1(BoxesReward):
    """IoU of the best matching of predicted with annotated boxes; regions left out lower it too."""

    compare = staticmethod(scoring.iou_f1_reward)


class zoomin_iou_union(BoxesReward):
    """IoU of the areas that all predicted and all annotated boxes cover."""

    compare = staticmethod(scoring.iou_union_reward)


_CLASSES: tuple[type[ZoomInReward], ...] = (
    zoomin_format,
    zoomin_iou,
    zoomin_accuracy,
    zoomin_bleu,
    zoomin_accuracy_query1,
    zoomin_iou_unique,
    zoomin_iou_f1,
    zoomin_iou_union,
)
REWARDS = {reward.__name__: reward for reward in _CLASSES}
