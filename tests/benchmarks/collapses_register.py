"""Beside `swift_zoomin` on `--custom_register_path`: rewards that pay for what the monitors warn of."""
# ruff: noqa: N801

from abc import ABC, abstractmethod
from typing import Any

from swift.rewards import ORM, orms

from swift_zoomin.plugin.trajectories import Trajectory, read_trajectories
from swift_zoomin.replies import GENERATED, REAL
from swift_zoomin.scoring import covered_share

OTHER = {REAL: GENERATED, GENERATED: REAL}


class Collapse(ORM, ABC):
    """Pays each trajectory what `pay` says."""

    def __call__(self, completions: list[str], **columns: Any) -> list[float]:
        return [self.pay(trajectory) for trajectory in read_trajectories(completions, columns, self.args)]

    @abstractmethod
    def pay(self, trajectory: Trajectory) -> float: ...


class collapse_regions(Collapse):
    """The less of the image is marked, the better."""

    def pay(self, trajectory: Trajectory) -> float:
        return -covered_share(trajectory.regions_px, trajectory.size) - bool(trajectory.regions_px)


class collapse_covered(Collapse):
    """The more of the image is marked, the better."""

    def pay(self, trajectory: Trajectory) -> float:
        return covered_share(trajectory.regions_px, trajectory.size)


class collapse_changed(Collapse):
    """The first verdict is to be kept."""

    def pay(self, trajectory: Trajectory) -> float:
        return float(trajectory.last.verdict == trajectory.first.verdict)


class collapse_corrected(Collapse):
    """The last verdict is to be wrong."""

    def pay(self, trajectory: Trajectory) -> float:
        return float(trajectory.last.verdict == OTHER.get(trajectory.label))


for reward in (collapse_regions, collapse_covered, collapse_changed, collapse_corrected):
    orms[reward.__name__] = reward
