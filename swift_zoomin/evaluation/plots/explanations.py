"""What explanations turn on: their keywords (Fig. 7 of the paper) and the faults they name (its section 4.4)."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from swift_zoomin.evaluation.explained import Explained
from swift_zoomin.evaluation.figures import Figure, share
from swift_zoomin.evaluation.patterns import PAPER_SHARES
from swift_zoomin.evaluation.plots.bars import Series, draw_bars
from swift_zoomin.evaluation.plots.material import Drawn, LeftOut, Material, without
from swift_zoomin.evaluation.plots.style import REFERENCE, Look, add_legend, look, new_figure, wrapped

_SHOWN_KEYWORDS = 15
_ROW_MM, _MARGINS_MM = 4.0, 10.0
_LONGEST_WORD = 24  # characters of a line
_LACKING = "no explanations"


def keyword_shares(material: Material) -> Drawn | LeftOut:
    """In which share of its explanations each method, and the annotations, have the words that are most common."""
    looks = [REFERENCE, *(look(index) for index in range(len(material.methods)))]
    explained = [material.annotations, *material.explained]
    shown = [(one, of_one) for one, of_one in zip(explained, looks, strict=True) if one.explanations]
    words = _most_common([one for one, _ in shown])
    if not words:
        return LeftOut("neither the records nor a method have explanations")
    figure = new_figure(len(words) * _ROW_MM + _MARGINS_MM)
    axes = figure.add_subplot()
    rows = range(len(words))
    draw = _draw_points if len(shown) > 1 else _draw_bars
    handles = [draw(axes, [one.keyword_share(word) for word in words], of_one) for one, of_one in shown]
    axes.set_yticks(rows, [wrapped(word, _LONGEST_WORD) for word in words])
    axes.set_ylim(len(words) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.grid()
    axes.set_xlabel("Share of the explanations that have the word")
    add_legend(figure, handles, [one.name for one, _ in shown])
    absent = [one.name for one in material.explained if not one.explanations]
    return Drawn(figure, without(absent, _LACKING))


def _draw_points(axes: Any, shares: Sequence[float], of_one: Look) -> Any:
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.4, "zorder": 2.5}
    if of_one is REFERENCE:  # a long stroke on top of the points, which would hide a point
        edge = {"markersize": 9, "markeredgewidth": 1.2, "zorder": 3}
    (points,) = axes.plot(shares, range(len(shares)), of_one.marker, color=of_one.colour, **edge)
    return points


def _draw_bars(axes: Any, shares: Sequence[float], of_one: Look) -> Any:
    return axes.barh(range(len(shares)), shares, 0.7, color=of_one.colour)


def _most_common(explained: Sequence[Explained]) -> list[str]:
    """The words whose shares are the highest on average over the methods and the annotations; the highest first."""
    shares: defaultdict[str, float] = defaultdict(float)
    for one in explained:
        for word in one.keywords:
            shares[word] += one.keyword_share(word)
    return sorted(shares, key=lambda word: (-shares[word], word))[:_SHOWN_KEYWORDS]


def pattern_shares(material: Material) -> Drawn | LeftOut:
    """In which share of its right verdicts each method's explanation names a fault of each kind."""
    series = []
    for index, one in enumerate(material.explained):
        figures = {pattern: share(column, material.groups) for pattern, column in one.patterns.items()}
        if any(figure.value is not None for figure in figures.values()):
            series.append(Series(one.name, look(index), figures))
    if not series:
        return LeftOut("no method explains a right verdict")
    paper = {pattern: Figure(value) for pattern, value in PAPER_SHARES.items()}
    series.append(Series("ZoomIn, as its paper counts", REFERENCE, paper))
    figure = draw_bars(list(PAPER_SHARES), series, "Share of right verdicts\nwhose explanation names such a fault")
    shown = {one.name for one in series}
    absent = [one.name for one in material.explained if one.name not in shown]
    return Drawn(figure, without(absent, _LACKING))
