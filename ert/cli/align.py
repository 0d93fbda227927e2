"""``ert align`` and ``ert demo``: find faces in images and locate their landmarks."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ert._core.exceptions import InputError, counted
from ert._core.files import claim, sample_image
from ert._core.images import image_size
from ert._core.runtime import count_threads
from ert._core.threads import map_in_threads
from ert.cli import common
from ert.cli.main import main
from ert.cli.parser import Parser
from ert.faces.align import AlignedFace, align
from ert.faces.detection import detect_faces
from ert.inference.mode import PredictionMode
from ert.inference.validation import fits_as_corners, warn_of_corners
from ert.inference.warm_up import prepare
from ert.model.fitted import OBJECT_SOURCES
from ert.pipeline.inputs import Item
from ert.pipeline.predict import Prediction, Request, locate_objects
from ert.plotting.landmarks import draw_landmarks, save_image
from ert.predictor import ShapePredictor, load


def add_align_options(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="image files")
    common.add_model(parser)
    common.add_box(parser, "the faces are detected")
    common.add_detector(parser)
    common.add_reading(parser)
    add("--any-roll", action="store_true", help="also find faces rotated by any angle")
    common.add_mode(parser)
    common.add_json(parser, "the landmarks")
    add("--draw", metavar="DIR", help="write images with the landmarks drawn to DIR, small images enlarged")
    std = "draw around each landmark the circle that contains the true one with a probability of 90 percent"
    add("--show-std", action="store_true", help=std)
    confidence = "leave out faces of less confidence, 0 to 1 (default: 0)"
    add("--min-confidence", type=float, default=0.0, metavar="P", help=confidence)
    common.add_jobs(parser)
    common.add_force(parser)


def run_align(options: argparse.Namespace) -> int:
    """Find faces in images and locate their landmarks.

    With a model that was trained on whole images or has a locator, its objects are found in place of faces.

    ert align photo.jpg --draw out
    ert align *.jpg --mode accurate --json landmarks.json
    """
    if not 0 <= options.min_confidence <= 1:
        raise InputError(f"--min-confidence {options.min_confidence:g}: expected 0 to 1")
    n_threads = min(count_threads(options.jobs), len(options.images))
    # Those that do not share the images share the faces of the only one.
    model = load(options.model).set_params(n_jobs=1 if n_threads > 1 else options.jobs)
    if model.confidence_model_ is None and (options.min_confidence or options.show_std):
        raise InputError(f"{options.model}: has no confidence model, which --min-confidence and --show-std need")
    mode = common.prediction_mode(options, model)
    if not _finds_objects(options, model) and options.box is None:
        # Raises an error where there is no such detector.
        detect_faces(np.zeros((64, 64), np.uint8), options.detector)
    common.check_json_file(options.json)
    pictures = {} if options.draw is None else picture_paths(options.images, options.draw)
    for file, picture in pictures.items():
        claim(picture, "image", f"--draw of {file}")
    results: list[dict[str, Any]] = []

    def align_image(file: str) -> tuple[dict[str, Any], list[str]]:
        with common.held_back() as lines:
            try:
                return _align_image(file, model, mode, options, pictures.get(file)), lines
            except InputError as error:
                # The other images are still processed.
                return {"file": file, "error": str(error)}, [*lines, f"ert: {error}"]

    try:
        prepare(model.fitted_, len(options.images), mode, 180.0 if options.any_roll else None)
        if options.box is not None:
            # Asked once: before the work, not by the thread that is first.
            _ask_about_corners(options)
        with ExitStack() as stack:
            if model.box_source_ == "learned":
                from threadpoolctl import threadpool_limits

                # More threads of a locator's products would change its last digits.
                stack.enter_context(threadpool_limits(1))
            aligned = map_in_threads(align_image, options.images, n_threads)
            for result, lines in common.with_progress(aligned, len(options.images), "image"):
                for line in lines:
                    common.log(line)
                results.append(result)
    finally:
        # An interrupted run keeps its results.
        if options.json:
            names = list(model.landmark_names_)
            common.write_json({"model": str(options.model), "landmark_names": names, "images": results}, options.json)
    return 2 if any("error" in result for result in results) else 0


def picture_paths(images: Sequence[str], folder: str, suffix: str = ".png") -> dict[str, Path]:
    """Name the picture of each image after its stem, with a number where two images share one; create the folder."""
    common.make_folder(folder)
    paths: dict[str, Path] = {}
    taken: set[str] = set()
    for image in dict.fromkeys(images):
        stem, number = Path(image).stem, 1
        name = f"{stem}_landmarks{suffix}"
        # Not all systems distinguish upper and lower case.
        while name.lower() in taken:
            number += 1
            name = f"{stem}_landmarks_{number}{suffix}"
        taken.add(name.lower())
        paths[image] = Path(folder, name)
    return paths


def _ask_about_corners(options: argparse.Namespace) -> None:
    for file in options.images:
        with suppress(InputError):
            size = image_size(common.path_as_asked(file, options))
            if fits_as_corners(options.box, *size):
                warn_of_corners(options.box, *size)
                return


def _align_image(
    file: str, model: ShapePredictor, mode: PredictionMode, options: argparse.Namespace, picture: Path | None
) -> dict[str, Any]:
    image = common.read_image(file, options)
    what = "face"
    faces: Sequence[AlignedFace | Prediction]
    if _finds_objects(options, model):
        what = "object"
        request = Request(model, mode, model.box_source_, min_confidence=options.min_confidence or None)
        faces = list(locate_objects(request, Item(Path(file), Path(file).stem), image, file))
    else:
        faces = align(
            image,
            model,
            mode=mode,
            boxes=None if options.box is None else [options.box],
            detector=options.detector,
            any_roll=options.any_roll,
            min_confidence=options.min_confidence,
            what=file,
        )
    if picture is not None:
        radii = [face.std * model.std_radius() for face in faces if face.std is not None] if options.show_std else None
        drawn = draw_landmarks(image, [face.landmarks for face in faces], [face.box for face in faces], radii=radii)
        save_image(picture, drawn)
    if faces:
        found = f"{counted(len(faces), what)}: {', '.join(map(_describe, faces))}"
    elif what == "face":
        found = "no face found (try --any-roll for rotated faces, another --detector, or give a --box)"
    else:
        found = "no object found"
    common.log(f"{file}: {found}" + (f" -> {picture}" if picture else ""))
    rows, columns = image.shape[:2]
    return {"file": file, "width": columns, "height": rows, "faces": [_face_entry(face) for face in faces]}


def _finds_objects(options: argparse.Namespace, model: ShapePredictor) -> bool:
    """Return whether the model's own objects are found, in place of faces."""
    return options.box is None and not options.any_roll and model.box_source_ in OBJECT_SOURCES


def _describe(face: AlignedFace | Prediction) -> str:
    box = "box " + ",".join(f"{number:.0f}" for number in face.box)
    return box if face.confidence is None else f"{box} ({face.confidence:.2f})"


def _face_entry(face: AlignedFace | Prediction) -> dict[str, Any]:
    entry: dict[str, Any] = {
        # Where the landmarks come from: with fewer decimals they can be others.
        "box": face.box.round(6).tolist(),
        "roll": round(face.roll, 6),
        "landmarks": face.landmarks.round(3).tolist(),
    }
    if face.std is not None:
        entry["std"] = face.std.round(3).tolist()
    if face.confidence is not None:
        entry["confidence"] = round(face.confidence, 4)
    return entry


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
