"""Whether heat lies where it should: inside annotated boxes for regions, inside the crops for the second look.

    python tests/benchmarks/attention.py output/quickstart/records.jsonl output/quickstart/predictions.jsonl \\
        --model output/quickstart/grpo2/checkpoint-30 [--images 100] [--layer 0] [--copies 8] [--noise 0.1]

The replies are those of the predictions, so that any model can be looked into for the same words: with
`--model output/quickstart/model`, whose weights are random, heat should lie anywhere.

Of each query and part of a reply it prints the images, and the mean over them of: the heat inside the annotated boxes
as a multiple of their share of the image; the share of the heat that lies inside the windows that were cut, whichever
tokens it comes from, and that of the crops' own tokens. `strongest word` is the word of the explanation with most heat.
"""

import argparse
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import numpy as np
from tqdm import tqdm

from swift_zoomin.attention.explaining import SMOOTHING, Attention
from swift_zoomin.attention.gradients import LAYER, Smoothing
from swift_zoomin.attention.picture import Explained, HeatOf
from swift_zoomin.boxes import Box, Size
from swift_zoomin.detection.quiet import quiet_libraries
from swift_zoomin.pairing import pair
from swift_zoomin.predictions import read_predictions
from swift_zoomin.records import Record, read_records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--layer", type=int, default=LAYER)
    parser.add_argument("--copies", type=int, default=SMOOTHING.copies)
    parser.add_argument("--noise", type=float, default=SMOOTHING.noise)
    options = parser.parse_args()
    pairs = pair(read_records(options.records, decode=False), read_predictions(options.predictions))
    pairs = [(record, answer) for record, answer in pairs if answer and len(answer["replies"]) == 2 and answer["boxes"]]
    figures: dict[tuple[int, str], list[list[float]]] = defaultdict(list)
    smoothing = Smoothing(options.copies, options.noise)
    with quiet_libraries(), closing(Attention(options.model, options.layer, smoothing)) as attention:
        for record, answer in tqdm(pairs[: options.images], unit="image"):
            for query in (1, 2):
                explained = attention.heat_of(record.image.path, query, replies=answer["replies"])
                for name, part in parts(explained):
                    figures[query, name].append(measured(part, record))
    print(f"{options.model}, layer {options.layer}, {options.copies} copies, noise {options.noise}")
    print(f"{'query':5}  {'part':18}  {'images':>6}  {'x uniform':>9}  {'in windows':>10}  {'of crops':>8}")
    for (query, name), rows in sorted(figures.items()):
        times, within, of_crops = np.mean(rows, axis=0)
        print(f"{query:5}  {name:18}  {len(rows):6}  {times:9.2f}  {within:10.2f}  {of_crops:8.2f}")


def parts(explained: Explained) -> list[tuple[str, HeatOf]]:
    """The verdict's heat, that of the first region (query 1), and that of the word with most."""
    verdicts = [part for part in explained.heats if part.said.startswith("verdict")]
    regions = [part for part in explained.heats if part.said[0].isdigit()]
    words = [part for part in explained.heats if part.said.lower() in explained.strengths]
    strongest = max(words, key=lambda part: part.heat.total, default=None)
    named = [(part.said, part) for part in verdicts] + [("first region", part) for part in regions[:1]]
    if strongest:
        named.append(("strongest word", strongest))
    return [(name, part) for name, part in named if part.heat.total]


def measured(part: HeatOf, record: Record) -> list[float]:
    """The figures of one heat; pixels of the original are whole, as annotated boxes and windows are."""
    heat = part.heat.laid_on(record.image.size) / part.heat.total
    annotated = inside(record.boxes_px or [], record.image.size)
    windows = inside([shown.window_px for shown in part.heat.shown[1:]], record.image.size)
    times = heat[annotated].sum() / annotated.mean() if annotated.any() else np.nan
    return [float(times), float(heat[windows].sum()), part.heat.crop_share]


def inside(boxes: list[Box], size: Size) -> np.ndarray:
    mask = np.zeros((size[1], size[0]), bool)
    for box in boxes:
        x1, y1, x2, y2 = map(round, box)
        mask[y1:y2, x1:x2] = True
    return mask


if __name__ == "__main__":
    main()
