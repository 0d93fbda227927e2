"""The entry point of the command line: the parser of all commands, and how errors end the program."""

import argparse
import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, NoReturn

from ert._core.exceptions import InputError
from ert.cli import (
    align,
    common,
    compare,
    completion,
    convert,
    dataset,
    demo,
    evaluate,
    explain,
    info,
    train,
    video,
    warmup,
)

__all__ = [
    "build_parser",
    "main",
]


_COMMANDS = (align, train, evaluate, compare, explain, video, convert, info, dataset, demo, warmup)
_TEXT = """Landmark localization with ensembles of regression trees.

ert align photo.jpg --draw out
ert evaluate face68 test.xml --by size,yaw
"""


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
    options = build_parser().parse_args(_join_box(sys.argv[1:] if arguments is None else arguments))
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except InputError as error:
        common.log(f"ert: {error}")
        return 2
    except KeyboardInterrupt:
        common.log("ert: interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone. Python's own flush at exit must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        common.log(f"ert: {error.filename or 'standard output'}: {error.strerror or error}")
        return 2


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; the parsed options have the function to call as ``run``."""
    from ert import __version__

    description, examples = common.split_text(_TEXT)
    parser = _Parser(prog="ert", description=description, epilog=examples)
    parser.add_argument("--version", action="version", version=f"ert {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        module.add_parser(commands)
    completion.add_parser(commands, parser)
    return parser


def _join_box(arguments: Sequence[str]) -> list[str]:
    """Write ``--box -5,..`` as ``--box=-5,..``: argparse takes an argument with a minus for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--box":
            joined[-1] = f"--box={argument}"
        else:
            joined.append(argument)
    return joined


class _HelpFormatter(argparse.HelpFormatter):
    """Wraps descriptions, and keeps the lines of examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith(common.EXAMPLES_TITLE):
            return "".join(indent + line for line in text.splitlines(keepends=True))
        return super()._fill_text(text, width, indent)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take one line and suggest the option or command that was meant."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{"formatter_class": _HelpFormatter} | arguments)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        # Misspelled options come first: argparse would report the required one that is then missing.
        arguments = sys.argv[1:] if args is None else list(args)
        has_commands = any(isinstance(action, argparse._SubParsersAction) for action in self._actions)
        # The options of a command are checked by its own parser.
        own = takewhile(lambda text: text.startswith("-"), arguments) if has_commands else arguments
        for argument in takewhile(lambda text: text != "--", own):
            name = argument.partition("=")[0]
            if name.lstrip("-")[:1].isalpha() and argument.startswith("-"):
                self._check_option(name)
        return super().parse_known_args(arguments, namespace)

    def _check_option(self, name: str) -> None:
        known = list(self._option_string_actions)
        # argparse accepts an unambiguous beginning of an option.
        if not any(option.startswith(name) for option in known):
            self.error(f"unknown option {name}{_suggestion(name, known)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        suggestion = _suggestion(str(value), choices)
        if isinstance(action, argparse._SubParsersAction):
            self.error(f"unknown command {value!r}" + (suggestion or f", expected {_listed(choices)}"))
        name = "/".join(action.option_strings) or action.metavar or action.dest
        self.error(f"argument {name}: {value!r}, expected {_listed(choices)}{suggestion}")


def _suggestion(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f", did you mean {close[0]}?" if close else ""


def _listed(choices: Iterable[str]) -> str:
    *others, last = choices
    return f"{', '.join(others)} or {last}" if others else last
