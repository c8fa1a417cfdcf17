"""Records and predictions drawn by chance, with everything in them that an evaluation must stand."""

import random
from pathlib import Path
from typing import Any

from PIL import Image

from swift_zoomin.images import ImageRef
from swift_zoomin.records import Record, write_records

SIDE_PX = 100
SENTENCES = (
    "the sign on a wall melts into letters while its shadow falls the wrong way and one hand has six fingers; light, "
    "texture and perspective look consistent, edges stay sharp, people in the background keep natural faces. Café 北京"
)
WORDS = SENTENCES.split()
SOURCES = {"real": ("coco", "imagenet"), "generated": ("glide", "midjourney", "sdv5")}


def draw_text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def draw_boxes(rng: random.Random, most: int) -> list[list[int]]:
    boxes = []
    for _ in range(rng.randint(0, most)):
        left, top = rng.randrange(SIDE_PX - 1), rng.randrange(SIDE_PX - 1)
        boxes.append([left, top, rng.randint(left + 1, SIDE_PX), rng.randint(top + 1, SIDE_PX)])
    return boxes


def record_rows(count: int, seed: int = 0, words: int = 20) -> list[dict[str, Any]]:
    """Rows of a records file; some without an explanation, some without annotated boxes."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        label = rng.choice(("real", "generated"))
        row: dict[str, Any] = {"image": f"images/{number}.png", "label": label}
        if rng.random() < 0.9:
            row["explanation"] = draw_text(rng, rng.randint(words // 2, words))
        if rng.random() < 0.8:
            row["boxes"] = draw_boxes(rng, 4)
        rows.append({**row, "source": rng.choice(SOURCES[label])})
    return rows


def prediction_rows(
    records: list[dict[str, Any]], seed: int, right: float = 0.8, scored: bool = True, words: int = 20
) -> list[dict[str, Any]]:
    """A prediction of most records: some are missing, failed, without a verdict or without a score."""
    rng = random.Random(seed)
    rows = []
    for record in records:
        if rng.random() < 0.03:
            continue
        row = _prediction(record, rng, right, words)
        if scored and rng.random() < 0.9:
            # Few levels, so that many are equal; 0 and 1 are among them.
            leaning = 0.2 if record["label"] == "generated" else -0.2
            row["score"] = round(min(1.0, max(0.0, rng.gauss(0.5 + leaning, 0.3))), 2)
        rows.append(row)
    return rows


def _prediction(record: dict[str, Any], rng: random.Random, right: float, words: int) -> dict[str, Any]:
    chance = rng.random()
    if chance < 0.02:
        return {"image": record["image"], "verdict": None, "replies": [], "seconds": 0.1, "error": "no such image file"}
    other = {"real": "generated", "generated": "real"}[record["label"]]
    initial, final = (record["label"] if rng.random() < share else other for share in (right - 0.1, right))
    reference = record.get("explanation", "").split()
    said = [word if rng.random() < 0.7 else rng.choice(WORDS) for word in reference] or rng.choices(WORDS, k=words)
    return {
        "image": record["image"],
        "verdict": None if chance < 0.05 else final,
        "initial_verdict": None if 0.04 < chance < 0.07 else initial,
        "boxes": [*draw_boxes(rng, 3), *record.get("boxes", [])[:1]],
        "explanation": " ".join(said) if chance < 0.95 else "",
        "seconds": rng.uniform(1, 3),
        "error": "reply 2 was cut by the length limit" if chance < 0.03 else None,
        "made_by": "made",
    }


def to_records(rows: list[dict[str, Any]], folder: str = "/made") -> list[Record]:
    """Records without files, for functions that open none."""
    known = ("image", "label", "explanation", "boxes")
    return [
        Record(
            row["image"],
            ImageRef(f"{folder}/{row['image']}", (SIDE_PX, SIDE_PX)),
            row["label"],
            row.get("explanation", ""),
            row.get("boxes"),
            [""] * len(row.get("boxes") or []),
            {name: value for name, value in row.items() if name not in known},
        )
        for row in rows
    ]


def by_path(rows: list[dict[str, Any]], folder: str = "/made") -> dict[Path, dict[str, Any]]:
    return {Path(f"{folder}/{row['image']}"): row for row in rows}


def write_set(folder: Path, count: int, seed: int = 0, words: int = 20) -> list[dict[str, Any]]:
    """A records file with its images, which are as small as files can be."""
    rows = record_rows(count, seed, words)
    (folder / "images").mkdir(parents=True)
    Image.new("L", (SIDE_PX, SIDE_PX)).save(folder / "images" / "0.png")
    image = (folder / "images" / "0.png").read_bytes()
    for row in rows:
        (folder / row["image"]).write_bytes(image)
    write_records(folder / "records.jsonl", rows)
    return rows
