"""The entry point of the command line: the parser of all commands, and how errors end the program."""

import os
import sys
from collections.abc import Sequence

from ert._core.exceptions import InputError
from ert.cli import align, compare, completion, convert, dataset, demo, evaluate, explain, info, train, video, warmup
from ert.cli.common import log
from ert.cli.parser import Parser

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
        log(f"ert: {error}")
        return 2
    except KeyboardInterrupt:
        log("ert: interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone. Python's own flush at exit must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        log(f"ert: {error.filename or 'standard output'}: {error.strerror or error}")
        return 2


def build_parser() -> Parser:
    """Return the parser of all commands; the parsed options have the function to call as ``run``."""
    from ert import __version__

    parser = Parser(_TEXT, prog="ert")
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
