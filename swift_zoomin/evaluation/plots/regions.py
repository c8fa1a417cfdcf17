"""Figures 4, 5, 10 and 11 of the paper: how many regions the first look marks, and how right the verdicts then are.

Numbers of regions are the groups of `zoomin evaluate --by regions`, and so are their figures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from swift_zoomin.evaluation.groups import NONE
from swift_zoomin.evaluation.plots.material import Drawn, Figures, LeftOut, Material, without
from swift_zoomin.evaluation.plots.style import SMALL_PT, add_legend, line_style, look, new_figure, wrapped

_X_LABEL = "Regions marked in the first look"
_UNREAD = "unread"  # a first look that cannot be read, or an image without a prediction
_LACKING = "no regions"
_FEWEST_IMAGES = 10  # of fewer, the accuracy is no point of a trend
_SPREAD = 0.5  # of the room of a number of regions, over which the methods stand beside each other
_TITLE_LINE = 42  # characters that fit above a panel
_PANEL_MM, _TITLE_LINE_MM, _MARGINS_MM = 15.0, 3.5, 10.0


def accuracy_by_regions(material: Material) -> Drawn | LeftOut:
    """The accuracy of the images in which a method marked so many regions, and its interval."""
    groups = [group for group in _numbers(material.by_regions) if group != NONE]
    shown, absent = _methods_with_regions(material)
    if not groups:
        return LeftOut("no method marks regions")
    figure = new_figure(height_mm=58)
    axes = figure.add_subplot()
    handles = []
    for place, index in enumerate(shown):
        name = material.methods[index].name
        figures = [material.by_regions.get(group, {}).get(name) for group in groups]
        shift = _SPREAD * ((place + 0.5) / len(shown) - 0.5)
        handles.append(_draw_accuracies(axes, figures, shift, index))
    axes.set_xticks(range(len(groups)), [_tick(group) for group in groups])
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.set_ylim(top=1.02)
    axes.grid(axis="y")
    axes.set_xlabel(f"{_X_LABEL}\n(hollow: in fewer than {_FEWEST_IMAGES} images)")
    axes.set_ylabel("Accuracy (95% interval)")
    add_legend(figure, handles, [material.methods[index].name for index in shown])
    return Drawn(figure, without(absent, _LACKING))


def _draw_accuracies(axes: Any, groups: Sequence[Figures | None], shift: float, index: int) -> Any:
    """One method's points: none where it never marked so many regions. Those of few images are not joined."""
    style = line_style(index)
    joined, hollow = np.full((2, len(groups)), np.nan)
    for place, figures in enumerate(groups):
        if figures is None:
            continue
        accuracy, images = figures["accuracy"], figures["images"].value or 0
        points = joined if images >= _FEWEST_IMAGES else hollow
        points[place] = accuracy.value
        if accuracy.low is not None:
            axes.vlines(place + shift, accuracy.low, accuracy.high, color=style["color"], linewidth=0.7)
    places = np.arange(len(groups)) + shift
    (line,) = axes.plot(places, joined, **style)
    outline = {"linestyle": "", "markerfacecolor": "white", "markeredgecolor": style["color"], "markeredgewidth": 0.8}
    axes.plot(places, hollow, **style | outline)
    return line


def region_counts(material: Material) -> Drawn | LeftOut:
    """Of each method, in how many of 100 images its first look marks so many regions: a panel a method."""
    numbers = _numbers(material.by_regions)
    shown, absent = _methods_with_regions(material)
    if not shown:
        return LeftOut("no method marks regions")
    titles = [_title(material, index) for index in shown]
    title_lines = sum(title.count("\n") + 1 for title in titles)
    figure = new_figure(len(shown) * _PANEL_MM + title_lines * _TITLE_LINE_MM + _MARGINS_MM)
    panels = figure.subplots(len(shown), sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, index, title in zip(panels, shown, titles, strict=True):
        answers = material.methods[index]
        images = [material.by_regions.get(number, {}).get(answers.name, {}).get("images") for number in numbers]
        shares = [100 * (one.value or 0) / len(answers) if one else 0.0 for one in images]
        bars = axes.bar(range(len(numbers)), shares, 0.8, color=look(index).colour)
        axes.bar_label(bars, [_percent(share) for share in shares], padding=1, fontsize=SMALL_PT)
        axes.set_title(title, loc="left", pad=4)
    panels[0].set_ylim(0, 1.35 * max(axes.dataLim.y1 for axes in panels))
    panels[-1].set_xticks(range(len(numbers)), [_tick(number) for number in numbers])
    panels[-1].set_xlabel(_X_LABEL)
    figure.supylabel("Images (%)", fontsize="medium")
    return Drawn(figure, without(absent, _LACKING))


def _title(material: Material, index: int) -> str:
    answers = material.methods[index]
    return wrapped(f"{answers.name} (mean {np.nanmean(answers.regions):.2f})", _TITLE_LINE)


def _percent(share: float) -> str:
    if not share:
        return ""
    return "<1" if share < 1 else f"{share:.0f}"


def _methods_with_regions(material: Material) -> tuple[list[int], list[str]]:
    """The numbers of the methods that can mark regions, and the names of the others."""
    marks = [not np.isnan(answers.regions).all() for answers in material.methods]
    shown = [index for index, marks_some in enumerate(marks) if marks_some]
    return shown, [answers.name for answers, some in zip(material.methods, marks, strict=True) if not some]


def _numbers(by_regions: Mapping[str, Any]) -> list[str]:
    """The groups that occur, in order, and between them the numbers that do not: a gap is to be seen."""
    counts = [int(group) for group in by_regions if group.isdecimal()]
    named = [group for group in by_regions if not group.isdecimal()]
    named.sort(key=lambda group: group == NONE)
    return [*map(str, range(max(counts, default=-1) + 1)), *named]


def _tick(group: str) -> str:
    return _UNREAD if group == NONE else group.replace("over ", ">")
