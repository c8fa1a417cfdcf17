"""How accuracy holds on other sets of images: the bars to Table 2 of the paper, with degraded sets to its Table 3."""

from collections.abc import Sequence

from swift_zoomin.evaluation.plots.bars import Series, draw_bars
from swift_zoomin.evaluation.plots.material import Drawn, LeftOut
from swift_zoomin.evaluation.plots.style import look
from swift_zoomin.evaluation.sets import AVERAGE, ImageSet, accuracies


def robustness(sets: Sequence[ImageSet]) -> Drawn | LeftOut:
    """A bar for each set and method. With one set there is nothing to compare."""
    if len(sets) < 2:
        return LeftOut("one set has no other to compare it with")
    rows = accuracies(sets)
    series = [
        Series(method, look(index), {name: figure for name, figure in row.items() if name != AVERAGE})
        for index, (method, row) in enumerate(rows.items())
    ]
    return Drawn(draw_bars([one.name for one in sets], series, "Accuracy (95% interval)"))
