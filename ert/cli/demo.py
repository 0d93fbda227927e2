"""``ert demo``: run the bundled model on the bundled image."""

import argparse

from ert.cli import align, common
from ert.cli.parser import Parser, Subparsers, add_command


def add_parser(commands: Subparsers) -> None:
    """Add the command."""
    add_command(commands, "demo", _run, _add_options)


def _add_options(parser: Parser) -> None:
    parser.add_argument("--out", default="ert-demo", metavar="DIR", help="output folder (default: ert-demo)")


def _run(options: argparse.Namespace) -> int:
    """Run the bundled model on the bundled image.

    ert demo
    ert demo --out pictures
    """
    from ert._core.files import sample_image

    out = common.make_folder(options.out)
    landmarks = out / "astronaut.json"
    parser = Parser()
    align.add_options(parser)
    status = align.run(parser.parse_args([str(sample_image()), f"--json={landmarks}", f"--draw={out}"]))
    if status == 0:
        print(f"Wrote {out / 'astronaut_landmarks.png'} and {landmarks}")
    return status
