import numpy as np
import pytest

import ert
from ert import InputError, regions
from ert.datasets.synthetic import FACE68_TEMPLATE
from ert.faces.regions import FACE_REGIONS
from ert.model.schemes import FACE5_MIRROR, FACE5_OF_FACE68, FACE68_MIRROR


@pytest.mark.parametrize(("scheme", "mirror"), [("face68", FACE68_MIRROR), ("face5", FACE5_MIRROR)])
def test_every_landmark_is_in_one_region_and_mirroring_swaps_right_and_left(scheme, mirror):
    scheme = FACE_REGIONS[scheme]
    numbers = [i for region in scheme.values() for i in region]
    assert sorted(numbers) == list(range(len(mirror)))
    for name, region in scheme.items():
        sides = {"right": "left", "left": "right"}
        side, _, part = name.partition("_")
        counterpart = f"{sides[side]}_{part}" if side in sides else name
        assert {mirror[i] for i in region} == set(scheme[counterpart])


def test_right_and_left_are_the_subjects():
    for face in (FACE68_TEMPLATE, FACE68_TEMPLATE[list(FACE5_OF_FACE68)]):
        parts = regions(face)
        assert parts["right_eye"][:, 0].max() < parts["nose"][:, 0].mean() < parts["left_eye"][:, 0].min()


def test_the_regions_of_the_sample_image():
    parts = regions(ert.align(ert.sample_image())[0].landmarks)
    assert list(parts) == [
        *("jaw", "right_brow", "left_brow", "nose", "right_eye", "left_eye", "outer_lips", "inner_lips")
    ]
    heights = [parts[name][:, 1].mean() for name in ("right_brow", "right_eye", "nose", "outer_lips")]
    assert heights == sorted(heights)
    assert abs(np.array(parts["left_eye"]).mean(axis=0) - (246, 103.5)).max() < 3
    five = regions(ert.align(ert.sample_image(), "face5")[0].landmarks)
    for name in ("left_eye", "right_eye"):
        outer, inner = five[name]
        np.testing.assert_allclose(outer, parts[name][3 if name == "left_eye" else 0], atol=3)
        np.testing.assert_allclose(inner, parts[name][0 if name == "left_eye" else 3], atol=3)


def test_many_faces_at_once():
    faces = np.random.default_rng(0).normal(size=(3, 2, 68, 2))
    parts = regions(faces)
    assert parts["inner_lips"].shape == (3, 2, 8, 2)
    np.testing.assert_array_equal(parts["jaw"][1, 1], faces[1, 1, :17])


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        (np.zeros((67, 2)), "67 landmarks, expected the 68 or 5 of a face"),
        (np.zeros((68, 3)), r"array of shape \(68, 3\), expected \(..., n_landmarks, 2\)"),
        (np.zeros(2), r"array of shape \(2,\)"),
        ("face", "expected an array of numbers"),
        ([[1, 2], [3]], "expected an array of numbers"),
        (np.full((68, 2), np.inf), "infinite value"),
    ],
)
def test_invalid_landmarks_are_refused(landmarks, message):
    with pytest.raises(InputError, match=message):
        regions(landmarks)
