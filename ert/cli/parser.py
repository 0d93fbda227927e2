"""The parser of a command: its help text with examples, its suggestions, and options added when they are needed."""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from inspect import cleandoc
from itertools import takewhile
from typing import Any, NoReturn

from ert._core.exceptions import printable

_EXAMPLES_TITLE = "examples:"


class _HelpFormatter(argparse.HelpFormatter):
    """Wraps descriptions, and keeps the lines of examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith(_EXAMPLES_TITLE):
            return "".join(indent + line for line in text.splitlines(keepends=True))
        return super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line and suggest the option or command that was meant.

    `text` is the description, and lines that begin with ``ert``, which are examples. `add_options` adds the
    options when the parser is first used, so that ``ert --help`` does not import what only one command needs.
    """

    def __init__(
        self, text: str = "", add_options: "Callable[[Parser], object] | None" = None, **arguments: Any
    ) -> None:
        super().__init__(formatter_class=_HelpFormatter, **arguments)
        self.describe(text)
        self._add_options = add_options
        # A box such as -5,0,9,9 is a value too, not only a single negative number.
        self._negative_number_matcher = re.compile(r"-[\d.]")

    def describe(self, text: str) -> None:
        """Set the description and the examples."""
        lines = cleandoc(text).splitlines()
        examples = [f"  {line}" for line in lines if line.startswith("ert ")]
        self.description = " ".join(line for line in lines if line and not line.startswith("ert "))
        self.epilog = "\n".join([_EXAMPLES_TITLE, *examples]) if examples else None

    def complete(self) -> None:
        """Add the options that were not added yet."""
        add_options, self._add_options = self._add_options, None
        if add_options is not None:
            add_options(self)

    def error(self, message: str) -> NoReturn:
        """Print the message in one line and exit with status 2."""
        self.exit(2, printable(f"{self.prog}: {message} (see {self.prog} --help)") + "\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, after a check of the names of the options."""
        self.complete()
        arguments = sys.argv[1:] if args is None else list(args)
        has_commands = any(isinstance(action, argparse._SubParsersAction) for action in self._actions)
        # The options of a command are checked by its own parser.
        own = takewhile(lambda text: text.startswith("-"), arguments) if has_commands else arguments
        for argument in takewhile(lambda text: text != "--", own):
            name = argument.partition("=")[0]
            # Otherwise argparse would first report the required option that is then missing. It accepts an
            # unambiguous beginning of an option.
            known = list(self._option_string_actions)
            is_option = name.startswith("-") and name.lstrip("-")[:1].isalpha()
            if is_option and not any(option.startswith(name) for option in known):
                self.error(f"unknown option {name}{_suggestion(name, known)}")
        return super().parse_known_args(arguments, namespace)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        *others, last = choices = [str(choice) for choice in action.choices]
        expected = f", expected {', '.join(others)} or {last}"
        suggestion = _suggestion(str(value), choices)
        if isinstance(action, argparse._SubParsersAction):
            self.error(f"unknown command {value!r}{suggestion or expected}")
        name = "/".join(action.option_strings) or action.metavar or action.dest
        self.error(f"argument {name}: {value!r}{expected}{suggestion}")


def _suggestion(word: str, known: Sequence[str]) -> str:
    # The dashes that all options have in common are no similarity.
    names = {name.lstrip("-"): name for name in known}
    close = difflib.get_close_matches(word.lstrip("-"), names, n=2, cutoff=0.7)
    return f", did you mean {' or '.join(names[name] for name in close)}?" if close else ""


def add_commands(parser: Parser, commands: Mapping[str, tuple[str, str]]) -> None:
    """Add commands by name, each with its module in `ert.cli` and the first sentence of its help text.

    The module is imported when the command is used. Its function `add_NAME_options` adds the options to a parser;
    `run_NAME` takes the parsed options and returns the exit status, and its docstring is the help text.
    """
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (module, sentence) in commands.items():
        summary = sentence[0].lower() + sentence[1:].rstrip(".")
        subparsers.add_parser(name, help=summary, add_options=partial(_load_command, f"ert.cli.{module}", name))


def _load_command(module_name: str, name: str, parser: Parser) -> None:
    module = import_module(module_name)
    getattr(module, f"add_{name}_options")(parser)
    # A command with subcommands does not run itself.
    run = getattr(module, f"run_{name}", None)
    if run is not None:
        parser.describe(run.__doc__ or "")
        parser.set_defaults(run=run)
