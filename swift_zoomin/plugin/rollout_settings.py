"""Rollout settings: what must agree where replies are made and where they are trained on.

    {"family": "Qwen2.5-VL", "pixels": "3136-261856", "scheduler": "ZoomInScheduler", "max_turns": 2}

`pixels` are the model's limits, and its `family` writes boxes in one frame. The scheduler puts them into the
`rollout_infos` of every trajectory, and the rewards compare them with those of their trainer. Where they differ, boxes
would lie elsewhere or the wrong query would be trained, and nothing else would show it.
"""

from typing import Any

from swift.rollout import MultiTurnScheduler, multi_turns

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.plugin.template import current_template

RolloutSettings = dict[str, Any]

_TURNS = 2  # of the exchange


def allowed_turns(max_turns: int | None) -> int:
    """How many turns an exchange has under --max_turns; there is no third one."""
    return min(max_turns or _TURNS, _TURNS)


def settings_of_rollout(
    scheduler: type[MultiTurnScheduler], max_turns: int | None, limits: PixelLimits
) -> RolloutSettings:
    """The settings by which this scheduler makes replies."""
    return {**_of_model(limits), "scheduler": scheduler.__name__, "max_turns": allowed_turns(max_turns)}


def _of_model(limits: PixelLimits) -> RolloutSettings:
    return {"family": limits.family.name, "pixels": str(limits)}


def settings_of_trainer(args: Any) -> RolloutSettings:
    """What a trainer with these arguments expects of its rollouts.

    Without arguments nothing is known but the model's limits, and without a template not even these.
    """
    template = current_template()
    if template is None:
        return {}
    limits = template.settings.limits
    if args is None:
        return _of_model(limits)
    scheduler = scheduler_of(args)
    if scheduler is None:
        return {**_of_model(limits), "scheduler": None}
    return settings_of_rollout(scheduler, getattr(args, "max_turns", None), limits)


def scheduler_of(args: Any) -> type[MultiTurnScheduler] | None:
    """The class behind a trainer's --multi_turn_scheduler; None where it has none."""
    found: type[MultiTurnScheduler] | None = multi_turns.get(getattr(args, "multi_turn_scheduler", None))
    return found


def check_agreement(rollout_info: dict[str, Any], expected: RolloutSettings) -> None:
    """Raises ValueError for a trajectory made with other settings. Rows of other data sets say nothing of theirs."""
    for name, trainers in expected.items():
        rollouts = rollout_info.get(name, trainers)
        if rollouts != trainers:
            raise ValueError(
                f"{name} differs: {rollouts} where the replies are made, {trainers} in the trainer; give "
                "`swift rollout` and `swift rlhf` the same model, MAX_PIXELS, MIN_PIXELS, --multi_turn_scheduler and "
                "--max_turns"
            )
