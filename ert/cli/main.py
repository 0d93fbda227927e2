"""The command line: its commands and their options."""

import argparse
import inspect
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from ert._core.exceptions import InputError
from ert.cli.commands import log, run_align, run_convert, run_demo, run_evaluate, run_train
from ert.cli.compare import run_compare
from ert.cli.dataset import (
    run_dataset_check,
    run_dataset_info,
    run_dataset_mirror,
    run_dataset_show,
    run_dataset_split,
)
from ert.cli.explain import run_explain
from ert.cli.info import run_info, run_models
from ert.cli.video import run_video, run_webcam
from ert.cli.warmup import run_warmup
from ert.metrics import NORMALIZERS

__all__ = [
    "main",
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process by default.

    Returns
    -------
    int
        0, or 1 when ``ert dataset check`` has found something, or 2 for bad input (one line on standard
        error), or 130 when interrupted.
    """
    options = _parser().parse_args(_join_box(sys.argv[1:] if arguments is None else arguments))
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
        # The reader of our output has gone; so that Python's own flush at exit does not complain:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        log(f"ert: {error.filename or 'standard output'}: {error.strerror or error}")
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
    align.add_argument(
        "--any-roll", action="store_true", help="find faces that lie on their side or stand on their head too"
    )
    _add_mode(align)
    align.add_argument("--json", metavar="FILE", help="write the landmarks to FILE, - for standard output")
    align.add_argument("--draw", metavar="DIR", help="write annotated pictures to DIR, small ones enlarged")
    align.add_argument(
        "--show-std",
        action="store_true",
        help="draw round each landmark the circle that holds the true one nine times in ten",
    )
    align.add_argument(
        "--min-confidence",
        type=float,
        default=0.0,
        metavar="P",
        help="leave out faces of which the model is less sure, 0 to 1 (default: 0, all)",
    )

    train = commands.add_parser("train", help="train a model on annotated images")
    train.set_defaults(run=run_train)
    train.add_argument(
        "datasets", nargs="+", metavar="DATASET", help="annotations: imglab .xml, folder of .pts, ..."
    )
    train.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="the model file to write: .ert, or .dat for dlib, trained as dlib can express it",
    )
    _add_dataset_options(train, many=True)
    _add_part_order(train, None)
    _add_images(train)
    train.add_argument(
        "--validation",
        type=float,
        default=0,
        metavar="FRACTION",
        help="hold out this part of the images and report",
    )
    train.add_argument(
        "--confidence",
        type=int,
        nargs="?",
        const=3,
        default=0,
        metavar="FOLDS",
        help="have the model tell how far its landmarks can be trusted: learned on objects left out, so that "
        "it is trained so many times more (3, if no number is given)",
    )
    train.add_argument(
        "--resume", action="store_true", help="go on with the stages an interrupted run has finished"
    )
    train.add_argument(
        "--report", metavar="DIR", help="write DIR/report.html anew after each stage: errors, time left"
    )
    train.add_argument(
        "--note", action="append", default=[], metavar="KEY=TEXT", help="kept in the model: license=..."
    )
    _add_parameters(train)

    evaluate = commands.add_parser("evaluate", help="measure a model on annotated images")
    evaluate.set_defaults(run=run_evaluate)
    evaluate.add_argument("model", metavar="MODEL", help="bundled model or model file")
    evaluate.add_argument("dataset", metavar="DATASET", help="annotations of any format that is read")
    _add_dataset_options(evaluate, many=False)
    _add_part_order(evaluate)
    _add_images(evaluate)
    _add_mode(evaluate)
    evaluate.add_argument("--normalizer", choices=NORMALIZERS, help="only this normalizer of the errors")
    evaluate.add_argument(
        "--by",
        metavar="COLUMN,...",
        help="the errors by groups as well: size, yaw (a proxy of the turn), roll, brightness (of the skin), "
        "mouth (its opening), source (top folder), or columns of --columns",
    )
    evaluate.add_argument(
        "--columns",
        metavar="CSV",
        help="what is known of the images: a column `image`, then those to group by; a column `object` tells "
        "several in an image apart, from 0",
    )
    evaluate.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for standard output")
    evaluate.add_argument(
        "--report",
        metavar="DIR",
        help="write DIR/report.html: curves, groups, errors of the landmarks, best and worst faces, times",
    )
    evaluate.add_argument("--jobs", type=int, default=-1, help="threads (default: all processors)")

    compare = commands.add_parser("compare", help="compare two models on annotated images; dlib may run one")
    compare.set_defaults(run=run_compare)
    model = "bundled model, model file, or dlib:FILE.dat, which dlib itself runs"
    compare.add_argument("a", metavar="MODEL_A", help=model)
    compare.add_argument("b", metavar="MODEL_B", help="likewise")
    compare.add_argument("dataset", metavar="DATASET", help="annotations of any format that is read")
    _add_dataset_options(compare, many=False)
    _add_part_order(compare)
    _add_images(compare)
    compare.add_argument(
        "--limit", type=int, metavar="N", help="only N objects, drawn at random, each time the same"
    )
    compare.add_argument(
        "--normalizer",
        choices=NORMALIZERS,
        help="normalizer of the errors (default: the first that `evaluate` prints)",
    )
    compare.add_argument(
        "--repeats", type=int, default=5, metavar="N", help="timed calls for each object (default: 5)"
    )
    compare.add_argument(
        "--gray", action="store_true", help="hand both models gray images, however they are in their files"
    )
    compare.add_argument("--json", metavar="FILE", help="write the figures to FILE, - for standard output")
    compare.add_argument("--plot", metavar="FILE", help="plot the curves of both models' errors (.png, .pdf)")
    compare.add_argument("--draw", metavar="FILE", help="picture the 12 faces where they differ most (.png)")
    compare.add_argument("--out", metavar="DIR", help="write all three to DIR")

    explain = commands.add_parser(
        "explain", help="picture where a model looks, and the shape after each stage"
    )
    explain.set_defaults(run=run_explain)
    explain.add_argument("model", metavar="MODEL", help="bundled model or model file")
    explain.add_argument("image", metavar="IMAGE", help="any picture that Pillow reads")
    explain.add_argument(
        "--box", type=_box, metavar="L,T,W,H", help="where the object is (default: the largest face found)"
    )
    explain.add_argument("--detector", default="auto", help="as for align")
    explain.add_argument(
        "--out", required=True, metavar="FILE", help=".png, .jpg: a sheet; .gif, .apng: stage after stage"
    )

    video = commands.add_parser(
        "video", help="follow the faces of a video: annotated copy, table of landmarks"
    )
    video.set_defaults(run=run_video)
    video.add_argument("video", metavar="VIDEO", help="any video that OpenCV reads")
    _add_tracking(video)

    webcam = commands.add_parser("webcam", help="follow the faces that a camera sees, in a window")
    webcam.set_defaults(run=run_webcam)
    webcam.add_argument("--camera", type=int, default=0, metavar="N", help="which camera (default: 0)")
    _add_tracking(webcam)

    convert = commands.add_parser("convert", help="convert a model (dlib's .dat, .ert) or annotations")
    convert.set_defaults(run=run_convert)
    convert.add_argument("source", metavar="SRC")
    convert.add_argument("destination", metavar="DST")
    convert.add_argument(
        "--exact", action="store_true", help="keep dlib's leaves as they are: a larger .ert, to the last bit"
    )
    convert.add_argument("--compress", action="store_true", help="half as large an .ert, slower to load")
    _add_dataset_options(convert, many=False)
    _add_part_order(convert)
    convert.add_argument("--to", choices=("pts", "tem", "ljson"), help="DST is a folder of such files")
    _add_images(convert)

    info = commands.add_parser("info", help="tell what is in a model file")
    info.set_defaults(run=run_info)
    info.add_argument("model", metavar="MODEL", help="bundled model or model file")
    info.add_argument("--json", metavar="FILE", help="write it to FILE, - for standard output")

    dataset = commands.add_parser("dataset", help="look into annotated images, split and mirror them")
    _add_dataset_commands(dataset.add_subparsers(required=True, metavar="COMMAND"))

    models = commands.add_parser("models", help="list the bundled models")
    models.set_defaults(run=run_models)

    demo = commands.add_parser("demo", help="run the bundled model on the bundled picture")
    demo.set_defaults(run=run_demo)
    demo.add_argument("--out", default="ert-demo", metavar="DIR", help="where to write (default: ert-demo)")

    warmup = commands.add_parser("warmup", help="compile all kernels now, as when a container is built")
    warmup.set_defaults(run=run_warmup)
    warmup.add_argument("--training", action="store_true", help="those of training as well")
    return parser


def _add_dataset_commands(commands: "argparse._SubParsersAction[_Parser]") -> None:
    info = commands.add_parser("info", help="count and measure what is in it")
    split = commands.add_parser("split", help="split it into parts or folds, by groups")
    mirror = commands.add_parser("mirror", help="write mirrored images and their annotations")
    check = commands.add_parser(
        "check",
        help="name what deserves a look",
        description="Name what deserves a look. Exit status 0 when nothing does, 1 when something does.",
    )
    show = commands.add_parser("show", help="write a contact sheet of objects and landmarks")
    for parser, run in (
        (info, run_dataset_info),
        (split, run_dataset_split),
        (mirror, run_dataset_mirror),
        (check, run_dataset_check),
        (show, run_dataset_show),
    ):
        parser.set_defaults(run=run)
        parser.add_argument("dataset", metavar="DATASET", help="annotations of any format that is read")
        _add_dataset_options(parser, many=False)
        _add_part_order(parser)
        parser.add_argument(
            "--images", metavar="DIR", help="where the images are, if not beside the annotations"
        )
    for parser in (info, check):
        parser.add_argument("--json", metavar="FILE", help="write it all to FILE, - for standard output")

    split.add_argument("--out", required=True, metavar="DIR", help="where to write a file for each part")
    split.add_argument(
        "--parts", metavar="NAME=FRACTION,...", help="default: train=0.8,test=0.2; they sum to 1"
    )
    split.add_argument(
        "--folds", type=int, metavar="N", help="in place of parts: fold0_train, fold0_test, ..."
    )
    split.add_argument(
        "--group",
        default="image",
        metavar="GROUP",
        help="what stays together: image (the default), folder, FILE.csv:COLUMN, or a regular expression "
        "whose first group in a file's name tells, as (.+)_[0-9]+; copies of an image always do",
    )
    split.add_argument("--seed", type=int, default=0, metavar="N", help="for another split (default: 0)")
    split.add_argument(
        "--to", default=".csv", metavar="SUFFIX", help=".csv (default, keeps everything), .xml, .json, .tps"
    )

    mirror.add_argument(
        "--out",
        required=True,
        metavar="FILE_OR_DIR",
        help="the annotations, with images in a folder named alike; or a folder for images and mirrored.csv",
    )
    mirror.add_argument(
        "--scheme", metavar="NAME", help="which landmarks change places: face68 (default: what is recognized)"
    )
    mirror.add_argument(
        "--map", metavar="I,J,...", help="for each landmark the number of that which takes its place, from 0"
    )

    show.add_argument("--out", required=True, metavar="FILE", help="the picture to write: .png, .jpg")
    show.add_argument("--n", type=int, default=24, metavar="N", help="how many objects (default: 24)")
    show.add_argument("--seed", type=int, default=0, metavar="N", help="for other objects (default: 0)")
    show.add_argument("--suspicious", action="store_true", help="those that check names, the worst first")


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


def _add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", metavar="DIR", help="where the images are, if not beside the annotations")


def _add_mode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mode",
        choices=("fast", "accurate"),
        default="fast",
        help="accurate: several initializations, a second pass, the mirror image; some five times slower",
    )


def _add_tracking(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="FILE", help="write an annotated video: .mp4, .mkv, .avi")
    parser.add_argument(
        "--csv", metavar="FILE", help="write a row for each face of a frame: frame,time,id,left,...,x0,y0,..."
    )
    parser.add_argument("--model", default="face68", help="bundled model or model file (default: face68)")
    parser.add_argument("--detector", default="auto", help="as for align")
    parser.add_argument(
        "--detect-every",
        type=float,
        default=3.0,
        metavar="SECONDS",
        help="between runs of the detector while no face is lost (default: 3)",
    )
    parser.add_argument(
        "--detect-size",
        type=int,
        default=320,
        metavar="PIXELS",
        help="longest side of the copy that the detector sees; larger finds smaller faces (default: 320)",
    )
    parser.add_argument("--max-faces", type=int, metavar="N", help="follow no more than N, the largest first")
    parser.add_argument("--raw", action="store_true", help="landmarks of each frame alone, not made steady")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after so much of it")


def _add_part_order(parser: argparse.ArgumentParser, default: str | None = "natural") -> None:
    parser.add_argument(
        "--part-order",
        choices=("natural", "dlib"),
        default=default,
        help="order of an imglab file's parts: 2 before 10 (natural), or as dlib has them, 10 before 2 (the "
        "default to train a .dat)",
    )


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    """Offer the estimator's parameters as options, with its defaults."""
    from ert.predictor import ShapePredictor

    texts = _parameter_texts(ShapePredictor.__doc__ or "")
    group = parser.add_argument_group("parameters of the predictor, see ert.ShapePredictor")
    for name, parameter in inspect.signature(ShapePredictor.__init__).parameters.items():
        if name in ("self", "verbose", "channels"):
            continue
        # None tells no type.
        unset = float if name == "max_memory" else str
        kind = unset if parameter.default is None else type(parameter.default)
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
