"""The examples as sphinx-gallery needs them.

They are plain scripts that write pictures and tables to the working directory, so the gallery runs copies, which lie in
a folder for each section.
"""

import builtins
import shutil
from pathlib import Path

from PIL import Image, ImageOps
from sphinx_gallery.scrapers import figure_rst

DOCS = Path(__file__).resolve().parent
EXAMPLES = DOCS.parent / "examples"
COPIES = DOCS / "generated" / "examples"

HEADER = """\
Examples
========

Each example is a script that runs as it is, in a clone of the repository: ``python examples/group_photo.py``. Most of
those about faces take a photo of yours as an argument. The portraits and the painting are in the public domain; all
other pictures are drawn by the examples.
"""

# The examples of each section, in their order.
SECTIONS = {
    "faces": (
        "Faces",
        "Find faces, locate their landmarks, and use them.",
        "align_photo group_photo turned_faces occlusion head_pose face_tables average_face morph sunglasses",
    ),
    "objects": (
        "Your own object",
        "Train a model of your own landmarks and measure with it.",
        "custom_object hand_xray train_your_own learning_curve",
    ),
    "video": ("Video", "Follow faces over time.", "video_tracking drowsiness_alarm"),
    "other": (
        "Other programs",
        "Use models in scripts for dlib, in other libraries and over HTTP.",
        "dlib_drop_in supervision_keypoints service",
    ),
    "method": ("How it works", "Look inside a model.", "explanation walk_through"),
}
ORDER = [f"{name}.py" for _, _, names in SECTIONS.values() for name in names.split()]

# What thumbnails show of the first picture of an example: left, top, right and bottom as shares of its sides.
THUMBNAIL_PARTS = {
    "align_photo": (0.03, 0.1, 0.97, 0.76),
    "group_photo": (0, 0.03, 0.66, 0.95),
    "turned_faces": (0, 0, 0.75, 1),
    "occlusion": (0.02, 0.55, 0.485, 0.9),
    "head_pose": (0.01, 0.04, 0.33, 0.4),
    "face_tables": (0.05, 0.14, 0.95, 0.77),
    "average_face": (0.76, 0.1, 0.99, 0.8),
    "sunglasses": (0.34, 0, 0.98, 0.9),
    "custom_object": (0, 0, 0.5, 0.5),
    "hand_xray": (0.333, 0.1, 0.667, 0.8),
    "train_your_own": (0, 0, 0.75, 0.97),
    "drowsiness_alarm": (0, 0.1, 1, 0.8),
    "dlib_drop_in": (0.05, 0.1, 0.95, 0.8),
    "supervision_keypoints": (0.03, 0.1, 0.97, 0.76),
    "service": (0.03, 0.12, 0.97, 0.78),
    "explanation": (0.5, 0.1, 1, 0.9),
}
# The frames of animations that thumbnails show; else the last one.
THUMBNAIL_FRAMES = {"morph": 4, "video_tracking": 8}


def copy_examples():
    """Copy the examples, each to the folder of its section."""
    shutil.rmtree(COPIES, ignore_errors=True)
    COPIES.mkdir(parents=True)
    (COPIES / "GALLERY_HEADER.rst").write_text(HEADER)
    for folder, (title, text, names) in SECTIONS.items():
        pictures = COPIES / folder / "pictures"
        shutil.copytree(EXAMPLES / "pictures", pictures, ignore=shutil.ignore_patterns("*.py"))
        (COPIES / folder / "GALLERY_HEADER.rst").write_text(f"{title}\n{len(title) * '-'}\n\n{text}\n")
        for name in names.split():
            shutil.copy(EXAMPLES / f"{name}.py", COPIES / folder)


def section_folders():
    """Return the folders of the sections relative to that of the configuration, in their order."""
    return [str((COPIES / folder).relative_to(DOCS)) for folder in SECTIONS]


def example_position(filename):
    """Return the position of an example within its section."""
    return ORDER.index(Path(filename).name)


def set_file(gallery_conf, example, when):
    """Set `__file__`, beside which the pictures are, while an example runs: sphinx-gallery does not."""
    if example is not None and when == "before":
        builtins.__file__ = str(next(COPIES.rglob(Path(example).name)))
    elif hasattr(builtins, "__file__"):
        del builtins.__file__


def thumbnail(picture, example):
    """Return the part of a picture that represents its example in the gallery."""
    left, top, right, bottom = THUMBNAIL_PARTS.get(example, (0, 0, 1, 1))
    width, height = picture.size
    part = picture.convert("RGB").crop((left * width, top * height, right * width, bottom * height))
    return ImageOps.fit(part, (800, 560), Image.Resampling.LANCZOS)


def written_pictures(block, block_vars, gallery_conf):
    """Return the reStructuredText that shows the pictures and animations that an example has written."""
    source = Path(block_vars["src_file"])
    title = source.read_text().splitlines()[1]
    pictures = []
    for path in sorted([*source.parent.rglob("*.png"), *source.parent.rglob("*.gif")]):
        target = Path(next(block_vars["image_path_iterator"]))
        with Image.open(path) as picture:
            if path.suffix == ".gif":
                target = target.with_suffix(".gif")
                shutil.copy(path, target)
                picture.seek(THUMBNAIL_FRAMES.get(source.stem, picture.n_frames - 1))
            elif picture.width * picture.height < 2 * path.stat().st_size:
                # A photo, which is much smaller as a JPEG. Charts have fewer bytes than pixels.
                target = target.with_suffix(".jpg")
                picture.convert("RGB").save(target, quality=88)
            else:
                shutil.copy(path, target)
            if target.suffix != ".png":
                # For the thumbnail, which does not move, sphinx-gallery takes the PNG of the same name.
                thumbnail(picture, source.stem).save(target.with_suffix(".png"))
        path.unlink()
        # One below the other.
        pictures.append(figure_rst([str(target)], gallery_conf["src_dir"], title))
    return "\n".join(pictures)
