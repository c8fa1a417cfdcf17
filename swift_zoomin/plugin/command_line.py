"""What this process was asked to do, as its command line says.

ms-swift tells a loader of data sets neither the command nor anything of files that it does not know, so both are read
where ms-swift's own commands read them. Called from Python without a command line, nothing is known: only files named
`records.jsonl` and `records.parquet` are found then, no pairing of command and purpose is refused, and only data sets
that are named before ours mix with them whatever their columns.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from swift.dataset import DatasetSyntax
from swift.loss_scale import ALL_BASE_STRATEGY

from swift_zoomin.records import RECORDS_SUFFIXES
from swift_zoomin.rows import PURPOSES

RECORDS_NAMES = ("records.jsonl", "records.parquet")  # ms-swift finds these by name, whoever calls it
_ROLES = ("", "base", *ALL_BASE_STRATEGY)  # parts of --loss_scale that go by the role of a message, not by its words
_TEACHING = ("sft", "pt")  # scripts of ms-swift that learn the answers of their rows


@dataclass(frozen=True)
class Command:
    """`trained` and `validated` are data sets; `imitated` are answers to learn beside GRPO (CHORD).

    `loaded` are the folders whose weights go on top of the model's: a checkpoint to go on from, and LoRA adapters.
    `patterns` are the parts of `--loss_scale` that look at words. `rewards` are the names of reward functions.
    """

    teaches: bool = False  # the answers of its rows
    rolls_out: bool = False  # GRPO: it makes the replies itself
    trained: tuple[DatasetSyntax, ...] = ()
    validated: tuple[DatasetSyntax, ...] = ()
    imitated: tuple[DatasetSyntax, ...] = ()
    loaded: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    rewards: tuple[str, ...] = ()

    def problem(self, path: str, purpose: str) -> str | None:
        """Why rows of this purpose are of no use to this command; None where they are."""
        if self.teaches and not PURPOSES[purpose].has_answers:
            taught = ", ".join(name for name, other in PURPOSES.items() if other.has_answers)
            return f"{path}:{purpose} holds no answers to learn; expected one of {taught} (GRPO: swift rlhf)"
        if not self.rolls_out:
            return None
        if PURPOSES[purpose].has_first_reply and self._names_as_prompts(path, purpose):
            unanswered = " or ".join(name for name, other in PURPOSES.items() if not other.has_answers)
            return f"{path}:{purpose} holds replies, and GRPO makes its own; expected {unanswered}"
        # Answers to imitate are read as text, so there the patterns have words to look at.
        if self.patterns and not self.imitated:
            option = f"--loss_scale {'+'.join(self.patterns)}"
            return f"{option} looks for words, and GRPO trains replies as the token ids that were sampled; leave it out"
        return None

    def _names_as_prompts(self, path: str, purpose: str) -> bool:
        """Whether GRPO is to answer these rows itself, rather than to imitate their answers."""
        prompts = (*self.trained, *self.validated)
        return any(named.dataset == path and named.subsets == [purpose] for named in prompts)

    def records_files(self) -> list[str]:
        """Files and folders that are given with a purpose under names that ms-swift does not know."""
        return [named.dataset for named in self._named() if _needs_a_name(named)]

    def files_beside(self, path: str) -> list[str]:
        """The records files whose words this one's rows may show, itself among them; empty where it is not named.

        They stand after the same option. What is validated on may show words of what is trained on, not the reverse.
        """
        file = records_file(path)
        trained, validated, imitated = map(_records_files, (self.trained, self.validated, self.imitated))
        for option, lenders in ((trained, trained), (validated, trained + validated), (imitated, imitated)):
            if file in option:
                return list(dict.fromkeys(lenders))
        return []

    def _named(self) -> list[DatasetSyntax]:
        return [*self.trained, *self.validated, *self.imitated]

    def mixed_in(self) -> list[DatasetSyntax]:
        """Other people's data sets, where ours are named too."""
        named = self._named()
        others = [each for each in named if not _names_records(each)]
        return others if len(others) < len(named) else []


def _names_records(named: DatasetSyntax) -> bool:
    return os.path.basename(named.dataset) in RECORDS_NAMES or _needs_a_name(named)


def _needs_a_name(named: DatasetSyntax) -> bool:
    """Whether it names records by another file name than ms-swift finds by itself.

    It is told by its purpose, which stands where ms-swift has subsets: of folders and of hubs, but of no file.
    """
    path = named.dataset
    if named.use_hf is not None or not named.subsets or os.path.basename(path) in RECORDS_NAMES:
        return False
    if os.path.isdir(path):
        return named.subsets[0] in PURPOSES and records_file(path) != path
    return path.endswith(RECORDS_SUFFIXES)


def records_file(path: str) -> str:
    """The records file that a path of the command line means: the one in a folder, or itself."""
    for name in RECORDS_NAMES:
        inside = os.path.join(path, name)
        if os.path.isfile(inside):
            return inside
    return path


def read_command(arguments: list[str] | None = None) -> Command:
    """Read a command line, by default this process's: a script of ms-swift, and its options."""
    script, *options = (sys.argv if arguments is None else arguments) or [""]
    if arguments is None and os.environ.get("RAY_SWIFT_ARGS"):  # there ms-swift looks first, in a worker of Ray
        options = json.loads(os.environ["RAY_SWIFT_ARGS"])
    found, _ = _parser().parse_known_args(options)
    return Command(
        teaches=Path(script).stem in _TEACHING or found.to_cached_dataset.lower() == "true",
        rolls_out=found.rlhf_type == "grpo",
        trained=tuple(_parsed(found.dataset)),
        validated=tuple(_parsed(found.val_dataset)),
        imitated=tuple(_parsed(found.chord_sft_dataset)),
        loaded=tuple(_folders([found.resume_from_checkpoint, *found.adapters])),
        patterns=tuple(part for part in (found.loss_scale or "").split("+") if part not in _ROLES),
        rewards=tuple(found.reward_funcs),
    )


def _parser() -> argparse.ArgumentParser:
    """The options of ms-swift that matter here, in both of the spellings that it takes."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("dataset", "val_dataset", "chord_sft_dataset", "reward_funcs"):
        parser.add_argument(f"--{name}", f"--{name.replace('_', '-')}", nargs="*", default=[])
    parser.add_argument("--adapters", nargs="*", default=[])
    parser.add_argument("--resume_from_checkpoint", "--resume-from-checkpoint", nargs="?")
    parser.add_argument("--loss_scale", "--loss-scale", nargs="?")
    parser.add_argument("--rlhf_type", "--rlhf-type", nargs="?")
    parser.add_argument("--to_cached_dataset", "--to-cached-dataset", nargs="?", const="true", default="false")
    return parser


def _records_files(option: tuple[DatasetSyntax, ...]) -> list[str]:
    return [records_file(named.dataset) for named in option if named.subsets and _names_records(named)]


def _folders(values: list[str | None]) -> Iterator[str]:
    for value in values:
        folder = (value or "").rpartition("=")[2]  # an adapter may be given as NAME=FOLDER
        if os.path.isdir(folder):
            yield folder


def _parsed(values: list[str]) -> Iterator[DatasetSyntax]:
    for value in values:
        with suppress(ValueError):  # a number of samples that is none; ms-swift says so itself
            yield DatasetSyntax.parse(value)
