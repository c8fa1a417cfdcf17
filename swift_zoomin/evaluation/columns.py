"""What a table shows of the figures, and in which order: a line a figure."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from swift_zoomin.evaluation.figures import Figure

HIGH: Literal["high"] = "high"
LOW: Literal["low"] = "low"


class Column(NamedTuple):
    """A column: its figure, its heading, and which value is the best (none where neither end is)."""

    figure: str
    heading: str
    best: Literal["high", "low"] | None = None


# Blocks of columns that a terminal shows below each other.
VERDICTS = (
    Column("accuracy", "Acc.", HIGH),
    Column("balanced_accuracy", "Balanced", HIGH),
    Column("recall_real", "Recall real", HIGH),
    Column("recall_generated", "Recall gen.", HIGH),
    Column("precision", "Precision", HIGH),
    Column("f1", "F1", HIGH),
)
TWO_LOOKS = (
    Column("i_acc", "I-Acc.", HIGH),
    Column("c_cases", "C-Cases"),
    Column("c_acc", "C-Acc.", HIGH),
)
REASONS = (
    Column("bleu1", "BLEU-1", HIGH),
    Column("bleu2", "BLEU-2", HIGH),
    Column("corpus_bleu1", "corpus BLEU-1", HIGH),
    Column("corpus_bleu2", "corpus BLEU-2", HIGH),
    Column("rouge_l", "ROUGE-L", HIGH),
)
REGIONS = (
    Column("iou", "IoU", HIGH),
    Column("iou_recall", "IoU recall", HIGH),
)
SCORES = (
    Column("ap", "AP", HIGH),
    Column("auc", "AUC", HIGH),
    Column("tpr_at_1", "TPR at 1%", HIGH),
    Column("tpr_at_5", "TPR at 5%", HIGH),
    Column("brier", "Brier", LOW),
    Column("ece", "ECE", LOW),
    Column("scored", "Scored"),
)
TIME = (
    Column("seconds", "s / image", LOW),
    Column("seconds_sd", "s.d."),
)
COUNTS = (
    Column("missing", "Missing"),
    Column("no_verdict", "No verdict"),
    Column("unparsed", "Unparsed"),
    Column("failed", "Failed"),
)
IMAGES = (Column("images", "Images"),)
ROWS = (  # of the predictions file, and what else a table of several sets needs
    Column("extra", "Extra rows"),
    Column("doubled", "Doubled rows"),
    Column("timed", "Timed"),
    Column("looks", "Looks"),
)
BLOCKS = (VERDICTS, (*TWO_LOOKS, *REGIONS), REASONS, SCORES, (*IMAGES, *COUNTS, *TIME))
ALL = (*IMAGES, *COUNTS, *VERDICTS, *TWO_LOOKS, *REASONS, *REGIONS, *SCORES, *TIME, *ROWS)
NAMES = tuple(column.figure for column in ALL)
HEADINGS = {column.figure: column.heading for column in ALL}
_DECIMALS = 3  # that a table shows


def shown_columns(columns: Sequence[Column], methods: Sequence[Mapping[str, Figure]]) -> list[Column]:
    """The columns in which some method has a value."""
    return [column for column in columns if any(figures[column.figure].value is not None for figures in methods)]


def best_methods(column: Column, methods: Mapping[str, Mapping[str, Figure]]) -> set[str]:
    """Which methods have the best value of a column, as it is shown; none where one is alone or no end is best."""
    values = {name: figures[column.figure].value for name, figures in methods.items()}
    present = {name: round(value, _DECIMALS) for name, value in values.items() if value is not None}
    if column.best is None or len(methods) < 2 or not present:
        return set()
    best = max(present.values()) if column.best == HIGH else min(present.values())
    return {name for name, value in present.items() if value == best}
