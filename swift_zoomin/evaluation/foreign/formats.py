"""The formats of other detectors' answers, a line each. A new one is a line here, its reader and a test."""

from swift_zoomin.evaluation.foreign.classifiers import (
    read_antifakeprompt,
    read_community_forensics,
    read_dire,
    read_scores,
)
from swift_zoomin.evaluation.foreign.masks import read_legion, read_masks
from swift_zoomin.evaluation.foreign.replies import read_fakeshield, read_fakevlm
from swift_zoomin.evaluation.foreign.rows import Reader
from swift_zoomin.evaluation.foreign.tables import read_table

TABLE = "table"
FORMATS: dict[str, Reader] = {
    TABLE: read_table,
    "fakeshield": read_fakeshield,
    "fakevlm": read_fakevlm,
    "legion": read_legion,
    "masks": read_masks,
    "community-forensics": read_community_forensics,
    "cnnspot": read_scores,
    "npr": read_scores,
    "dire": read_dire,
    "antifakeprompt": read_antifakeprompt,
}
WITHOUT_VERDICTS = ("legion", "masks")
