import numpy as np
import pytest
from builders import small_options

from ert import InputError
from ert._kernels.workers import Workers
from ert.metrics import nme
from ert.model.geometry import image_to_box, jitter_transforms
from ert.model.schemes import mirror_shapes
from ert.training.crops import Crops
from ert.training.memory import BLOCK_LENGTH
from ert.training.samples import Samples, aligned_residuals, count_inits, draw_samples

N, VIEWS = BLOCK_LENGTH + 30, 50


@pytest.fixture(params=[False, True], ids=["all there", "some missing"])
def samples(request):
    rng = np.random.default_rng(4)
    truth = rng.random((VIEWS, 68, 2)).astype(np.float32)
    if request.param:
        truth[7, 3] = truth[9, 0] = np.nan
    return Samples(
        crops=None,
        truth=truth,
        view=rng.integers(0, VIEWS, N).astype(np.int32),
        crop_of=np.zeros(N, np.int32),
        jitter=jitter_transforms(N, 0.1, 0.1, 20, rng).astype(np.float32),
        transforms=np.zeros((N, 6), np.float32),
        shapes=rng.random((N, 68, 2)).astype(np.float32),
        mean_shape=truth[0],
        sides=np.ones((VIEWS, 2), np.float32),
    )


def targets(samples):
    """The true landmarks in each sample's own box coordinates."""
    return image_to_box(samples.truth[samples.view].astype(float), samples.jitter.astype(float))


def test_aligned_residuals_are_rotated_back_to_the_mean_shape(samples):
    matrices = np.random.default_rng(5).normal(1, 0.2, (N, 2)).astype(np.float32)
    some = np.random.default_rng(6).integers(0, N, 300)
    left = targets(samples)[some] - samples.shapes[some]
    inverse = 1 / (matrices[some, 0] + 1j * matrices[some, 1])
    back = (left[..., 0] + 1j * left[..., 1]) * inverse[:, None]
    expected = np.stack([back.real, back.imag], axis=2).reshape(len(some), -1)
    found = samples.aligned_residuals(some, matrices)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    slowly = np.empty_like(found)
    arrays = samples.truth, samples.view, samples.jitter, samples.shapes, matrices
    aligned_residuals.py_func(some, *arrays, slowly)
    np.testing.assert_array_equal(found, slowly)


@pytest.mark.parametrize("normalizer", [None, "inter-ocular", "box"])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_the_mean_error_is_that_of_the_metrics(samples, normalizer, n_threads):
    samples.jitter[:] = 1, 0, 0, 1, 0.25, -0.5
    lengths = np.ones(N) if normalizer is None else normalizer
    with Workers(n_threads) as workers:
        found = samples.mean_nme(normalizer, workers)
    assert found == pytest.approx(nme(targets(samples), samples.shapes, lengths).mean(), rel=1e-5)


def test_errors_are_measured_in_the_photo(samples):
    """Neither a rotated box nor one of unequal sides changes the error of a landmark."""
    matrices = samples.jitter[:, [0, 1, 2, 3]].reshape(N, 2, 2).astype(float)
    shapes = samples.truth[samples.view] + np.float32(0.1)
    moved = np.einsum("nij,nlj->nli", np.linalg.inv(matrices), shapes - samples.jitter[:, None, 4:])
    samples.shapes = moved.astype(np.float32)
    samples.sides[:] = 1.5, 0.5
    samples.shapes[np.isnan(samples.shapes)] = 9
    with Workers(2) as workers:
        assert samples.mean_nme(None, workers) == pytest.approx(100 * np.hypot(0.15, 0.05), rel=1e-3)


def test_a_weight_is_a_number_of_initializations():
    options = small_options(n_inits=4)
    assert count_inits(None, 3, options).tolist() == [4, 4, 4]
    assert count_inits([1, 0.5, 2], 3, options).tolist() == [4, 2, 8]
    counts = count_inits(np.full(4000, 0.3), 4000, options)
    assert set(counts.tolist()) == {1, 2}
    assert counts.mean() == pytest.approx(1.2, abs=0.03)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([1, 1], r"sample_weight: shape \(2,\), expected \(3,\)"),
        ([1, -1, 1], r"sample_weight\[1\]: -1, expected 0 to 2500"),
        ([1, 1, np.nan], r"sample_weight\[2\]: nan, expected 0 to 2500"),
        ([1, 1, 2501], r"sample_weight\[2\]: 2501, expected 0 to 2500"),
        (["a", 1, 1], "sample_weight: expected numbers"),
    ],
)
def test_weights_that_cannot_be_used(weights, expected):
    with pytest.raises(InputError, match=expected):
        count_inits(weights, 3, small_options(n_inits=4))


def test_weighted_objects_in_samples():
    rng = np.random.default_rng(0)
    crops = Crops.pack(rng.integers(0, 256, (5, 8, 8), dtype=np.uint8), np.array([8.0, 0, 0, 8, 0, 0]))
    shapes = rng.random((5, 3, 2))
    options = small_options(n_inits=2, n_shapes_mixed=1)
    counts = np.array([2, 0, 4, 1, 2])
    weighted = draw_samples(crops, shapes, np.array([1, 0, 2]), options, counts=counts)
    assert np.bincount(weighted.view).tolist() == [*counts.tolist(), *counts.tolist()]
    used = np.concatenate([shapes, mirror_shapes(shapes, np.array([1, 0, 2]))])
    np.testing.assert_allclose(weighted.mean_shape, np.average(used, axis=0, weights=np.tile(counts, 2)), rtol=1e-6)
    # The first initialization of each object is the mean shape; the others are shapes of objects that are used.
    first = np.searchsorted(weighted.view, np.unique(weighted.view))
    assert (weighted.shapes[first] == weighted.mean_shape).all()
    others = np.delete(weighted.shapes, first, axis=0)
    distances = np.abs(others[:, None] - used.astype(np.float32)).max(axis=(2, 3))
    assert (distances.min(axis=1) == 0).all()
    assert not {1, 6} & set(distances.argmin(axis=1).tolist())
    # Equal weights change nothing but the number of samples.
    equal = draw_samples(crops, shapes, None, options, counts=np.full(5, 2))
    plain = draw_samples(crops, shapes, None, options)
    assert (equal.shapes == plain.shapes).all()
