"""Watches a run from inside its rewards, and warns of a run that fails silently.

Nothing raises where a reward is never applicable, no trajectory reaches query 2, or all generations of a prompt earn
the same: the run goes on and trains nothing. Each such suspicion is said once.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from swift.utils import get_logger

from swift_zoomin.plugin.trajectories import Trajectory

PATIENCE = 10  # batches of completions, or logged steps, before a suspicion is said


class Watch:
    """What one reward function has seen of a run."""

    def __init__(self, reward: str, query: int) -> None:
        self.reward = reward
        self.query = query
        self.batches = 0
        self.most_turns = 0
        self.was_applicable = False
        self.saw_record = False
        self.all_cut = True  # of the replies to records

    def observe(self, batch: list[Trajectory], scores: Sequence[float | None], columns: dict[str, Any]) -> None:
        """Take in a batch with its scores and with ms-swift's columns, and warn where it is time to."""
        was_cut = columns.get("is_truncated") or [False] * len(batch)
        self.batches += 1
        for trajectory, score, cut in zip(batch, scores, was_cut, strict=True):
            self._remember(trajectory, score, cut)
        if self.batches == PATIENCE:
            for suspicion in self.suspicions():
                get_logger().warning_once(f"swift_zoomin: {suspicion}")
        trainer_state = columns.get("trainer_state")
        if trainer_state and _is_without_variance(trainer_state.log_history):
            get_logger().warning_once(
                f"swift_zoomin: in each of the last {PATIENCE} logged steps all generations of a prompt earned the "
                "same reward (frac_reward_zero_std is 1), so nothing is learnt; the rewards are saturated, all "
                "replies are unusable, or the sampling temperature is too low",
                hash_id="swift_zoomin zero variance",
            )

    def _remember(self, trajectory: Trajectory, score: float | None, cut: bool | None) -> None:
        self.most_turns = max(self.most_turns, trajectory.turns)
        if score is not None:
            self.was_applicable = True
        if trajectory.is_of_record:
            self.saw_record = True
            self.all_cut = self.all_cut and bool(cut)

    def suspicions(self) -> Iterator[str]:
        """Why the run may train nothing, going by the batches so far."""
        seen = f"in the first {PATIENCE} batches"
        if not self.was_applicable:
            yield (
                f"{self.reward} was applicable to no reply {seen}, so it trains nothing; "
                "do the rows have what it needs (an image, a label that is real or generated, boxes, explanation)?"
            )
        if self.query == 2 and self.saw_record and self.most_turns < 2:
            yield f"no trajectory reached query 2 {seen}: {self._why_no_second_turn()}"

    def _why_no_second_turn(self) -> str:
        if self.most_turns == 0:
            return "no scheduler ran; give --multi_turn_scheduler zoomin or zoomin_query2 (server and trainer)"
        if self.all_cut:
            return "every first reply was cut by length; raise --max_completion_length"
        return "is --max_turns 1?"


def _is_without_variance(log_history: list[dict[str, Any]]) -> bool:
    """Whether in each of the last PATIENCE logged steps all generations of every prompt earned the same."""
    recent = log_history[-3 * PATIENCE :]  # evaluations stand there too
    shares = [entry["frac_reward_zero_std"] for entry in recent if "frac_reward_zero_std" in entry]
    return len(shares) >= PATIENCE and min(shares[-PATIENCE:]) == 1


class Recent:
    """Which of the replies to the last images fail at something; an image of which no reply says either is left out."""

    def __init__(self, images: int) -> None:
        self.signs: deque[list[bool]] = deque(maxlen=images)  # of each image, one a reply

    def add(self, signs: list[bool]) -> None:
        """Take in the replies to one image."""
        if signs:
            self.signs.append(signs)

    def replies(self) -> int:
        return sum(map(len, self.signs))

    def share_failing(self) -> float:
        """The share of all replies that fail; 0 before so many images have been seen."""
        if len(self.signs) < (self.signs.maxlen or 0):
            return 0.0
        return sum(map(sum, self.signs)) / self.replies()
