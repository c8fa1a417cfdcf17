"""The list of what this package adds to ms-swift. Nothing is decided here; ms-swift may call it more than once."""

from swift.dataset import DatasetMeta, register_dataset
from swift.rewards import orms
from swift.rollout import multi_turns
from swift.template import register_template
from swift.template.templates.qwen import QwenTemplateMeta
from swift.trainers import TrainerFactory

from swift_zoomin.plugin.command_line import RECORDS_NAMES, read_command
from swift_zoomin.plugin.dataset import RecordsLoader, mixing
from swift_zoomin.plugin.family_templates import FamilyTemplate
from swift_zoomin.plugin.rewards import REWARDS
from swift_zoomin.plugin.scheduler import ZoomInQuery2Scheduler, ZoomInScheduler


def register() -> None:
    """Everything but the trainer of `register_turn_credit`."""
    for name in (*RECORDS_NAMES, *read_command().records_files()):
        register_dataset(DatasetMeta(dataset_path=name, dataset_name=name, loader=RecordsLoader), exist_ok=True)

    for other in read_command().mixed_in():
        register_dataset(mixing(other), exist_ok=True)

    register_template(QwenTemplateMeta("zoomin", template_cls=FamilyTemplate), exist_ok=True)

    multi_turns["zoomin"] = ZoomInScheduler
    multi_turns["zoomin_query2"] = ZoomInQuery2Scheduler

    orms.update(REWARDS)


def register_turn_credit() -> None:
    """GRPO with one advantage for each query, in place of ms-swift's trainer."""
    TrainerFactory.TRAINER_MAPPING["grpo"] = "swift_zoomin.plugin.turn_credit.TurnCreditTrainer"
