"""The command `zoomin`: from pictures to records, verdicts and figures. Training is ms-swift's own command line."""

import argparse
import os
import select
import sys
from importlib import import_module
from io import TextIOWrapper

from swift_zoomin.arguments import complain
from swift_zoomin.checkpoints import CheckpointError
from swift_zoomin.pictures import ImageError
from swift_zoomin.records import RecordError

# Each command's module, which is imported when the command is called: it has `add_arguments` and `run`.
COMMANDS = {
    "annotate": (
        "swift_zoomin.annotation.command",
        "make records of labelled pictures with vision-language models: explain, ground, filter",
    ),
    "review": ("swift_zoomin.annotation.review", "write a page to accept or reject records with, in a browser"),
    "convert": ("swift_zoomin.convert.command", "published data sets to records, and images of records to squares"),
    "split": ("swift_zoomin.splitting.command", "split a records file into files for training, validation and test"),
    "check": ("swift_zoomin.checking.command", "check records files, and what gives their labels away"),
    "degrade": (
        "swift_zoomin.evaluation.degrade_command",
        "degrade the images of a records file: JPEG, crops, scales",
    ),
    "detect": ("swift_zoomin.detection.command", "look at images twice and write a prediction each"),
    "calibrate": (
        "swift_zoomin.detection.calibrate_command",
        "learn from held-out images what sampled verdicts are worth",
    ),
    "attention": ("swift_zoomin.attention.command", "show from where in an image a model said its words"),
    "evaluate": ("swift_zoomin.evaluation.command", "compare predictions with records"),
    "report": ("swift_zoomin.report.command", "write pages that show what a model looked at and what it said"),
    "probe": ("swift_zoomin.probing.command", "hide the regions that a verdict rests on, and look what becomes of it"),
    "tables": ("swift_zoomin.evaluation.tables_command", "put the figures of several sets of images side by side"),
    "demo": ("swift_zoomin.demo.command", "serve a page to try a model on, with pictures that stay in memory"),
}
_INTERRUPTED, _READER_GONE = 130, 141  # 128 + SIGINT and 128 + SIGPIPE, as shells give them


def main() -> int:
    options = _read_options()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be more than the terminal can show
    try:
        status: int = options.run(options)
        print(end="", flush=True)  # a full disk or a closed pipe shows here, while it can still be said
    except (RecordError, ImageError, CheckpointError, OSError, KeyboardInterrupt) as error:
        status = _report(error)
    _drop_what_cannot_be_written()
    return status


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="zoomin", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    called = sys.argv[1] if len(sys.argv) > 1 else ""
    for name, (module_name, help_text) in COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        if name == called:
            module = import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser.parse_args()


def _report(error: BaseException) -> int:
    """Say in one line what ended a command; the status it ends with."""
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        return _READER_GONE
    if isinstance(error, KeyboardInterrupt):
        message = "interrupted; what is written stays"
    elif isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        message = str(error)
    try:
        complain(message)
    except BrokenPipeError:
        return _READER_GONE
    return _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def _nobody_reads() -> bool:
    """Whether standard output or error is a pipe whose reader has left, as in `zoomin ... | head -1`."""
    streams = select.poll()
    for descriptor in (1, 2):
        streams.register(descriptor, select.POLLOUT)
    return any(event & select.POLLERR for _, event in streams.poll(0))


def _drop_what_cannot_be_written() -> None:
    """Drop what a failed stream still holds: at exit Python would try to write it again, and print a traceback."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
