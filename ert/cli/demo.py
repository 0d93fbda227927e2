"""``ert demo``: the bundled model on the bundled image."""

import argparse

from ert._core.files import sample_image
from ert.cli import common
from ert.cli.main import main
from ert.cli.parser import Parser


def add_demo_options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("--out", default="ert-demo", metavar="DIR", help="output folder (default: ert-demo)")
    common.add_force(parser)


def run_demo(options: argparse.Namespace) -> int:
    """Run the bundled model on the bundled image.

    ert demo
    ert demo --out pictures
    """
    out = common.make_folder(options.out)
    landmarks = out / "astronaut.json"
    force = ["--force"] if options.force else []
    status = main(["align", str(sample_image()), f"--json={landmarks}", f"--draw={out}", *force])
    if status == 0:
        common.show(f"Wrote {out / 'astronaut_landmarks.png'} and {landmarks}")
    return status
