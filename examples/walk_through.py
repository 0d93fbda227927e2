"""
How it works, step by step
==========================

The method of Kazemi & Sullivan (CVPR 2014) on one image: ``python walk_through.py [PHOTO]``. Editors with
support for cells (``# %%``) show each step; run as a script, it writes a PNG of each to ``walk_through/``.
It needs matplotlib: ``pip install ".[plot]"``.
"""

# %%
# sphinx_gallery_thumbnail_number = 2
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patheffects import withStroke

import ert
from ert.evaluation.explanation import explanation_sheet
from ert.model.geometry import box_to_image, box_transforms
from ert.model.schemes import FACE68_REGIONS
from ert.plotting.landmarks import crop_thumbnail, draw_landmarks, object_view, to_thumbnail_pixels

BLUE, ORANGE, RED, PALE = "#56b4e9", "#e69f00", "#b3541e", "#c5cad3"
plt.rcParams |= {
    "figure.constrained_layout.use": True,
    "axes.titlesize": 11,
    "savefig.dpi": 110,
    "savefig.bbox": "tight",
}
folder = Path("walk_through")
folder.mkdir(exist_ok=True)

# The kernels of notebooks are started with a file of their own, which is not a photo.
photos = [argument for argument in sys.argv[1:] if Path(argument).suffix not in ("", ".json")]
image = ert.load_image(photos[0] if photos else ert.sample_image())
box = ert.detect_faces(image)[0]
model = ert.load("face68")
cascade = model.cascade_
n_stages, n_trees = cascade.thresholds.shape[:2]
explanation = ert.explain(model, image, box)
print(f"{n_stages} stages of {n_trees} trees, {cascade.thresholds.shape[2]} splits each")

# The enlarged face; `on_face` transforms points of the image to it.
corners = np.array([box[:2], box[:2] + box[2:] - 1])
view, size = object_view(np.vstack([corners, *explanation.shapes[[0, -1]]]), box), 900
face = crop_thumbnail(image, view, size)
gray = np.repeat(face.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)


def on_face(points):
    return to_thumbnail_pixels(np.asarray(points, float), view, size)


def panels(n, titles, background=face, width=5.2):
    """Draw the face n times side by side."""
    figure, axes = plt.subplots(1, n, figsize=(width * n, width + 0.4), squeeze=False)
    for ax, title in zip(axes[0], titles, strict=True):
        ax.imshow(background, extent=(-0.5, size - 0.5, size - 0.5, -0.5))
        ax.set(title=title, xlim=(0, size - 1), ylim=(size - 1, 0))
        ax.axis("off")
    return figure, axes[0]


def drawn(shapes, boxes=()):
    """Draw shapes and boxes on the enlarged face."""
    corners = [on_face([(x - 0.5, y - 0.5), (x + w - 0.5, y + h - 0.5)]) for x, y, w, h in boxes]
    placed = [(*(low + 0.5), *(high - low)) for low, high in corners]
    return draw_landmarks(face, [on_face(shape) for shape in shapes], placed, min_size=1)


# %%
# 1. A box, and the mean shape in it
# ----------------------------------
#
# A detector returns a box. The prediction starts with the mean shape: the average positions of the
# landmarks of the training faces in their boxes.

# %%
figure, axes = panels(2, ["the detected box", "initialization: the mean shape in the box"])
axes[0].imshow(drawn([], [box]))
axes[1].imshow(drawn([explanation.shapes[0]], [box]))
figure.savefig(folder / "1_initialization.png")

# %%
# 2. A stage reads a pool of pixels
# ---------------------------------
#
# Each stage has its own feature pool of pixels. A pixel is anchored to a landmark and is moved, rotated and
# scaled with the current shape, so that it is on the same part of the face whatever the pose, more exactly
# from stage to stage. (White: the landmarks before the stage.)

# %%
region_of = np.zeros(68, int)
for number, region in enumerate(FACE68_REGIONS.values()):
    region_of[region] = number
palette = plt.get_cmap("tab10")(np.arange(10))
chosen = [0, n_stages - 1]
figure, axes = panels(2, [f"the pool of stage {stage + 1}, anchored to landmarks" for stage in chosen], gray)
for ax, stage in zip(axes, chosen, strict=True):
    landmarks, pixels = on_face(explanation.shapes[stage]), on_face(explanation.pixels[stage])
    anchors = cascade.anchors[stage]
    colors = palette[region_of[anchors]]
    for pixel, landmark, color in zip(pixels, landmarks[anchors], colors, strict=True):
        ax.plot(*np.transpose([landmark, pixel]), color=color, lw=0.9, alpha=0.8)
    ax.scatter(*pixels.T, 16, colors, marker="s", edgecolors="black", linewidths=0.4, zorder=3)
    ax.scatter(*landmarks.T, 12, "white", edgecolors="black", linewidths=0.6, zorder=4)
figure.savefig(folder / "2_pool.png")

# %%
# 3. A tree compares pairs of pixels
# ----------------------------------
#
# Each split tests whether the first pixel is brighter than the second by more than a threshold. Differences
# do not depend on the brightness of the image. After four splits the face is in one of 16 leaves, which
# contains a displacement of every landmark. A stage adds the leaves of all its trees. Shown is the tree of
# the first stage that moves this face most.

# %%
n_splits = cascade.thresholds.shape[2]


def decision_path(tree):
    """Return the nodes of a tree of stage 1 from the root to the leaf, and its displacements in pixels."""
    splits = explanation.splits[0, tree].tolist()
    first, second = explanation.values[0, cascade.pairs[0, tree, splits[-1]]]
    leaf = 2 * splits[-1] + (1 if first - second > cascade.thresholds[0, tree, splits[-1]] else 2)
    added = (cascade.leaves[0, tree, leaf - n_splits] * cascade.scales[0]) @ cascade.basis[0].astype(float)
    return [*splits, leaf], added.reshape(-1, 2) * (box[2:].mean() - 1)


tree = max(range(n_trees), key=lambda number: np.abs(decision_path(number)[1]).sum())
nodes, added = decision_path(tree)

figure, axes = plt.subplots(1, 3, figsize=(16.5, 5.6), width_ratios=[1, 1.2, 1])
for ax in axes:
    ax.axis("off")
for ax, title in (
    (axes[0], "pixel pairs: first filled, second open"),
    (axes[2], "displacements of the leaf, 10 times enlarged"),
):
    ax.imshow(gray)
    ax.set(title=title, xlim=(0, size - 1), ylim=(size - 1, 0))
axes[1].set(title=f"tree {tree + 1} of stage 1: left if first - second > threshold", ylim=(-4.3, 0.5))
axes[1].set_box_aspect(1 / 1.2)

middle = {0: (0.5, 0.0)}
for split in range(n_splits):
    x, y = middle[split]
    for child, side in ((2 * split + 1, -1), (2 * split + 2, 1)):
        middle[child] = (x + side * 2 ** (y - 2), y - 1)
        edge = [(x, y), middle[child]]
        color, width = (ORANGE, 2.5) if child in nodes else (PALE, 1)
        axes[1].plot(*np.transpose(edge), color=color, lw=width, zorder=1)
for node, place in middle.items():
    color, marker = ORANGE if node in nodes else PALE, "s" if node >= n_splits else "o"
    axes[1].scatter(*place, 90, color, marker=marker, edgecolors="white", zorder=2)
for depth, split in enumerate(nodes[:-1]):
    pair, threshold = cascade.pairs[0, tree, split], cascade.thresholds[0, tree, split]
    first, second = explanation.values[0, pair]
    color = plt.get_cmap("plasma")(0.35 + 0.18 * depth)
    ends = on_face(explanation.pixels[0, pair])
    axes[0].plot(*ends.T, color=color, lw=2.5)
    axes[0].scatter(*ends.T, 60, [color, "white"], edgecolors=[color], linewidths=2.5, zorder=3)
    number = axes[0].annotate(str(depth + 1), ends.mean(axis=0), (9, 4), textcoords="offset points", color=color)
    number.set(weight="bold", size=13, path_effects=[withStroke(linewidth=3, foreground="#1d2433")])
    answer = ">" if first - second > threshold else "≤"
    axes[1].annotate(
        f"{depth + 1}:  {first} - {second} = {first - second}  {answer}  {threshold}",
        middle[split],
        (0, 12),
        textcoords="offset points",
        ha="center",
        bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": color},
    )
landmarks = on_face(explanation.shapes[0])
moved = on_face(explanation.shapes[0] + 10 * added) - landmarks
axes[2].scatter(*landmarks.T, 12, "white", edgecolors="black", linewidths=0.6)
axes[2].quiver(*landmarks.T, *moved.T, angles="xy", scale_units="xy", scale=1, color=ORANGE, width=0.005)
figure.savefig(folder / "3_tree.png")

# %%
# 4. Stage after stage, the shape moves onto the face
# ---------------------------------------------------
#
# The first stages move the whole shape, later ones refine brows, lids and lips.

# %%
stages = [0, *(2**k for k in range(10) if 2**k < n_stages), n_stages]
rows = -(-len(stages) // 3)
figure, axes = plt.subplots(rows, 3, figsize=(12, 4.25 * rows))
for ax in axes.ravel():
    ax.axis("off")
for ax, stage in zip(axes.ravel(), stages, strict=False):
    ax.imshow(drawn([explanation.shapes[stage]]))
    ax.set_title(f"after stage {stage}" if stage else "initialization")
figure.savefig(folder / "4_stages.png")

# %%
# 5. Displacement by stage
# ------------------------
#
# On this face (left), and the training error (right). The first few stages contribute most. Not every stage
# moves every face closer to its final shape.

# %%
number = np.arange(1, n_stages + 1)
moved = np.linalg.norm(np.diff(explanation.shapes, axis=0), axis=2).mean(axis=1)
left = np.linalg.norm(explanation.shapes - explanation.shapes[-1], axis=2).mean(axis=1)
figure, axes = plt.subplots(1, 2, figsize=(11, 4.2))
axes[0].bar(number, moved, color=BLUE, width=1, label="displacement in this stage")
axes[0].plot(np.arange(n_stages + 1), left, color=RED, label="distance to the final shape")
axes[0].set(title="this face", xlabel="stage", ylabel="pixels, mean of 68 landmarks", ylim=(0, None))
axes[0].legend(frameon=False)
axes[1].plot(number, [entry["train_nme"] for entry in model.history_], color=RED)
axes[1].set(title="training faces", xlabel="stage", ylabel="error, % of the inter-ocular distance", ylim=(0, None))
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#e3e6eb")
    ax.set_axisbelow(True)
figure.savefig(folder / "5_motion.png")

# %%
# 6. Several initializations
# --------------------------
#
# From shifted and scaled boxes the shapes end at slightly different positions. They agree where a landmark
# is distinct, on the sample image best at the eyes; from the highest box the brows end at the hair.
# `n_inits` of `ert.PredictionMode` takes the median of such shapes, landmark by landmark, which removes
# outliers.

# %%
shifts = 0.08 * np.array([(0, 0, 0), (-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)])
sides = box[2:] * (1 + shifts[:, 2:])
lows = box[:2] + box[2:] / 2 + shifts[:, :2] * box[2:] - sides / 2
boxes = np.hstack([lows, sides])
inits = box_to_image(np.repeat(cascade.mean_shape[None].astype(float), len(boxes), axis=0), box_transforms(boxes))
found = model.predict([(image, each) for each in boxes])
figure, axes = panels(3, ["seven boxes and initializations", "final shapes", "median"])
colors = plt.get_cmap("plasma")(np.linspace(0.15, 0.95, len(boxes)))
for shapes, ax in ((inits, axes[0]), (found, axes[1])):
    for shape, color in zip(shapes, colors, strict=True):
        ax.scatter(*on_face(shape).T, 9, [color], edgecolors="black", linewidths=0.2)
for (low, side), color in zip(zip(lows, sides, strict=True), colors, strict=True):
    (x, y), (right, bottom) = on_face([low, low + side - 1])
    axes[0].add_patch(plt.Rectangle((x, y), right - x, bottom - y, fill=False, edgecolor=color, lw=1.5))
axes[2].imshow(drawn([np.median(found, axis=0)]))
figure.savefig(folder / "6_inits.png")
scatter = np.linalg.norm(found - np.median(found, axis=0), axis=2).mean(axis=0)
print(", ".join(f"{name} {scatter[list(region)].mean():.2f} px" for name, region in FACE68_REGIONS.items()))

# %%
# 7. Pixels that the trees compared
# ---------------------------------
#
# Of all pixels in all pools, those compared on the decision paths of this face. All stages together use
# eyes, nostrils and the edges of the mouth most. `ert explain` draws this for any model and image.

# %%
sheet = explanation_sheet(image, box, explanation)
ert.plotting.landmarks.save_image(folder / "7_pixels.png", sheet)
figure, ax = plt.subplots(figsize=(12, 12 * len(sheet) / sheet.shape[1]))
ax.imshow(sheet)
ax.axis("off")
