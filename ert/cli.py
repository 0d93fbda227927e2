"""The command line: align, train, evaluate, convert, info, demo."""

import argparse
import inspect
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from ert.commands import run_align, run_convert, run_demo, run_evaluate, run_info, run_train, say
from ert.errors import InputError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process by default.

    Returns
    -------
    int
        0, or 2 for bad input (one line on standard error), or 130 when interrupted.
    """
    options = _parser().parse_args(_join_box(sys.argv[1:] if arguments is None else arguments))
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except InputError as error:
        say(f"ert: {error}")
        return 2
    except KeyboardInterrupt:
        say("ert: interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; so that Python's own flush at exit does not complain:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        say(f"ert: {error.filename or 'standard output'}: {error.strerror or error}")
        return 2


def _join_box(arguments: Sequence[str]) -> list[str]:
    """Write ``--box -5,..`` as ``--box=-5,..``: argparse takes what begins with a minus for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--box":
            joined[-1] = f"--box={argument}"
        else:
            joined.append(argument)
    return joined


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One line, like every other error of the command line.
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    from ert import __version__

    parser = _Parser(prog="ert", description="Landmarks by ensembles of regression trees.")
    parser.add_argument("--version", action="version", version=f"ert {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    align = commands.add_parser("align", help="find the faces in images and their landmarks")
    align.set_defaults(run=run_align)
    align.add_argument("images", nargs="+", metavar="IMAGE", help="any picture that Pillow reads")
    align.add_argument("--model", default="face68", help="bundled model or model file (default: face68)")
    align.add_argument(
        "--box", type=_box, metavar="L,T,W,H", help="where the object is; nothing is detected then"
    )
    align.add_argument(
        "--detector",
        default="auto",
        help="haar (OpenCV 4), lbp, dlib, yunet:FILE.onnx, or auto: haar, else lbp (the default)",
    )
    align.add_argument("--json", metavar="FILE", help="write the landmarks to FILE, - for standard output")
    align.add_argument("--draw", metavar="DIR", help="write annotated pictures to DIR, small ones enlarged")

    train = commands.add_parser("train", help="train a model on annotated images")
    train.set_defaults(run=run_train)
    train.add_argument(
        "datasets", nargs="+", metavar="DATASET", help="annotations: imglab .xml, folder of .pts, ..."
    )
    train.add_argument("--out", required=True, metavar="FILE", help="the model file to write (.ert)")
    _add_dataset_options(train, many=True)
    train.add_argument(
        "--validation",
        type=float,
        default=0,
        metavar="FRACTION",
        help="hold out this part of the images and report",
    )
    train.add_argument(
        "--resume", action="store_true", help="go on with the stages an interrupted run has finished"
    )
    train.add_argument(
        "--note", action="append", default=[], metavar="KEY=TEXT", help="kept in the model: licence=..."
    )
    _add_parameters(train)

    evaluate = commands.add_parser("evaluate", help="measure a model on annotated images")
    evaluate.set_defaults(run=run_evaluate)
    evaluate.add_argument("model", metavar="MODEL", help="bundled model or model file")
    evaluate.add_argument("dataset", metavar="DATASET", help="annotations of any format that is read")
    _add_dataset_options(evaluate, many=False)
    evaluate.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for standard output")
    evaluate.add_argument("--jobs", type=int, default=-1, help="threads (default: all processors)")

    convert = commands.add_parser("convert", help="convert a model (dlib's .dat, .ert) or annotations")
    convert.set_defaults(run=run_convert)
    convert.add_argument("source", metavar="SRC")
    convert.add_argument("destination", metavar="DST")
    convert.add_argument(
        "--exact", action="store_true", help="keep dlib's leaves as they are: a larger .ert, to the last bit"
    )
    _add_dataset_options(convert, many=False)
    convert.add_argument("--to", choices=("pts", "tem", "ljson"), help="DST is a folder of such files")
    convert.add_argument(
        "--images", metavar="DIR", help="where the images are, if not beside the annotations"
    )

    info = commands.add_parser("info", help="tell what is in a model file")
    info.set_defaults(run=run_info)
    info.add_argument("model", metavar="MODEL", help="bundled model or model file")
    info.add_argument("--json", metavar="FILE", help="write it to FILE, - for standard output")

    demo = commands.add_parser("demo", help="run the bundled model on the bundled picture")
    demo.set_defaults(run=run_demo)
    demo.add_argument("--out", default="ert-demo", metavar="DIR", help="where to write (default: ert-demo)")
    return parser


def _add_dataset_options(parser: argparse.ArgumentParser, *, many: bool) -> None:
    text = "take the boxes from a CSV file, columns PREFIX_left, PREFIX_top, ..."
    if many:
        text += "; given twice, every object is used with both boxes"
        parser.add_argument("--boxes", action="append", default=[], metavar="CSV:PREFIX", help=text)
    else:
        parser.add_argument("--boxes", metavar="CSV:PREFIX", help=text)
    parser.add_argument(
        "--split", metavar="NAME", help="only the images of this split (column `split` of the boxes)"
    )


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    """Offer the estimator's parameters as options, with its defaults."""
    from ert.predictor import ShapePredictor

    texts = _parameter_texts(ShapePredictor.__doc__ or "")
    group = parser.add_argument_group("parameters of the predictor, see ert.ShapePredictor")
    for name, parameter in inspect.signature(ShapePredictor.__init__).parameters.items():
        if name in ("self", "verbose", "channels"):
            continue
        kind = str if parameter.default is None else type(parameter.default)
        flag = "--" + name.replace("_", "-")
        text = f"{texts[name]} (default: {parameter.default})".replace("%", "%%")
        metavar = "N" if kind is int else "X" if kind is float else "NAME"
        group.add_argument(flag, type=kind, default=parameter.default, help=text, metavar=metavar)


def _parameter_texts(docstring: str) -> dict[str, str]:
    """Return the first sentence that a numpydoc docstring says of each parameter."""
    texts = {}
    for names, text in re.findall(r"^    (\w+(?:, \w+)*) : .*\n((?:        .*\n)+)", docstring, re.MULTILINE):
        sentence = " ".join(text.split()).split(". ")[0].rstrip(".")
        texts.update(dict.fromkeys(names.split(", "), sentence))
    return texts


def _box(text: str) -> list[float]:
    try:
        box = [float(number) for number in text.split(",")]
    except ValueError:
        box = []
    if len(box) != 4:
        raise argparse.ArgumentTypeError(f"{text!r}: expected LEFT,TOP,WIDTH,HEIGHT")
    return box
