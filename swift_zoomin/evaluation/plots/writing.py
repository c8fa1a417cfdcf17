"""The figures by name, and how they are written: NAME.svg and NAME.png each."""

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from swift_zoomin.evaluation.plots import explanations, regions, robustness, scores
from swift_zoomin.evaluation.plots.material import Drawn, LeftOut
from swift_zoomin.evaluation.plots.style import SUFFIXES, drawing, import_matplotlib, write_figure
from swift_zoomin.outputs import check_figures_folder
from swift_zoomin.records import RecordError

FOLDER = "figures"  # in the folder of the tables
OF_AN_EVALUATION = {
    "accuracy_by_regions": regions.accuracy_by_regions,
    "region_counts": regions.region_counts,
    "keywords": explanations.keyword_shares,
    "patterns": explanations.pattern_shares,
    "reliability": scores.reliability_diagram,
    "roc": scores.roc_curves,
}
OF_SETS = {"robustness": robustness.robustness}

_Material = TypeVar("_Material")


def add_option(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Figures are drawn where they are asked for, not wherever Matplotlib is: what a command writes is the same
    everywhere, and drawing takes some seconds.
    """
    help_text = f"with --out, also draw {', '.join(names)} as SVG and PNG into {FOLDER} there (needs Matplotlib)"
    parser.add_argument("--figures", action="store_true", help=help_text)


def check_figures(names: Iterable[str], out: Path | None, inputs: Iterable[Path]) -> None:
    """Raises RecordError where figures cannot be drawn, or would replace what is none."""
    if out is None:
        raise RecordError("--figures: nowhere to draw them; add --out FOLDER")
    import_matplotlib()
    check_figures_folder(out / FOLDER, _files(names), inputs)


def _files(names: Iterable[str]) -> list[str]:
    return [name + suffix for name in names for suffix in SUFFIXES]


def write_figures(
    figures: Mapping[str, Callable[[_Material], Drawn | LeftOut]], material: _Material, out: Path, signature: str
) -> list[str]:
    """Draw each figure into the folder. Notes of those that are left out, and of methods that are not in one.

    What an earlier evaluation drew is removed where it is left out now: it would pass for this one's.
    """
    notes = []
    for name, draw in figures.items():
        with drawing():
            drawn = draw(material)
            if isinstance(drawn, LeftOut):
                for file in _files([name]):
                    (out / FOLDER / file).unlink(missing_ok=True)
                notes.append(f"no figure {name}: {drawn.reason}")
                continue
            notes += [f"figure {name}: {drawn.without}"] if drawn.without else []
            notes += write_figure(drawn.figure, out / FOLDER / name, signature)
    return notes
