from types import SimpleNamespace

import numpy as np
import pytest

from ert import InputError, ShapePredictor
from ert.inference.restart import DOUBTED, RESCUES, rescue
from ert.metrics import nme

MEAN = np.array([[0.2, 0.3], [0.8, 0.3], [0.5, 0.9]], np.float32)
TRUE = (40.0, 60.0, 101.0, 101.0)


def in_box(box):
    return MEAN.astype(float) * (box[2] - 1) + box[:2]


def world(confidence):
    """A cascade that finds the mean shape in every box, and a judge that likes the true box best."""
    looked = []

    def predict_face(image, box, starts, channels, rgb):
        looked.append(box)
        return in_box(box)[None]

    def assess_face(image, box, shape, *rest):
        return confidence(np.abs(shape - in_box(TRUE)).max())

    return (
        SimpleNamespace(mean_shape=MEAN, predict_face=predict_face),
        SimpleNamespace(assess_face=assess_face),
        looked,
    )


def rescued(confidence, box):
    cascade, judge, looked = world(confidence)
    given = None, np.zeros((9, 9), np.uint8), box, in_box(box), "rgb", "luma"
    return rescue(cascade, judge, *given), looked


def test_what_is_trusted_is_kept_without_another_look():
    assert rescued(lambda distance: DOUBTED, TRUE) == (None, [])


def test_the_box_that_the_judge_likes_best_is_found():
    for right, down, scale in RESCUES:
        side = TRUE[2] / scale
        middle = np.array(TRUE[:2]) + TRUE[2] / 2 - (right * side, down * side)
        box = (*(middle - side / 2), side, side)
        found, looked = rescued(lambda distance: 0.8 / (1 + distance), box)
        assert len(looked) == len(RESCUES)
        np.testing.assert_allclose(found, TRUE, atol=1e-9)


def test_nothing_better_is_nothing():
    found, looked = rescued(lambda distance: 0.5, TRUE)
    assert found is None
    assert len(looked) == len(RESCUES)


def test_badly_drawn_boxes_cost_less(judged_model, faces):
    model = ShapePredictor(**judged_model.get_params())
    model.fitted_ = judged_model.fitted_
    X, y = faces
    moved = [(image, (left + 0.25 * width, top, width, height)) for image, (left, top, width, height) in X]
    error = nme(y, model.predict(moved), "inter-ocular").mean()
    model.set_params(rescue=True)
    again = model.predict(moved)
    assert nme(y, again, "inter-ocular").mean() < 0.9 * error
    # The same one by one and all together.
    assert np.array_equal(again, np.concatenate([model.predict([face]) for face in moved]))
    assert model.best().rescue
    assert model.n_starts == 3


def test_without_a_judge_nothing_can_be_rescued(small_model, faces):
    model = ShapePredictor(**small_model.get_params() | {"rescue": True})
    model.fitted_ = small_model.fitted_
    with pytest.raises(InputError, match="no judge"):
        model.predict(faces[0][:1])
    assert not model.best().rescue
