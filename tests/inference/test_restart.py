from types import SimpleNamespace

import numpy as np
import pytest

from ert import InputError, PredictionMode
from ert.inference.single import MIN_CONFIDENCE, RESTART_BOXES, restart
from ert.metrics import nme

MEAN = np.array([[0.2, 0.3], [0.8, 0.3], [0.5, 0.9]], np.float32)
TRUE = (40.0, 60.0, 101.0, 101.0)


def in_box(box):
    return MEAN.astype(float) * (box[2] - 1) + box[:2]


def world(confidence):
    """A cascade that finds the mean shape in every box, and a judge that likes the true box best."""
    looked = []

    def predict_face(image, box, inits, channel_order, gray_weights):
        looked.append(box)
        return in_box(box)[None]

    def assess_face(image, box, shape, *rest):
        return confidence(np.abs(shape - in_box(TRUE)).max())

    return (
        SimpleNamespace(mean_shape=MEAN, predict_face=predict_face),
        SimpleNamespace(assess_face=assess_face),
        looked,
    )


def restarted(confidence, box):
    cascade, confidence_model, looked = world(confidence)
    given = None, np.zeros((9, 9), np.uint8), box, in_box(box), "rgb", "luma"
    return restart(cascade, confidence_model, *given), looked


def test_confident_landmarks_are_kept_without_a_restart():
    assert restarted(lambda distance: MIN_CONFIDENCE, TRUE) == (None, [])


def test_the_box_with_the_highest_confidence_is_found():
    for right, down, scale in RESTART_BOXES:
        side = TRUE[2] / scale
        middle = np.array(TRUE[:2]) + TRUE[2] / 2 - (right * side, down * side)
        box = (*(middle - side / 2), side, side)
        found, looked = restarted(lambda distance: 0.8 / (1 + distance), box)
        assert len(looked) == len(RESTART_BOXES)
        np.testing.assert_allclose(found, TRUE, atol=1e-9)


def test_nothing_better_is_nothing():
    found, looked = restarted(lambda distance: 0.5, TRUE)
    assert found is None
    assert len(looked) == len(RESTART_BOXES)


def test_badly_drawn_boxes_cost_less(confident_model, faces):
    model = confident_model
    X, y = faces
    moved = [(image, (left + 0.25 * width, top, width, height)) for image, (left, top, width, height) in X]
    error = nme(y, model.predict(moved), "inter-ocular").mean()
    mode = PredictionMode(restart=True)
    again = model.predict(moved, mode)
    assert nme(y, again, "inter-ocular").mean() < 0.9 * error
    # The same one by one and all together.
    assert np.array_equal(again, np.concatenate([model.predict([face], mode) for face in moved]))
    best = PredictionMode(n_inits=3, n_passes=2, flip=True, restart=True)
    assert np.array_equal(model.predict(moved[:5], "accurate"), model.predict(moved[:5], best))


def test_restarts_need_a_confidence_model(small_model, faces):
    with pytest.raises(InputError, match="no confidence model"):
        small_model.predict(faces[0][:1], PredictionMode(restart=True))
