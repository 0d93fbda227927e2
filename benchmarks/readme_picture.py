"""Draw docs/faces.jpg, the picture of the README: three portraits, one rotated, a drawn wing and drawn X-rays.

python benchmarks/readme_picture.py

The objects are those of examples/custom_object.py and examples/hand_xray.py, which train their models.
"""

import contextlib
import os
import runpy
import sys
import tempfile

import common
import numpy as np
from PIL import Image, ImageOps

PICTURE = common.ROOT / "docs" / "faces.jpg"
EXAMPLES = common.ROOT / "examples"
FACE, GAP = 396, 8
HEIGHT, WING_WIDTH, HAND_WIDTH = 300, 640, 274  # of the objects
ROLL_DEGREES = -35


def panel(image, landmarks, size, margin=0.3):
    """Return a square of size pixels around a face, enlarged before the landmarks are drawn."""
    from ert.plotting.landmarks import draw_landmarks

    center = (landmarks.max(axis=0) + landmarks.min(axis=0)) / 2
    half = (0.5 + margin) * np.ptp(landmarks, axis=0).max()
    corner = center - half
    # PIL's coordinates begin at the corner of the first pixel, those of landmarks at its center.
    area = (*(corner + 0.5), *(center + half + 0.5))
    whole = Image.fromarray(image).convert("RGB")
    crop = whole.transform((size, size), Image.Transform.EXTENT, area, Image.Resampling.BICUBIC)
    return draw_landmarks(np.asarray(crop), [(landmarks - corner) * size / (2 * half)], min_size=size)


def faces():
    """Yield images and the landmarks that face68 locates in them."""
    import ert

    pictures = EXAMPLES / "pictures"
    for photo, roll in (
        (ert.sample_image(), 0),
        (pictures / "hopper.jpg", 0),
        (pictures / "mona_lisa.jpg", ROLL_DEGREES),
    ):
        image = ert.load_image(photo)
        if roll:
            image = np.array(Image.fromarray(image).rotate(-roll, Image.Resampling.BICUBIC, center=(180, 150)))
        found = ert.align(image, any_roll=bool(roll), mode="accurate", min_confidence=0.5)
        yield image, found[0].landmarks


def run_example(name):
    """Run an example in an empty folder, without its output; return its pictures."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), open(os.devnull, "w") as nowhere:
        sys.argv = [name]
        with contextlib.redirect_stdout(nowhere):
            return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")["pictures"]


def main():
    sheet = Image.new("RGB", (3 * FACE + 2 * GAP, FACE + GAP + HEIGHT), "white")
    for number, (image, landmarks) in enumerate(faces()):
        sheet.paste(Image.fromarray(panel(image, landmarks, FACE)), (number * (FACE + GAP), 0))
    # Parts of the pictures, without the lines of text.
    wing = Image.fromarray(run_example("custom_object")[0]).crop((10, 55, 714, 385))
    hands = [Image.fromarray(hand).crop((50, 50, 540, 586)) for hand in run_example("hand_xray")[:2]]
    left = 0
    for picture, width in ((wing, WING_WIDTH), (hands[0], HAND_WIDTH), (hands[1], HAND_WIDTH)):
        fitted = ImageOps.fit(picture, (width, HEIGHT), Image.Resampling.LANCZOS)
        sheet.paste(fitted, (left, FACE + GAP))
        left += width + GAP
    sheet.save(PICTURE, quality=86, optimize=True)


if __name__ == "__main__":
    main()
