"""Members share the initializations of a prediction."""

from dataclasses import replace

import numpy as np
import pytest
from model.test_confidence import random_confidence_model

from ert import PredictionMode
from ert.inference.locate import MIN_BATCH
from ert.inference.rotated import locate_rotated
from ert.model.geometry import INITS, ONE_INIT, redraw_box
from ert.tracking.observation import Observer

MODES = [PredictionMode(3, 2, True), PredictionMode(2), PredictionMode(1, 1, True), PredictionMode(7, 3)]


def with_parts(model, **parts):
    changed = type(model)(**model.get_params())
    changed.fitted_ = replace(model.fitted_, **parts)
    return changed


def naive(model, image, box, mode, roll=None):
    """One run after the other, each by the next member."""
    mirror_map, members = model.mirror_map_, model.members_
    for _ in range(1, mode.n_passes if roll is None else 1):
        (first,) = model.cascade_.predict_face(image, box, ONE_INIT, "rgb", "luma")
        box = redraw_box(first, model.cascade_.mean_shape, box)
    runs = [(init, mirrored) for mirrored in range(1 + mode.flip) for init in range(mode.n_inits)]
    shapes = []
    for number, (init, mirrored) in enumerate(runs):
        inits = INITS[init : init + 1] + [0, 0, 0, mirrored]
        member = members[number % len(members)]
        if roll is None:
            shapes += [*member.predict_face(image, box, inits, "rgb", "luma", mirror_map)]
        else:
            shapes += [*locate_rotated(member, image, box, roll, inits, "rgb", "luma", mirror_map)]
    return np.median(shapes, axis=0)


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("color", [False, True])
def test_the_runs_are_shared_out_one_after_the_other(members_model, faces, mode, color):
    for image, box in faces[0][40:44]:
        pixels = np.stack([image, image // 2, 255 - image], axis=2) if color else image
        expected = naive(members_model, pixels, box, mode)
        np.testing.assert_allclose(members_model.predict([(pixels, box)], mode)[0], expected, atol=1e-9)


def test_rotated_objects_are_shared_out_as_well(members_model, faces):
    image, box = faces[0][50]
    mode = PredictionMode(3, 1, True)
    found = members_model.predict([(image, box)], mode, rolls=[11.0])[0]
    np.testing.assert_allclose(found, naive(members_model, image, box, mode, 11.0), atol=1e-9)


def test_the_fast_mode_is_that_of_the_first_member(members_model, faces):
    alone = with_parts(members_model, further_members=())
    X = (faces[0] * 2)[: MIN_BATCH + 3]
    assert np.array_equal(members_model.predict(X), alone.predict(X))
    assert np.array_equal(members_model.predict(X[:1]), alone.predict(X[:1]))
    assert np.array_equal(members_model.predict(X[:2], max_roll=30), alone.predict(X[:2], max_roll=30))
    assert not np.array_equal(members_model.predict(X[:2], "accurate"), alone.predict(X[:2], "accurate"))


def test_restarts_and_standard_errors_work_as_with_one_member(members_model, faces):
    confidence_model = random_confidence_model(np.random.default_rng(3), 68)
    for certain in (-50.0, 50.0):
        weights = np.array([certain, 0.0, 0.0])
        model = with_parts(members_model, confidence_model=replace(confidence_model, confidence_weights=weights))
        image, box = faces[0][52]
        shapes, std = model.predict([(image, box)], PredictionMode(3, 2, True, True), return_std=True)
        # Never certain enough to be kept, and never in need of a restart.
        np.testing.assert_allclose(shapes[0], naive(model, image, box, PredictionMode(3, 2, True)), atol=1e-9)
        assert (std > 0).all()


def test_threads_do_not_change_a_prediction(members_model, faces):
    few, many = (members_model.predict(faces[0][:12], "accurate", n_jobs=n) for n in (1, 3))
    assert np.array_equal(few, many)


def test_a_tracker_shares_them_too(members_model, faces):
    image, box = faces[0][51]
    observer = Observer(members_model, "rgb")
    for roll in (0.0, 20.0):
        found = observer.locate(image, box, roll)
        read_as = "rgb", "luma", members_model.mirror_map_
        for number, member in enumerate(members_model.members_):
            inits = observer._inits[number::3]
            if roll:
                expected = locate_rotated(member, image, box, roll, inits, *read_as)
            else:
                expected = member.predict_face(image, box, inits, *read_as)
            assert np.array_equal(found[: len(expected)], expected)
            found = found[len(expected) :]
        assert not len(found)
