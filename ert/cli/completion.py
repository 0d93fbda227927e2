"""``ert completion``: completion of commands, options and files in a shell."""

import argparse
import re

from ert._core.exceptions import InputError
from ert.cli.main import build_parser
from ert.cli.parser import Parser

# The beginnings of the names of arguments that take a path, in the help texts.
_FILE = re.compile("FILE|CSV|IMAGE|VIDEO|MODEL|SRC|DST|DATASET")


def add_completion_options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")


def run_completion(options: argparse.Namespace) -> int:
    """Print a script that completes commands, options and files in a shell.

    ert completion bash > ~/.local/share/bash-completion/completions/ert
    ert completion fish > ~/.config/fish/completions/ert.fish
    """
    try:
        # It writes a static script; those of argcomplete run the program, and so import numba, at every TAB.
        import shtab
    except ImportError:
        raise InputError(
            'completion: needs shtab, which is not installed: pip install "ert-landmarks[completion]"'
        ) from None
    root = build_parser()
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
        elif action.metavar == "DIR":
            action.complete = folder  # type: ignore[attr-defined]
