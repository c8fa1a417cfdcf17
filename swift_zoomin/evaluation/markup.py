"""Tables in Markdown and LaTeX: what a name may hold is escaped, what is best is bold. tabulate draws them."""

import re
from collections.abc import Sequence

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{mark: "\\" + mark for mark in "&%$#_{}"},
}

Rows = Sequence[Sequence[str]]


def escape_markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def escape_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(mark, mark) for mark in " ".join(text.split()))
    # A row that begins so would be taken for an argument of the line end before it.
    return "{}" + escaped if escaped.startswith(("[", "*")) else escaped


def bold_markdown(text: str) -> str:
    return f"**{text}**"


def bold_latex(text: str) -> str:
    return rf"\textbf{{{text}}}"


def draw(headings: Sequence[str], rows: Rows, form: str) -> str:
    """A table in a form of tabulate (`simple`, `pipe`, `latex_raw`): cells as they are, the first column left."""
    from tabulate import tabulate

    alignment = ("left", *["right"] * (len(headings) - 1))
    return tabulate(rows, headings, tablefmt=form, colalign=alignment, disable_numparse=True)
