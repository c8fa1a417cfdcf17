"""Reward functions for `--reward_funcs`, each one score of one trajectory. They translate; `scoring` decides.

In a two-turn run the first reply is query 1's and the last is query 2's; a trajectory that never reached query 2 has an
empty last reply, which is wrong, not missing. In a single-turn run the one reply is both.

Rows of other data sets may be mixed in. Every reward, format too, is None for a row without an image, with one on the
web, or without a verdict as its label: its reply answers another question.

A run that fails silently is said aloud here, once: see `Watch`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from swift.rewards import ORM
from swift.rollout import multi_turns
from swift.utils import get_logger

from swift_zoomin import scoring
from swift_zoomin.episode import to_original_boxes
from swift_zoomin.images import is_remote
from swift_zoomin.plugin.scheduler import made_by, unusable_loss
from swift_zoomin.plugin.template import current_template, first_image
from swift_zoomin.replies import VERDICTS, Reply, parse_reply

Score = float | None

PATIENCE = 10  # batches of completions, or logged steps, before a suspicion is said aloud


@dataclass
class Trajectory:
    """The replies to one image beside its annotation; a reply is parsed when a reward asks for it."""

    texts: tuple[str, str]  # of query 1 and query 2
    turns: int  # 0 where no multi-turn scheduler ran
    image: Any
    rolled_out_px: list[list[float]] | None  # query 1's boxes, where a scheduler has worked them out
    label: Any
    explanation: str | None
    annotated_px: list[list[float]] | None

    @property
    def is_ours(self) -> bool:
        """Whether the row may be a record: it has an image that is not on the web, and a verdict as its label."""
        if self.turns > 0:  # only our rows get turns, and their image is not read here
            return self.label in VERDICTS
        return self.image is not None and not is_remote(self.image) and self.label in VERDICTS

    @cached_property
    def first(self) -> Reply:
        return parse_reply(self.texts[0])

    @cached_property
    def last(self) -> Reply:
        return parse_reply(self.texts[1])

    @cached_property
    def predicted_px(self) -> list[list[float]] | None:
        """Query 1's boxes in pixels of the original, as `annotated_px` is; None where there is nothing to read."""
        boxes_px = self.rolled_out_px
        if boxes_px is None:
            boxes_px = to_original_boxes(self.first, first_image([self.image]))
        return boxes_px or scoring.readable_boxes(boxes_px, self.first.verdict)


def trajectories(completions: list[str], columns: dict[str, Any], args: Any = None) -> Iterator[Trajectory]:
    """Read what ms-swift passes to a reward function: last completions, and columns with one entry a sample.

    Raises ValueError where the labels are missing, or where the rollout was made with other settings than those of this
    process and its trainer's arguments: boxes would lie elsewhere, or the wrong query would be trained.
    """
    if "label" not in columns:
        raise ValueError("the dataset has no label column; load it as --dataset DIR/records.jsonl:query1 or :query2")
    blank = [None] * len(completions)
    rollout_infos = columns.get("rollout_infos") or blank
    settings = _settings(args)
    for at, completion in enumerate(completions):
        infos = rollout_infos[at] or {}
        for name, ours in settings.items():
            if infos.get(name, ours) != ours:
                raise ValueError(
                    f"{name} differs: {infos[name]} where the replies are made, {ours} in the trainer; give "
                    "`swift rollout` and `swift rlhf` the same MAX_PIXELS, MIN_PIXELS, --multi_turn_scheduler and "
                    "--max_turns"
                )
        replies = infos.get("replies") or []
        images = columns.get("images", blank)[at]
        first, last = ([*replies, ""] if replies else [completion, completion])[:2]
        yield Trajectory(
            (first, last),
            len(replies),
            images[0] if images and not replies else None,
            infos["boxes_px"] if replies else None,
            columns["label"][at],
            columns.get("explanation", blank)[at],
            columns.get("boxes", blank)[at],
        )


def _settings(args: Any) -> dict[str, Any]:
    """What a rollout of this trainer says of how it was made; without arguments, only what holds for the model."""
    template = current_template()
    if template is None:
        return {}
    limits = template.settings.limits
    if args is None:
        return {"pixels": str(limits)}
    scheduler = multi_turns.get(getattr(args, "multi_turn_scheduler", None))
    if scheduler is None:
        return {"pixels": str(limits), "scheduler": None}
    return made_by(scheduler, getattr(args, "max_turns", None), limits)


class Watch:
    """What one reward function has seen of a run; after PATIENCE batches it warns, once, of what trains nothing."""

    def __init__(self, reward: str, query: int) -> None:
        self.reward = reward
        self.query = query
        self.batches = 0
        self.most_turns = 0
        self.applicable = False
        self.any_ours = False
        self.all_cut = True

    def look(self, batch: list[Trajectory], scores: list[Score], columns: dict[str, Any]) -> None:
        self.batches += 1
        self.most_turns = max([self.most_turns, *(trajectory.turns for trajectory in batch)])
        self.applicable |= any(score is not None for score in scores)
        self.any_ours |= any(trajectory.is_ours for trajectory in batch)
        cut = columns.get("is_truncated") or [False] * len(batch)
        self.all_cut &= all(cut[at] for at, trajectory in enumerate(batch) if trajectory.is_ours)
        if self.batches == PATIENCE:
            for suspicion in self._suspicions():
                get_logger().warning_once(f"swift_zoomin: {suspicion}")
        if state := columns.get("trainer_state"):
            recent = state.log_history[-3 * PATIENCE :]  # evaluations stand there too
            logged = [entry["frac_reward_zero_std"] for entry in recent if "frac_reward_zero_std" in entry]
            if len(logged) >= PATIENCE and min(logged[-PATIENCE:]) == 1:
                get_logger().warning_once(
                    f"swift_zoomin: in each of the last {PATIENCE} logged steps all generations of a prompt earned the "
                    "same reward (frac_reward_zero_std is 1), so nothing is learnt; the rewards are saturated, all "
                    "replies are unusable, or the sampling temperature is too low",
                    hash_id="swift_zoomin zero variance",
                )

    def _suspicions(self) -> Iterator[str]:
        seen = f"in the first {PATIENCE} batches"
        if not self.applicable:
            yield (
                f"{self.reward} was applicable to no reply {seen}, so it trains nothing; "
                "do the rows have what it needs (an image, a label that is real or generated, boxes, explanation)?"
            )
        if self.query == 2 and self.any_ours and self.most_turns < 2:
            if not self.most_turns:
                cause = "no scheduler ran; give --multi_turn_scheduler zoomin or zoomin_query2 (server and trainer)"
            elif self.all_cut:
                cause = "every first reply was cut by length; raise --max_completion_length"
            else:
                cause = "is --max_turns 1?"
            yield f"no trajectory reached query 2 {seen}: {cause}"


class ZoomInReward(ORM):
    """Base of the rewards: `score` judges one trajectory; `query` says whose reply earns it."""

    query: int
    score: Callable[[Trajectory], Score]

    def __init__(self, args: Any = None, **kwargs: Any) -> None:
        """Raises ValueError for a loss that cannot do without a trained token in a step."""
        super().__init__(args, **kwargs)
        scheduler = multi_turns.get(getattr(args, "multi_turn_scheduler", None))
        if reason := unusable_loss(scheduler, getattr(args, "loss_type", None)):
            raise ValueError(f"swift_zoomin: {reason}")
        self.watch = Watch(type(self).__name__, self.query)

    def __call__(self, completions: list[str], **columns: Any) -> list[Score]:
        batch = list(trajectories(completions, columns, self.args))
        scores = [type(self).score(trajectory) if trajectory.is_ours else None for trajectory in batch]
        self.watch.look(batch, scores, columns)
        return scores


def _reward(name: str, query: int, score: Callable[[Trajectory], Score]) -> type[ZoomInReward]:
    """A reward class; ms-swift logs a reward under its class's name."""
    return type(name, (ZoomInReward,), {"query": query, "score": staticmethod(score)})


def _of_boxes(score: Callable[[Any, Any], Score]) -> Callable[[Trajectory], Score]:
    """A score of query 1's boxes; without annotated ones it is not applicable, and no image is opened."""
    return lambda t: None if t.annotated_px is None else score(t.predicted_px, t.annotated_px)


REWARDS: dict[str, type[ZoomInReward]] = {
    name: _reward(name, query, score)
    for name, query, score in (
        ("zoomin_format", 1, lambda t: scoring.format_reward(t.first)),
        ("zoomin_iou", 1, _of_boxes(scoring.iou_reward)),
        ("zoomin_accuracy", 2, lambda t: scoring.accuracy_reward(t.last, t.label)),
        ("zoomin_bleu", 2, lambda t: scoring.bleu_reward(t.last, t.explanation)),
        ("zoomin_accuracy_query1", 1, lambda t: scoring.accuracy_reward(t.first, t.label)),
        ("zoomin_iou_unique", 1, _of_boxes(scoring.iou_unique_reward)),
        ("zoomin_iou_f1", 1, _of_boxes(scoring.iou_f1_reward)),
        ("zoomin_iou_union", 1, _of_boxes(scoring.iou_union_reward)),
    )
}
