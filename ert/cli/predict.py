"""``ert predict``: the landmarks of many photographs in a table."""

import argparse
import logging
import os
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ert._core.exceptions import InputError, counted
from ert._core.files import bundled_models, claim, is_stream, protect
from ert._core.runtime import count_threads
from ert._core.types import Pixels
from ert.cli import common
from ert.cli.align import picture_paths
from ert.cli.parser import Parser
from ert.datasets.formats import load_dataset
from ert.datasets.parsing import check_name, first_duplicate, quoted
from ert.datasets.points import read_scale
from ert.faces.detection import reduce_image
from ert.inference.locator import LIKELY_CONFIDENCE
from ert.pipeline.cluster.run import FORMATS, IMAGES_PER_PART, predict_on_cluster, predict_photos_on_cluster
from ert.pipeline.cluster.stores import is_url
from ert.pipeline.inputs import Inputs, Item
from ert.pipeline.outputs import OUTPUT_FORMATS, check_pts, choose_output, image_key, images_in, pts_file, write_photos
from ert.pipeline.part import Columns, PartFile, adds_to_output, part_path, table_columns
from ert.pipeline.predict import DEFAULT_MODE, Photo, Request, choose_request, predict_photos
from ert.pipeline.validate import count_trained_on
from ert.plotting.landmarks import draw_landmarks, save_image
from ert.predictor import ShapePredictor, load

# More images that could not be used are only listed in files.
MAX_FAULTS = 20
# Larger pictures are reduced: they are looked at, not measured.
MAX_PICTURE_PIXELS = 1600


def add_predict_options(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("model", metavar="MODEL", help=common.MODEL_HELP)
    text = "image files, folders, patterns such as 'photos/*.jpg', @list.txt (a path in each line, relative to "
    text += "the list), or annotations whose images are taken: .xml, .csv, .tps, .json or .txt"
    add("images", nargs="+", metavar="IMAGE", help=text)
    out = "the landmarks: .csv, .tps (with ID and SCALE), .jsonl (JSON Lines), .json (COCO), .xml (imglab), .parquet; "
    add("--out", required=True, metavar="FILE", help=out + "or a folder, with --format pts")
    add("--format", choices=tuple(OUTPUT_FORMATS), help="format of the output (default: that of the suffix)")
    add("--long", action="store_true", help="write .csv with a row for each landmark in place of each object")
    add("--resume", action="store_true", help="go on with an interrupted run, or add images to a finished output")
    add("--recursive", action="store_true", help="also take the images in subfolders of folders")
    boxes = parser.add_argument_group("objects").add_argument
    source = (
        "auto: boxes that are given, else as the model was trained; whole: the whole image; given: --box, --boxes, "
    )
    source += "or the boxes of annotations; learned: the locator in the model; face: a face detector (default: auto)"
    common.add_box_from(parser, source)
    boxes(
        "--box",
        type=common.parse_box,
        metavar="L,T,W,H",
        help="left, top, width and height of the object in all images",
    )
    table = "read the boxes from a CSV file, columns image, PREFIX_left, PREFIX_top, PREFIX_width, ...; or image: the "
    boxes("--boxes", metavar="CSV:PREFIX", help=table + "whole image is the box")
    boxes("--max-objects", type=int, metavar="N", help="most objects in an image (default: 1, or all faces)")
    confidence = (
        "leave out objects of less confidence, 0 to 1 (default: 0; with a locator 0.1, or 0.5 for several objects)"
    )
    boxes("--min-confidence", type=float, metavar="P", help=confidence)
    boxes("--detector", default="auto", metavar="NAME", help="face detector, as for ert align (default: auto)")
    scale = "length of a pixel, for instance in mm; or a table with a column image, specimen or id, and this column"
    add("--scale", metavar="LENGTH|CSV:COLUMN", help=scale)
    add("--images", metavar="DIR", dest="image_folder", help="folder of the images of annotations or tables")
    exif = "read images with a turn noted in them (EXIF) as stored or upright (default: upright; those of annotations "
    add("--exif", choices=("stored", "upright"), help=exif + "as they were annotated)")
    common.add_levels(add)
    common.add_mode(parser, DEFAULT_MODE)
    draw = f"write pictures of at most {MAX_PICTURE_PIXELS} pixels a side with the landmarks drawn to DIR"
    add("--draw", metavar="DIR", help=draw)
    std = "draw around each landmark the circle that contains the true one with a probability of 90 percent"
    add("--show-std", action="store_true", help=std)
    common.add_jobs(parser)
    cluster = parser.add_argument_group("many machines").add_argument
    text = "predict on the workers of a Dask cluster: the address of its scheduler, such as tcp://10.0.0.1:8786, or "
    text += "local:N for N processes of this machine. Where --out is a folder or a URL, workers write a file in it for "
    text += "each N images, Parquet or --format tps, and images may be URLs such as s3://bucket/photos"
    cluster("--cluster", metavar="ADDRESS|local:N", help=text)
    text = f"images of each of these files (default: {IMAGES_PER_PART})"
    cluster("--images-per-part", type=int, default=IMAGES_PER_PART, metavar="N", help=text)
    common.add_force(parser)


def run_predict(options: argparse.Namespace) -> int:
    """Locate the landmarks in many photographs and write them to a table.

    The objects are found in the way that the model was trained for. A photograph that cannot be read is reported and
    passed over, and the exit status is then 2. One without an object has a row with empty cells in a table, and is left
    out of other formats.

    Results are kept in FILE.part until the output is written, so that --resume goes on after an interrupt. To a
    finished .csv, .tps, .jsonl or folder of .pts, --resume adds the images that are not in it. A file that exists is
    replaced only with --force.

    With --cluster and a folder as --out, any number of photographs is predicted by the processes of one machine or of
    many, part by part; --resume goes on with the parts that are not finished. See docs/cluster.md.

    ert predict wings.ert 'photos/*.jpg' --out predicted.tps --draw pictures
    ert predict wings.ert photos --recursive --out predicted --cluster local:4
    """
    if options.cluster is not None and _is_folder_of_parts(options):
        return _run_in_parts(options)
    if options.long and options.format not in (None, "long"):
        raise InputError(f"--long and --format {options.format}: expected one of them")
    out, format = Path(options.out), choose_output(options.out, "long" if options.long else options.format)
    to_stream = is_stream(out) and not out.is_dir()
    if options.resume and to_stream:
        raise InputError(f"{out}: is no file, expected one with --resume")
    count_threads(options.jobs)
    model = load(options.model)
    if options.show_std and model.confidence_model_ is None:
        raise InputError(f"{options.model}: has no confidence model, which --show-std needs")
    for name in model.landmark_names_:
        check_name(name, "a table")
    inputs = _read_inputs(options, out)
    items = inputs.items.values()
    protect(item.file for item in items)
    if format == "pts":
        if options.max_objects not in (None, 1):
            raise InputError(f"--max-objects {options.max_objects}: expected 1, a .pts file holds one object")
        options.max_objects = 1
    request = _choose_request(options, model, inputs)
    if format == "pts":
        check_pts(out, ((item, len(item.boxes) if request.box_from == "given" else 1) for item in items))
    else:
        claim(out, OUTPUT_FORMATS[format].kind, "--out")
    if not options.force:
        if not options.resume and not os.path.exists(part_path(out)):
            _refuse_results(out, format, items)
        _refuse_training_data(out, model)
    columns = table_columns(request, any(item.scale is not None for item in items))
    if options.cluster is not None and options.draw is not None:
        raise InputError("--draw: cannot be used with --cluster")
    if options.draw is not None:
        request = request._replace(look=_picture_writer(options, items, model))
    with ExitStack() as stack:
        part_file = part_path(out)
        if to_stream:
            part_file = Path(stack.enter_context(TemporaryDirectory(prefix="ert-")), "results.part")
        claim(part_file, "part", "the results of --out")
        add = options.resume and adds_to_output(part_file, _is_finished(out, format))
        finished = _finished_images(out, format, columns, items) if add else set()
        part = stack.enter_context(PartFile(part_file, _digest(options), columns, resume=options.resume, add=add))
        left = [item for key, item in inputs.items.items() if key not in part.done and image_key(key) not in finished]
        try:
            n_faults = _run(options, request, left, part) + len(inputs.faults)
            if part.done:
                write_photos(out, format, lambda: _without(finished, part.photos()), columns, add=add)
        except KeyboardInterrupt:
            if part.done and not to_stream:
                common.log(f"ert: {len(part.done)} images are in {part_file}; the same command with --resume goes on")
            raise
        _log_summary(options.out, part, len(items) - len(left), n_faults)
        part.discard()
    return 2 if n_faults else 0


def _is_folder_of_parts(options: argparse.Namespace) -> bool:
    """Return whether workers write the results, not this process."""
    is_folder = is_url(options.out) or os.path.isdir(options.out) or not Path(options.out).suffix
    return is_folder and not options.long and options.format in (None, *FORMATS)


def _run_in_parts(options: argparse.Namespace) -> int:
    """Predict on a cluster whose workers write files into a folder."""
    for name in ("draw", "boxes", "image_folder", "show_std"):
        if getattr(options, name) and (name, options.boxes) != ("boxes", "image"):
            option = {"image_folder": "images"}.get(name, name.replace("_", "-"))
            raise InputError(f"--{option}: cannot be used with --cluster and a folder; give a file as --out")
    scale = None if options.scale is None else read_scale(options.scale, "--scale")
    model = load(options.model)
    with _quiet_cluster(), common.progress(None, "image") as update, _interrupt_notice(options.out):
        found = predict_on_cluster(
            options.model,
            options.images,
            options.out,
            cluster=options.cluster,
            format=options.format or FORMATS[0],
            images_per_part=options.images_per_part,
            box=options.box,
            box_from=_box_source(options),
            mode=common.prediction_mode(options, model),
            max_objects=options.max_objects,
            min_confidence=options.min_confidence,
            detector=options.detector,
            scale=scale,
            recursive=options.recursive,
            stored=options.exif == "stored",
            levels=options.levels,
            resume=options.resume,
            on_error=_fault_logger(options.out),
            on_progress=update,
            on_start=_log_cluster,
        )
    text = f"{options.out}: {counted(found.n_parts, 'file')}, {counted(found.n_objects, 'object')} in "
    text += counted(found.n_images, "image")
    text += f", nothing found in {found.n_empty}" if found.n_empty else ""
    text += f", {found.n_unlikely} of confidence below {LIKELY_CONFIDENCE:g}" if found.n_unlikely else ""
    before, verb = counted(found.n_parts_before, "file"), "was" if found.n_parts_before == 1 else "were"
    text += f"; {before} {verb} there before" if found.n_parts_before else ""
    text += f"; {found.n_faults} could not be used" if found.n_faults else ""
    common.log(text)
    return 2 if found.n_faults else 0


def _log_cluster(client: Any) -> None:
    from ert.pipeline.cluster.client import address, wait_for_workers

    n = wait_for_workers(client)
    common.log(f"ert: cluster {address(client)}, {counted(n, 'thread')}; its dashboard: {client.dashboard_link}")


@contextmanager
def _interrupt_notice(out: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        common.log(f"ert: finished parts are in {out}; the same command with --resume goes on")
        raise


@contextmanager
def _quiet_cluster() -> Iterator[None]:
    """Keep Dask's own messages back: what matters to the user is told in one line."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _fault_logger(out: str) -> Callable[[str], None]:
    """Return a function that prints the first images that could not be used: there may be millions."""
    n = 0

    def report(message: str) -> None:
        nonlocal n
        n += 1
        if n <= MAX_FAULTS:
            common.log(f"ert: {message}")
        if n == MAX_FAULTS:
            common.log(f"ert: further ones are listed in {out}/_part-*.errors.txt")

    return report


def _read_inputs(options: argparse.Namespace, out: Path) -> Inputs:
    inputs = Inputs(options.recursive, options.image_folder, options.exif, options.levels).add(options.images)
    if options.box is not None and options.boxes is not None:
        raise InputError("--box and --boxes: expected one of them")
    inputs.leave_out_names(out.parent)
    if not inputs.items:
        raise InputError(inputs.faults[0] if len(inputs.faults) == 1 else f"no images; {'; '.join(inputs.faults)}")
    for line in inputs.faults:
        common.log(f"ert: {line}")
    for line in inputs.notes:
        common.log(line)
    twin = first_duplicate(item.specimen for item in inputs.items.values())
    if twin is not None:
        common.log(f"several images have the specimen name {quoted(twin)}: the column image tells them apart")
    if options.boxes not in (None, "image") or options.box is not None:
        inputs.give_boxes(options.boxes if options.box is None else options.box)
    if options.scale is not None:
        inputs.give_scales(options.scale)
    return inputs


def _box_source(options: argparse.Namespace) -> str:
    source = str(options.box_from)
    if options.boxes == "image":
        if source not in ("auto", "whole"):
            raise InputError(f"--boxes image and --box-from {options.box_from}: expected one of them")
        source = "whole"
    if _are_boxes_given(options) and source not in ("auto", "given"):
        raise InputError(f"--box-from {options.box_from}: expected none with --box or --boxes")
    return source


def _are_boxes_given(options: argparse.Namespace) -> bool:
    return options.box is not None or options.boxes not in (None, "image")


def _choose_request(options: argparse.Namespace, model: ShapePredictor, inputs: Inputs) -> Request:
    return choose_request(
        model,
        inputs,
        box_from=_box_source(options),
        boxes_given=_are_boxes_given(options),
        mode=common.prediction_mode(options, model),
        max_objects=options.max_objects,
        min_confidence=options.min_confidence,
        detector=options.detector,
    )


def _refuse_results(out: Path, format: str, items: Iterable[Item]) -> None:
    """Raise InputError where a file would be replaced: annotations, or predictions that somebody has corrected."""
    existing = (pts_file(out, item) for item in items) if format == "pts" else () if is_stream(out) else (out,)
    for path in existing:
        if path.is_file() and path.stat().st_size:
            raise InputError(f"{path}: exists: expected another name, --force to replace it, or --resume to add to it")


def _refuse_training_data(out: Path, model: ShapePredictor) -> None:
    """Raise if the output would replace annotations that the model was trained on."""
    try:
        n = 0 if is_stream(out) or not out.exists() else count_trained_on(model, load_dataset(out))
    except InputError:
        return
    if n:
        raise InputError(f"{out}: holds annotations that the model was trained on, expected another name or --force")


def _is_finished(out: Path, format: str) -> bool:
    return out.is_dir() if format == "pts" else out.is_file() and out.stat().st_size > 0


def _finished_images(out: Path, format: str, columns: Columns, items: Iterable[Item]) -> set[str]:
    if format == "pts":
        return {image_key(item.file) for item in items if pts_file(out, item).is_file()}
    return images_in(out, format, columns)


def _without(finished: Container[str], photos: Iterator[Photo]) -> Iterator[Photo]:
    """Yield what is not in the output yet: of a run that was killed after it was written, all is."""
    return (photo for photo in photos if image_key(photo.item.file) not in finished)


def _digest(options: argparse.Namespace) -> str:
    """Return what results depend on besides the image: the model, and the options that change landmarks."""
    model = bundled_models().get(options.model, Path(options.model))
    digest = blake2b(model.read_bytes(), digest_size=16)
    names = ("mode", "inits", "box_from", "box", "boxes", "max_objects", "min_confidence", "detector", "scale", "exif")
    digest.update(repr([getattr(options, name) for name in (*names, "levels")]).encode())
    for table in (options.boxes, options.scale):
        file = Path((table or "").rpartition(":")[0])
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _run(options: argparse.Namespace, request: Request, left: list[Item], part: PartFile) -> int:
    """Predict images, and keep and report what is found; return how many could not be used."""
    with ExitStack() as stack:
        if options.cluster is None:
            photos = predict_photos(request, left, options.jobs)
        else:
            stack.enter_context(_quiet_cluster())
            photos = predict_photos_on_cluster(options.cluster, options.model, request, left, _log_cluster)
        n_faults = _keep(photos, len(left), part)
    return n_faults


def _keep(photos: Iterator[Photo], n: int, part: PartFile) -> int:
    n_faults = 0
    for photo in common.with_progress(photos, n, "image"):
        if photo.fault is not None:
            # The other images are still predicted.
            common.log(f"ert: {photo.fault}")
            n_faults += 1
            continue
        if not photo.objects:
            common.log(f"{photo.item.file}: nothing found")
        part.add(photo)
    return n_faults


def _picture_writer(options: argparse.Namespace, items: Iterable[Item], model: ShapePredictor) -> Any:
    """Return a function that draws what was found in an image and writes the picture."""
    pictures = picture_paths([os.fspath(item.file) for item in items], options.draw, ".jpg")
    for file, picture in pictures.items():
        claim(picture, "image", f"--draw of {file}")
    radius = model.std_radius() if options.show_std else 0.0

    def write(image: Pixels, photo: Photo) -> None:
        small = reduce_image(image, MAX_PICTURE_PIXELS)
        scale = np.array(small.shape[1::-1]) / image.shape[1::-1]
        shapes = [(found.landmarks + 0.5) * scale - 0.5 for found in photo.objects]
        radii = [found.std * radius * scale.mean() for found in photo.objects if found.std is not None]
        # A box around all, or around an object that is turned in it, shows nothing.
        shown = [found.box for found in photo.objects if not found.roll and tuple(found.box[2:]) != photo.size]
        boxes = np.reshape(shown, (-1, 4)) * np.tile(scale, 2)
        drawn = draw_landmarks(small, shapes, boxes, radii=radii if options.show_std else None)
        save_image(pictures[os.fspath(photo.item.file)], drawn)

    return write


def _log_summary(out: str, part: PartFile, n_before: int, n_faults: int) -> None:
    n_objects = n_empty = 0
    n_low, first_low = 0, Path()
    for photo in part.photos():
        n_objects += len(photo.objects)
        n_empty += not photo.objects
        for found in photo.objects:
            if found.confidence is not None and found.confidence < LIKELY_CONFIDENCE:
                first_low = first_low if n_low else photo.item.file
                n_low += 1
    text = (
        f"{out}: {counted(n_objects, 'object')} in {counted(len(part.done), 'image')}"
        if part.done
        else f"{out}: nothing to write"
    )
    text += f", nothing found in {n_empty}" if n_empty else ""
    text += f", {n_low} of confidence below {LIKELY_CONFIDENCE:g} (first: {first_low})" if n_low else ""
    text += f"; {n_before} were there before" if n_before else ""
    text += f"; {n_faults} could not be used" if n_faults else ""
    common.log(text)
