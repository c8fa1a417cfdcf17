"""An evaluation as tables: for a terminal, in Markdown, in LaTeX and as CSV.

Text forms show a block of columns below another, a row a method, and leave out columns without any value. CSV has all
figures at full precision. A dash stands for what is not applicable.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from swift_zoomin.evaluation import columns, markup
from swift_zoomin.evaluation.columns import Column, best_methods, shown_columns
from swift_zoomin.evaluation.figures import Figure

_OF_GROUPS = (
    *columns.IMAGES,
    *(column for column in columns.VERDICTS if column.figure not in ("precision", "f1")),
    *columns.REGIONS[:1],
    *(column for column in columns.SCORES if column.figure == "auc"),
)
Methods = Mapping[str, Mapping[str, Figure]]
Table = tuple[list[str], list[list[str]]]  # headings and rows


class Form(NamedTuple):
    """How one kind of text shows a table."""

    name: str  # as tabulate calls it
    escape: Callable[[str], str]
    bold: Callable[[str], str]
    interval: str
    minus: str = "-"
    plus_minus: str = "±"


def _unchanged(text: str) -> str:
    return text


def _bold_terminal(text: str) -> str:
    return f"\033[1m{text}\033[0m"


TERMINAL = Form("simple", _unchanged, _bold_terminal, " {:.2f}..{:.2f}")
PLAIN = TERMINAL._replace(bold=_unchanged)
MARKDOWN = Form("pipe", markup.escape_markdown, markup.bold_markdown, " ({:.3f}..{:.3f})")
LATEX = Form("latex_raw", markup.escape_latex, markup.bold_latex, " [{:.3f}, {:.3f}]", "$-$", r"$\pm$")


def render(evaluation: dict[str, Any], form: Form) -> list[str]:
    """All tables of an evaluation in one form."""
    tables = [*_method_tables(evaluation["methods"], form)]
    for by, groups in evaluation["by"].items():
        tables.append(_group_rows(by, groups, form))
    if evaluation["pairs"]:
        tables.append(_pair_table(evaluation["pairs"], form))
    return [markup.draw(*table, form.name) for table in tables]


def _method_tables(methods: Methods, form: Form) -> Iterator[Table]:
    for block in columns.BLOCKS:
        shown = shown_columns(block, list(methods.values()))
        if shown:
            headings = ["Method", *(form.escape(column.heading) for column in shown)]
            yield headings, [[form.escape(name), *cells] for name, cells in _cells(methods, shown, form).items()]


def group_table(by: str, groups: Mapping[str, Methods]) -> str:
    """The rows of groups alone, without marks."""
    return markup.draw(*_group_rows(by, groups, PLAIN), PLAIN.name)


def _group_rows(by: str, groups: Mapping[str, Methods], form: Form) -> Table:
    """A row for each group and method; the best of a group's methods is bold."""
    shown = shown_columns(_OF_GROUPS, [figures for methods in groups.values() for figures in methods.values()])
    rows = []
    for group, methods in groups.items():
        for name, cells in _cells(methods, shown, form).items():
            rows.append([form.escape(group), form.escape(name), *cells])
    return [by, "Method", *(form.escape(column.heading) for column in shown)], rows


def _cells(methods: Methods, shown: Sequence[Column], form: Form) -> dict[str, list[str]]:
    cells: dict[str, list[str]] = {name: [] for name in methods}
    for column in shown:
        best = best_methods(column, methods)
        for name, figures in methods.items():
            text = shown_figure(figures[column.figure], form.interval)
            cells[name].append(form.bold(text) if name in best else text)
    return cells


def _pair_table(pairs: Sequence[Mapping[str, Any]], form: Form) -> Table:
    headings = ["Figure", "First", "Second", "Difference", "p", "p (Holm)", "Test"]
    rows = []
    for row in pairs:
        names = [form.escape(name) for name in (columns.HEADINGS[row["figure"]], row["first"], row["second"])]
        difference = shown_figure(Figure(row["difference"], row["low"], row["high"]), form.interval)
        p_values = [f"{row[name]:.2g}" for name in ("p", "p_holm")]
        rows.append([*names, *(number.replace("-", form.minus) for number in (difference, *p_values)), row["test"]])
    return headings, rows


def shown_figure(figure: Figure, interval: str = "  {:.3f}..{:.3f}") -> str:
    """A figure and its interval; a dash where it is not applicable."""
    if figure.value is None:
        return "-"
    shown = str(figure.value) if isinstance(figure.value, int) else f"{figure.value:.3f}"
    return shown if figure.low is None else shown + interval.format(figure.low, figure.high)


def as_list(figures: Mapping[str, Figure], more: Mapping[str, str | None]) -> str:
    """One method's figures, a line each; scores and times only where there are any. `more` follows them."""
    shown = [*columns.IMAGES, *columns.VERDICTS, *columns.TWO_LOOKS, *columns.REASONS, *columns.REGIONS]
    if figures["scored"].value:
        shown += columns.SCORES
    if figures["timed"].value:
        shown += columns.TIME
    shown += [column for column in columns.COUNTS if column.figure != "unparsed"]
    lines = {column.figure: shown_figure(figures[column.figure]) for column in shown}
    lines |= {name: text or "-" for name, text in more.items()}
    width = max(map(len, lines)) + 2
    return "\n".join(f"{name:<{width}}{text}" for name, text in lines.items())


def markdown(evaluation: dict[str, Any]) -> str:
    parts = render(evaluation, MARKDOWN)
    parts += [markup.escape_markdown(note) for note in evaluation["notes"]]
    parts.append(f"Signature: `{evaluation['signature']}`")
    return "\n\n".join(parts) + "\n"


def latex(evaluation: dict[str, Any]) -> str:
    """One tabular a block; notes and signature are comments."""
    comments = in_comments([*evaluation["notes"], evaluation["signature"]])
    return comments + "\n\n".join(render(evaluation, LATEX)) + "\n"


def in_comments(lines: Sequence[str]) -> str:
    """Lines that LaTeX passes over."""
    return "".join(f"% {' '.join(line.split())}\n" for line in lines)


def comma_separated(evaluation: dict[str, Any]) -> str:
    """A row a method, and a row a group and method: every figure, its bounds, and the signature."""
    names = [part for name in columns.NAMES for part in (name, f"{name}_low", f"{name}_high")]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["by", "group", "method", *names, "signature"])
    tables = [("", "", evaluation["methods"])]
    for by, groups in evaluation["by"].items():
        tables += [(by, group, methods) for group, methods in groups.items()]
    for by, group, methods in tables:
        for name, figures in methods.items():
            numbers = [number for figure in columns.NAMES for number in figures[figure]]
            writer.writerow([by, group, name, *numbers, evaluation["signature"]])
    return file.getvalue()
