"""What ms-swift passes to a reward function, read as trajectories.

In a two-turn run the first reply is query 1's and the last is query 2's; a trajectory that never reached query 2 has an
empty last reply, which is wrong, not missing. In a single-turn run the one reply is both.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from swift_zoomin import scoring
from swift_zoomin.boxes import Size, box_area
from swift_zoomin.episode import to_original_boxes
from swift_zoomin.images import is_remote
from swift_zoomin.plugin.rollout_settings import allowed_turns, check_agreement, settings_of_trainer
from swift_zoomin.plugin.template import first_image
from swift_zoomin.replies import VERDICTS, Reply, parse_reply


@dataclass
class Trajectory:
    """The replies to one image beside its annotation; a reply is parsed when a reward asks for it."""

    texts: tuple[str, str]  # of query 1 and query 2
    turns: int  # 0 where no multi-turn scheduler ran
    max_turns: int  # that the run allows: 1 where it trains query 1 alone, or no multi-turn scheduler ran
    image: Any  # the original, in any form that ms-swift lets it have; None where the row has none
    rolled_out_px: list[list[float]] | None  # query 1's boxes, where a scheduler has worked them out
    label: Any
    explanation: str | None
    annotated_px: list[list[float]] | None
    cut: bool | None  # whether its last reply was cut by the length limit; None where ms-swift does not say

    @property
    def is_of_record(self) -> bool:
        """Whether the row may come from a record: its label is a verdict, and its image is not on the web."""
        if self.label not in VERDICTS:
            return False
        if self.turns > 0:  # our scheduler gives turns to nothing but rows of records
            return True
        return self.image is not None and not is_remote(self.image)

    @cached_property
    def first(self) -> Reply:
        return parse_reply(self.texts[0])

    @cached_property
    def last(self) -> Reply:
        return parse_reply(self.texts[1])

    @cached_property
    def size(self) -> Size | None:
        """The original's size in pixels; None without an image."""
        return None if self.image is None else first_image([self.image]).size

    @cached_property
    def regions_px(self) -> list[list[float]]:
        """The usable regions that query 1's reply names, in pixels of the original; none where it cannot be read."""
        return [box for box in self.predicted_px or [] if box_area(box) > 0]

    @cached_property
    def predicted_px(self) -> list[list[float]] | None:
        """Query 1's boxes in pixels of the original, as `annotated_px` is; None where there is nothing to read."""
        boxes_px = self.rolled_out_px
        if boxes_px is None:
            boxes_px = to_original_boxes(self.first, first_image([self.image]))
        if boxes_px:
            return boxes_px  # a reply with boxes could be read, so it need not be parsed for its verdict
        return scoring.readable_boxes(boxes_px, self.first.verdict)


def read_trajectories(completions: list[str], columns: dict[str, Any], args: Any = None) -> list[Trajectory]:
    """Read last completions, and columns with one entry for each of them. `args` are the trainer's arguments.

    Raises ValueError where the labels are missing, and where the rollout was made with other settings than the
    trainer's.
    """
    if "label" not in columns:
        raise ValueError("the dataset has no label column; load it as --dataset DIR/records.jsonl:query1 or :query2")
    trainers_settings = settings_of_trainer(args)
    absent = [None] * len(completions)
    rollout_infos = columns.get("rollout_infos") or absent
    images = columns.get("images", absent)
    explanations = columns.get("explanation", absent)
    boxes = columns.get("boxes", absent)
    cut = columns.get("is_truncated") or absent
    trajectories = []
    for index, completion in enumerate(completions):
        rollout_info = rollout_infos[index] or {}
        check_agreement(rollout_info, trainers_settings)
        row = {
            "image": images[index][0] if images[index] else None,
            "label": columns["label"][index],
            "explanation": explanations[index],
            "annotated_px": boxes[index],
            "cut": cut[index],
        }
        if rollout_info.get("replies"):
            trajectories.append(_rolled_out(rollout_info, row))
        else:
            trajectories.append(_single_turn(completion, row))
    return trajectories


def _rolled_out(rollout_info: dict[str, Any], row: dict[str, Any]) -> Trajectory:
    """A trajectory of our scheduler, which puts all its replies and query 1's boxes into `rollout_infos`."""
    replies = rollout_info["replies"]
    last_text = replies[1] if len(replies) > 1 else ""
    return Trajectory(
        texts=(replies[0], last_text),
        turns=len(replies),
        max_turns=allowed_turns(rollout_info.get("max_turns")),
        rolled_out_px=rollout_info["boxes_px"],
        **row,
    )


def _single_turn(completion: str, row: dict[str, Any]) -> Trajectory:
    return Trajectory(texts=(completion, completion), turns=0, max_turns=1, rolled_out_px=None, **row)
