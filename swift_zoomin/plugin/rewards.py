"""Reward functions for `--reward_funcs`, each one score of one trajectory. They translate; `scoring` decides.

In a two-turn run the first reply is query 1's and the last is query 2's; a trajectory that never reached query 2 has an
empty last reply, which is wrong, not missing. In a single-turn run the one reply is both.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from swift.rewards import ORM

from swift_zoomin import scoring
from swift_zoomin.episode import to_original_boxes
from swift_zoomin.images import ImageRef
from swift_zoomin.replies import Reply, parse_reply

Score = float | None


@dataclass(frozen=True)
class Trajectory:
    """The replies to one image beside its annotation. All boxes are pixels of the original."""

    first: Reply
    last: Reply
    first_boxes_px: list[list[float]]
    label: str
    explanation: str | None
    boxes_px: list[list[float]] | None


def trajectories(completions: list[str], columns: dict[str, Any]) -> Iterator[Trajectory]:
    """Read what ms-swift passes to a reward function: last completions, and columns with one entry a sample."""
    if "label" not in columns:
        raise ValueError("the dataset has no label column; load it as --dataset DIR/records.jsonl:query1 or :query2")
    blank = [None] * len(completions)
    rollout_infos = columns.get("rollout_infos") or blank
    for at, completion in enumerate(completions):
        infos = rollout_infos[at] or {}
        replies = infos.get("replies")
        first = parse_reply(replies[0] if replies else completion)
        last = first if not replies else parse_reply(replies[1]) if len(replies) > 1 else Reply()
        boxes_px = infos["boxes_px"] if replies else to_original_boxes(first, _image(columns["images"][at][0]))
        yield Trajectory(
            first,
            last,
            boxes_px,
            columns["label"][at],
            columns.get("explanation", blank)[at],
            columns.get("boxes", blank)[at],
        )


def _image(image: Any) -> ImageRef:
    path = image["path"] if isinstance(image, dict) else image
    return ImageRef.parse(path) or ImageRef.of(path)


def _reward(name: str, score: Callable[[Trajectory], Score]) -> type[ORM]:
    """A reward class; ms-swift logs a reward under its class's name."""

    def call(self: ORM, completions: list[str], **columns: Any) -> list[Score]:
        return [score(trajectory) for trajectory in trajectories(completions, columns)]

    return type(name, (ORM,), {"__call__": call, "__doc__": score.__doc__})


REWARDS: dict[str, type[ORM]] = {
    name: _reward(name, score)
    for name, score in (
        ("zoomin_format", lambda t: scoring.format_reward(t.first)),
        ("zoomin_iou", lambda t: scoring.iou_reward(t.first_boxes_px, t.boxes_px)),
        ("zoomin_accuracy", lambda t: scoring.accuracy_reward(t.last, t.label)),
        ("zoomin_bleu", lambda t: scoring.bleu_reward(t.last, t.explanation)),
        ("zoomin_accuracy_query1", lambda t: scoring.accuracy_reward(t.first, t.label)),
    )
}
