"""What the figures of one evaluation are drawn from, and what a figure answers with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from swift_zoomin.arguments import first_few
from swift_zoomin.evaluation.answers import Answers
from swift_zoomin.evaluation.explained import Explained, explained_by_records
from swift_zoomin.evaluation.figures import Figure
from swift_zoomin.evaluation.metrics import by_group
from swift_zoomin.evaluation.resampling import group_of_each
from swift_zoomin.records import Record

Figures = Mapping[str, Figure]


@dataclass(frozen=True)
class Material:
    """An evaluation: the methods in order, what their explanations turn on, and their figures."""

    methods: Sequence[Answers]
    explained: Sequence[Explained]  # of the methods, in the same order
    annotations: Explained
    figures: Mapping[str, Figures]  # by method
    by_regions: Mapping[str, Mapping[str, Figures]]  # by number of regions, then by method
    groups: np.ndarray | None  # of images that are not independent


class Drawn(NamedTuple):
    """A figure, and which methods are not in it."""

    figure: Any
    without: str = ""


class LeftOut(NamedTuple):
    """Why there is no figure."""

    reason: str


def gather(
    records: Sequence[Record],
    methods: Sequence[Answers],
    explained: Sequence[Explained],
    figures: Mapping[str, Figures],
) -> Material:
    return Material(
        methods,
        explained,
        explained_by_records(records),
        figures,
        by_group("regions", records, [_without_scores(answers) for answers in methods]),
        group_of_each(records),
    )


def _without_scores(answers: Answers) -> Answers:
    """The same without what takes long to resample: of the numbers of regions only the accuracy is drawn."""
    return replace(answers, scores=np.full(len(answers), np.nan), bleu_counts=np.zeros_like(answers.bleu_counts))


def without(names: Sequence[str], lacking: str) -> str:
    """`without FakeShield, LEGION, which have no score`, or nothing."""
    if not names:
        return ""
    return f"without {first_few(names, str)}, which {'has' if len(names) == 1 else 'have'} {lacking}"
