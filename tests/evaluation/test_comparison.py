from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ert import InputError
from ert.datasets.dataset import Dataset
from ert.evaluation import comparison as module
from ert.evaluation.comparison import BenchmarkModel, compare_shapes, compare_times, measure, most_different
from ert.metrics import bootstrap_interval, nme


@pytest.fixture
def shapes():
    """Truth of 6 squares with sides of 10, and two models: B is always 1 px off, A 0, 2, 0, 2, ... px."""
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], np.float64)
    truth = np.stack([square + i for i in range(6)])
    a = truth.copy()
    a[1::2] += [2, 0]
    return truth, a, truth + [0, 1]


def test_errors_and_paired_differences(shapes):
    truth, a, b = shapes
    comparison = compare_shapes(truth, a, b)
    figures = comparison.figures
    assert comparison.normalizer == figures["normalizer"] == "box"
    np.testing.assert_allclose(comparison.errors, [[0, 20, 0, 20, 0, 20], [10] * 6])
    assert figures["a"]["mean"] == pytest.approx(10)
    assert figures["b"]["median"] == pytest.approx(10)
    assert figures["a"]["failure_rate_8"] == 0.5
    difference = figures["difference"]
    assert difference["mean"] == pytest.approx(0)
    assert (difference["a_better"], difference["b_better"], difference["equal"]) == (3, 3, 0)
    assert difference["interval_95"] == pytest.approx(bootstrap_interval([-10, 10, -10, 10, -10, 10]))


def test_distances_are_between_the_models(shapes):
    truth, a, b = shapes
    comparison = compare_shapes(truth, a, b, "diagonal")
    expected = np.array([1, np.sqrt(5)] * 3)
    np.testing.assert_allclose(comparison.distances, expected)
    np.testing.assert_allclose(comparison.relative_distances, 100 * expected / np.hypot(10, 10))
    assert comparison.figures["mean_distance_px"] == pytest.approx(expected.mean())
    assert comparison.figures["normalizer"] == "diagonal"


def test_the_difference_is_negative_where_a_is_better(shapes):
    truth, _, b = shapes
    difference = compare_shapes(truth, truth, b).figures["difference"]
    assert difference["mean"] < 0
    assert difference["a_better"] == 6
    difference = compare_shapes(truth, b, b).figures["difference"]
    assert difference["equal"] == 6
    assert difference["interval_95"] == [0, 0]


def test_landmarks_are_rounded_to_integers(shapes):
    truth = shapes[0]
    a, b = truth - 0.5, truth + 0.25
    assert compare_shapes(truth, a, b).figures["same_whole_pixels"] == 1
    b[0, 2, 1] += 0.25
    assert compare_shapes(truth, a, b).figures["same_whole_pixels"] == pytest.approx(5 / 6)


def test_a_missing_landmark_is_left_out_of_the_error_only(shapes):
    truth, a, b = shapes
    truth[1, 0] = np.nan
    a[1, 0] = [500, 500]
    comparison = compare_shapes(truth, a, b)
    assert comparison.errors[0, 1] == pytest.approx(nme(truth, a, "box")[1]) == pytest.approx(20)
    assert comparison.distances[1] > 100


def test_the_default_normalizer_of_faces(faces):
    truth = faces[1][:3].copy()
    assert compare_shapes(truth, truth + 1, truth).normalizer == "inter-ocular"
    truth[0, 36] = np.nan
    assert compare_shapes(truth, faces[1][:3], faces[1][:3]).normalizer == "box"
    with pytest.raises(InputError, match="eye landmark"):
        compare_shapes(truth, faces[1][:3], faces[1][:3], "inter-ocular")


def test_most_different_is_sorted_by_distance(shapes):
    comparison = compare_shapes(*shapes)
    assert most_different(comparison).tolist() == [1, 3, 5, 0, 2, 4]
    assert most_different(comparison, 2).tolist() == [1, 3]


def test_distances_are_relative_to_the_object():
    truth = np.array([[[0, 0], [10, 10]], [[0, 0], [100, 100]]], np.float64)
    moved = truth + np.array([1, 2])[:, None, None]
    assert most_different(compare_shapes(truth, truth, moved)).tolist() == [0, 1]


def test_times():
    rng = np.random.default_rng(0)
    a = rng.uniform(1, 3, (40, 5))
    summary = compare_times([a, 2.5 * a])
    assert summary["a"]["median_ms"] == np.median(a)
    assert summary["b"]["quartiles_ms"] == pytest.approx(2.5 * np.percentile(a, [25, 75]))
    assert summary["ratio_b_to_a"] == pytest.approx(2.5)
    assert summary["interval_95"] == pytest.approx([2.5, 2.5])
    noisy_times = [a, rng.uniform(2, 6, (40, 5))]
    noisy = compare_times(noisy_times)
    low, high = noisy["interval_95"]
    assert low < noisy["ratio_b_to_a"] < high
    assert noisy == compare_times(noisy_times)
    for bad in (np.zeros((2, 0, 5)), np.zeros((3, 2, 5)), np.zeros((2, 4))):
        with pytest.raises(InputError, match="milliseconds"):
            compare_times(bad)


class Recorder:
    """A model that returns its number, the image's mean and the box, and records the calls."""

    def __init__(self, calls, number):
        self.calls, self.number = calls, number
        self.benchmark_model = BenchmarkModel(f"model {number}", 2, 1, self.prepare, lambda result: result)

    def prepare(self, image, box):
        def call():
            self.calls.append((self.number, image.ndim, tuple(box)))
            return [[self.number, image.mean()], box[:2]]

        return call


@pytest.fixture
def dataset(tmp_path):
    files = []
    for i in range(5):
        pixels = np.full((20, 30, 3), 10 * i, np.uint8)
        files.append(tmp_path / f"{i}.png")
        Image.fromarray(pixels).save(files[-1])
    boxes = np.array([[i, i, 10, 10] for i in range(6)], np.float64)
    return Dataset([*files, files[-1]], boxes, np.zeros((6, 2, 2)), ("a", "b"), "five")


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_measure_runs_every_model_on_every_object(dataset, monkeypatch, batch):
    monkeypatch.setattr(module, "BATCH_FACES", batch)
    calls, steps = [], []
    pair = [Recorder(calls, number).benchmark_model for number in (1, 2)]
    shapes, milliseconds = measure(pair, dataset, 3, progress=steps.append)
    assert shapes.shape == (2, 6, 2, 2)
    assert milliseconds.shape == (2, 6, 3)
    assert (milliseconds > 0).all()
    for number, shape in zip((1, 2), shapes, strict=True):
        np.testing.assert_array_equal(shape[:, 0, 0], number)
        np.testing.assert_array_equal(shape[:, 0, 1], [0, 10, 20, 30, 40, 40])
        np.testing.assert_array_equal(shape[:, 1], dataset.boxes[:, :2])
    assert len(calls) == sum(steps) == 2 * 6 * 4
    assert {ndim for _, ndim, _ in calls} == {3}


def test_each_model_may_have_boxes_and_rolls_of_its_own(dataset):
    seen = []

    def prepare(image, box, *roll):
        seen.append((*box[:2], *roll))
        return lambda: [[0, 0], box[:2]]

    pair = [BenchmarkModel(name, 2, 1, prepare, lambda result: result) for name in "ab"]
    moved = dataset.boxes + 7
    shapes, _ = measure(pair, dataset, 1, poses=[(dataset.boxes, None), (moved, np.arange(6.0))])
    np.testing.assert_array_equal(shapes[0, :, 1], dataset.boxes[:, :2])
    np.testing.assert_array_equal(shapes[1, :, 1], moved[:, :2])
    assert seen[:4] == [(0, 0), (7, 7, 0), (1, 1), (8, 8, 1)]


def test_models_alternate_and_each_is_first_equally_often(dataset):
    calls = []
    pair = [Recorder(calls, number).benchmark_model for number in (1, 2)]
    measure(pair, dataset, 4)
    timed = calls[2 * 6 :]
    firsts = []
    for first, second in zip(timed[::2], timed[1::2], strict=True):
        assert {first[0], second[0]} == {1, 2}
        assert first[2] == second[2]
        firsts.append(first[0])
    assert firsts.count(1) == firsts.count(2)


def test_all_images_can_be_gray(dataset):
    calls = []
    measure([Recorder(calls, 1).benchmark_model], dataset, 1, gray=True)
    assert {ndim for _, ndim, _ in calls} == {2}


def test_few_images_are_in_memory_at_once(dataset, monkeypatch):
    monkeypatch.setattr(module, "BATCH_BYTES", 2 * 20 * 30 * 3 - 1)
    sizes = [len(batch) for batch in module._batches(dataset, False, 2)]
    assert sizes == [2, 2, 2]


def test_measure_names_the_image(dataset):
    pair = [Recorder([], 1).benchmark_model]
    with pytest.raises(InputError, match="repeats: expected at least 1, got 0"):
        measure(pair, dataset, 0)
    dataset.boxes[3] = [100, 0, 5, 5]
    with pytest.raises(InputError, match=r"3\.png: the box lies outside the image of 30 x 20"):
        measure(pair, dataset)
    Path(dataset.files[1]).unlink()
    with pytest.raises(InputError, match=r"1\.png: no such file"):
        measure(pair, dataset)


def test_repr_of_a_comparison(shapes):
    lines = repr(compare_shapes(*shapes)).splitlines()
    assert lines[0] == "Comparison of 2 models on 6 objects, NME (box) in %:"
    assert lines[1].startswith("  A 10.000, B 10.000, A - B 0.000 (95 % interval -")
    assert len(lines) == 2
