"""What this process was asked to do, as its command line says.

ms-swift tells a loader of data sets neither the command nor anything of files that it does not know, so both are read
where ms-swift's own commands read them. Called from Python without a command line, nothing is known: only files named
`records.jsonl` and `records.parquet` are found then, no pairing of command and purpose is refused, and only data sets
that are named before ours mix with them whatever their columns.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from swift.dataset import DatasetSyntax
from swift.loss_scale import ALL_BASE_STRATEGY

from swift_zoomin.records import RECORDS_SUFFIXES
from swift_zoomin.rows import PURPOSES, UNANSWERED, WITH_FIRST_REPLY

RECORDS_NAMES = ("records.jsonl", "records.parquet")  # ms-swift finds these by name, whoever calls it
_ROLES = ("", "base", *ALL_BASE_STRATEGY)  # parts of --loss_scale that go by the role of a message, not by its words
_TEACHING = ("sft", "pt")  # scripts of ms-swift that learn the answers of their rows


@dataclass(frozen=True)
class Command:
    """`trained` and `validated` are data sets; `imitated` are answers to learn beside GRPO (CHORD).

    `loaded` are the folders whose weights go on top of the model's: a checkpoint to go on from, and LoRA adapters.
    `patterns` are the parts of `--loss_scale` that look at words.
    """

    teaches: bool = False  # the answers of its rows
    rolls_out: bool = False  # GRPO: it makes the replies itself
    trained: tuple[DatasetSyntax, ...] = ()
    validated: tuple[DatasetSyntax, ...] = ()
    imitated: tuple[DatasetSyntax, ...] = ()
    loaded: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    def problem(self, path: str, purpose: str) -> str | None:
        """Why rows of this purpose are of no use to this command; None where they are."""
        if self.teaches and purpose in UNANSWERED:
            taught = ", ".join(name for name in PURPOSES if name not in UNANSWERED)
            return f"{path}:{purpose} holds no answers to learn; expected one of {taught} (GRPO: swift rlhf)"
        prompts = (*self.trained, *self.validated)
        is_prompt = any(named.dataset == path and named.subsets == [purpose] for named in prompts)
        if self.rolls_out and is_prompt and purpose in WITH_FIRST_REPLY:
            return f"{path}:{purpose} holds replies, and GRPO makes its own; expected {' or '.join(UNANSWERED)}"
        if self.rolls_out and self.patterns and not self.imitated:
            asked = f"--loss_scale {'+'.join(self.patterns)}"
            return f"{asked} looks for words, and GRPO trains replies as the token ids that were sampled; leave it out"
        return None

    def records_files(self) -> list[str]:
        """Files and folders that are given with a purpose under names that ms-swift does not know."""
        return [named.dataset for named in self._named() if _needs_a_name(named)]

    def files_beside(self, path: str) -> list[str]:
        """The records files that stand with this one after the same option, itself among them."""
        file = records_file(path)
        for option in (self.trained, self.validated, self.imitated):
            files = [records_file(named.dataset) for named in option if named.subsets and _is_ours(named)]
            if file in files:
                return list(dict.fromkeys(files))
        return [file]

    def _named(self) -> list[DatasetSyntax]:
        return [*self.trained, *self.validated, *self.imitated]

    def mixed_in(self) -> list[DatasetSyntax]:
        """Other people's data sets, where ours are named too."""
        named = self._named()
        others = [each for each in named if not _is_ours(each)]
        return others if len(others) < len(named) else []


def _is_ours(named: DatasetSyntax) -> bool:
    return os.path.basename(named.dataset) in RECORDS_NAMES or _needs_a_name(named)


def _needs_a_name(named: DatasetSyntax) -> bool:
    """Whether it is ours under a name of its own. ms-swift knows subsets of folders and of hubs, but of no file."""
    path = named.dataset
    if named.use_hf is not None or not named.subsets or os.path.basename(path) in RECORDS_NAMES:
        return False
    if os.path.isdir(path):
        return named.subsets[0] in PURPOSES and records_file(path) != path
    return path.endswith(RECORDS_SUFFIXES)


def records_file(path: str) -> str:
    """The records file that a path of the command line means: the one in a folder, or itself."""
    inside = [os.path.join(path, name) for name in RECORDS_NAMES]
    return next(filter(os.path.isfile, inside), path)


def read_command(arguments: list[str] | None = None) -> Command:
    """Read a command line, by default this process's: a script of ms-swift, and its options."""
    script, *options = (sys.argv if arguments is None else arguments) or [""]
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("dataset", "val_dataset", "chord_sft_dataset"):
        parser.add_argument(f"--{name}", f"--{name.replace('_', '-')}", nargs="*", default=[])
    parser.add_argument("--adapters", nargs="*", default=[])
    parser.add_argument("--resume_from_checkpoint", "--resume-from-checkpoint", nargs="?")
    parser.add_argument("--loss_scale", "--loss-scale", nargs="?")
    parser.add_argument("--rlhf_type", "--rlhf-type", nargs="?")
    parser.add_argument("--to_cached_dataset", "--to-cached-dataset", nargs="?", const="true", default="false")
    given, _ = parser.parse_known_args(options)
    return Command(
        teaches=Path(script).stem in _TEACHING or given.to_cached_dataset.lower() == "true",
        rolls_out=given.rlhf_type == "grpo",
        trained=tuple(_parsed(given.dataset)),
        validated=tuple(_parsed(given.val_dataset)),
        imitated=tuple(_parsed(given.chord_sft_dataset)),
        loaded=tuple(_folders([given.resume_from_checkpoint, *given.adapters])),
        patterns=tuple(part for part in (given.loss_scale or "").split("+") if part not in _ROLES),
    )


def _folders(values: list[str | None]) -> Iterator[str]:
    for value in values:
        folder = (value or "").rpartition("=")[2]  # an adapter may be given as NAME=FOLDER
        if os.path.isdir(folder):
            yield folder


def _parsed(values: list[str]) -> Iterator[DatasetSyntax]:
    for value in values:
        with suppress(ValueError):  # a number of samples that is none; ms-swift says so itself
            yield DatasetSyntax.parse(value)
