"""Whether `zoomin probe` tells a model that looks from one that copies its first verdict, on the sandbox.

    MAX_PIXELS=12544 python tests/benchmarks/probe.py output/study/quick/1/joint/checkpoint-750 \\
        output/study/quick/1/benchmark --out output/probe

MODEL looks. The copier is made of it: trained on joint rows (`sft_joint`) of training images half of which have the
other label, and a reason to match. What a second reply says is then known from the first one alone, and from no
picture. 160 steps on one CPU take a minute or two.

Both are probed on the first 60 test images, with a region's close-up blurred and with it left out. The copier's stored
first replies are turned round for every second image before that: a model that says one word always would look like one
that copies. Its baseline must follow them (`follows`, 1).

Targets: MODEL's ratio at least 5, and the copier's faithfulness near 0, with close-ups blurred. Left out, they make the
copier seem faithful, for the question then contradicts its first reply.
"""

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from swift_zoomin.predictions import read_predictions
from swift_zoomin.probes import read_probes
from swift_zoomin.records import json_line, read_records, write_records
from swift_zoomin.replies import GENERATED, REAL, parse_reply

IMAGES, STEPS, TRAINED_ON = 60, 160, 1600
# The other verdict and the other weave, in the sandbox's words.
OTHER = {REAL: GENERATED, GENERATED: REAL, "level": "upright", "upright": "level", "checked": "slanted"}
OTHER |= {"slanted": "checked"}


def turned_round(text: str) -> str:
    """The text with each verdict and each weave turned into the other."""
    for word in OTHER:
        text = text.replace(word, f"\0{word}\0")
    for word, other in OTHER.items():
        text = text.replace(f"\0{word}\0", other)
    return text


def write_joint_rows(benchmark: Path, out: Path) -> None:
    """Records of which half have the other label."""
    rng = random.Random(0)
    rows = []
    for record in read_records(benchmark / "train/records.jsonl", decode=False)[:TRAINED_ON]:
        boxes = {"boxes": record.boxes_px, "box_labels": record.box_labels}
        texts = {"label": record.label, "explanation": record.explanation or ""}
        if rng.random() < 0.5:
            texts = {name: turned_round(text) for name, text in texts.items()}
        rows.append({"image": record.image.path, **texts, **boxes})
    write_records(out, rows)


def train_copier(model: Path, rows: Path, out: Path) -> Path:
    command: list[Any] = ["swift", "sft", "--custom_register_path", "swift_zoomin", "--model", model]
    command += ["--model_type", "qwen2_5_vl", "--template", "zoomin", "--tuner_type", "full", "--dataset"]
    command += [f"{rows}:sft_joint", "--output_dir", out, "--max_steps", STEPS, "--save_steps", STEPS]
    command += ["--freeze_vit", "false", "--freeze_aligner", "false", "--torch_dtype", "float32"]
    command += ["--per_device_train_batch_size", "8", "--learning_rate", "5e-4", "--lr_scheduler_type", "constant"]
    command += ["--add_version", "false", "--save_only_model", "true", "--report_to", "none"]
    command += ["--gradient_checkpointing", "false", "--check_model", "false"]
    subprocess.run([*map(str, command)], check=True)
    return out / f"checkpoint-{STEPS}"


def zoomin(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "swift_zoomin.cli", *map(str, arguments)], check=True)


def detected(model: Path, records: Path, out: Path) -> Path:
    zoomin("detect", records, "--model", model, "--max-new-tokens", 80, "--out", out)
    return out


def probed(model: Path, predictions: Path, name: str) -> Path:
    """With close-ups blurred; and left out, beside it."""
    out = predictions.with_name(f"{name}.jsonl")
    for path, options in ((out, []), (out.with_name(f"{name}_left_out.jsonl"), ["--leave-out"])):
        print(f"\n{path}", flush=True)
        zoomin("probe", predictions, "--model", model, "--out", path, *options)
    return out


def turn_every_second_first_reply(predictions: Path) -> None:
    rows = [json.loads(line) for line in predictions.read_text().splitlines()]
    for row in rows[1::2]:
        row["replies"][0] = turned_round(row["replies"][0])
    predictions.write_text("".join(map(json_line, rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="of the sandbox, trained until it looks")
    parser.add_argument("benchmark", type=Path, help="of examples/make_benchmark.py, with train/ and test/")
    parser.add_argument("--out", type=Path, required=True, help="folder, empty")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    rows = [
        {"image": record.image.path, "label": record.label}
        for record in read_records(options.benchmark / "test/records.jsonl", decode=False)[:IMAGES]
    ]
    test = options.out / "test.jsonl"
    write_records(test, rows)
    probed(options.model, detected(options.model, test, options.out / "looks.jsonl"), "looks_probes")

    write_joint_rows(options.benchmark, options.out / "train.jsonl")
    copier = train_copier(options.model, options.out / "train.jsonl", options.out / "copier")
    predictions = detected(copier, test, options.out / "copies.jsonl")
    turn_every_second_first_reply(predictions)
    probes = read_probes(probed(copier, predictions, "copies_probes"))
    first = {path: parse_reply(row["replies"][0]).verdict for path, row in read_predictions(predictions).items()}
    follows = [(probe.share or 0) > 0.5 for path, probe in probes.items() if first[path] == GENERATED]
    follows += [(probe.share or 0) < 0.5 for path, probe in probes.items() if first[path] == REAL]
    print(json.dumps({"follows": sum(follows) / len(follows)}))


if __name__ == "__main__":
    main()
