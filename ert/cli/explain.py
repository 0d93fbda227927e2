"""``ert explain``: draw which pixels a model compares, and the shape after each stage."""

import argparse

from ert._core.exceptions import InputError
from ert._core.files import claim
from ert.cli import common
from ert.cli.parser import Parser
from ert.evaluation.explanation import check_explanation_file, explain, save_explanation
from ert.faces.detection import detect_faces
from ert.predictor import load


def add_explain_options(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("model", metavar="MODEL", help=common.MODEL_HELP)
    parser.add_argument("image", metavar="IMAGE", help="image file")
    common.add_box(parser, "the largest face detected")
    common.add_detector(parser)
    common.add_reading(parser)
    out = ".png or .jpg for a contact sheet; .gif or .apng for an animation of the stages"
    parser.add_argument("--out", required=True, metavar="FILE", help=out)
    common.add_force(parser)


def run_explain(options: argparse.Namespace) -> int:
    """Draw which pixels a model compares, and the shape after each stage.

    ert explain face68 photo.jpg --out sheet.png
    ert explain face68 photo.jpg --box 120,80,200,200 --out stages.gif
    """
    model = load(options.model)
    check_explanation_file(options.out)
    claim(options.out, "image", "--out")
    image = common.read_image(options.image, options)
    box = options.box
    if box is None:
        boxes = detect_faces(image, options.detector)
        if not len(boxes):
            raise InputError(f"{options.image}: no face found, expected one or --box L,T,W,H")
        box = boxes[0]
    explanation = explain(model, image, box, channel_order="rgb", what=str(options.image))
    save_explanation(options.out, image, box, explanation)
    moved = abs(explanation.shapes[-1] - explanation.shapes[0]).max()
    n_pairs = int(explanation.reads.sum()) // 2
    place = ",".join(f"{number:.0f}" for number in box)
    common.log(
        f"{options.image}: box {place}, {n_pairs} pairs of pixels compared, "
        f"landmarks moved by up to {moved:.1f} px -> {options.out}"
    )
    return 0
