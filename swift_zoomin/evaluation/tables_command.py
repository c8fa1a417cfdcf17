"""The command `zoomin tables`."""

import argparse

from swift_zoomin import arguments
from swift_zoomin.evaluation import sets
from swift_zoomin.evaluation.markup import escape_markdown
from swift_zoomin.evaluation.plots.writing import OF_SETS, add_option, check_figures, write_figures
from swift_zoomin.evaluation.tables import LATEX, MARKDOWN, in_comments
from swift_zoomin.outputs import check_figures_folder, write_output

_FILES = ("tables.md", "tables.tex", "accuracy.csv", "seconds.csv")
_STATUS_HELP = "status: 0 tables are printed; 1 one line says what is wrong; 2 no such option"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _STATUS_HELP
    help_text = "a folder that `zoomin evaluate --out` wrote, one a set of images, which is called as its folder"
    parser.add_argument("folders", type=arguments.path, nargs="+", metavar="OUT_DIR", help=help_text)
    parser.add_argument("--out", type=arguments.path, help=f"also write {', '.join(_FILES)} into this folder")
    add_option(parser, OF_SETS)


def run(options: argparse.Namespace) -> int:
    inputs = [folder / sets.METRICS for folder in options.folders]
    if options.out:
        check_figures_folder(options.out, _FILES, inputs)
    if options.figures:
        check_figures(OF_SETS, options.out, inputs)
    read = sets.read_sets(options.folders)
    notes, signatures = sets.notes(read), sets.signatures(read).items()
    below = [*map(escape_markdown, notes)]
    below += [f"Signature of {escape_markdown(names)}: `{signature}`" for signature, names in signatures]
    markdown = "\n\n".join([*sets.text(read, MARKDOWN), *below]) + "\n"
    comments = in_comments([*notes, *(f"signature of {names}: {signature}" for signature, names in signatures)])
    latex = comments + "\n\n".join(sets.text(read, LATEX)) + "\n"
    print(markdown, end="")
    if options.out:
        contents = (markdown, latex, sets.accuracy_csv(read), sets.seconds_csv(read))
        for name, content in zip(_FILES, contents, strict=True):
            write_output(options.out / name, content)
    if options.figures:
        for note in write_figures(OF_SETS, read, options.out, "; ".join(sets.signatures(read))):
            print(note)
    return 0
