"""A training whose samples lie in several parts has the stages and errors of one with all of them, bit by bit."""

import pickle

import numpy as np
import pytest
from helpers import small_predictor
from parts import train_in_parts
from threadpoolctl import threadpool_limits

from ert import InputError
from ert.model.cascade import Stage
from ert.model.geometry import box_to_image
from ert.training import samples as drawing
from ert.training.exchange import Exchange
from ert.training.sharded.links import LinkLostError
from ert.training.sharded.samples import data_digest, sample_errors

N = 30
FIELDS = [name for name in Stage.__dataclass_fields__ if name != "channels"]
SMALL = {"n_stages": 2, "n_trees": 6, "n_inits": 5, "n_pixels": 60, "working_size": 48, "n_jobs": 1}


@pytest.fixture(autouse=True)
def linear_algebra():
    """Give libraries their threads back that a part of a training takes from them."""
    with threadpool_limits():
        yield


@pytest.fixture(scope="module")
def objects(faces):
    return faces[0][:N], faces[1][:N]


def same_stages(found, expected):
    assert len(found) == len(expected)
    for stage, known in zip(found, expected, strict=True):
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(stage, name), getattr(known, name), err_msg=name)


def check_parts(model, X, y, bounds, **further):
    local = small_predictor(**model.get_params()).fit(X, y, **further)
    ranks, results = train_in_parts(model, X, y, bounds, **further)
    found = [stage for stage, _ in results[0]]
    if model.kind == "ert":
        same_stages(found, local.cascade_.stages())
    kind, plan = ranks[0].plan.kind, ranks[0].plan
    cascade = kind.finish(kind.assemble(ranks[0].samples.mean_shape, plan.crop_spec, found, model.stages_per_basis))
    for name, array in local.cascade_.arrays().items():
        np.testing.assert_array_equal(cascade.arrays()[name], array, err_msg=name)
    assert [error for _, error in results[0]] == [entry["train_nme"] for entry in local.history_]
    return ranks, results


@pytest.mark.parametrize("bounds", [(0, N), (0, 17, N), (0, 7, 8, N), (0, 3, 10, 14, 22, N)])
def test_any_number_of_parts(objects, bounds):
    params = {"mirror": "face68", "shift_jitter": 0.05, "scale_jitter": 0.05, "roll_jitter": 5.0, "n_shapes_mixed": 3}
    _, results = check_parts(small_predictor(**SMALL | params), *objects, bounds)
    for others in results[1:]:
        same_stages([stage for stage, _ in others], [stage for stage, _ in results[0]])


@pytest.mark.parametrize(
    "params",
    [
        {"tree_target": "landmark", "pool_spread": 0.1},
        {"n_pool_candidates": 100, "n_trees_averaged": 3},
        {"warp": 0.4, "lighting": 0.4},
        {"occlusion": 0.8, "mirror": "face68"},
        {"kind": "dlib", "gray_weights": "dlib", "occlusion": 0.8},
        {"channels": "gray+orientation", "normalizer": "inter-ocular"},
        {"stages_per_basis": 2, "leaf_bits": 16, "max_depth": 2, "n_split_tests": 40},
    ],
    ids=lambda params: "-".join(params),
)
def test_every_parameter(objects, params):
    check_parts(small_predictor(**SMALL | params), *objects, (0, 13, 13, N))


def test_missing_landmarks(objects):
    y = objects[1].copy()
    y[np.random.default_rng(0).random(y.shape[:2]) < 0.1] = np.nan
    check_parts(small_predictor(**SMALL, warp=0.3, mirror="face68"), objects[0], y, (0, 13, 13, N))


def test_missing_landmarks_in_one_part_alone(objects):
    y = objects[1].copy()
    y[3, :5] = np.nan
    check_parts(small_predictor(**SMALL), objects[0], y, (0, 13, N))


def test_weights(objects):
    weights = np.random.default_rng(0).random(N) * 2
    weights[:13] = 0
    check_parts(small_predictor(**SMALL, mirror="face68"), *objects, (0, 13, 20, N), sample_weight=weights)


def test_rolls(objects):
    check_parts(small_predictor(**SMALL), *objects, (0, 13, N), rolls=np.linspace(-20, 20, N))


def test_more_samples_than_are_handled_at_once(faces, monkeypatch):
    """Parts that end within blocks, and within the rows that are drawn or multiplied together."""
    monkeypatch.setattr(drawing, "ROWS_PER_DRAW", 100)
    params = SMALL | {"n_inits": 23, "n_trees": 3, "mirror": "face68", "shift_jitter": 0.1}
    check_parts(small_predictor(**params), faces[0][:91], faces[1][:91], (0, 41, 70, 91))


def test_several_threads_in_each_part(faces, monkeypatch):
    monkeypatch.setattr("ert.training.stage.SAMPLES_OF_ONE_THREAD", 1)
    params = SMALL | {"n_inits": 120, "n_trees": 3, "n_jobs": 2}
    check_parts(small_predictor(**params), faces[0][:60], faces[1][:60], (0, 35, 60))
    model = small_predictor(**params)
    _, one = train_in_parts(model, faces[0][:60], faces[1][:60], (0, 35, 60))
    _, two = train_in_parts(model, faces[0][:60], faces[1][:60], (0, 35, 60), n_threads=2)
    same_stages([stage for stage, _ in two[0]], [stage for stage, _ in one[0]])


def test_one_part_that_grows_trees_as_several_do(objects):
    model = small_predictor(**SMALL)
    _, one = train_in_parts(model, *objects, (0, N))
    _, stepwise = train_in_parts(model, *objects, (0, N), exchange=Exchange())
    same_stages([stage for stage, _ in stepwise[0]], [stage for stage, _ in one[0]])


def test_stages_that_are_known_are_repeated(objects):
    model = small_predictor(**SMALL, stages_per_basis=2)
    _, whole = train_in_parts(model, *objects, (0, 13, N))
    _, again = train_in_parts(model, *objects, (0, 7, 20, N), known=[whole[0][0][0]])
    same_stages([stage for stage, _ in again[0]], [stage for stage, _ in whole[0]])
    assert [error for _, error in again[0]] == [error for _, error in whole[0]]


def test_the_digest_is_that_of_all_objects(objects):
    def digest(bounds, X=objects[0], **params):
        model = small_predictor(**SMALL | {"n_stages": 1, "n_trees": 1, "mirror": "face68"} | params)
        ranks, _ = train_in_parts(model, X, objects[1], bounds)
        samples = [rank.samples for rank in ranks]
        return data_digest(ranks[0].options, samples[0].mean_shape, [each.object_digests() for each in samples])

    known = digest((0, N))
    assert digest((0, 13, N)) == digest((0, 7, 7, 8, N)) == known
    other = [*objects[0]]
    other[20] = 255 - other[20][0], other[20][1]
    assert digest((0, 13, N), X=other) != known
    assert digest((0, 13, N), n_inits=4) != known


def test_the_error_of_each_sample(objects):
    ranks, _ = train_in_parts(small_predictor(**SMALL, mirror="face68"), *objects, (0, N))
    samples = ranks[0].samples
    sides, lengths = samples.sides_and_lengths("inter-ocular")
    errors = np.empty(len(samples))
    sample_errors(samples.truth, samples.view, samples.jitter, samples.shapes, sides, lengths, errors)
    found = box_to_image(samples.shapes.astype(float), samples.jitter.astype(float))
    distances = np.linalg.norm((found - samples.truth[samples.view]) * sides[samples.view][:, None], axis=2)
    np.testing.assert_allclose(errors, distances.mean(axis=1) / lengths[samples.view], rtol=1e-5)


def test_an_image_that_cannot_be_read_is_named(objects):
    X = [*objects[0]]
    X[20] = np.zeros((4, 4), np.uint8), X[20][1]
    with pytest.raises(InputError, match=r"^X\[20\]: the box lies outside the image of 4 x 4 pixels"):
        train_in_parts(small_predictor(**SMALL), X, objects[1], (0, 13, N))


def test_a_part_that_has_been_closed_reads_nothing(objects):
    ranks, _ = train_in_parts(small_predictor(**SMALL | {"n_stages": 1}), *objects, (0, N))
    with pytest.raises(LinkLostError, match="the training has ended"):
        ranks[0].cut(0, objects[0])
    with pytest.raises(TypeError, match="a worker of a training cannot be moved"):
        pickle.dumps(ranks[0])
