"""The figures of a model card: error curves, errors of the landmarks, the faces with the largest errors."""

import numpy as np
from plot import OURS, THEIRS, quiet_pyplot, save_figure

LIGHT_BLUE = "#56B4E9"
FAILURE = 8.0


def draw_ced(file, errors):
    """Draw the cumulative error distributions of each model for each kind of boxes."""
    from ert.metrics import ced

    styles = [(OURS, "-"), (LIGHT_BLUE, (0, (5, 1.5))), (THEIRS, (0, (1.5, 1.2)))]
    figure, panels = quiet_pyplot().subplots(
        1, len(errors), figsize=(9.5, 4), sharey=True, layout="constrained", squeeze=False
    )
    for axes, (boxes, of_models) in zip(panels[0], errors.items(), strict=True):
        for (color, dashes), (name, each) in zip(styles, of_models.items(), strict=False):
            thresholds, fractions = ced(each, np.linspace(0, 10, 1001))
            label = f"{name}: {each.mean():.2f} %"
            axes.plot(thresholds, 100 * fractions, color=color, linestyle=dashes, linewidth=2, label=label)
        axes.axvline(FAILURE, color="#777777", linewidth=1, linestyle=":")
        axes.set(xlim=(0, 10), ylim=(0, 100), xlabel="mean error of a face, % of the inter-ocular distance")
        axes.set_title(f"boxes of {boxes}", fontsize=11)
        axes.grid(color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", fontsize=9, framealpha=0.95, title="mean error")
    panels[0][0].set_ylabel("faces with at most this error, %")
    save_figure(figure, file)


def draw_landmarks(file, mean_shape, per_landmark):
    """Draw the mean error of each landmark around its position in the mean shape, to scale."""
    from ert.metrics import normalizer_lengths, normalizer_text
    from ert.plotting.charts import plot_landmark_errors

    shape, normalizer = np.asarray(mean_shape, float), "inter-ocular"
    names = [str(number) for number in range(len(shape))]
    length = float(normalizer_lengths(shape[None], normalizer)[0])
    drawn = plot_landmark_errors(
        shape, per_landmark, names, length=length, label=f"mean error, % of the {normalizer_text(normalizer)}"
    )
    drawn.save(file)


def draw_worst(file, test, predicted, errors, n):
    """Write a contact sheet of the n faces with the largest errors: truth in white, prediction in blue."""
    from ert._core.images import load_image
    from ert.plotting.landmarks import PHOTO_COLORS, TRUTH, contact_sheet, object_thumbnail, save_image

    thumbnails, captions = [], []
    for i in np.argsort(-errors, kind="stable")[:n]:
        shapes, colors = (test.landmarks[i], predicted[i]), (TRUTH, PHOTO_COLORS[0])
        thumbnails.append(object_thumbnail(load_image(test.files[i]), test.boxes[i], shapes, colors, 640))
        captions.append(f"{errors[i]:.1f} %  {test.files[i].name}")
    file.parent.mkdir(exist_ok=True)
    save_image(file, contact_sheet(thumbnails, 6, captions, tile_size=320))
