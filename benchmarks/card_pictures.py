"""The pictures of a model's card: error curves, errors of the landmarks, the worst faces."""

import numpy as np
from plot import OURS, THEIRS

LIGHT_BLUE = "#56B4E9"
FAILURE = 8.0


def pyplot():
    import matplotlib

    matplotlib.use("agg")
    # The same bytes each time.
    matplotlib.rcParams["svg.hashsalt"] = "ert"
    from matplotlib import pyplot

    return pyplot


def save(figure, file):
    figure.savefig(file, facecolor="white", metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot().close(figure)


def draw_ced(file, errors):
    """Draw the cumulative error distributions; `errors` holds for each kind of boxes those of each model."""
    from ert.metrics import ced

    styles = [(OURS, "-"), (LIGHT_BLUE, (0, (5, 1.5))), (THEIRS, (0, (1.5, 1.2)))]
    figure, panels = pyplot().subplots(
        1, len(errors), figsize=(9.5, 4), sharey=True, layout="constrained", squeeze=False
    )
    for axes, (boxes, of_models) in zip(panels[0], errors.items(), strict=True):
        for (colour, dashes), (name, each) in zip(styles, of_models.items(), strict=False):
            thresholds, fractions = ced(each, np.linspace(0, 10, 1001))
            label = f"{name}: {each.mean():.2f} %"
            axes.plot(thresholds, 100 * fractions, color=colour, linestyle=dashes, linewidth=2, label=label)
        axes.axvline(FAILURE, color="#777777", linewidth=1, linestyle=":")
        axes.set(xlim=(0, 10), ylim=(0, 100), xlabel="mean error of a face, % of the inter-ocular distance")
        axes.set_title(f"boxes of {boxes}", fontsize=11)
        axes.grid(color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", fontsize=9, framealpha=0.95, title="mean error")
    panels[0][0].set_ylabel("faces with at most this error, %")
    save(figure, file)


def draw_landmarks(file, mean_shape, per_landmark):
    """Draw each landmark's mean error round its place in the model's mean shape, true to scale."""
    from matplotlib.collections import EllipseCollection

    from ert.shapes import FACE68_REGIONS

    shape, errors = np.asarray(mean_shape, float), np.asarray(per_landmark)
    eyes = np.linalg.norm(shape[45] - shape[36])
    figure, axes = pyplot().subplots(figsize=(7.2, 6.6), layout="constrained")
    for name, part in FACE68_REGIONS.items():
        line = [*part, part[0]] if name.endswith(("eye", "lips")) else [*part]
        axes.plot(*shape[line].T, color="#c4c8ce", linewidth=1, zorder=1)
    sides = 2 * errors / 100 * eyes
    circles = EllipseCollection(
        sides, sides, np.zeros(len(errors)), units="xy", offsets=shape, transOffset=axes.transData, zorder=2
    )
    circles.set(array=errors, cmap="cividis_r", edgecolor="#222222", linewidth=0.5)
    circles.set_clim(0, float(errors.max()))
    axes.add_collection(circles)
    axes.scatter(*shape.T, s=2.5, color="#111111", linewidths=0, zorder=3)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.margins(0.08)
    axes.set_axis_off()
    axes.set_title("radius and colour: mean error of a landmark, true to scale", fontsize=11)
    figure.colorbar(circles, label="% of the inter-ocular distance", shrink=0.7)
    save(figure, file)


def draw_worst(file, test, predicted, errors, n):
    """Write a contact sheet of the n worst faces: the truth in white, the prediction in blue."""
    from PIL import Image

    from ert.compare_pictures import _view
    from ert.draw import contact_sheet, draw_landmarks, save_image
    from ert.images import load_image

    tiles, captions = [], []
    for i in np.argsort(-errors, kind="stable")[:n]:
        truth = test.landmarks[i]
        left, top, side = _view(np.vstack([truth, predicted[i]]), test.boxes[i])
        image = Image.fromarray(load_image(test.files[i])).convert("RGB")
        crop = np.asarray(image.crop((left, top, left + side, top + side)))
        shapes = [truth - (left, top), predicted[i] - (left, top)]
        tiles.append(draw_landmarks(crop, shapes, colours=["#ffffff", LIGHT_BLUE], min_size=640))
        captions.append(f"{errors[i]:.1f} %  {test.files[i].name}")
    file.parent.mkdir(exist_ok=True)
    save_image(file, contact_sheet(tiles, 6, captions, tile_size=320))
