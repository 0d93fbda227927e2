"""``ert completion``: print a completion script for a shell.

shtab writes a static script; those of argcomplete run the program, and so import numba, at every TAB.
"""

import argparse
import re
from functools import partial

from ert._core.exceptions import InputError
from ert.cli.parser import Parser, Subparsers, add_command

# The beginnings of the names of arguments that take a path, in the help texts.
_FILE = re.compile("FILE|CSV|IMAGE|VIDEO|MODEL|SRC|DST|DATASET")
_FOLDER = "DIR"


def add_parser(commands: Subparsers, root: Parser) -> None:
    """Add the command; the script completes the command line of `root`."""
    add_command(commands, "completion", partial(_run, root), _add_options, text=_run.__doc__)


def _add_options(parser: Parser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")


def _run(root: Parser, options: argparse.Namespace) -> int:
    """Print a script that completes commands, options and files in a shell.

    ert completion bash > ~/.local/share/bash-completion/completions/ert
    ert completion fish > ~/.config/fish/completions/ert.fish
    """
    try:
        import shtab
    except ImportError:
        raise InputError(
            'completion: needs shtab, which is not installed: pip install "ert-landmarks[completion]"'
        ) from None
    _mark_paths(root, shtab.FILE, shtab.DIRECTORY)
    print(shtab.complete(root, options.shell))
    return 0


def _mark_paths(parser: Parser, file: object, folder: object) -> None:
    """Set the attribute `complete`, which shtab reads, of each argument that takes a path."""
    parser.complete()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _mark_paths(command, file, folder)
        elif _FILE.match(str(action.metavar)):
            action.complete = file  # type: ignore[attr-defined]
        elif action.metavar == _FOLDER:
            action.complete = folder  # type: ignore[attr-defined]
