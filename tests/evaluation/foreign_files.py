"""A set of four images, and the files that other detectors would write about it, as their repositories write them."""

import json
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from swift_zoomin.records import write_records

NAMES = ("real/a.png", "real/b.png", "fake/c.png", "fake/d.png")
SIZE = (64, 48)
BOX = (10, 12, 30, 40)  # x2 and y2 exclusive
ELSEWHERE = "/data03/benchmark"  # where the images lie on the machine of the detector


def make_set(folder: Path) -> Path:
    """The records of the four images; those of `fake` are generated, and have the box BOX."""
    rows = []
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, (50 * number, 90, 10)).save(folder / name)
        is_real = name.startswith("real")
        row: dict[str, Any] = {"image": name, "label": "real" if is_real else "generated"}
        rows.append({**row, "explanation": "The hand has six fingers.", "boxes": [] if is_real else [list(BOX)]})
    write_records(folder / "records.jsonl", rows)
    return folder / "records.jsonl"


def make_mask(path: Path, *boxes: tuple[int, int, int, int], size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.new("L", size)
    for x1, y1, x2, y2 in boxes:
        ImageDraw.Draw(mask).rectangle((x1, y1, x2 - 1, y2 - 1), fill=255)
    mask.save(path)
    return path


def fakeshield(folder: Path) -> Path:
    """DTE-FDM_output.jsonl of DTE-FDM/llava/eval/model_vqa.py; c.png's answer says neither."""
    statements = {
        "real/a.png": "The picture has not been tampered with",
        "real/b.png": "The picture has been tampered with, in the sky",
        "fake/c.png": "It is hard to tell",
        "fake/d.png": "The picture has been tampered with, specifically in the lower part of the image",
    }
    heading = "1. Whether the picture has been tampered with / Description of the tampered area: "
    lines = []
    for name, statement in statements.items():
        said = f"{heading}{statement}.\n\n2. Judgment basis: No sign shows that it has been tampered with elsewhere."
        lines.append(json.dumps({"image": f"{ELSEWHERE}/{name}", "outputs": said}) + "\n")
    path = folder / "DTE-FDM_output.jsonl"
    path.write_text("".join(lines))
    return path


def fakeshield_masks(folder: Path) -> Path:
    """The folder that MFLM/test.py writes: a mask called as its image, none for an image that is called real."""
    make_mask(folder / "MFLM_output" / "b.png", (0, 0, 20, 20))
    make_mask(folder / "MFLM_output" / "d.png", BOX)
    return folder / "MFLM_output"


def fakevlm(folder: Path, image: str = "image_path", said: str = "output") -> Path:
    """The array that scripts/eval.py writes; eval_vllm.py calls the fields `id` and `caption`."""
    replies = {
        "real/a.png": "ASSISTANT: This is a real image. The light falls evenly.",
        "real/b.png": "This photo is unusual. It is a fake image.",
        "fake/c.png": "The image could be real or fake.",
        "fake/d.png": "This is a fake image. A real hand has five fingers.",
    }
    path = folder / "fakevlm.json"
    rows = [{image: f"{ELSEWHERE}/{name}", said: reply} for name, reply in replies.items()]
    path.write_text(json.dumps(rows, indent=2))
    return path


def legion(folder: Path) -> Path:
    """The folder that infer_loc_exp.py writes, which wants all images in one folder."""
    for name in NAMES:
        base_name = Path(name).name
        out = folder / "legion" / base_name
        make_mask(out / "mask.png", *([BOX] if name.startswith("fake") else []))
        said = {f"./inference_data/{base_name}": "The left hand has six fingers."}
        (out / "explanation.json").write_text(json.dumps(said, indent=4))
    return folder / "legion"


def community_forensics(folder: Path) -> Path:
    """The folder that main.py of the branch eval_single writes; a.png was looked at twice."""
    results = [("real/a.png", 0.4, "1"), ("real/a.png", 0.25, "2"), ("real/b.png", 0.5, "3")]
    results += [("fake/c.png", 0.51, "4"), ("fake/d.png", 0.99, "5")]
    out = folder / "results_dir"
    out.mkdir()
    for name, probability, second in results:
        content = {
            "Input File": f"{ELSEWHERE}/{name}",
            "Date": f"2025-05-01 12:00:0{second}.000001",
            "Result": {"Fake Probability": probability},
            "Result Description": "This sample is classified as ...",
            "Analysis Time in Second": 0.2,
            "Device": "cuda",
        }
        base_name = Path(name).name.replace(".", "_")
        (out / f"result_05012025_12000{second}_{base_name}.json").write_text(json.dumps(content, indent=4))
    return out


def dire_log(folder: Path) -> Path:
    """What demo.py prints for one image after the other."""
    scores = (0.0312, 0.5, 0.4999, 0.9712)
    parts = [
        f"Testing on image '{ELSEWHERE}/{name}'\n{'*' * 50}\nProb of being synthetic: {score:.4f}\n"
        for name, score in zip(NAMES, scores, strict=True)
    ]
    path = folder / "dire.log"
    path.write_text("".join(parts))
    return path


def table(path: Path, head: str, *rows: str) -> Path:
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def scores(folder: Path) -> Path:
    """A score an image, as demo_dir.py of CNNSpot has them in `y_pred`."""
    lines = [f"{name},{score}" for name, score in zip(NAMES, (0.1, 0.7, 0.5, 0.9), strict=True)]
    return table(folder / "scores.csv", "image,score", *lines)


def antifakeprompt(folder: Path) -> Path:
    """Answers of test.py: of its batches, as entries of `ans_list`, and as it prints of one image."""
    rows = zip(NAMES, ("yes", "no", "", "Fake"), strict=True)
    return table(folder / "antifake.csv", "img_path,ans", *(f"{ELSEWHERE}/{name},{answer}" for name, answer in rows))
