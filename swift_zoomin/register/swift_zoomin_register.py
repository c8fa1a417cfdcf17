"""What ms-swift imports for `--custom_register_path swift_zoomin`: the list of what this package adds to it.

It is alone in its folder because ms-swift puts that folder first on sys.path, and may be run more than once.
"""

from swift.dataset import DatasetMeta, register_dataset
from swift.rewards import orms
from swift.rollout import multi_turns
from swift.template import register_template
from swift.template.templates.qwen import QwenTemplateMeta

from swift_zoomin.plugin.command import RECORDS_NAMES, read_command
from swift_zoomin.plugin.dataset import RecordsLoader, mixing
from swift_zoomin.plugin.rewards import REWARDS
from swift_zoomin.plugin.scheduler import ZoomInQuery2Scheduler, ZoomInScheduler
from swift_zoomin.plugin.template import ZoomInTemplate

for name in (*RECORDS_NAMES, *read_command().records_files()):
    register_dataset(DatasetMeta(dataset_path=name, dataset_name=name, loader=RecordsLoader), exist_ok=True)

for other in read_command().mixed_in():
    register_dataset(mixing(other), exist_ok=True)

register_template(QwenTemplateMeta("zoomin", template_cls=ZoomInTemplate), exist_ok=True)

multi_turns["zoomin"] = ZoomInScheduler
multi_turns["zoomin_query2"] = ZoomInQuery2Scheduler

orms.update(REWARDS)
