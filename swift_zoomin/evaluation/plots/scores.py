"""What scores are worth: whether they are probabilities, and what a threshold on them would find."""

from typing import Any

import numpy as np

from swift_zoomin.evaluation.answers import Answers
from swift_zoomin.evaluation.curves import BINS, reliability, roc
from swift_zoomin.evaluation.plots.material import Drawn, LeftOut, Material, without
from swift_zoomin.evaluation.plots.style import add_legend, line_style, new_figure

_TICKS = (0, 0.2, 0.4, 0.6, 0.8, 1)


def reliability_diagram(material: Material) -> Drawn | LeftOut:
    """The share of generated images in each bin against its mean score; below, how many images each bin has."""
    shown = [index for index, answers in enumerate(material.methods) if not np.isnan(answers.scores).all()]
    if not shown:
        return LeftOut("no method has a score")
    figure = new_figure(height_mm=88)
    above, below = figure.subplots(2, height_ratios=(4, 1), sharex=True)
    _draw_diagonal(above)
    handles, labels = [], []
    for index in shown:
        answers = material.methods[index]
        bins = reliability(answers.scores, answers.is_generated)
        handles += above.plot(bins.mean_scores, bins.shares, **line_style(index), clip_on=False)
        below.plot(bins.mean_scores, bins.images, **line_style(index) | {"markersize": 2.5})
        labels.append(_label(material, answers, "ece", "ECE"))
    above.set_ylabel("Share that is generated")
    below.set_ylabel("Images")
    below.set_ylim(bottom=0)
    below.set_xlabel(f"Mean score, in {BINS} bins")
    below.grid()
    add_legend(figure, handles, labels)
    absent = [answers.name for answers in material.methods if np.isnan(answers.scores).all()]
    return Drawn(figure, without(absent, "no score"))


def roc_curves(material: Material) -> Drawn | LeftOut:
    """True-positive over false-positive rate of every threshold."""
    shown = [index for index, answers in enumerate(material.methods) if _auc(material, answers) is not None]
    if not shown:
        return LeftOut("no method has scores of images of both labels")
    figure = new_figure(height_mm=82)
    axes = figure.add_subplot()
    _draw_diagonal(axes)
    handles, labels = [], []
    for index in shown:
        answers = material.methods[index]
        alarm_rates, hit_rates = roc(answers.scores, answers.is_generated)
        # A curve has hundreds of corners, of which a few bear a marker: of each method others.
        every = (0.02 * (index + 1), 0.2)
        handles += axes.plot(alarm_rates, hit_rates, **line_style(index), markevery=every)
        labels.append(_label(material, answers, "auc", "AUC"))
    axes.set_xlabel("False-positive rate: real images called generated")
    axes.set_ylabel("True-positive rate: generated images found")
    add_legend(figure, handles, labels)
    absent = [answers.name for answers in material.methods if _auc(material, answers) is None]
    return Drawn(figure, without(absent, "no scores of images of both labels"))


def _auc(material: Material, answers: Answers) -> float | None:
    return material.figures[answers.name]["auc"].value


def _label(material: Material, answers: Answers, figure: str, heading: str) -> str:
    return f"{answers.name} ({heading} {material.figures[answers.name][figure].value:.3f})"


def _draw_diagonal(axes: Any) -> None:
    """Square axes of 0..1 and what chance, or a perfect calibration, would be."""
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.6, linestyle=(0, (4, 3)))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks(_TICKS)
    axes.set_yticks(_TICKS)
    axes.grid()
