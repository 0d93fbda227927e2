"""Errors of new photos in percent, pixels and millimeters, and what they say."""

import numpy as np
import pytest

from ert._core.exceptions import InputError
from ert.datasets.dataset import Dataset
from ert.evaluation.radial import length_lines, mean_interval, normalizer_or_pair, radial_figures
from ert.metrics import bootstrap_interval
from ert.pipeline.validate import (
    Predictions,
    box_lines,
    concatenate_predictions,
    error_figures,
    object_digests,
    validation_lines,
    verdict,
)

TRUTH = np.array([[[0.0, 0], [30, 40], [0, 40]]] * 12)


def predictions(error=3.0, scales=None, found=12, around=False):
    names = ("a", "b-c", "d")
    dataset = Dataset([f"{i}.png" for i in range(12)], np.ones((12, 4)), TRUTH, names, "triangles", scales=scales)
    landmarks = TRUTH + [error, 0]
    landmarks[found:] = np.nan
    scattered = landmarks + [error, 0] if around else None
    return Predictions(dataset, landmarks, None, "given" if around else "learned", scattered)


def test_errors_in_percent_pixels_and_millimeters():
    scales = np.array([0.25] * 10 + [np.nan] * 2)
    figures = error_figures(predictions(scales=scales), norms=["diagonal", "a-b-c"], unit="mm", within=[0.5, 1])
    assert figures["norms"]["diagonal"]["mean"] == pytest.approx(6)
    assert figures["norms"]["a-b-c"]["mean"] == pytest.approx(6)
    assert figures["pixels"]["mean"] == pytest.approx(3)
    assert figures["pixels"]["within"] == []
    lengths = figures["lengths"]
    assert (lengths["unit"], lengths["n"], lengths["mean"]) == ("mm", 10, pytest.approx(0.75))
    assert [row["share"] for row in lengths["within"]] == [0, 1]
    assert lengths["per_landmark"][1] == {"mean": pytest.approx(0.75), "within": [0, 1]}
    lines = length_lines(figures)
    assert lines[0].startswith("mean radial error 3 px (95 % interval 3 - 3)")
    assert lines[1].endswith("0.0 % within 0.5 mm; 100.0 % within 1 mm (10 of 12 objects have a scale)")
    no_scale = error_figures(predictions(), norms=["box"], within=[4])
    assert no_scale["pixels"]["within"] == [{"radius": 4, "share": 1.0}]
    assert "lengths" not in no_scale


def test_missing_landmarks_have_no_error():
    truth = TRUTH.copy()
    truth[:, 2] = np.nan
    truth[0, 1] = np.nan
    figures = radial_figures(truth, TRUTH + [[3, 4], [0, 1], [9, 9]], within=[2])
    assert figures["mean"] == pytest.approx((12 * 5 + 11) / 23)
    assert figures["per_landmark"][2] is None
    assert figures["per_landmark"][1] == {"mean": 1.0, "within": [1.0]}


@pytest.mark.parametrize("name", ["a-c", "a", "a-a", "b-c", "-", ""])
def test_normalizers_that_are_unknown_are_refused(name):
    with pytest.raises(InputError, match=r"expected inter-ocular, .* as in a-d"):
        normalizer_or_pair(name, TRUTH, ("a", "b-c", "d"))


def test_a_normalizer_needs_its_landmarks():
    truth = TRUTH.copy()
    truth[4, 0] = np.nan
    with pytest.raises(InputError, match="normalizer 'a-d': object 4 lacks a landmark of it"):
        normalizer_or_pair("a-d", truth, ("a", "b-c", "d"))


def test_boxes_around_true_landmarks_are_told_first():
    figures = error_figures(predictions(around=True), norms=["diagonal"]) | {"method": "held-out images"}
    figures["training_error"] = 1.0
    first = validation_lines(figures)[0]
    assert first.startswith("boxes are those around the true landmarks, which no new photo has: error 6.00 % of")
    assert "12.00 % (95 % interval 12.00 - 12.00) in boxes moved and scaled at random by 10 %" in first
    assert box_lines(figures)[1] == []


def test_objects_that_were_not_found_are_told():
    figures = error_figures(predictions(found=9), norms=["diagonal"])
    assert figures["n"] == figures["n_found"] == 9
    first, lines = box_lines(figures)
    assert first == []
    assert lines == ["9 of 12 objects found by the locator of the model; errors are those of the objects found"]


def test_intervals_are_over_images():
    errors = np.arange(40.0)
    ones = np.ones(40)
    single = mean_interval(errors, ones, range(40))
    assert single == pytest.approx(list(bootstrap_interval(errors)))
    assert np.diff(mean_interval(errors, ones, np.repeat(range(10), 4))) > 1.2 * np.diff(single)
    # With few images, even if these are equal by chance, it is not narrower than over objects.
    assert mean_interval(errors % 5, ones, np.repeat(range(8), 5)) == mean_interval(errors % 5, ones, range(40))
    assert np.diff(mean_interval(errors, ones, np.repeat(range(4), 10))) > 1.5 * np.diff(single)


@pytest.mark.parametrize("n_images", [4, 12])
def test_all_intervals_are_over_images_or_groups(n_images):
    """Objects of an image have the same error, so that they are worth one."""
    n = 8 * n_images
    image = np.repeat(np.arange(n_images), 8)
    truth = np.repeat(TRUTH[:1], n, axis=0)
    landmarks = truth + image[:, None, None] * [1.0, 0]
    widths = []
    for files, groups in ((range(n), None), (image, None), (range(n), image.tolist())):
        names = ("a", "b", "c")
        dataset = Dataset([f"{i}.png" for i in files], np.ones((n, 4)), truth, names, "d", scales=np.ones(n))
        figures = error_figures(Predictions(dataset, landmarks, None, "given", landmarks, groups), norms=["diagonal"])
        rows = (
            figures["norms"]["diagonal"],
            figures["pixels"],
            figures["lengths"],
            figures["scattered_boxes"]["diagonal"],
        )
        widths.append([float(np.diff(row["interval_95"])[0]) for row in rows])
    assert (np.array(widths[1]) > 2 * np.array(widths[0])).all()
    assert widths[1] == widths[2]


def test_objects_are_recognized_by_their_landmarks():
    digests = object_digests(TRUTH + np.arange(12)[:, None, None])
    assert len(set(digests)) == 12
    # As far as files round them.
    assert object_digests(TRUTH + np.arange(12)[:, None, None] + 1e-4) == digests
    missing = TRUTH.copy()
    missing[0, 1] = np.nan
    assert object_digests(missing)[0] != object_digests(TRUTH)[0] == object_digests(missing)[1]


def test_predictions_of_folds_are_put_in_order():
    parts = [predictions(), predictions(5.0)]
    joined = concatenate_predictions(parts, [np.arange(1, 24, 2), np.arange(0, 24, 2)])
    assert len(joined.dataset) == 24
    np.testing.assert_array_equal(joined.landmarks[:2, 0, 0], [5, 3])
    assert joined.dataset.name == "triangles"


@pytest.mark.parametrize(
    ("training", "new", "change", "said"),
    [
        (0.05, 1.2, None, "training error 0.05 %, new photos 1.20 %: more annotated photos would help most"),
        (0.05, 1.2, -0.2, "more annotated photos would help most"),
        (0.05, 1.2, -0.07, "twice the photos changed the error by -7% only: more exact annotations"),
        (1.0, 1.2, None, "nearly the same: more trees and stages (--preset large) would help more"),
        (1.0, 1.6, None, "more annotated photos, or more trees and stages (--preset large), may help"),
    ],
)
def test_what_would_help_most(training, new, change, said):
    curve = None if change is None else [{"change": None}, {"change": change}]
    assert said in verdict(training, new, curve)
