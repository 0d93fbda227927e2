"""Write the samples: the bundled portrait with its landmarks in every format that ert reads.

    python data/make_samples.py

The 68 landmarks are those of the bundled model, checked by eye.
"""

import shutil
from pathlib import Path

import numpy as np

import ert
from ert.datasets.formats import FORMATS

SAMPLES = Path(__file__).parent / "samples"


def main():
    SAMPLES.mkdir(exist_ok=True)
    photo = SAMPLES / "astronaut.jpg"
    shutil.copy(ert.sample_image(), photo)
    face = ert.align(photo)[0]
    names = tuple(f"{i:02d}" for i in range(68))
    landmarks = np.array([face.landmarks.round(2)])
    box = np.array([face.box.round(2)])
    dataset = ert.Dataset([photo], box, landmarks, names, "the portrait of an astronaut")
    for name, format in FORMATS.items():
        path = SAMPLES / (name if format.folder else f"landmarks{format.suffix}")
        ert.write_dataset(dataset, path, name)
    header = "image,split,haar_left,haar_top,haar_width,haar_height\n"
    row = [photo.name, "train", *map(str, face.box.round(2).tolist())]
    (SAMPLES / "boxes.csv").write_text(header + ",".join(row) + "\n")


if __name__ == "__main__":
    main()
