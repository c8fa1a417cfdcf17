"""What all figures look like, and how they become files.

A figure is as wide as a column of a two-column paper, and as high as it needs. Methods differ in colour and in marker
or hatch, so that they can be told apart in grey. No state of Matplotlib outside a figure is changed: no pyplot, and the
user's own settings neither count nor are lost.
"""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from swift_zoomin.listing import shown
from swift_zoomin.outputs import write_output
from swift_zoomin.records import RecordError

WIDTH_MM = 85.0
SUFFIXES = (".svg", ".png")
_MM_AN_INCH = 25.4
_PNG_DOTS_AN_INCH = 300
TEXT_PT, SMALL_PT = 7.5, 6.5
_NAME_LINE = 48  # characters of a method's name that fit into a line beside its marker

_FIRST_WIDE = 0x2E80  # from here on Unicode has the scripts whose letters are squares

# Okabe and Ito (2008), which people with any colour vision can tell apart. Their yellow is too light on white paper,
# and their black is for what is no method.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Seven, so that 42 methods differ.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_HATCHES = ("", "////", "....", "xxxx", "----", "++++", "oooo")
_LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.5)))  # another one where colours begin anew

_SETTINGS = {
    "font.size": TEXT_PT,
    "axes.labelsize": TEXT_PT,
    "axes.titlesize": TEXT_PT,
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
    "legend.fontsize": SMALL_PT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.color": "#D0D0D0",
    "grid.linewidth": 0.4,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.0,
    "lines.markersize": 4.0,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "text.parse_math": False,  # a name with dollar signs is a name
    "svg.fonttype": "none",  # texts stay texts, to be found and edited
    "svg.hashsalt": "zoomin",  # names inside the file are the same each time
}


class Look(NamedTuple):
    """How one method looks in every figure of an evaluation."""

    colour: str
    marker: str
    hatch: str
    line: Any


REFERENCE = Look("#000000", "|", "", "-")


def look(index: int) -> Look:
    """Of the method with this number in the evaluation, whichever methods a figure shows."""
    round_of_colours, colour = divmod(index, len(_COLOURS))
    shape = index % len(_MARKERS)
    line = _LINES[round_of_colours % len(_LINES)]
    return Look(_COLOURS[colour], _MARKERS[shape], _HATCHES[shape], line)


def line_style(index: int) -> dict[str, Any]:
    """The look of the line that stands for a method, as Matplotlib's `plot` takes it."""
    colour, marker, _, line = look(index)
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.4}  # parts markers that lie on each other
    return {"color": colour, "marker": marker, "linestyle": line, **edge}


@contextmanager
def drawing() -> Iterator[None]:
    """Within it figures are made and written. Raises RecordError without Matplotlib."""
    matplotlib = import_matplotlib()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # one line of ours says so
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def import_matplotlib() -> Any:
    """Raises RecordError, which names the extra, where it is missing."""
    try:
        import matplotlib
    except ImportError:
        raise RecordError("figures need Matplotlib: pip install 'swift-zoomin[figures]'") from None
    return matplotlib


def new_figure(height_mm: float) -> Any:
    """An empty Figure of a column's width, whose axes leave room for their labels."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH_MM / _MM_AN_INCH, height_mm / _MM_AN_INCH), layout="constrained")


def wrapped(name: str, line: int = _NAME_LINE) -> str:
    """A name in as many lines as it needs, parted where its own parts end; one without a printable form is quoted."""
    name = shown(name)
    wide = sum(letter.isupper() or ord(letter) > _FIRST_WIDE for letter in name)
    line = round(line * len(name) / (len(name) + 0.8 * wide))
    parts = re.findall(rf".{{1,{line - 1}}}(?:[-_/ ]|$)|.{{1,{line}}}", name)
    return "\n".join(part.rstrip() for part in parts)


def add_legend(figure: Any, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """A legend above the axes, in as many columns as the figure is wide. The figure grows by its height."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    for columns in range(len(labels), 0, -1):
        legend = figure.legend(handles, ["-"] * len(labels), loc="outside upper center", ncols=columns)
        for text, label in zip(legend.get_texts(), labels, strict=True):
            text.set_text(wrapped(label))  # given as a label, one that begins with _ would be left out
        extent = legend.get_window_extent(renderer)
        if extent.width <= figure.bbox.width or columns == 1:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi)


def write_figure(figure: Any, stem: Path, signature: str) -> list[str]:
    """Write STEM.svg and STEM.png, equal bytes for equal figures. Notes of what a reader of the PNG cannot read."""
    for suffix in SUFFIXES:
        file = io.BytesIO()
        metadata = {"Description": signature, "Title": stem.name}
        undated = {"Date": None} if suffix == ".svg" else {}
        figure.savefig(file, format=suffix[1:], dpi=_PNG_DOTS_AN_INCH, metadata=metadata | undated)
        write_output(stem.with_name(stem.name + suffix), file.getvalue())
    if _lacks_letters(figure):
        return [f"{stem.name}.png shows boxes for letters that Matplotlib's font lacks; {stem.name}.svg holds them"]
    return []


def _lacks_letters(figure: Any) -> bool:
    """Whether a text has letters that the font cannot show, as it cannot show Chinese."""
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.text import Text

    known = get_font(findfont(FontProperties())).get_charmap()
    letters = {letter for text in figure.findobj(Text) for letter in text.get_text() if letter != "\n"}
    return any(ord(letter) not in known for letter in letters)
