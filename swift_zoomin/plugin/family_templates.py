"""The template `zoomin` of each family: what all share (`template`), before ms-swift's stock template of the family.

ms-swift knows one class by the name `zoomin`; the model decides which of these it becomes. A family that is added to
`families` gets a class here.
"""

from dataclasses import replace
from typing import Any

from swift.template import TEMPLATE_MAPPING, TemplateMeta
from swift.template.templates.qwen import Qwen2_5VLTemplate, Qwen3_5Template, Qwen3VLTemplate

from swift_zoomin.families import QWEN2_5_VL, QWEN3_5, QWEN3_VL, Family
from swift_zoomin.plugin.model_settings import family_of_model
from swift_zoomin.plugin.template import ZoomInTemplate


class FamilyTemplate(ZoomInTemplate):
    """`--template zoomin`: made for a processor, it is one of the classes below.

    `family_served` says of what its words are: the default system prompt, and what opens a reply, are the family's.
    """

    family_served: Family

    def __new__(cls, processor: Any = None, *args: Any, **options: Any) -> "FamilyTemplate":
        """Raises CheckpointError for a model of a family that is not served. A copy names its class itself."""
        if cls is FamilyTemplate:
            cls = _CLASSES[family_of_model(processor)]
        return super().__new__(cls)

    def __init__(self, processor: Any, template_meta: TemplateMeta, *args: Any, **options: Any) -> None:
        stock = TEMPLATE_MAPPING[self.family_served.model_types[0]]
        words = replace(stock, template_type=template_meta.template_type, template_cls=type(self))
        super().__init__(processor, words, *args, **options)


class Qwen2_5VLZoomIn(FamilyTemplate, Qwen2_5VLTemplate):  # noqa: N801
    family_served = QWEN2_5_VL


class Qwen3VLZoomIn(FamilyTemplate, Qwen3VLTemplate):
    family_served = QWEN3_VL


class Qwen3_5ZoomIn(FamilyTemplate, Qwen3_5Template):  # noqa: N801
    family_served = QWEN3_5


_CLASSES: dict[Family, type[FamilyTemplate]] = {
    served.family_served: served for served in (Qwen2_5VLZoomIn, Qwen3VLZoomIn, Qwen3_5ZoomIn)
}
