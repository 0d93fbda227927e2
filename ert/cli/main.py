"""The entry point of the command line: the commands, and how errors end the program."""

import argparse
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ert._core.exceptions import InputError, printable
from ert._core.files import guarded, protect
from ert._core.version import __version__
from ert._kernels import choice
from ert.cli.parser import Parser, add_commands

_TEXT = """Landmark localization with ensembles of regression trees.

ert align photo.jpg --draw out
ert evaluate face68 test.xml --by size,yaw
"""
# The module of each command, and the first sentence of its help text.
_COMMANDS = {
    "align": ("align", "Find faces in images and locate their landmarks."),
    "predict": ("predict", "Locate the landmarks in many photographs and write them to a table."),
    "train": ("train", "Train a model on annotated images."),
    "tune": ("tune", "Search the parameters of training that suit annotated images, and train a model with them."),
    "evaluate": ("evaluate", "Measure the errors of a model on annotated images."),
    "compare": ("compare", "Compare two models on annotated images, or two annotations of the same images."),
    "measure": ("measure", "Measure distances, angles, areas and shapes by landmarks."),
    "explain": ("evaluate", "Draw which pixels a model compares, and the shape after each stage."),
    "video": ("video", "Track the faces in a video and write an annotated video or a table of landmarks."),
    "webcam": ("video", "Track the faces that a camera sees and show them in a window."),
    "convert": ("convert", "Convert a model or annotations to another format."),
    "export": ("convert", "Write a model for use without Python."),
    "info": ("info", "Print the contents of a model file."),
    "models": ("info", "List the bundled models."),
    "annotate": ("annotate", "Mark landmarks in photos in the browser, with a model that helps."),
    "dataset": ("dataset", "Describe, check, show, split or mirror annotated images."),
    "demo": ("align", "Run the bundled model on the bundled image."),
    "warmup": ("setup", "Compile all kernels now, so that the first prediction is fast."),
    "completion": ("setup", "Print a script that completes commands, options and files in a shell."),
}
# Options whose values are written, not read.
OUTPUT_OPTIONS = ("json", "csv", "out", "draw", "plot", "report", "destination", "write_images", "cache", "storage")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments without the program's name; by default those of the process.

    Returns
    -------
    int
        0; 1 when ``ert dataset check`` has findings; 2 for bad input, with one line on standard error; 130
        when interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        # What a terminal's encoding lacks is escaped.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        options = build_parser().parse_args(arguments)
        with warnings.catch_warnings(), _notice_of_compiling(), guarded(force=getattr(options, "force", None)):
            warnings.showwarning = lambda message, *_: _show_warning(message)
            protect(_read_files(options))
            status = _run(options)
        sys.stdout.flush()
        return status
    except (InputError, choice.SettingError) as error:
        status, message = 2, str(error)
    except KeyboardInterrupt:
        status, message = 130, "interrupted"
    except BrokenPipeError:
        # The reader of our output has gone. Python's own flush at exit must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        status, message = 2, f"{error.filename or 'standard output'}: {error.strerror or error}"
    print(printable(f"ert: {message}"), file=sys.stderr, flush=True)
    return status


def _run(options: argparse.Namespace) -> int:
    """Run a command; an error that begins with a parameter names the option that was typed instead."""
    try:
        return int(options.run(options))
    except InputError as error:
        named = re.match("([a-z_]+)='?(.*?)'?: ", str(error))
        if named is None:
            raise
        name, value = named.groups()
        # The parameters n_jobs and n_inits are --jobs and, but for training, --inits.
        names = ["jobs"] if name == "n_jobs" else [name, name.removeprefix("n_")]
        typed = [each for each in names if each in vars(options) or each == "jobs"]
        if not typed:
            raise
        raise InputError(f"--{typed[0].replace('_', '-')} {value}: {str(error)[named.end() :]}") from error


@contextmanager
def _notice_of_compiling() -> Iterator[None]:
    """Print a line when kernels have to be compiled."""
    choice.notice, before = lambda text: print(f"ert: {text}", file=sys.stderr, flush=True), choice.notice
    try:
        yield
    finally:
        choice.notice = before


def _show_warning(message: Warning | str) -> None:
    # Whatever warns has loaded it.
    from ert.cli.common import log

    log(f"ert: {message}")


def _read_files(options: argparse.Namespace) -> Iterator[str]:
    """Yield the values of all options but those of outputs; some of them are files that the command reads."""
    for name, value in vars(options).items():
        for text in value if isinstance(value, list) else [value]:
            if name not in OUTPUT_OPTIONS and isinstance(text, str):
                # Also CSV:COLUMN, dlib:FILE and yunet:FILE.
                yield from (text, text.rpartition(":")[0], text.partition(":")[2])


def build_parser() -> Parser:
    """Return the parser of all commands; the parsed options have the function to call as ``run``."""
    parser = Parser(_TEXT, prog="ert")
    parser.add_argument("--version", action="version", version=f"ert {__version__}")
    add_commands(parser, _COMMANDS)
    return parser
