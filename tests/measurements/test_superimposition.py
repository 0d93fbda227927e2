import numpy as np
import pytest

from ert.measurements.superimposition import propagate, superimpose
from ert.model.procrustes import fit_similarity


def similar(rng, shape, n, noise):
    turns = rng.uniform(0.5, 2, (n, 1)) * np.exp(1j * rng.uniform(-0.4, 0.4, (n, 1)))
    places = rng.normal(size=(n, 1)) + 1j * rng.normal(size=(n, 1))
    errors = rng.normal(size=(n, len(shape))) + 1j * rng.normal(size=(n, len(shape)))
    return (shape + noise * errors) * turns + 50 * places


@pytest.fixture
def points():
    rng = np.random.default_rng(4)
    shape = np.array([0, 4 + 1j, 6 + 5j, 1 + 4j, -3 + 2j])
    return similar(rng, shape, 12, 0.2)


def test_similar_objects_have_the_same_shape():
    points = similar(np.random.default_rng(0), np.array([0, 4 + 1j, 6 + 5j]), 5, 0)
    found = superimpose(points)
    np.testing.assert_allclose(found.distances, 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found.mean), 1)


def test_shapes_are_centered_of_unit_size_and_fit_their_mean(points):
    found = superimpose(points)
    np.testing.assert_allclose(found.shapes.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found.shapes, axis=1), 1)
    np.testing.assert_allclose(found.mean, found.shapes.mean(axis=0))
    # A further rotation brings none nearer to the mean.
    turn, _, _ = fit_similarity(np.stack([found.shapes.real, found.shapes.imag], -1), as_pairs(found.mean))
    np.testing.assert_allclose(np.angle(turn), 0, atol=1e-9)
    np.testing.assert_allclose(found.distances**2, (abs(found.shapes - found.mean) ** 2).sum(axis=1))


def as_pairs(points):
    return np.stack([points.real, points.imag], -1)


def test_order_place_size_and_rotation_of_the_objects_do_not_matter(points):
    found = superimpose(points)
    other = superimpose((points * 3 * np.exp(0.7j) + 100)[::-1])
    np.testing.assert_allclose(other.distances[::-1], found.distances)
    # Together, they lie as they do in their images.
    np.testing.assert_allclose(other.mean, found.mean * np.exp(0.7j), atol=1e-9)


def test_mirror_images_are_not_reflected(points):
    mixed = np.concatenate([points, -points[:1].conj()])
    found = superimpose(mixed)
    assert found.distances[-1] > 4 * found.distances[:-1].max()


def test_one_object_is_its_own_mean(points):
    found = superimpose(points[:1])
    np.testing.assert_allclose(found.distances, 0, atol=1e-12)
    np.testing.assert_allclose(np.angle(found.shapes[0, 1] / (points[0, 1] - points[0].mean())), 0, atol=1e-12)


def test_standard_errors_are_those_of_random_errors(points):
    rng = np.random.default_rng(7)
    found = superimpose(points)
    sizes = np.linalg.norm(points - points.mean(axis=1, keepdims=True), axis=1)
    std = sizes[:1] * rng.uniform(0.002, 0.006, points.shape[1])
    relative = np.tile(std / sizes[:1], (len(points), 1))
    std_x, std_y, std_distances = propagate(found, relative)
    samples = []
    for x, y in rng.normal(size=(3000, 2, points.shape[1])):
        noisy = points[0] + std * (x + 1j * y)
        shape = (noisy - noisy.mean()) / np.linalg.norm(noisy - noisy.mean())
        product = (shape.conj() * found.mean).sum()
        samples.append(shape * product / abs(product))
    samples = np.array(samples)
    np.testing.assert_allclose(samples.real.std(axis=0), std_x[0], rtol=0.06)
    np.testing.assert_allclose(samples.imag.std(axis=0), std_y[0], rtol=0.06)
    distances = np.linalg.norm(samples - found.mean, axis=1)
    np.testing.assert_allclose(distances.std(), std_distances[0], rtol=0.06)
