"""Rows a group: which images stand in it, and what it says of groups of one label."""

from pathlib import Path

import numpy as np
import pytest

from swift_zoomin.evaluation.answers import to_answers
from swift_zoomin.evaluation.groups import masks
from swift_zoomin.evaluation.metrics import by_group, evaluation
from swift_zoomin.images import ImageRef
from swift_zoomin.pairing import pair
from swift_zoomin.records import Record


def records_of(*rows: tuple[str, dict[str, object]], size: tuple[int, int] = (100, 100)) -> list[Record]:
    """Records named 0, 1, ...; labels are g (generated) and r (real)."""
    labels = {"g": "generated", "r": "real"}
    return [
        Record(str(n), ImageRef(f"/{n}", size), labels[label], extra=extra) for n, (label, extra) in enumerate(rows)
    ]


def members(by: str, records: list[Record], predictions: dict | None = None) -> dict[str, str]:
    """For each group, the numbers of its records."""
    predictions = predictions or {}
    answers = to_answers("ours", pair(records, predictions), predictions)
    return {group: "".join(map(str, np.flatnonzero(mask))) for group, mask in masks(by, records, answers).items()}


def test_a_generator_without_real_images_is_scored_with_all_of_the_file() -> None:
    rows = [("g", {"source": "glide"}), ("r", {"source": "coco"}), ("g", {"source": "sdv5"}), ("r", {}), ("g", {})]
    assert members("source", records_of(*rows)) == {"(none)": "34", "coco": "1", "glide": "013", "sdv5": "123"}


def test_a_generator_is_scored_with_the_real_images_of_its_own_set() -> None:
    """As in GenImage, each of whose generators comes with real images."""
    sources = ["glide", "glide", "sdv5", "sdv5", "glide", "imagenet"]
    rows = [(label, {"source": source}) for label, source in zip("grgrgr", sources, strict=True)]
    assert members("source", records_of(*rows)) == {"glide": "014", "imagenet": "5", "sdv5": "23"}


@pytest.mark.parametrize(
    ("size", "group"),
    [
        ((256, 256), "to 256x256"),
        ((1, 65537), "to 512x512"),
        ((1024, 1024), "to 1024x1024"),
        ((2048, 2048), "to 2048x2048"),
        ((2049, 2048), "over 2048x2048"),
    ],
)
def test_sizes_are_classes_of_area(size: tuple[int, int], group: str) -> None:
    assert members("size", records_of(("r", {}), size=size)) == {group: "0"}


def test_regions_are_those_that_the_first_look_marked() -> None:
    box = [0, 0, 9, 9]
    said = [[box], [], [box] * 10, [box] * 11, [box], None]
    read = {"verdict": "real", "initial_verdict": "real"}
    predictions = {Path(f"/{n}"): {**read, "boxes": boxes} for n, boxes in enumerate(said)}
    predictions[Path("/5")] = {"verdict": "real", "initial_verdict": None, "boxes": []}  # nothing could be read
    records = records_of(*[("r", {})] * 7)  # and the last has no prediction
    assert members("regions", records, predictions) == {"0": "1", "1": "04", "10": "2", "over 10": "3", "(none)": "56"}
    verdicts = {path: {"verdict": "real"} for path in predictions}
    assert members("regions", records, verdicts) == {}  # a detector that marks none has no such rows


def test_groups_have_the_figures_of_their_images_alone() -> None:
    records = records_of(*[("g", {"source": "glide"}), ("g", {"source": "sdv5"}), ("r", {"source": "coco"})])
    predictions = {Path(f"/{n}"): {"verdict": verdict} for n, verdict in enumerate(["generated", "real", "real"])}
    methods = [to_answers("ours", pair(records, predictions), predictions)]
    groups = by_group("source", records, methods)
    assert {group: of_group["ours"]["accuracy"].value for group, of_group in groups.items()} == {
        "coco": 1.0,
        "glide": 1.0,
        "sdv5": 0.5,
    }
    assert groups["coco"]["ours"]["balanced_accuracy"].value is None  # real images alone: accuracy is recall
    assert groups["sdv5"]["ours"]["recall_generated"].value == 0.0
    assert evaluation(records, methods)["methods"]["ours"]["accuracy"].value == pytest.approx(2 / 3)


def test_labels_are_groups() -> None:
    assert members("label", records_of(("g", {}), ("r", {}), ("g", {}))) == {"real": "1", "generated": "02"}
