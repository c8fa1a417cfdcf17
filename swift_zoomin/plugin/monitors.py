"""Monitors for `--reward_funcs`: what a run looks at and whether it pays, logged as rewards of weight 0.

    --reward_funcs zoomin_accuracy zoomin_bleu zoomin_watch_{second_look,regions,covered,changed,corrected,cut}
    --reward_weights 1 1 0 0 0 0 0 0

ms-swift logs each as `rewards/NAME/mean`: the mean over the replies of all processes, then over the steps of a logging
interval. A monitor is None, and so left out, where there is nothing to watch: in rows of other data sets, and for those
of the second look in trajectories that do not have one. Where no trajectory of a step has one, it is not logged.

Some also warn, once, of looking that has stopped paying. Each process sees its own replies only, and only the first of
a machine is heard; a warning says how many it rests on.
"""
# ruff: noqa: N801

from abc import ABC, abstractmethod
from itertools import groupby
from typing import Any, ClassVar

from swift.rewards import ORM
from swift.utils import get_logger

from swift_zoomin.plugin.command_line import read_command
from swift_zoomin.plugin.trajectories import Trajectory, read_trajectories
from swift_zoomin.plugin.watch import Recent
from swift_zoomin.replies import VERDICTS
from swift_zoomin.scoring import covered_share

Value = float | None

WHOLE = 0.9  # regions that cover so much of an image leave nothing out worth speaking of
NEARLY_ALL = 0.95  # of the replies to the last images; sampling strays now and then


class Monitor(ORM, ABC):
    """Base of the monitors: `value` is what is logged of a trajectory.

    `fails` says whether a trajectory shows that looking does not pay, and None where it shows neither. A warning is
    said where the replies to the last `images` images for which some reply shows either fail, at least `share` of them.
    """

    images: ClassVar[int] = 20
    share: ClassVar[float] = 1.0
    warning: ClassVar[str] = ""

    def __init__(self, args: Any = None, **kwargs: Any) -> None:
        """Raises ValueError where the run would reward what is only to be watched."""
        super().__init__(args, **kwargs)
        fault = weight_fault(type(self).__name__, args)
        if fault:
            raise ValueError(f"swift_zoomin: {fault}")
        self.recent = Recent(self.images)

    def __call__(self, completions: list[str], **columns: Any) -> list[Value]:
        batch = read_trajectories(completions, columns, self.args)
        if self.warning:
            self._look_for_failure(batch)
        return [self.value(trajectory) if trajectory.is_of_record else None for trajectory in batch]

    def _look_for_failure(self, batch: list[Trajectory]) -> None:
        # The generations for an image stand together; where they agree with each other they are no more than one sign.
        for _, generations in groupby(batch, key=lambda trajectory: trajectory.image):
            signs = [self.fails(trajectory) for trajectory in generations if trajectory.is_of_record]
            self.recent.add([sign for sign in signs if sign is not None])
        if self.recent.share_failing() >= self.share:
            rests_on = f"the {self.recent.replies()} replies to the last {self.images} images of this process"
            get_logger().warning_once(
                f"swift_zoomin: {type(self).__name__}: {self.warning.format(rests_on=rests_on)}",
                hash_id=f"swift_zoomin {type(self).__name__}",
            )

    @abstractmethod
    def value(self, trajectory: Trajectory) -> Value:
        """What is logged of one trajectory that comes from a record."""

    def fails(self, trajectory: Trajectory) -> bool | None:
        return None


class zoomin_watch_second_look(Monitor):
    """Share of the trajectories that reached query 2; a first reply that is cut ends its trajectory."""

    def value(self, trajectory: Trajectory) -> Value:
        return None if trajectory.max_turns == 1 else float(trajectory.turns == trajectory.max_turns)


class zoomin_watch_regions(Monitor):
    """Number of usable regions that a first reply names; 0 where it cannot be read."""

    share = NEARLY_ALL
    warning = (
        "hardly any of {rests_on} that have something to mark names a region, so query 2 has nothing to look at. "
        "Either the model was never taught to name them (SFT rows without boxes), or naming none has come to pay: "
        "reward regions where query 1 is trained (zoomin_iou), lower --learning_rate, or raise --beta"
    )

    def value(self, trajectory: Trajectory) -> Value:
        return float(len(trajectory.regions_px))

    def fails(self, trajectory: Trajectory) -> bool | None:
        if trajectory.first.verdict is None or trajectory.annotated_px == []:
            return None  # a reply that says nothing at all is another fault, and naming no region may be right
        return not trajectory.regions_px


class zoomin_watch_covered(Monitor):
    """Share of the image that a first reply's regions cover together, 0..1."""

    share = NEARLY_ALL
    warning = (
        f"the regions of nearly all of {{rests_on}} cover {WHOLE:.0%} of the image or more, and the annotated ones do "
        "not, so query 2 sees the same image again. A region over everything has come to pay: reward where regions lie "
        "(zoomin_iou), lower --learning_rate, or raise --beta"
    )

    def value(self, trajectory: Trajectory) -> Value:
        if trajectory.size is None:
            return None
        return covered_share(trajectory.regions_px, trajectory.size)

    def fails(self, trajectory: Trajectory) -> bool | None:
        if not trajectory.regions_px or trajectory.size is None:
            return None
        if covered_share(trajectory.annotated_px or [], trajectory.size) >= WHOLE:
            return None  # so it should
        return covered_share(trajectory.regions_px, trajectory.size) >= WHOLE


class SecondLookMonitor(Monitor):
    """Base of the monitors of what query 2 makes of query 1's verdict; both are None without a second look.

    A reply without a valid verdict changes none, unlike in `zoomin evaluate`, where C-Cases counts it.
    """

    def value(self, trajectory: Trajectory) -> Value:
        return self.share_of(trajectory) if trajectory.turns > 1 else None

    @abstractmethod
    def share_of(self, trajectory: Trajectory) -> float:
        """1 or 0 for one trajectory with a second look."""


class zoomin_watch_changed(SecondLookMonitor):
    """Share of the second looks that end with another verdict than query 1's."""

    warning = (
        "query 2 changed no verdict of query 1 in {rests_on} where that was wrong: it may copy. Where this reward "
        "stays near 0 it does, as after SFT on sft_joint rows: a model that is certain never samples the other "
        "verdict, so GRPO finds nothing to reward; then start from SFT on sft rows, or from an earlier checkpoint"
    )

    def share_of(self, trajectory: Trajectory) -> float:
        return float(is_changed(trajectory))

    def fails(self, trajectory: Trajectory) -> bool | None:
        if trajectory.turns < 2 or not has_two_verdicts(trajectory):
            return None
        if is_changed(trajectory):
            return False
        return None if trajectory.first.verdict == trajectory.label else True  # a right verdict is rightly kept


class zoomin_watch_corrected(SecondLookMonitor):
    """Share of the second looks that turn a wrong verdict into the right one: of `zoomin_watch_changed`, the right."""

    images = 10  # with a changed verdict, which may be few
    warning = (
        "query 2 is wrong whenever it changes a verdict, in all of {rests_on} where it did, so looking twice only "
        "spoils. Replies may have lost their sense: lower --learning_rate, raise --beta, reward the final verdict "
        "(zoomin_accuracy), and look at some (--log_completions true)"
    )

    def share_of(self, trajectory: Trajectory) -> float:
        return float(is_changed(trajectory) and trajectory.last.verdict == trajectory.label)

    def fails(self, trajectory: Trajectory) -> bool | None:
        if trajectory.turns < 2 or not is_changed(trajectory):
            return None
        return trajectory.last.verdict != trajectory.label


class zoomin_watch_cut(Monitor):
    """Share of the trajectories that the length limit ended, in either reply."""

    share = 0.5
    warning = (
        "half or more of {rests_on} are cut by the length limit, and come to no verdict. Where they were so from the "
        "start, raise --max_completion_length; where they have grown, they have lost their sense: lower "
        "--learning_rate, raise --beta, and look at some (--log_completions true)"
    )

    def value(self, trajectory: Trajectory) -> Value:
        return None if trajectory.cut is None else float(trajectory.cut)

    def fails(self, trajectory: Trajectory) -> bool | None:
        return trajectory.cut


_CLASSES: tuple[type[Monitor], ...] = (
    zoomin_watch_second_look,
    zoomin_watch_regions,
    zoomin_watch_covered,
    zoomin_watch_changed,
    zoomin_watch_corrected,
    zoomin_watch_cut,
)
MONITORS = {monitor.__name__: monitor for monitor in _CLASSES}


def has_two_verdicts(trajectory: Trajectory) -> bool:
    return trajectory.first.verdict in VERDICTS and trajectory.last.verdict in VERDICTS


def is_changed(trajectory: Trajectory) -> bool:
    """Whether both verdicts of a trajectory with a second look are valid, and differ."""
    return has_two_verdicts(trajectory) and trajectory.first.verdict != trajectory.last.verdict


def weight_fault(name: str, args: Any) -> str | None:
    """Why a run with these trainer's arguments would reward this monitor; None where it does not, or nothing tells."""
    if args is None:
        return None
    rewards = read_command().rewards
    given = getattr(args, "reward_weights", None) or []  # none given are all ones to ms-swift, and it refuses too few
    weights = dict(zip(rewards, given, strict=False))
    if given and weights.get(name, 0) == 0:
        return None
    example = " ".join("0" if reward in MONITORS else "1" for reward in rewards)
    return f"{name} is watched and not rewarded; expected a weight of 0 for it: --reward_weights {example}".rstrip()
