"""Replies and rows of which the rewards were worked out by hand, and batches of them as ms-swift hands them over."""

from typing import Any

from swift.dataset import RowPreprocessor
from transformers import TrainerState

import swift_zoomin.register.swift_zoomin_register  # noqa: F401  registers the schedulers
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.families import QWEN2_5_VL
from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.rewards import REWARDS

LIMITS = PixelLimits(4 * 784, 256 * 784, QWEN2_5_VL)  # 28 x 28 pixels a token
REF = str(ImageRef("/images/a b.png", (1000, 700), limits=LIMITS))  # seen as 532 x 364
LARGE_REF = str(ImageRef("/images/large.png", (2000, 1400), limits=LIMITS))  # seen like REF
NAMES = ["zoomin_format", "zoomin_iou", "zoomin_accuracy", "zoomin_bleu", "zoomin_accuracy_query1"]
VARIANTS = ["zoomin_iou_unique", "zoomin_iou_f1", "zoomin_iou_union"]
# 532 / 1000 across and 364 / 700 down: these model pixels are [100, 70, 500, 350] of the original
REGIONS = '<regions>[{"bbox_2d": [53.2, 36.4, 266, 182], "label": "sign"}]</regions>'
FIRST = f"<explanation>A clean photo</explanation>\n{REGIONS}\n<verdict>real</verdict>"
LAST = "<explanation>The sign melts.</explanation>\n<verdict>generated</verdict>"
ROW = {"label": "generated", "explanation": "The sign melts.", "boxes": [[100.0, 70.0, 500.0, 350.0]]}


def two_turns(first: str, last: str, boxes_px: list | None = None) -> dict[str, Any]:
    boxes_px = ROW["boxes"] if boxes_px is None else boxes_px
    return {"replies": [first, last], "boxes_px": boxes_px, "crops": len(boxes_px), "images": [REF], "num_turns": 2}


def run(rewards: list[str], batches: int, state: TrainerState | None = None, **row: Any) -> None:
    """So many batches of two trajectories, each reward called as ms-swift calls it."""
    functions = [REWARDS[name](args=None) for name in rewards]
    for _ in range(batches):
        full = {"messages": [], "images": [REF], "is_truncated": False, "rollout_infos": {}, **ROW, **row}
        columns = RowPreprocessor.rows_to_batched([full, full])
        for function in functions:
            function([FIRST, FIRST], trainer_state=state, **columns)
