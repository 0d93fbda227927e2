"""The parser of a command: its help text with examples, its suggestions, and options added when needed."""

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence
from inspect import cleandoc
from itertools import takewhile
from typing import Any, NoReturn, TypeAlias

Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"
_EXAMPLES_TITLE = "examples:"


class _HelpFormatter(argparse.HelpFormatter):
    """Wraps descriptions, and keeps the lines of examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith(_EXAMPLES_TITLE):
            return "".join(indent + line for line in text.splitlines(keepends=True))
        return super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line and suggest the option or command that was meant.

    Parameters
    ----------
    text : str
        The description, and lines that begin with ``ert``, which are examples.
    add_options : callable, optional
        Adds options to the parser when it is first used, so that ``ert --help`` does not import what only the
        options of one command need.
    **arguments
        Those of `argparse.ArgumentParser`.
    """

    def __init__(
        self, text: str = "", add_options: "Callable[[Parser], object] | None" = None, **arguments: Any
    ) -> None:
        lines = cleandoc(text).splitlines()
        examples = [f"  {line}" for line in lines if line.startswith("ert ")]
        super().__init__(
            description=" ".join(line for line in lines if line and not line.startswith("ert ")),
            epilog="\n".join([_EXAMPLES_TITLE, *examples]) if examples else None,
            formatter_class=_HelpFormatter,
            **arguments,
        )
        self._add_options = add_options

    def complete(self) -> None:
        """Add the options that were not added yet."""
        add_options, self._add_options = self._add_options, None
        if add_options is not None:
            add_options(self)

    def error(self, message: str) -> NoReturn:
        """Print the message in one line and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, after a check of the names of the options."""
        self.complete()
        arguments = sys.argv[1:] if args is None else list(args)
        has_commands = any(isinstance(action, argparse._SubParsersAction) for action in self._actions)
        # The options of a command are checked by its own parser.
        own = takewhile(lambda text: text.startswith("-"), arguments) if has_commands else arguments
        for argument in takewhile(lambda text: text != "--", own):
            name = argument.partition("=")[0]
            if name.startswith("-") and name.lstrip("-")[:1].isalpha():
                self._check_option(name)
        return super().parse_known_args(arguments, namespace)

    def _check_option(self, name: str) -> None:
        # Otherwise argparse would first report the required option that is then missing.
        known = list(self._option_string_actions)
        # argparse accepts an unambiguous beginning of an option.
        if not any(option.startswith(name) for option in known):
            self.error(f"unknown option {name}{_suggestion(name, known)}")

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


def add_command(
    commands: Subparsers,
    name: str,
    run: Callable[[argparse.Namespace], int] | None,
    add_options: Callable[[Parser], object] | None = None,
    text: str | None = None,
    **arguments: Any,
) -> None:
    """Add a command.

    `run` takes the parsed options and returns the exit status; it is None for a command with subcommands.
    `text` is by default its docstring, and the first sentence is the summary in the parent's help text.
    `add_options` is that of `Parser`.
    """
    text = cleandoc(text or run.__doc__ or "")
    summary = text.partition(".")[0]
    summary = summary[:1].lower() + summary[1:]
    parser = commands.add_parser(name, help=summary, text=text, add_options=add_options, **arguments)
    parser.set_defaults(run=run)
