import numpy as np
import pytest

from ert._core.exceptions import InputError
from ert._core.images import to_gray
from ert.inference.batch import BATCH_SIZE, locate_batch
from ert.inference.locate import MIN_BATCH
from ert.inference.single import locate_plain_face
from ert.model.geometry import ONE_INIT

N = MIN_BATCH + 5


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(3)
    X = []
    for _ in range(N):
        rows, columns = rng.integers(40, 90, 2)
        X.append((rng.integers(0, 256, (rows, columns, 3), np.uint8), (*rng.uniform(-9, 20, 2), 40.0, 38.0)))
    return X


def one_by_one(model, X, **options):
    return np.concatenate([model.predict([face], **options) for face in X])


def frozen(image):
    copy = image.copy()
    copy.flags.writeable = False
    return copy


KINDS = {
    "color": lambda image, i: image,
    "gray": lambda image, i: to_gray(image),
    "one channel": lambda image, i: to_gray(image)[:, :, None],
    "mixed": lambda image, i: to_gray(image) if i % 3 else image,
    "views": lambda image, i: image[::2, ::-1] if i == 40 else image,
    "read-only": lambda image, i: frozen(image) if i > 40 else image,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_faces_together_are_faces_one_by_one(small_model, pairs, kind, n_jobs):
    X = [(KINDS[kind](image, i), box) for i, (image, box) in enumerate(pairs)]
    for channel_order in ("rgb", "bgr"):
        expected = one_by_one(small_model, X, channel_order=channel_order)
        assert np.array_equal(small_model.predict(X, channel_order=channel_order, n_jobs=n_jobs), expected)
    assert np.array_equal(small_model.predict(tuple(X), n_jobs=n_jobs), one_by_one(small_model, X))


def test_files_among_them(small_model, pairs, tmp_path):
    from PIL import Image

    Image.fromarray(pairs[20][0]).save(tmp_path / "face.png")
    X = [(tmp_path / "face.png" if i == 20 else image, box) for i, (image, box) in enumerate(pairs)]
    assert np.array_equal(small_model.predict(X), one_by_one(small_model, pairs))


@pytest.mark.parametrize(
    ("image", "box", "message"),
    [
        (np.zeros((50, 50)), (0, 0, 40, 40), r"faces\[37\]: float64 pixels"),
        (np.zeros((50, 50), np.uint8), (60, 0, 40, 40), r"faces\[37\]: the box lies outside"),
        (np.zeros((0, 50, 3), np.uint8), (0, 0, 40, 40), r"faces\[37\]: .*without pixels"),
    ],
)
def test_the_one_that_cannot_be_used_is_named(small_model, pairs, image, box, message):
    X = pairs.copy()
    X[37] = image, box
    with pytest.raises(InputError, match=message):
        small_model.predict(X, n_jobs=2, what="faces")


def test_which_faces_go_together(small_model, pairs):
    boxes, placed = np.array([box for _, box in pairs]), np.full((N, 68, 2), np.nan)

    def together(X, first):
        return locate_batch(small_model.cascade_, X, boxes, first, ("rgb", "luma"), placed)

    assert together(pairs, 16)
    assert np.isfinite(placed).all(axis=(1, 2)).nonzero()[0].tolist() == list(range(16, 16 + BATCH_SIZE))
    assert not together(pairs, N - BATCH_SIZE + 1)
    gray = [(to_gray(image), box) for image, box in pairs]
    assert together(gray, 0)
    assert not together([*gray[:9], *pairs[9:]], 0)


def test_a_color_array_is_the_same_in_either_way(small_model):
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (60, 70, 3), np.uint8)
    pieces = np.asfortranarray(image)
    for left, top, width, height in rng.uniform((-30, -30, 5, 5), (60, 50, 90, 90), (50, 4)).tolist():
        box = left, top, width, height
        for colors in (("rgb", "luma"), ("bgr", "luma")):
            found = locate_plain_face(small_model.fitted_, (image, box), *colors)
            expected = small_model.cascade_.predict_face(pieces, box, ONE_INIT, *colors)
            assert found is None if left + width < 1 or top + height < 1 else np.array_equal(found, expected)
    assert locate_plain_face(small_model.fitted_, (pieces, (5, 5, 40, 40)), "rgb", "luma") is None
    assert locate_plain_face(small_model.fitted_, (image[..., :2], (5, 5, 40, 40)), "rgb", "luma") is None
