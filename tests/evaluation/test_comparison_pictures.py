import sys

import numpy as np
import pytest
from PIL import ImageColor

from ert import InputError
from ert._core.images import load_image
from ert.datasets.dataset import load_dataset
from ert.datasets.synthetic import synthetic_dataset
from ert.evaluation import comparison as module
from ert.evaluation.comparison import compare_shapes, draw_most_different, plot_errors
from ert.plotting.charts import CHART_COLORS, check_chart_file
from ert.plotting.landmarks import PHOTO_COLORS, TRUTH

NAMES = ("A first", "B second: $cost$.dat")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load_dataset(synthetic_dataset(tmp_path_factory.mktemp("pictures") / "faces", 14, seed=5))


@pytest.fixture(scope="module")
def shapes(dataset):
    rng = np.random.default_rng(0)
    return dataset.y + rng.normal(0, 3, (2, len(dataset), 1, 2)) + rng.normal(0, 1, (2, *dataset.y.shape))


@pytest.fixture(scope="module")
def comparison(dataset, shapes):
    return compare_shapes(dataset.y, *shapes)


def near(picture, color, at_least):
    """Return whether a picture has at least that many pixels of nearly that color."""
    distance = np.abs(picture.astype(int) - ImageColor.getrgb(color)).max(axis=2)
    return (distance < 40).sum() >= at_least


def test_the_plot_shows_both_curves(comparison, tmp_path):
    pytest.importorskip("matplotlib")
    for suffix in (".png", ".svg"):
        plot_errors(tmp_path / f"errors{suffix}", comparison, NAMES, "faces of $ale")
    picture = load_image(tmp_path / "errors.png")
    assert min(picture.shape[:2]) > 500
    for color in CHART_COLORS[:2]:
        assert near(picture, color, 1000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["errors.png", "errors.svg"]


def test_the_plot_needs_matplotlib_and_a_known_suffix(comparison, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    with pytest.raises(InputError, match=r"errors\.xyz: unknown suffix '\.xyz', expected \.png"):
        plot_errors(tmp_path / "errors.xyz", comparison, NAMES, "faces")
    with pytest.raises(InputError, match="cannot be written"):
        plot_errors(tmp_path / "no folder" / "errors.png", comparison, NAMES, "faces")


def test_the_error_without_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"errors.png: needs matplotlib, .*\"ert-landmarks\[plot\]\""):
        check_chart_file("errors.png")


def test_the_picture_has_a_thumbnail_for_each_face(dataset, shapes, comparison, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_THUMBNAIL_SIZE", 160)
    sizes = {}
    for n in (1, 4, 5, 20):
        draw_most_different(tmp_path / "faces.png", dataset, shapes, comparison, NAMES, n)
        picture = load_image(tmp_path / "faces.png")
        sizes[n] = picture.shape
        for color in (*PHOTO_COLORS, TRUTH):
            assert near(picture, color, 150)
    assert sizes[1][1] < sizes[4][1] == sizes[5][1] == sizes[20][1]
    assert sizes[1][0] == sizes[4][0] < sizes[5][0] < sizes[20][0]
    assert [path.name for path in tmp_path.iterdir()] == ["faces.png"]


def test_faces_are_captioned_in_the_order_of_difference(dataset, shapes, comparison, tmp_path, monkeypatch):
    captions = []
    sheet = module.contact_sheet
    monkeypatch.setattr(
        module,
        "contact_sheet",
        lambda thumbnails, columns, names, **k: (captions.extend(names), sheet(thumbnails, 1))[1],
    )
    draw_most_different(tmp_path / "faces.png", dataset, shapes, comparison, NAMES, 3)
    order = np.argsort(-comparison.relative_distances)[:3]
    assert captions == [dataset.files[i].name for i in order]


def test_thumbnails_with_missing_and_extreme_landmarks(dataset, shapes, comparison):
    wild, lacking = shapes.copy(), dataset.landmarks.copy()
    wild[0, 0, 0] = [1e5, -1e5]
    lacking[0, 5] = np.nan
    changed = type(dataset)(dataset.files, dataset.boxes, lacking, dataset.landmark_names, "x")
    thumbnail = module._thumbnail(changed, wild, compare_shapes(lacking, *wild), 0)
    assert thumbnail.shape[0] == thumbnail.shape[1] >= module._THUMBNAIL_SIZE
