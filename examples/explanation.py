"""
A prediction explained
======================

An animation of how a model finds the landmarks of a face: ``python explanation.py [PHOTO]``.

On the left is the shape after each stage, which begins as the mean shape in the box; on the right are the pixels that
the trees of the stage compared. Of the 54 stages some are shown. ``ert explain`` writes the same on the command line.
The painting is the Mona Lisa (Leonardo da Vinci, public domain).
"""

import sys
from pathlib import Path

from PIL import Image, ImageSequence

import ert
from ert.evaluation.explanation import save_explanation

photo = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "pictures/mona_lisa.jpg"
image = ert.load_image(photo)
box = ert.detect_faces(image)[0]
explanation = ert.explain(ert.load("face68"), image, box)
print(explanation)
save_explanation("all_stages.gif", image, box, explanation)

# A smaller file: some of the stages, and fewer colors.
with Image.open("all_stages.gif") as animation:
    frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(animation)]
Path("all_stages.gif").unlink()
chosen = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 42, len(frames) - 1]
frames = [frames[k].resize((600, 300), Image.Resampling.LANCZOS).quantize(96) for k in chosen]
milliseconds = [1200, *[500] * (len(frames) - 2), 2500]
frames[0].save("explanation.gif", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0)
