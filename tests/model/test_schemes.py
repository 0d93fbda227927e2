import numpy as np
import pytest

from ert import InputError
from ert.datasets.synthetic import FACE68_TEMPLATE
from ert.model.schemes import FACE68_MIRROR, FACE68_REGIONS, mean_shape, mirror_shapes, resolve_mirror_map


def test_the_regions_cover_the_68_points_once():
    assert sorted(i for region in FACE68_REGIONS.values() for i in region) == list(range(68))


def test_mirroring_carries_regions_onto_their_counterparts():
    swap = np.array(FACE68_MIRROR)
    for right, left in [("right_brow", "left_brow"), ("right_eye", "left_eye"), ("jaw", "jaw"), ("outer_lips",) * 2]:
        assert set(swap[list(FACE68_REGIONS[right])]) == set(FACE68_REGIONS[left])
    assert swap[8] == 8
    assert swap[30] == 30
    assert swap[36] == 45


def test_a_symmetric_face_is_its_own_mirror_image():
    low, high = FACE68_TEMPLATE.min(axis=0), FACE68_TEMPLATE.max(axis=0)
    face = ((FACE68_TEMPLATE - low) / (high - low))[None]
    np.testing.assert_allclose(mirror_shapes(face, np.array(FACE68_MIRROR)), face, atol=1e-9)


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        ("hand", "no scheme 'hand'; known: face5, face68"),
        ([1, 0], "map of 2 landmarks for objects of 3"),
        ([0, 1, 3], "each number from 0 to 2 once"),
        ([1, 2, 0], "landmark 0 goes to 1, which goes to 2, not back"),
        ([0.0, 1.0, 2.0], "each number from 0 to 2 once"),
    ],
)
def test_a_wrong_mirror_map_is_refused(mirror, message):
    with pytest.raises(InputError, match=message):
        resolve_mirror_map(mirror, 3)


def test_mirror_maps_that_are_right():
    assert resolve_mirror_map(None, 3) is None
    assert resolve_mirror_map([2, 1, 0], 3).tolist() == [2, 1, 0]
    assert resolve_mirror_map("face68", 68).tolist() == list(FACE68_MIRROR)


def test_the_mean_shape_leaves_missing_landmarks_out():
    shapes = np.array([[[0.0, 0.0], [1.0, 1.0]], [[2.0, 2.0], [np.nan, np.nan]]])
    assert mean_shape(shapes).tolist() == [[1, 1], [1, 1]]
