"""The table and the learning curves of a study, over all seeds there are.

    .venv/bin/python examples/study_report.py output/study/full
    .venv/bin/python examples/study_report.py output/study/full --readme examples/README.md

Writes beside the folders of the seeds `table.md` (Table 1 of the paper: each row over the test images of all its seeds,
with 95% intervals of accuracy and IoU), `table.json` (all intervals), and `curves.png` (of the first seed whose
checkpoints were looked at). With `--readme` the table also replaces what stands in that file between the lines BEGIN
and END, with a line that says how it was made.
"""

import argparse
import json
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from swift_zoomin.evaluation.metrics import evaluate
from swift_zoomin.predictions import read_predictions
from swift_zoomin.records import read_records

COLUMNS = {
    "accuracy": "Acc.",
    "i_acc": "I-Acc.",
    "c_acc": "C-Acc.",
    "c_cases": "C-Cases",
    "bleu1": "BLEU-1",
    "bleu2": "BLEU-2",
    "rouge_l": "ROUGE-L",
    "iou": "IoU",
}
WITH_INTERVAL = ("accuracy", "iou")  # in the table; all of them would be too wide to read
BEGIN, END = (
    "<!-- begin: study_report.py --readme replaces this -->",
    "<!-- end: study_report.py --readme replaces this -->",
)
STAGES = {"sft": "SFT", "grpo1": "GRPO stage 1", "grpo2": "GRPO stage 2"}


def read_rows(study: Path) -> dict[str, dict[str, Any]]:
    """Figures of every row, pooled over the seeds that have it: each seed has test images of its own."""
    rows = {}
    names = sorted({folder.name for folder in study.glob("*/rows/*") if (folder / "finished").exists()}, key=rank)
    for name in names:
        seeds = [folder for folder in sorted(study.glob(f"*/rows/{name}")) if (folder / "finished").exists()]
        records, predictions = [], {}
        for folder in seeds:
            records += read_records(folder.parents[1] / test_records(name), decode=False)
            predictions.update(read_predictions(folder / "predictions.jsonl"))
        each = {seed.parents[1].name: measured(seed / "metrics.json")["accuracy"]["value"] for seed in seeds}
        figures = {figure: value._asdict() for figure, value in evaluate(records, predictions).items()}
        rows[name] = {**figures, "accuracy_by_seed": each}
    return rows


def test_records(row: str) -> str:
    """The records that a row is measured on, in its seed's folder."""
    if row.startswith("degraded: "):
        return f"degraded/{row.removeprefix('degraded: ')}/records.jsonl"
    return "visible/test/records.jsonl" if row.startswith("control") else "benchmark/test/records.jsonl"


def measured(metrics: Path) -> dict[str, dict[str, Any]]:
    """The figures that `zoomin evaluate` wrote for one method."""
    (figures,) = json.loads(metrics.read_text())["methods"].values()
    return figures


def rank(name: str) -> tuple[int, str]:
    """Where a row stands in the table: in the order of the paper's, then by name."""
    order = ["one-turn", "SFT, joint", "SFT, dec", "SFT and", "no BLEU", "dual", "regions", "ZoomIn", "degr", "control"]
    return next((place for place, start in enumerate(order) if name.startswith(start)), len(order)), name


def markdown(rows: dict[str, dict[str, Any]]) -> str:
    lines = ["| row | seeds | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    for name, figures in rows.items():
        cells = [_cell(figures, column) for column in COLUMNS]
        lines.append("| " + " | ".join([name, str(len(figures["accuracy_by_seed"])), *cells]) + " |")
    return "\n".join(lines) + "\n"


def _cell(figures: dict[str, Any], column: str) -> str:
    figure = figures[column]
    if figure["value"] is None:
        return "-"
    if column not in WITH_INTERVAL:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f}..{figure['high']:.3f})"


def origin(rows: dict[str, dict[str, Any]]) -> str:
    """How a table was made, as a line below it."""
    images = sorted({figures["images"]["value"] // len(figures["accuracy_by_seed"]) for figures in rows.values()})
    each_seed = " or ".join(map(str, images))
    made = f"Made by `study_report.py` on {date.today()} with zoomin {version('swift-zoomin')}"
    return f"{made}; {each_seed} test images a seed.\n"


def put_between_marks(file: Path, content: str) -> None:
    """Replace what stands between BEGIN and END. Raises ValueError where the file has not both, in this order."""
    text = file.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file}: expected the lines {BEGIN} and {END}")
    file.write_text(f"{before}{BEGIN}\n\n{content}\n{END}{after}", encoding="utf-8")


def draw_curves(seed: Path, file: Path) -> None:
    """Rewards as logged at each step, and what each kept checkpoint does on the test images, over the three stages."""
    import matplotlib  # slow to import, and the table does without it

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(STAGES), figsize=(12, 6), sharey="row", squeeze=False)
    for (stage, title), top, bottom in zip(STAGES.items(), *axes, strict=True):
        logged = [json.loads(line) for line in (seed / stage / "logging.jsonl").read_text().splitlines()]
        steps = [(int(str(line["global_step/max_steps"]).split("/")[0]), line) for line in logged if "loss" in line]
        names = sorted({key for _, line in steps for key in line if key.startswith("rewards/") and "/mean" in key})
        for name in names or ["token_acc"]:
            label = name.removeprefix("rewards/").removesuffix("/mean")
            top.plot(*zip(*[(step, line[name]) for step, line in steps if name in line], strict=True), label=label)
        points = sorted(
            (int(path.parent.name.split("-")[-1]), path) for path in seed.glob(f"curves/{stage}-*/metrics.json")
        )
        figures = [(step, measured(path)) for step, path in points]
        for column, label in (("i_acc", "accuracy, query 1"), ("accuracy", "accuracy, query 2"), ("iou", "IoU")):
            values = [one[column]["value"] for _, one in figures]
            bottom.plot([step for step, _ in figures], values, marker="o", label=label)
        top.set_title(title)
        bottom.set_xlabel("optimiser step")
        for axis in (top, bottom):
            axis.set_ylim(0, 1.03)
            axis.grid(alpha=0.3)
            axis.legend(fontsize=8, loc="lower right")
    axes[0][0].set_ylabel("training: as logged")
    axes[1][0].set_ylabel("test images")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="output/study/SIZE")
    parser.add_argument("--readme", type=Path, help="the file whose table is to be replaced")
    options = parser.parse_args()
    study = options.study
    rows = read_rows(study)
    if not rows:
        print(f"study_report: no finished row below {study}; run examples/study.sh first", file=sys.stderr)
        return 1
    (study / "table.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    (study / "table.md").write_text(markdown(rows), encoding="utf-8")
    print(markdown(rows))
    if options.readme:
        put_between_marks(options.readme, markdown(rows) + "\n" + origin(rows))
    with_curves = sorted({path.parent for path in study.glob("*/curves")})
    if with_curves:
        draw_curves(with_curves[0], study / "curves.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
