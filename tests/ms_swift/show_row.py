"""Run by test_limits.py in a process of its own: what `swift sft` with these arguments would teach and reward.

Prints, of the first record: the size of the whole image and of each crop as the model is shown them, the boxes that
query 1 teaches, and what `zoomin_iou` pays for that very reply.
"""

import json
import sys

from swift.pipelines.train.sft import SwiftSft

from swift_zoomin.plugin.rewards import REWARDS
from swift_zoomin.replies import parse_reply

sft = SwiftSft(sys.argv[1:])
rows = sft.args.load_dataset()[0]
taught = {}
for number in (0, 1):
    encoded = sft.template.encode(rows[number])
    labels = [label for label in encoded["labels"] if label >= 0]
    shown = [(14 * columns, 14 * lines) for _, lines, columns in encoded["image_grid_thw"].tolist()]
    taught[number] = (sft.template.tokenizer.decode(labels).removesuffix("<|im_end|>"), shown)
reply, [whole] = taught[0]
columns = {name: [rows[0][name]] for name in ("images", "label", "explanation", "boxes")}
[reward] = REWARDS["zoomin_iou"](None)([reply], **columns)
answer = {"whole": whole, "crops": taught[1][1][1:], "boxes": parse_reply(reply).boxes_model, "iou": reward}
print("SHOWN " + json.dumps(answer))
