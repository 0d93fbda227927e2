"""Write the samples: the bundled portrait with its landmarks in every format that ert reads.

    python data/make_samples.py

The 68 points are those of the bundled model, looked at and found right.
"""

import shutil
from pathlib import Path

import ert

SAMPLES = Path(__file__).parent / "samples"


def main():
    SAMPLES.mkdir(exist_ok=True)
    photo = SAMPLES / "astronaut.jpg"
    shutil.copy(ert.sample_image(), photo)
    face = ert.align(photo)[0]
    box = [round(float(number), 2) for number in face.box]
    points = face.landmarks.round(2)

    columns = ["image", "left", "top", "width", "height", *(f"{axis}{i}" for i in range(68) for axis in "xy")]
    row = [photo.name, *map(str, box), *(f"{value:.2f}" for value in points.ravel())]
    (SAMPLES / "landmarks.csv").write_text(",".join(columns) + "\n" + ",".join(row) + "\n")

    header = "image,split,haar_left,haar_top,haar_width,haar_height\n"
    (SAMPLES / "boxes.csv").write_text(header + ",".join([photo.name, "train", *map(str, box)]) + "\n")

    # .pts counts pixels from 1.
    lines = [f"{x + 1:.2f} {y + 1:.2f}" for x, y in points]
    text = "\n".join(["version: 1", "n_points: 68", "{", *lines, "}", ""])
    photo.with_suffix(".pts").write_text(text)

    left, top, width, height = (round(number) for number in box)
    parts = [f"<part name='{i:02d}' x='{x:.0f}' y='{y:.0f}'/>" for i, (x, y) in enumerate(points)]
    inside = "\n      ".join(parts)
    (SAMPLES / "landmarks.xml").write_text(
        f"""<?xml version='1.0' encoding='UTF-8'?>
<dataset>
<name>The portrait of an astronaut, 68 points</name>
<images>
  <image file='{photo.name}'>
    <box top='{top}' left='{left}' width='{width}' height='{height}'>
      {inside}
    </box>
  </image>
</images>
</dataset>
"""
    )


if __name__ == "__main__":
    main()
