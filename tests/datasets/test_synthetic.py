import csv
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from ert._core.exceptions import InputError
from ert.datasets.synthetic import FACE68_TEMPLATE, _clipped_normal, synthetic_dataset, synthetic_faces
from ert.model.schemes import FACE68_MIRROR

# Jaw, brows, nose bridge, nostrils, eyes: mirror partners written out apart from the library's own map.
PARTNERS = [(0, 16), (5, 11), (17, 26), (21, 22), (31, 35), (36, 45), (37, 44), (39, 42), (41, 46)]
PARTNERS += [(48, 54), (50, 52), (55, 59), (60, 64), (61, 63), (65, 67)]
MIDDLE = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]


@pytest.fixture(scope="module")
def faces():
    return synthetic_faces(150, seed=11)


def test_shapes_and_dtypes(faces):
    images, boxes, landmarks = faces
    assert (images.shape, images.dtype) == ((150, 128, 128), np.uint8)
    assert (boxes.shape, boxes.dtype) == ((150, 4), np.float64)
    assert (landmarks.shape, landmarks.dtype) == ((150, 68, 2), np.float64)
    assert np.isfinite(boxes).all()
    assert (landmarks % 1 != 0).mean() > 0.99


def test_same_seed_same_faces():
    first, again, longer = synthetic_faces(3, 5), synthetic_faces(3, 5), synthetic_faces(5, 5)
    for one, two, more in zip(first, again, longer, strict=True):
        assert one.tobytes() == two.tobytes()
        assert one.tobytes() == more[:3].tobytes()
    for one, other in zip(first, synthetic_faces(3, 6), strict=True):
        assert not np.array_equal(one, other)


def test_global_random_state_is_left_alone():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    synthetic_faces(1)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_size_only_scales():
    _, boxes, small = synthetic_faces(4, 2, size=64)
    images, large_boxes, large = synthetic_faces(4, 2, size=192)
    assert images.shape == (4, 192, 192)
    np.testing.assert_allclose((small + 0.5) * 3 - 0.5, large)
    np.testing.assert_allclose(boxes[:, 2:] * 3, large_boxes[:, 2:])


def test_landmarks_are_in_the_image_and_near_the_box(faces):
    _, boxes, landmarks = faces
    assert ((landmarks >= 0) & (landmarks <= 127)).all(axis=2).mean() > 0.995
    corners = boxes[:, None, :2]
    inside = (landmarks > corners) & (landmarks < corners + boxes[:, None, 2:])
    assert 0.85 < inside.all(axis=2).mean() < 1
    # Loose: an exact box would be unlike a detector's.
    extent = np.ptp(landmarks, axis=1)
    assert 0.03 < (boxes[:, 2] / extent.mean(axis=1)).std() < 0.1


def test_faces_vary(faces):
    images, _, landmarks = faces
    eyes = landmarks[:, 45] - landmarks[:, 36]
    roll = np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0]))
    assert 5 < roll.std() < 12
    assert np.hypot(*eyes.T).std() > 3
    assert images.mean(axis=(1, 2)).std() > 20
    gape = np.linalg.norm(landmarks[:, 62] - landmarks[:, 66], axis=1)
    assert gape.min() < 1.5
    assert gape.max() > 6


def test_no_face_is_folded(faces):
    _, _, landmarks = faces
    # In the face's own upright frame: brows over eyes over nose over mouth over chin, upper lids over lower.
    eyes = landmarks[:, 42:48].mean(axis=1) - landmarks[:, 36:42].mean(axis=1)
    right = eyes / np.linalg.norm(eyes, axis=1, keepdims=True)
    down = np.stack([-right[:, 1], right[:, 0]], axis=1)
    height = np.einsum("nkc,nc->nk", landmarks, down)
    for above, below in [(19, 37), (24, 44), (37, 41), (38, 40), (43, 47), (44, 46), (41, 30), (30, 33)]:
        assert (height[:, above] < height[:, below]).all(), (above, below)
    for above, below in [(33, 51), (51, 62), (62, 66), (66, 57), (57, 8)]:
        assert (height[:, above] < height[:, below]).all(), (above, below)
    side = np.einsum("nkc,nc->nk", landmarks, right)
    for left, further_right in [(0, 36), (36, 39), (39, 27), (27, 42), (42, 45), (45, 16), (48, 54), (31, 35)]:
        assert (side[:, left] < side[:, further_right]).all(), (left, further_right)


def test_template_is_a_mirror_image_of_itself():
    assert FACE68_TEMPLATE.shape == (68, 2)
    assert not FACE68_TEMPLATE.flags.writeable
    np.testing.assert_allclose(FACE68_TEMPLATE[list(FACE68_MIRROR)] * (-1, 1), FACE68_TEMPLATE, atol=1e-12)
    for right, left in PARTNERS:
        np.testing.assert_allclose(FACE68_TEMPLATE[right] * (-1, 1), FACE68_TEMPLATE[left], atol=1e-12)
        assert FACE68_TEMPLATE[left, 0] != 0
    np.testing.assert_allclose(FACE68_TEMPLATE[MIDDLE, 0], 0, atol=1e-12)
    assert np.ptp(FACE68_TEMPLATE[:, 0]) == pytest.approx(1)


def test_mean_face_is_nearly_symmetric(faces):
    _, _, landmarks = faces
    size = np.linalg.norm(landmarks[:, 16] - landmarks[:, 0], axis=1)[:, None, None]
    mean = ((landmarks - landmarks.mean(axis=1, keepdims=True)) / size).mean(axis=0)
    mirrored = mean[list(FACE68_MIRROR)] * (-1, 1)
    assert np.abs(mirrored - mean).max() < 0.05
    # The bound means something only if a wrong order breaks it.
    assert np.abs(mean * (-1, 1) - mean).max() > 0.5


@pytest.mark.parametrize(
    ("arguments", "name"), [({"n": -1}, "n"), ({"n": 1, "seed": -1}, "seed"), ({"n": 1, "size": 31}, "size")]
)
def test_bad_arguments(arguments, name):
    with pytest.raises(InputError, match=f"^{name}: expected at least"):
        synthetic_faces(**arguments)


def test_no_faces():
    images, boxes, landmarks = synthetic_faces(0)
    assert (images.shape, boxes.shape, landmarks.shape) == ((0, 128, 128), (0, 4), (0, 68, 2))


def test_dataset_files(tmp_path):
    folder = synthetic_dataset(tmp_path / "new" / "faces", 3, seed=4)
    assert folder == tmp_path / "new" / "faces"
    images, boxes, landmarks = synthetic_faces(3, 4)
    names = [f"face_000{i}" for i in range(3)]
    expected = {f"{name}{suffix}" for name in names for suffix in (".png", ".pts")}
    assert {path.name for path in folder.iterdir()} == expected | {"landmarks.xml", "landmarks.csv"}

    for name, image, shape in zip(names, images, landmarks, strict=True):
        with Image.open(folder / f"{name}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), image)
        lines = (folder / f"{name}.pts").read_text().splitlines()
        assert lines[:3] == ["version: 1", "n_points: 68", "{"]
        assert lines[-1] == "}"
        points = np.array([line.split() for line in lines[3:-1]], dtype=float)
        np.testing.assert_allclose(points - 1, shape, atol=1e-4)

    with open(folder / "landmarks.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:7] == ["image", "left", "top", "width", "height", "x0", "y0"]
    assert header[-2:] == ["x67", "y67"]
    assert [row[0] for row in rows] == [f"{name}.png" for name in names]
    table = np.array([row[1:] for row in rows], dtype=float)
    np.testing.assert_allclose(table[:, :4], boxes, atol=1e-4)
    np.testing.assert_allclose(table[:, 4:].reshape(3, 68, 2), landmarks, atol=1e-4)

    root = ET.parse(folder / "landmarks.xml").getroot()
    assert root.tag == "dataset"
    elements = root.findall("images/image")
    assert [element.get("file") for element in elements] == [f"{name}.png" for name in names]
    for element, box, shape in zip(elements, boxes, landmarks, strict=True):
        (drawn,) = element.findall("box")
        sides = [int(drawn.get(side)) for side in ("left", "top", "width", "height")]
        np.testing.assert_allclose(sides, box, atol=0.5)
        assert [part.get("name") for part in drawn] == [f"{k:02d}" for k in range(68)]
        parts = [(int(part.get("x")), int(part.get("y"))) for part in drawn]
        np.testing.assert_allclose(parts, shape, atol=0.5)


def test_dataset_replaces_its_own_files_only(tmp_path):
    (tmp_path / "other.txt").write_text("mine")
    synthetic_dataset(tmp_path, 1, seed=1)
    before = (tmp_path / "landmarks.csv").read_bytes()
    synthetic_dataset(tmp_path, 1, seed=2)
    assert (tmp_path / "landmarks.csv").read_bytes() != before
    synthetic_dataset(tmp_path, 1, seed=1)
    assert (tmp_path / "landmarks.csv").read_bytes() == before
    assert (tmp_path / "other.txt").read_text() == "mine"


def test_dataset_in_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot create folder"):
        synthetic_dataset(tmp_path / "file", 1)


def profiles(images, landmarks, index, direction, reach=3.0):
    """Gray values along `direction` through one landmark of every face, by linear interpolation."""
    offsets = np.linspace(-reach, reach, 61)
    points = landmarks[:, index, None] + offsets[:, None] * np.asarray(direction)
    # A chin may touch the edge of its image.
    images, points = np.pad(images, ((0, 0), (8, 8), (8, 8)), mode="edge"), points + 8
    corner = np.floor(points).astype(int)
    dx, dy = np.moveaxis(points - corner, -1, 0)
    x, y = np.moveaxis(corner, -1, 0)
    face = np.arange(len(images))[:, None]
    values = images.astype(float)
    upper = (1 - dx) * values[face, y, x] + dx * values[face, y, x + 1]
    lower = (1 - dx) * values[face, y + 1, x] + dx * values[face, y + 1, x + 1]
    return offsets, (1 - dy) * upper + dy * lower


def test_brows_are_drawn_where_the_landmarks_are(faces):
    images, _, landmarks = faces
    for index in (19, 24):
        offsets, values = profiles(images, landmarks, index, (0, 1), reach=2.0)
        darkness = np.clip(values.max(axis=1, keepdims=True) - values, 0, None).mean(axis=0)
        darkness -= darkness.min()
        assert abs((offsets * darkness).sum() / darkness.sum()) < 0.3


def test_nose_is_drawn_where_the_landmarks_are(faces):
    images, _, landmarks = faces
    # Light from either side is as likely, so its shadows cancel out in the mean over many faces.
    for index in (28, 29):
        offsets, values = profiles(images, landmarks, index, (1, 0))
        assert abs(offsets[values.mean(axis=0).argmax()]) < 0.6


def test_lips_and_chin_are_drawn_where_the_landmarks_are(faces):
    images, _, landmarks = faces
    for index, sign in ((51, 1), (57, -1), (8, 1)):
        offsets, values = profiles(images, landmarks, index, (0, sign))
        # From skin into the darker lips, or into the line around the jaw: steepest at the landmark.
        steepest = offsets[np.gradient(values.mean(axis=0)).argmin()]
        assert abs(steepest) < 1.0, index


def test_normal_numbers_are_clipped():
    drawn = _clipped_normal(np.random.default_rng(0), 4000)
    assert abs(drawn).max() == 2
    np.testing.assert_allclose([drawn.mean(), drawn.std()], [0, 0.96], atol=0.04)
