"""
Finger lengths in X-rays
========================

Train on radiographs of hands, locate the joints in new ones and measure the fingers in mm: ``python hand_xray.py``.

The radiographs are drawn, so that the true lengths are known. With radiographs of your own,
``ert.load_dataset("hands.csv")`` takes the place of the drawings.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import ert
from ert.plotting.landmarks import save_image, write_text

WIDTH, HEIGHT, ZOOM, MM_PER_PIXEL = 290, 340, 3, 0.75
FINGERS = {"thumb": "#ffc857", "index": "#8ff0c4", "middle": "#5ee6ff", "ring": "#8ecbff", "little": "#ff8fa3"}
JOINTS = ("knuckle", "joint", "far_joint", "tip")
# In units of the hand, with the wrist at 0, 0 and y down: where each finger begins at the wrist, its angle from the
# vertical, and the lengths of its bones. The thumb begins with a joint, the others with a bone of the palm.
STARTS = np.array([(-0.13, -0.03), (-0.09, -0.08), (-0.02, -0.095), (0.05, -0.085), (0.105, -0.06)])
ANGLES = np.radians([-46, -13, -3, 7, 19])
PALM = np.array([0, 0.36, 0.36, 0.32, 0.29])
BONES = np.array([(0.22, 0.16, 0.12), (0.22, 0.13, 0.09), (0.25, 0.15, 0.1), (0.23, 0.145, 0.1), (0.175, 0.105, 0.09)])
CARPALS = [(-0.09, -0.03), (-0.04, -0.055), (0.01, -0.065), (0.06, -0.05), (-0.06, 0.02), (0, 0.015), (0.055, 0.01)]


def draw_hand(rng):
    """Return a radiograph (rows, columns) and the landmarks of the fingers and the wrist (21, 2) in pixels."""
    size, turn = 230 * rng.normal(1, 0.05), np.radians(rng.normal(scale=6))
    origin = np.array([0.54 * WIDTH, 0.82 * HEIGHT]) + rng.normal(scale=6, size=2)
    spread = ANGLES * rng.normal(1, 0.15) + np.radians(rng.normal(scale=3, size=5))
    angles = spread[:, None] + np.radians(rng.normal(scale=2.5, size=(5, 4)).cumsum(axis=1))
    lengths = np.column_stack([PALM, BONES]) * rng.normal(1, 0.03, size=(5, 4)) * rng.normal(1, 0.03, size=(5, 1))

    def placed(points):
        cos, sin = np.cos(turn), np.sin(turn)
        return origin + size * np.array(points) @ np.array([(cos, sin), (-sin, cos)])

    steps = lengths[..., None] * np.stack([np.sin(angles), -np.cos(angles)], axis=2)
    fingers = placed(STARTS[:, None] + np.pad(steps.cumsum(axis=1), ((0, 0), (1, 0), (0, 0))))  # (5, 5, 2)
    layers = [Image.new("L", (WIDTH * ZOOM, HEIGHT * ZOOM)) for _ in range(2)]
    flesh, bones = map(ImageDraw.Draw, layers)

    def line(pen, start, end, width, level, ends):
        """Draw a line with round ends; widths are in units of the hand."""
        pen.line([tuple(ZOOM * start), tuple(ZOOM * end)], round(level), round(width * size * ZOOM))
        for x, y in ZOOM * np.array([start, end]):
            r = 0.5 * ends * size * ZOOM
            pen.ellipse((x - r, y - r, x + r, y + r), round(level))

    def bone(start, end, width, level):
        """Draw a bone: thicker at its ends, and denser at its surface."""
        line(bones, start, end, 0.72 * width, level, width)
        line(bones, start, end, 0.34 * width, 0.76 * level, 0.62 * width)

    arm = placed([(0, 0), (0, 0.7)])
    flesh.polygon([tuple(ZOOM * point) for point in (*fingers[:, 1], fingers[4, 0], arm[0])], 115)
    line(flesh, *arm, 0.29, 100, 0.29)
    for side in (-0.058, 0.07):
        bone(*placed([(side, 0.1), (0.8 * side, 0.7)]), 0.115, 205)
    for center in placed(CARPALS):
        line(bones, center, center, 0, 205, 0.086)
        line(bones, center, center, 0, 160, 0.058)
    for number, finger in enumerate(fingers):
        for k in range(number == 0, 4):
            start, end = finger[k : k + 2]
            line(flesh, start, end, (0.16, 0.12, 0.105, 0.09)[k], 115, (0.16, 0.12, 0.105, 0.09)[k])
            gap = 0.028 * size * (end - start) / np.linalg.norm(end - start)
            bone(start + gap, end - gap, (0.07, 0.066, 0.056, 0.046)[k], 225 - 10 * k)

    soft, hard = (
        np.asarray(layer.reduce(ZOOM).filter(ImageFilter.GaussianBlur(blur)), float)
        for layer, blur in zip(layers, (4, 0.8), strict=True)
    )
    slope = 1 + rng.uniform(-0.15, 0.15) * np.linspace(-1, 1, WIDTH)
    exposed = (16 + 0.6 * soft + 0.62 * hard) * rng.uniform(0.85, 1.1) * slope + rng.normal(scale=4, size=hard.shape)
    return exposed.clip(0, 255).astype(np.uint8), np.vstack([fingers[:, 1:].reshape(-1, 2), arm[:1]])


# %%
# Train on 80 radiographs; locate the joints in 12 others
# -------------------------------------------------------

# %%
folder = Path("hands")
folder.mkdir(exist_ok=True)
rng = np.random.default_rng(1)
names = (*(f"{finger}_{joint}" for finger in FINGERS for joint in JOINTS), "wrist")
files, landmarks = [folder / f"hand{number:02d}.jpg" for number in range(92)], []
for file in files:
    image, points = draw_hand(rng)
    save_image(file, image)
    landmarks.append(points)
boxes = np.tile([0.0, 0, WIDTH, HEIGHT], (len(files), 1))
hands = ert.Dataset(files, boxes, np.array(landmarks), names, "drawn hands", box_source="whole")
train, new = hands[:80], hands[80:]

model = ert.train(train, box_from="whole", preset="fast")
found = list(ert.predict(model, new.files, scale=MM_PER_PIXEL))
errors = MM_PER_PIXEL * np.linalg.norm([one.landmarks for one in found] - new.landmarks, axis=2)
print(f"{len(new)} new radiographs: mean error {errors.mean():.2f} mm, largest {errors.max():.2f} mm")

# %%
# Measure the fingers, and compare with the true lengths
# ------------------------------------------------------

# %%
lengths = {finger: f"{finger}_knuckle-{finger}_tip" for finger in FINGERS}
measured = ert.measure(found, distances=lengths)
for k, finger in enumerate(FINGERS):
    true = MM_PER_PIXEL * np.linalg.norm(new.landmarks[:, 4 * k] - new.landmarks[:, 4 * k + 3], axis=1)
    difference = measured[f"{finger}_mm"] - true
    print(f"{finger}: {measured[f'{finger}_mm'].mean():.1f} mm on average, error {np.abs(difference).mean():.2f} mm")
measured.write("fingers.csv")

pictures = []
for number, one in enumerate(found[:3]):
    picture = Image.open(new.files[number]).convert("RGB").resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for k, (finger, color) in enumerate(FINGERS.items()):
        points = [tuple(point) for point in 2 * one.landmarks[4 * k : 4 * k + 4] + 0.5]
        pen.line(points, color, 3)
        for x, y in points:
            pen.ellipse((x - 6, y - 6, x + 6, y + 6), color, "#080e1c", 2)
        x, y = points[3]
        write_text(picture, (x, y - 13), f"{measured[f'{finger}_mm'][number]:.0f}", 22, "ms", color=color)
    write_text(picture, (14, 2 * HEIGHT - 14), "lengths in mm", 18, "ls")
    pictures.append(np.array(picture))
save_image("hand_xray.png", np.hstack(pictures))
