"""``ert demo``: run the bundled model on the bundled image."""

import argparse

from ert.cli import align, common

__all__ = ["add_parser"]


def add_parser(commands: common.Subparsers) -> None:
    """Add the command."""
    parser = common.add_command(commands, "demo", _run)
    parser.add_argument("--out", default="ert-demo", metavar="DIR", help="output folder (default: ert-demo)")


def _run(options: argparse.Namespace) -> int:
    """Run the bundled model on the bundled image.

    ert demo
    ert demo --out pictures
    """
    from ert._core.images import sample_image

    out = common.make_folder(options.out)
    landmarks = out / "astronaut.json"
    parser = argparse.ArgumentParser()
    align.add_parser(parser.add_subparsers())
    command = parser.parse_args(["align", str(sample_image()), f"--json={landmarks}", f"--draw={out}"])
    status = int(command.run(command))
    if status == 0:
        print(f"Wrote {out / 'astronaut_landmarks.png'} and {landmarks}")
    return status
