"""Data workers make the same batches however they are started: what they need travels with the template."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import LIMITS
from PIL import Image
from swift.dataset import IterablePackingDataset, LazyLLMDataset
from swift.model import get_processor
from swift.template import get_template
from torch.utils.data import DataLoader

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin.plugin.columns import to_dataset
from swift_zoomin.records import read_records, write_records
from swift_zoomin.rows import records_to_rows

# Below the lower limit, between the two, above, and far from a square; limits are 4 and 16 tokens of 28 x 28 pixels.
SIZES = [
    (9, 14),
    (30, 40),
    (56, 56),
    (112, 112),
    (100, 120),
    (640, 480),
    (1500, 1100),
    (60, 560),
    (2400, 300),
    (28, 28),
]


def records_of_many_sizes(folder: Path, count: int = 25) -> Path:
    rows = []
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        picture = Image.linear_gradient("L").rotate(15 * number).resize((width, height)).convert("RGB")
        picture.save(folder / f"{number}.png")
        box = [width // 4, height // 4, width // 4 + 4, height // 4 + 3]
        label = ("real", "generated")[number % 2]
        rows.append({"image": f"{number}.png", "label": label, "explanation": f"Reason {number}.", "boxes": [box]})
    write_records(folder / "records.jsonl", rows)
    return folder / "records.jsonl"


def samples(file: Path, model_dir: Path) -> tuple[Any, Any]:
    """The template of a training, and 50 rows that it encodes when they are asked for."""
    template = get_template(get_processor(str(model_dir), model_type="qwen2_5_vl"), template_type="zoomin")
    template.set_mode("train")
    rows = to_dataset(records_to_rows(read_records(file), "sft", LIMITS), str(file))
    assert len(rows) == 50
    return template, rows


def batches(file: Path, model_dir: Path, context: str) -> list[dict[str, Any]]:
    """What two workers of a training make, with ms-swift's own data set, encoding and collation."""
    template, rows = samples(file, model_dir)
    with other_limits_in_the_environment():
        loader = DataLoader(
            LazyLLMDataset(rows, template.encode, strict=True),
            batch_size=5,
            collate_fn=template.data_collator,
            num_workers=2,
            multiprocessing_context=context,
        )
        return list(loader)


def packs(file: Path, model_dir: Path, context: str) -> list[dict[str, Any]]:
    """What a worker of a training that packs a stream makes of the same rows."""
    template, rows = samples(file, model_dir)
    with other_limits_in_the_environment():
        packed = IterablePackingDataset(
            template, rows, num_proc=1, packing_length=2000, strict=True, multiprocessing_context=context
        )
        return [template.data_collator([pack]) for pack in packed]


@contextmanager
def other_limits_in_the_environment() -> Iterator[None]:
    """The limits are the template's: a worker that asked what holds for its process would hear of others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAX_PIXELS", str(64 * 784))
        patch.setenv("IMAGE_MAX_TOKEN_NUM", "64")
        yield


@pytest.mark.swift
@pytest.mark.parametrize("made", [batches, packs])
def test_spawned_and_forked_workers_make_the_same_of_every_size(
    made: Callable[[Path, Path, str], list[dict[str, Any]]], model_dir: Path, tmp_path: Path
) -> None:
    file = records_of_many_sizes(tmp_path)
    forked, spawned = (made(file, model_dir, context) for context in ("fork", "spawn"))
    assert len(forked) == len(spawned) > 1
    for one, other in zip(forked, spawned, strict=True):
        assert one.keys() == other.keys()
        assert {"input_ids", "labels", "pixel_values", "image_grid_thw"} <= one.keys()
        for name, value in one.items():
            assert not isinstance(value, torch.Tensor) or torch.equal(value, other[name]), name
    grids = torch.cat([batch["image_grid_thw"] for batch in forked])
    assert len(grids) == 25 + 2 * 25  # query 1 has the image; query 2 has it and one crop
    assert max((grids.prod(dim=1) // 4).tolist()) == 16
    assert len(set(map(tuple, grids.tolist()))) > 5  # the sizes that are shown do differ
