"""
Measurements of your own object
===============================

From a TPS file and a folder of new photos to a table of measurements: ``python custom_object.py [MINE.tps [IMAGES
[NEW_PHOTOS]]]``. Without a file, photos of fly wings are drawn, most of them annotated as by tpsDig. The same on the
command line: ``ert dataset check``, ``ert train --cv``, ``ert predict`` and ``ert measure``.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from scipy.interpolate import make_interp_spline

import ert
from ert.datasets.checks import check_dataset, read_picture
from ert.plotting.landmarks import save_image, write_text

# A wing of length 1 with its base on the left. The twelve landmarks are base, notch, the ends of five veins
# at the margin, both ends of the two cross-veins, and a fork. The other points only shape the curves.
LANDMARKS = [
    *((0.02, 0.00), (0.13, 0.12), (0.47, -0.140), (0.83, -0.085), (0.975, 0.0), (0.955, 0.085)),
    *((0.72, 0.225), (0.46, -0.003), (0.455, 0.055), (0.68, 0.075), (0.58, 0.175), (0.22, 0.0)),
]
BENDS = [
    *((0.15, -0.085), (0.32, -0.128), (0.66, -0.128), (0.87, 0.155), (0.45, 0.265), (0.25, 0.215)),
    *((0.05, 0.07), (0.20, -0.055), (0.45, -0.055), (0.66, -0.085), (0.75, -0.012), (0.22, 0.05)),
    *((0.22, 0.105), (0.04, 0.03)),
]
MARGIN = [0, 12, 13, 2, 14, 3, 4, 5, 15, 6, 16, 17, 1, 18]
VEINS = [
    *([0, 19, 2], [11, 20, 21, 3], [25, 11, 7, 22, 4], [25, 23, 8, 9, 5], [25, 24, 10, 6]),
    *([7, 8], [9, 10], [25, 18, 1]),
]
SIZE, ZOOM, MM_PER_PIXEL = (360, 240), 4, 0.01


def curve(points, closed=False):
    """Return a smooth curve through points."""
    points = np.vstack([points, points[:1]]) if closed else points
    way = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    degree = min(3, len(points) - 1)
    spline = make_interp_spline(way, points, degree, bc_type="periodic" if closed else None)
    return spline(np.linspace(0, way[-1], 24 * len(points)))


def draw_wing(rng):
    """Return an image of a wing (rows, columns, 3) and its landmarks (12, 2) in pixels."""
    x, y = np.array(LANDMARKS + BENDS).T
    broad, slender, bent, long = rng.normal(scale=(0.10, 0.25, 0.05, 0.04))
    points = np.column_stack([x + long * x * (1 - x), y * (1 + broad + slender * (x - 0.5)) + bent * x**2])
    points[:12] += rng.normal(scale=0.008, size=(12, 2))  # individual variation
    angle, length = np.radians(rng.normal(scale=6)), rng.uniform(240, 290)
    turn = length * np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    points = (points - (0.5, 0.05)) @ turn.T + np.array(SIZE) / 2 + rng.normal(scale=8, size=2)

    light = rng.uniform(0.8, 1.0)
    canvas = Image.new("RGB", [ZOOM * side for side in SIZE], (226, 228, 220))
    pen = ImageDraw.Draw(canvas)

    def line(points, color, width):
        pen.line([*map(tuple, points)], color, round(ZOOM * width), "curve")

    big = (points + 0.5) * ZOOM
    margin = curve(big[MARGIN], closed=True)
    pen.polygon([*map(tuple, margin)], (203, 196, 176))
    brown = (96, 70, 44)
    for vein in VEINS:
        line(curve(big[vein]), brown, rng.uniform(1.2, 1.8))
    line(margin, brown, 1.0)
    front = margin[: len(margin) * 5 // 14]
    line(front, (72, 50, 30), 2.6)
    for place in front[::3]:  # bristles
        line([place, place + ZOOM * np.array((3, -4)) + rng.normal(scale=3, size=2)], (72, 50, 30), 0.5)
    for place in rng.uniform((0, 0), canvas.size, size=(rng.integers(2, 9), 2)):  # dust
        radius = ZOOM * rng.uniform(0.6, 2.2)
        pen.ellipse((*(place - radius), *(place + radius)), (120, 116, 110))
    picture = canvas.reduce(ZOOM).filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.0)))
    slope = 1 + rng.uniform(-0.15, 0.15) * np.linspace(-1, 1, SIZE[0])
    lit = np.asarray(picture) * light * slope[:, None] + rng.normal(scale=3, size=(*SIZE[::-1], 1))
    return lit.clip(0, 255).astype(np.uint8), points[:12]


def draw_photos(folder, new_photos, n=36, n_new=12):
    """Write photos of wings, with a TPS file for the first n: y from the bottom, a scale, and one annotation error."""
    rng = np.random.default_rng(0)
    lines = []
    for number in range(n + n_new):
        picture, landmarks = draw_wing(rng)
        parent = folder if number < n else new_photos
        parent.mkdir(exist_ok=True)
        save_image(parent / f"wing{number:02d}.jpg", picture)
        if number >= n:
            continue
        clicked = (landmarks + rng.normal(scale=0.5, size=landmarks.shape)).round()
        if number == 17:
            clicked[[9, 10]] = clicked[[10, 9]]  # the ends of a cross-vein are swapped
        lines += ["LM=12", *(f"{x:.0f} {SIZE[1] - 1 - y:.0f}" for x, y in clicked)]
        lines += [f"IMAGE=wing{number:02d}.jpg", f"ID={number}", f"SCALE={MM_PER_PIXEL}"]
    (folder / "wings.tps").write_text("\n".join([*lines, ""]))
    return folder / "wings.tps"


# %%
# Read the annotations, train, predict and measure
# ------------------------------------------------

# %%
given = [Path(argument) for argument in sys.argv[1:]] + [None] * 3
file, images, new_photos = given[0], given[1], given[2] or Path("new_photos")
if file is None:
    file = draw_photos(Path("wings"), new_photos)
wings = ert.load_dataset(file, image_folder=images)

# Outliers are left out; `ert dataset show --suspicious` draws them for inspection.
findings = check_dataset(wings, {picture: read_picture(picture) for picture in set(wings.files)})
for finding in findings:
    print(f"{finding.file.name}: {finding.kind}: {finding.text}")
odd = {finding.item for finding in findings if finding.kind in ("stray landmarks", "outlier shape")}
wings = wings.subset([i for i in range(len(wings)) if i not in odd])
print(f"{len(wings)} wings with {len(wings.landmark_names)} landmarks; {len(odd)} left out")

# Where the boxes come from and all settings follow from the data. The error is that of photos left out of the training.
model = ert.train(wings, cv=2, preset="fast")
model.save(f"{file.stem}.ert")
known = model.summary_["validation"]
interval = f"{known['low']:.2f} to {known['high']:.2f}"
print(f"error of new photos: {known['error']:.2f} % of the diagonal ({interval}), boxes: {model.box_source_}")

# The length and the area of the wing, in mm where the scale is known.
scale = None if wings.scales is None else float(np.nanmedian(wings.scales))
found = list(ert.predict(model, new_photos, scale=scale))
ert.write_predictions(found, f"{file.stem}_predicted.tps")
predicted = ert.load_dataset(f"{file.stem}_predicted.tps")
table = ert.measure(predicted, distances={"length": "0-4"}, areas={"blade": "0-2-3-4-5-6"}, centroid_size=True)
table.write(f"{file.stem}_measured.csv")
print(*table.text(".csv").splitlines()[:6], sep="\n")

# Four of the new photos, enlarged, with the area and the line of the length.
pictures, unit = [], "px" if scale is None else "mm"
for number, one in enumerate(found[:4]):
    photo = Image.fromarray(ert.load_image(one.image)).convert("RGB")
    zoom = 720 / max(photo.size)
    photo = photo.resize([round(zoom * side) for side in photo.size], Image.Resampling.BICUBIC)
    points = [tuple(point) for point in zoom * (one.landmarks + 0.5)]
    pen = ImageDraw.Draw(photo, "RGBA")
    pen.polygon([points[k] for k in (0, 2, 3, 4, 5, 6)], (86, 180, 233, 80))
    pen.line([points[0], points[4]], (213, 94, 0, 255), 4)
    for k, (x, y) in enumerate(points):
        pen.ellipse((x - 7, y - 7, x + 7, y + 7), (255, 200, 87, 255), (8, 14, 28, 255), 2)
        write_text(photo, (x + 9, y - 5), str(k), 19, "ls")
    length, blade = table[f"length_{unit}"][number], table[f"blade_{unit}2"][number]
    write_text(photo, (14, 14), f"{one.specimen}: length {length:.2f} {unit}, area {blade:.2f} sq. {unit}", 26, "la")
    pictures.append(np.array(ImageOps.pad(photo, (720, 480))))
rows = [np.hstack(pictures[k : k + 2]) for k in range(0, len(pictures) // 2 * 2, 2)] or pictures
save_image(f"{file.stem}_predicted.png", np.vstack(rows))
