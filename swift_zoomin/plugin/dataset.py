"""Records as ms-swift's data sets: `--dataset DIR/records.jsonl:PURPOSE#SAMPLES`, with the purposes of `rows`.

Mistakes that ms-swift would report late and obscurely are refused here, before training starts: a purpose that the
command cannot use, rows that do not fit, columns that cannot be mixed.
"""

import hashlib
import os
from dataclasses import replace
from functools import cache
from typing import Any

from datasets import Dataset, IterableDataset
from swift.dataset import (
    DATASET_MAPPING,
    DatasetLoader,
    DatasetMeta,
    DatasetSyntax,
    RowPreprocessor,
    sample_dataset,
)
from swift.utils import get_logger, is_local_master, use_hf_hub

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.columns import to_dataset, with_common_types
from swift_zoomin.plugin.command_line import RECORDS_NAMES, read_command, records_file
from swift_zoomin.plugin.lengths import check_lengths
from swift_zoomin.plugin.template import current_template
from swift_zoomin.records import Record, RecordError, read_records
from swift_zoomin.rows import PURPOSES, records_to_rows
from swift_zoomin.shortcuts import LABEL_WORDS, REGIONS, find_shortcuts


class MixingLoader(DatasetLoader):
    """Loads other people's data sets as ms-swift does, and mixes them with ours.

    ms-swift mixes all data sets of a run with the loader of the one that is named last.
    """

    def load(self, dataset_syntax: DatasetSyntax = None, dataset_meta: Any = None, *, use_hf: Any = None) -> Any:
        # The parts of one data set are put together in here, and that stays ms-swift's affair.
        stock = DatasetLoader(**vars(self))
        return stock.load(dataset_syntax, dataset_meta, use_hf=use_hf)

    @staticmethod
    def concat_datasets(datasets: list[Any]) -> Any:
        return DatasetLoader.concat_datasets(with_common_types(datasets))

    @staticmethod
    def interleave_datasets(datasets: list[Any], *args: Any, **options: Any) -> Any:
        return DatasetLoader.interleave_datasets(with_common_types(datasets), *args, **options)


def mixing(named: DatasetSyntax) -> DatasetMeta:
    """What ms-swift knows of another person's data set, to be mixed with ours; one with its own loader keeps that."""
    use_hf = use_hf_hub() if named.use_hf is None else named.use_hf
    known = DATASET_MAPPING.get(named.dataset) or named.get_dataset_meta(use_hf)
    if known.loader is not DatasetLoader:
        return known
    if known.dataset_path or known.ms_dataset_id or known.hf_dataset_id:
        return replace(known, loader=MixingLoader)
    kind = "hf_dataset_id" if use_hf else "ms_dataset_id"
    if os.path.exists(named.dataset):
        kind = "dataset_path"
    # Under a name that nobody else gives: the user may register this data set later, and that may not fail.
    name = f"swift_zoomin mixes {named.dataset}"
    return DatasetMeta(dataset_name=name, loader=MixingLoader, **{kind: named.dataset})


class RecordsLoader(MixingLoader):
    """Loads records files, and folders that hold one. Raises RecordError before training starts."""

    def load(self, dataset_syntax: DatasetSyntax = None, dataset_meta: Any = None, *, use_hf: Any = None) -> Any:
        path = dataset_syntax.dataset
        if not dataset_syntax.subsets and os.path.basename(path) not in RECORDS_NAMES:
            # Someone else's data set: its file has the name of one of ours, in another folder.
            return super().load(dataset_syntax, dataset_meta, use_hf=use_hf)
        purpose = "/".join(dataset_syntax.subsets) or "none"
        dataset = to_dataset(_rows_of(path, purpose), records_file(path))
        return RowPreprocessor.remove_useless_columns(dataset) if self.remove_unused_columns else dataset

    def post_process(self, train_dataset: Any, **options: Any) -> tuple[Any, Any]:
        """Sample, and hold a share of the images out for validation. Only then are the rows streamed, where asked."""
        streaming = options.pop("streaming", False)
        if isinstance(train_dataset, IterableDataset) or not _has_our_images(train_dataset):
            return super().post_process(train_dataset, streaming=streaming, **options)
        if streaming:
            options["shuffle"] = False  # as ms-swift samples a stream
        if 0 < options.get("split_dataset_ratio", 0) < 1:
            parts = _split_by_image(train_dataset, **options)
        else:
            parts = super().post_process(train_dataset, **options)
        if streaming:
            parts = tuple(part and part.to_iterable_dataset() for part in parts)
        return parts


def _rows_of(path: str, purpose: str) -> list[dict[str, Any]]:
    """The rows of a records file, or of a folder that holds one, for this process's command and model."""
    _check_purpose(path, purpose)
    template = current_template()
    if template is None:
        raise RecordError(f"{path}: these rows need --template zoomin, which knows the model's pixel limits")
    limits = template.settings.limits
    file = records_file(path)
    records = read_records(file, decode=is_local_master())
    files = read_command().files_beside(path)
    if PURPOSES[purpose].draws and not files:
        get_logger().warning(
            f"swift_zoomin: {file}: no command line names this file, so its first replies borrow words from it alone; "
            "where a run has several files, such words may tell them apart: put the records into one file"
        )
    files = files or [file]
    is_last = file == files[-1] and is_local_master()  # by then every file has been checked
    records_of_run = records
    if PURPOSES[purpose].draws or is_last:
        records_of_run = [record for each in files for record in _records_once(each)]
    rows = records_to_rows(records, purpose, limits, file, lenders=records_of_run)
    if is_last:
        _warn_of_shortcuts(records_of_run, purpose, limits)
    check_lengths(rows, f"{file}:{purpose}", template)
    return rows


def _check_purpose(path: str, purpose: str) -> None:
    if purpose not in PURPOSES:
        raise RecordError(f"{path}: purpose {purpose}; expected {path}:PURPOSE, one of {', '.join(PURPOSES)}")
    problem = read_command().problem(path, purpose)
    if problem:
        raise RecordError(problem)


def _records_once(file: str) -> list[Record]:
    """The records of a file, read once: each file of a run asks for those of all the others."""
    changed_ns = os.stat(file).st_mtime_ns if os.path.exists(file) else 0
    return _records_as_of(file, changed_ns)


@cache
def _records_as_of(file: str, changed_ns: int) -> list[Record]:
    """The records of a file that was last changed then; after another change they are read again."""
    return read_records(file, decode=False)


def _warn_of_shortcuts(records: list[Record], purpose: str, limits: PixelLimits) -> None:
    """Say before training what could be learned instead of the picture."""
    seen = [replace(record, image=record.image.under(limits)) for record in records]
    hidden: tuple[str, ...] = (LABEL_WORDS,)  # drawn replies have another record's, rollouts the model's own
    if purpose == "sft_joint":
        hidden = ()
    elif not PURPOSES[purpose].shows_regions:
        hidden = REGIONS
    for shortcut in find_shortcuts(seen, without=hidden):
        get_logger().warning(f"swift_zoomin: {shortcut}")


def _first_path(images: list[dict[str, Any]]) -> str | None:
    """The file of a row's first image; None where it is not one of our references."""
    if not images:
        return None
    reference = ImageRef.parse(images[0]["path"] or "")
    return reference.path if reference else None


def _has_our_images(dataset: Dataset) -> bool:
    """Whether a data set was made from records, whose images are references; by its first row."""
    if len(dataset) == 0 or "images" not in dataset.features:
        return False
    return _first_path(dataset[0]["images"]) is not None


def _split_by_image(
    dataset: Dataset,
    split_dataset_ratio: float,
    dataset_sample: int | None = None,
    shuffle: bool = True,
    random_state: Any = None,
) -> tuple[Dataset, Dataset]:
    """Rows to train and to validate on, all rows of an image on one side.

    An image's path decides, not chance: it is on the same side in every data set of a run, and in its later stages.
    So the share of the images is about the ratio, and at least one. Raises RecordError where none is left to train on.
    """
    paths = [_first_path(images) for images in dataset["images"]]
    shares = {path: _share(str(path)) for path in paths}
    highest = max(split_dataset_ratio, min(shares.values()))
    held_out = [row for row, path in enumerate(paths) if shares[path] <= highest]
    kept = [row for row, path in enumerate(paths) if shares[path] > highest]
    if not kept:
        raise RecordError(
            f"--split_dataset_ratio {split_dataset_ratio} leaves no image to train on, of {len(shares)}; "
            "give two records files, one to --dataset and one to --val_dataset"
        )
    train, validation = dataset.select(kept), dataset.select(held_out)
    if dataset_sample is not None:
        wanted = max(1, int(min(dataset_sample, len(dataset)) * split_dataset_ratio))
        validation = sample_dataset(validation, min(wanted, len(validation)), shuffle, random_state)
        train = sample_dataset(train, max(1, dataset_sample - len(validation)), shuffle, random_state)
    count = sum(share <= highest for share in shares.values())
    get_logger().info(f"swift_zoomin: {count} of {len(shares)} images are held out for validation, with all their rows")
    return train, validation


def _share(path: str) -> float:
    """A number in 0..1 for a path, as if drawn at random and always the same."""
    return int.from_bytes(hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()[:8]) / 2**64
