"""Bars that lie, in groups, with their figures written beside them: as many as there are, and names of any length."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from swift_zoomin.evaluation.figures import Figure
from swift_zoomin.evaluation.plots.style import SMALL_PT, Look, add_legend, new_figure, wrapped

_BAR_MM, _GAP_MM, _MARGINS_MM = 3.0, 2.0, 12.0
_GROUP_LINE = 16  # characters of a group's name in a line
_DECIMALS = 3  # as the tables have


class Series(NamedTuple):
    """One method's figure of each group; a group that it lacks has no bar."""

    name: str
    look: Look
    figures: Mapping[str, Figure]


def draw_bars(groups: Sequence[str], series: Sequence[Series], label: str) -> Any:
    """A Figure with a bar for each group and method, from the top, and its value at the right. Values are of 0..1."""
    step = len(series) * _BAR_MM + _GAP_MM
    figure = new_figure(len(groups) * step + _MARGINS_MM)
    axes = figure.add_subplot()
    handles = [_draw_series(axes, number, one, groups, step) for number, one in enumerate(series)]
    axes.set_xlim(0, _upper_end(series))
    axes.set_ylim(len(groups) * step - _GAP_MM / 2, -_GAP_MM / 2)
    middles = [number * step + len(series) * _BAR_MM / 2 for number in range(len(groups))]
    axes.set_yticks(middles, [wrapped(group, _GROUP_LINE) for group in groups])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_xlabel(label)
    if len(series) > 1:
        add_legend(figure, handles, [one.name for one in series])
    return figure


def _draw_series(axes: Any, number: int, series: Series, groups: Sequence[str], step: float) -> Any:
    """One method's bars. A line is its interval; the values stand in a column right of the axes."""
    figures = [series.figures.get(group, Figure(None)) for group in groups]
    heights = [index * step + (number + 0.5) * _BAR_MM for index in range(len(groups))]
    values = [figure.value or 0 for figure in figures]
    inside = {"color": series.look.colour, "hatch": series.look.hatch, "edgecolor": "white", "linewidth": 0}
    bars = axes.barh(heights, values, 0.85 * _BAR_MM, **inside)
    beside = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center_baseline"}
    for height, figure in zip(heights, figures, strict=True):
        if figure.low is not None:
            axes.hlines(height, figure.low, figure.high, color="black", linewidth=0.8)
        text = "-" if figure.value is None else f"{figure.value:.{_DECIMALS}f}"
        axes.annotate(text, (1, height), (2, 0), fontsize=SMALL_PT, **beside)
    return bars


def _upper_end(series: Sequence[Series]) -> float:
    """1 where a value comes near it, else a little more than the highest."""
    ends = [figure.high or figure.value or 0 for one in series for figure in one.figures.values()]
    return min(1.0, 1.05 * max(ends)) or 1.0
