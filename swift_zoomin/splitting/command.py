"""The command `zoomin split`."""

import argparse
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from swift_zoomin import arguments
from swift_zoomin.arguments import complain, counted, first_few
from swift_zoomin.decisions import without_rejected
from swift_zoomin.files import cache_folder, plain_path
from swift_zoomin.near_duplicates import DISTANCE, Fingerprints, Groups, fingerprints, join_near_duplicates
from swift_zoomin.outputs import make_folder, naming, write_output
from swift_zoomin.records import Record, RecordError, json_line, list_faults, read_records, write_records
from swift_zoomin.splitting.shares import Stratum, assign

_HELP = """\
split a records file into files for training, validation and test

Records of one image, of near-duplicate images (saved again, scaled, cut a little), and with equal values in their field
`group` stay together. Labels, and sources where records have the field `source`, get their share of every file, and no
file is empty: three files need three records that need not stay together. Which images go where depends on the images
and the seed, not on the order of the records. Mirrored copies, and crops by more than one or two hundredths, are not
recognised: give such images one `group`. Records that a decisions.json beside the file rejects are left out.
"""
_TRAIN, _VAL, _TEST = "train", "val", "test"
_SUMMARY = "split.json"
_SHOWN_STRATA = 20
_SHOWN_GROUPS = 3
_MOST_DISTANCE = 16  # bits of 64; different photographs differ in 12 and more
_MOST_SEED = 2**32
_MUCH_OFF = 0.1  # of a file's wished size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("records", type=arguments.path)
    parser.add_argument("--out", required=True, type=arguments.path, help="folder for the files and split.json")
    parser.add_argument("--test", type=_share, default=0.1, help="share of the records, 0 for none (0.1)")
    parser.add_argument("--val", type=_share, default=0.05, help="share of the records, 0 for none (0.05)")
    parser.add_argument("--seed", type=_seed, default=0, help="another one gives another split (0)")
    parser.add_argument(
        "--distance",
        type=_distance,
        default=DISTANCE,
        help=f"bits, of 64, in which near-duplicates' hashes may differ ({DISTANCE})",
    )


def _share(value: str) -> float:
    return 0.0 if value.strip() in ("0", "0.0") else arguments.share(value)


def _seed(value: str) -> int:
    return _from_zero(value, _MOST_SEED)


def _distance(value: str) -> int:
    return _from_zero(value, _MOST_DISTANCE)


def _from_zero(value: str, most: int) -> int:
    return 0 if value.strip() == "0" else arguments.count(value, most)


def run(options: argparse.Namespace) -> int:
    shares = _wished_shares(options)
    folder = Path(os.path.realpath(options.out))
    _check_target(folder)
    every_record = read_records(options.records, decode=False)  # fingerprints decode every image
    records, about_rejected = without_rejected(every_record, options.records)
    if about_rejected:
        print(about_rejected)
    prints = fingerprints([record.image.path for record in records])
    groups, near = _groups(records, prints, options.distance)
    parts = _parts(records, groups, prints, shares, options)
    _write(folder, records, parts, shares)
    summary = _summary(options, records, groups, parts, shares, near)
    write_output(folder / _SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    print(*_table(records, parts, list(shares)), *_about_groups(records, groups, near, options), sep="\n")
    for warning in _warnings(records, groups, parts, shares):
        complain(f"warning: {warning}")
    return 0


def _wished_shares(options: argparse.Namespace) -> dict[str, float]:
    """The share of each file that is asked for. Raises RecordError where nothing is left to train on."""
    train = 1 - options.val - options.test
    if train <= 1e-9:
        raise RecordError(f"--val {options.val:g} and --test {options.test:g} leave nothing to train on")
    shares = {_TRAIN: train, _VAL: options.val, _TEST: options.test}
    return {name: share for name, share in shares.items() if share > 0}


def _check_target(folder: Path) -> None:
    """Raises RecordError where a split would replace one, or stand beside the files of another."""
    names = [_file_name(name) for name in (_TRAIN, _VAL, _TEST)]
    in_the_way = [folder / name for name in (*names, _SUMMARY) if os.path.lexists(folder / name)]
    if in_the_way:
        found = first_few(in_the_way, lambda path: path.name)
        raise RecordError(f"{folder}: holds a split already ({found}); choose another --out, or remove it")


def _file_name(part: str) -> str:
    return f"{part}.jsonl"


def _groups(records: Sequence[Record], prints: Fingerprints, distance: int) -> tuple[Groups, list[list[int]]]:
    """The records that stay together, and those of them that do for being near-duplicates."""
    groups = Groups(len(records))
    join_near_duplicates(groups, prints, distance)
    near = [members for members in groups.members() if len({records[index].image.path for index in members}) > 1]
    groups.join_equal([os.path.realpath(record.image.path) for record in records])
    groups.join_equal([_group_key(record) for record in records])
    return groups, near


def _group_key(record: Record) -> Any:
    """What records of one `group` share: numbers equal as numbers, lists and objects as they are written.

    A table writes no group as an empty cell: "" is none.
    """
    group = record.extra.get("group")
    if group == "":
        return None
    return json.dumps(group, sort_keys=True, default=repr) if isinstance(group, list | dict) else group


def _stratum(record: Record) -> Stratum:
    source = record.extra.get("source")
    return Stratum(record.label, "" if source is None else str(source))


def _parts(
    records: Sequence[Record],
    groups: Groups,
    prints: Fingerprints,
    shares: Mapping[str, float],
    options: argparse.Namespace,
) -> list[str]:
    """The part of each record. Raises RecordError where a part that was asked for gets none."""
    members = groups.members()
    strata = [[_stratum(records[index]) for index in of_group] for of_group in members]
    contents = [min(int(prints.contents[index]) for index in of_group) for of_group in members]
    keys = [hashlib.sha256(f"{options.seed} {content}".encode()).hexdigest() for content in contents]
    parts = [""] * len(records)
    for of_group, part in zip(members, assign(strata, shares, keys), strict=True):
        for index in of_group:
            parts[index] = part
    empty = [part for part in shares if part not in parts]
    if empty:
        held = f"{counted(len(records), 'record')} in {counted(len(members), 'group')}"
        need = "each file needs a group of its own: ask for none with 0, or have fewer records in one group"
        raise RecordError(f"{options.records}: nothing is left for {' and '.join(empty)} of {held}; {need}")
    return parts


def _write(folder: Path, records: Sequence[Record], parts: Sequence[str], shares: Mapping[str, float]) -> None:
    """Write the files. Raises RecordError, before anything is written, where a field cannot stand in one."""
    rows: dict[str, list[dict[str, Any]]] = {part: [] for part in shares}
    faults = []
    for record, part in zip(records, parts, strict=True):
        row = _row(record, folder)
        rows[part].append(row)
        for name, value in record.extra.items():
            try:
                json_line({name: value})
            except TypeError as error:
                faults.append(f"{record.where}: {name} cannot stand in JSON Lines ({error}); remove it")
    if faults:
        raise RecordError(list_faults(faults))
    make_folder(folder)
    for image in {record.image.path for record in records if _is_passing(record)}:
        copy = folder / _copied_name(image)
        make_folder(copy.parent)
        with naming(copy):
            shutil.copyfile(image, copy)
    for part, of_part in rows.items():
        write_records(folder / _file_name(part), of_part)


def _row(record: Record, folder: Path) -> dict[str, Any]:
    """The record as it stands in a file of `folder`."""
    path = plain_path(record.image.path)
    name = _copied_name(path) if _is_passing(record) else os.path.relpath(path, folder)
    row: dict[str, Any] = {"image": name, "label": record.label}
    if record.explanation:
        row["explanation"] = record.explanation
    if record.boxes_px is not None:
        row["boxes"], row["box_labels"] = record.boxes_px, record.box_labels
    return {**row, **record.extra}


def _is_passing(record: Record) -> bool:
    """Whether the image is a file that may be deleted at any time: Parquet's image bytes, put into the user's cache."""
    return cache_folder() in Path(record.image.path).parents


def _copied_name(image: Path | str) -> str:
    return f"images/{Path(image).name}"


def _counts(records: Sequence[Record], parts: Sequence[str]) -> dict[Stratum, Counter[str]]:
    """How many records of each stratum are in each part; strata in order."""
    counts: dict[Stratum, Counter[str]] = {}
    for stratum, part in sorted((_stratum(record), part) for record, part in zip(records, parts, strict=True)):
        counts.setdefault(stratum, Counter())[part] += 1
    return counts


def _table(records: Sequence[Record], parts: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    counts = _counts(records, parts)
    rows = [(str(stratum), of_stratum) for stratum, of_stratum in counts.items()]
    shown = [*rows[:_SHOWN_STRATA], ("all", Counter(parts))]
    width = max(len(title) for title, _ in shown)
    yield " " * width + "".join(f"{name:>9}" for name in names)
    for title, of_title in shown:
        yield f"{title:{width}}" + "".join(f"{of_title[name]:>9}" for name in names)
    if len(rows) > _SHOWN_STRATA:
        yield f"({len(rows) - _SHOWN_STRATA} more sources are in {_SUMMARY})"


def _about_groups(
    records: Sequence[Record], groups: Groups, near: list[list[int]], options: argparse.Namespace
) -> Iterator[str]:
    alike = sum(map(len, near))
    yield (
        f"{counted(alike, 'record')} with near-duplicate images in {counted(len(near), 'group')} kept together "
        f"(at most {options.distance} of 64 bits apart)"
    )
    largest = _largest(groups)
    if largest:
        named = [f"{len(members)} ({first_few(members, lambda index: records[index].name)})" for members in largest]
        yield f"largest groups, in records: {'; '.join(named)}"
    yield f"wrote {options.out}"


def _largest(groups: Groups) -> list[list[int]]:
    several = [members for members in groups.members() if len(members) > 1]
    return sorted(several, key=lambda members: -len(members))[:_SHOWN_GROUPS]


def _warnings(
    records: Sequence[Record], groups: Groups, parts: Sequence[str], shares: Mapping[str, float]
) -> Iterator[str]:
    held = Counter(parts)
    for part, share in shares.items():
        due = share * len(records)
        if abs(held[part] - due) > max(1, _MUCH_OFF * due):
            largest = max(map(len, groups.members()))
            yield (
                f"{part} holds {held[part] / len(records):.0%} of the records; {share:.0%} was asked for "
                f"(the largest group holds {largest / len(records):.0%})"
            )
    rare = []
    for stratum, of_stratum in _counts(records, parts).items():
        absent = [part for part in shares if not of_stratum[part]]
        if absent:
            rare.append(f"{stratum} ({counted(of_stratum.total(), 'record')}) in {' and '.join(absent)}")
    if rare:
        yield f"too few to be in every file; none of {first_few(rare, str)}"


def _summary(
    options: argparse.Namespace,
    records: Sequence[Record],
    groups: Groups,
    parts: Sequence[str],
    shares: Mapping[str, float],
    near: list[list[int]],
) -> dict[str, Any]:
    """What split.json says: how the split was made, and what came out."""
    strata = [
        {"label": stratum.label, "source": stratum.source, **{part: of_stratum[part] for part in shares}}
        for stratum, of_stratum in _counts(records, parts).items()
    ]
    held = Counter(parts)
    firsts = {int(first) for first in groups.first}
    return {
        "records": options.records.name,
        "seed": options.seed,
        "distance": options.distance,
        "shares": {part: round(share, 9) for part, share in shares.items()},
        "counts": {part: held[part] for part in shares},
        "groups": dict(Counter(parts[first] for first in sorted(firsts))),
        "near_duplicates": {"records": sum(map(len, near)), "groups": len(near)},
        "strata": strata,
        "made_by": f"zoomin {version('swift-zoomin')}",
    }
