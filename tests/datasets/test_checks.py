from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ert.datasets import checks
from ert.datasets.checks import KINDS, Picture, check_dataset
from ert.datasets.dataset import Dataset
from ert.datasets.synthetic import synthetic_faces
from ert.model.schemes import FACE68_MIRROR

SWAP = np.array(FACE68_MIRROR)


def annotated(n=60, seed=2):
    """Synthetic faces in images of their own, 128 pixels wide and high, that are never opened."""
    _, boxes, landmarks = synthetic_faces(n, seed=seed)
    files = [Path(f"face_{i}.png") for i in range(n)]
    return Dataset(files, boxes, landmarks, tuple(map(str, range(68))), "faces")


def pictures_of(dataset, size=(128, 128)):
    return {file: Picture(*size, str(file), None) for file in dataset.files}


def check(dataset, pictures=None, swap=SWAP):
    findings = check_dataset(dataset, pictures or pictures_of(dataset), swap)
    return [(finding.kind, finding.item) for finding in findings]


def changed(dataset, landmarks=None, boxes=None, files=None):
    return Dataset(
        dataset.files if files is None else files,
        dataset.boxes if boxes is None else boxes,
        dataset.landmarks if landmarks is None else landmarks,
        dataset.landmark_names,
        dataset.name,
    )


@pytest.fixture(scope="module")
def faces():
    return annotated()


def test_nothing_is_found_in_correct_faces(faces):
    assert check(faces) == []


def test_unreadable_and_duplicate_images_are_reported(faces):
    pictures = pictures_of(faces)
    pictures[faces.files[4]] = Picture(0, 0, "", "face_4.png: is not an image")
    pictures[faces.files[9]] = pictures[faces.files[7]]
    findings = check_dataset(faces, pictures, SWAP)
    assert [(finding.kind, finding.file.name, finding.item) for finding in findings] == [
        ("unreadable image", "face_4.png", None),
        ("duplicated image", "face_9.png", None),
    ]
    assert findings[0].text == "is not an image"
    assert "face_7.png" in findings[1].text


def test_duplicate_objects_are_reported_but_not_two_objects_of_an_image(faces):
    files = list(faces.files)
    files[5] = files[6] = files[0]
    boxes = faces.boxes.copy()
    boxes[:, :2] += faces.landmarks.mean(axis=1) - (boxes[:, :2] + boxes[:, 2:] / 2)
    boxes[0], boxes[5], boxes[6] = (20, 20, 80, 80), (60, 20, 80, 80), (20, 20, 80, 81)
    found = check(changed(faces, boxes=boxes, files=files))
    assert ("same object twice", 6) in found
    assert [kind for kind, _ in found].count("same object twice") == 1


def test_boxes_that_are_tiny_or_elsewhere_are_reported(faces):
    boxes = faces.boxes.copy()
    boxes[3] = (50, 50, 15, 40)
    boxes[8, 0] = 100
    boxes[8, 2:] = 80
    found = check(changed(faces, boxes=boxes))
    assert ("tiny box", 3) in found
    assert ("box outside the image", 8) in found
    assert {item for kind, item in found if "box" in kind} == {3, 8}
    assert ("landmarks far from the box", 3) in found


def test_landmarks_outside_the_image_are_reported_but_not_those_on_its_edge(faces):
    right = faces.landmarks[:, :, 0].max(axis=1)
    furthest = int(np.argmax(right))
    columns = int(np.ceil(right.max() + 0.5))
    assert check(faces, pictures_of(faces, (columns, 128))) == []
    found = check(faces, pictures_of(faces, (columns - 1, 128)))
    assert found[0] == ("landmarks outside the image", furthest)


def test_missing_landmarks_are_reported_and_nothing_else(faces):
    landmarks = faces.landmarks.copy()
    landmarks[2, 5:15] = np.nan
    landmarks[3, 30] = np.nan
    landmarks[4, 1:] = np.nan
    findings = check_dataset(changed(faces, landmarks), pictures_of(faces), SWAP)
    assert [(finding.kind, finding.item) for finding in findings] == [
        ("missing landmarks", 4),
        ("missing landmarks", 2),
        ("missing landmarks", 3),
    ]
    assert findings[1].text == "5, 6, 7, 8, 9, 10 and 4 more"
    assert findings[1].landmarks == tuple(range(5, 15))


def test_coincident_landmarks_are_reported_unless_they_often_coincide(faces):
    landmarks = 10 * faces.landmarks
    landmarks[7, 36] = landmarks[7, 45]
    landmarks[8, 61:64] = landmarks[8, 67:64:-1]  # a closed mouth
    landmarks[:, 1] = landmarks[:, 0]
    dataset = changed(faces, landmarks, 10 * faces.boxes)
    findings = check_dataset(dataset, pictures_of(faces, (1280, 1280)), SWAP)
    coincident = [finding for finding in findings if finding.kind == "coincident landmarks"]
    assert [(finding.item, finding.text) for finding in coincident] == [(7, "36 and 45")]
    assert coincident[0].landmarks == (36, 45)


def test_an_outlier_shape_is_reported(faces):
    landmarks = faces.landmarks.copy()
    landmarks[11] = np.random.default_rng(0).uniform(20, 100, (68, 2))
    findings = check_dataset(changed(faces, landmarks), pictures_of(faces), SWAP)
    assert {(finding.kind, finding.item) for finding in findings} >= {("outlier shape", 11)}
    assert {finding.item for finding in findings} == {11}
    assert findings[0].landmarks == ()


@pytest.mark.parametrize("seed", range(6))
def test_one_stray_landmark_is_reported(faces, seed):
    rng = np.random.default_rng(seed)
    landmarks = faces.landmarks.copy()
    item, place = int(rng.integers(60)), int(rng.integers(68))
    landmarks[item, place] += 0.15 * np.ptp(landmarks[item, :, 0])
    findings = check_dataset(changed(faces, landmarks), pictures_of(faces, (300, 300)), SWAP)
    stray = [finding for finding in findings if finding.kind == "stray landmarks"]
    assert [finding.item for finding in stray] == [item]
    assert stray[0].text.startswith(f"{place}:")
    assert stray[0].landmarks == (place,)


@pytest.mark.parametrize("known", [True, False])
def test_swapped_left_and_right_are_reported(faces, known):
    landmarks = faces.landmarks.copy()
    if known:
        landmarks[[3, 30]] = landmarks[[3, 30]][:, SWAP]
        dataset, swap = changed(faces, landmarks), SWAP
    else:
        # Half a face has no symmetry, so that its reflection is another shape.
        half = [*range(9), *range(17, 22), *range(36, 42)]
        landmarks[[3, 30], :, 0] *= -1
        dataset = Dataset(faces.files, faces.boxes, landmarks[:, half], tuple(map(str, half)), "halves")
        swap = None
    found = check(dataset, swap=swap)
    assert sorted(item for kind, item in found if kind == "left and right swapped") == [3, 30]


def test_findings_are_in_the_order_of_kinds(faces):
    boxes, landmarks = faces.boxes.copy(), faces.landmarks.copy()
    boxes[1, 2:] = 3
    landmarks[5, :20] = np.nan
    landmarks[9] = landmarks[9][SWAP]
    ranks = [KINDS.index(kind) for kind, _ in check(changed(faces, landmarks, boxes))]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) >= 3


@pytest.mark.parametrize("n", [1, 2, 9, 10])
def test_few_objects_and_few_landmarks_are_checked_without_a_warning(faces, n):
    few = faces.subset(slice(n))
    assert check(few) == []
    one = Dataset(few.files, few.boxes, few.landmarks[:, :1], ("0",), "one")
    assert check(one, swap=None) == []


def test_copies_of_one_shape_are_no_outliers(faces):
    landmarks = np.repeat(faces.landmarks[:1], 30, axis=0)
    landmarks[:3] += np.random.default_rng(0).normal(scale=1e-7, size=(3, 68, 2))
    boxes = np.tile([0.0, 0, 128, 128], (30, 1))
    dataset = Dataset(faces.files[:30], boxes, landmarks, faces.landmark_names, "copies")
    assert check(dataset, pictures_of(dataset, (200, 200))) == []


def test_images_are_read_unless_given(tmp_path):
    images, boxes, landmarks = synthetic_faces(3, seed=2)
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for file, image in zip(files, images[[0, 1, 0]], strict=True):
        Image.fromarray(image).save(file)
    files[1].write_bytes(b"no image")
    findings = check_dataset(Dataset(files, boxes, landmarks, tuple(map(str, range(68))), "faces"))
    assert [(finding.kind, finding.file) for finding in findings] == [
        ("unreadable image", files[1]),
        ("duplicated image", files[2]),
    ]


def test_the_components_of_few_objects_are_those_of_many():
    rows = np.random.default_rng(0).normal(size=(20, 30))
    few = checks._principal_components(rows, 4)
    # Rows of zeros change no component, but the number of rows.
    many = checks._principal_components(np.vstack([rows, np.zeros((20, 30))]), 4)
    np.testing.assert_allclose(few @ few.T, many @ many.T, atol=1e-9)
    # Here a square matrix of the columns would take 7 GB.
    assert checks._principal_components(np.ones((3, 30_000)), 1).shape == (30_000, 1)
