import numpy as np
import pytest
from drawn import draw, place, scattered_photo, standard_photos
from PIL import Image

from ert import InputError
from ert.inference.locator import locate_objects
from ert.training.locator import filter_rolls, fit_locator


@pytest.fixture(scope="module")
def examples():
    return standard_photos(6, np.random.default_rng(0))


def test_the_same_locator_for_any_number_of_threads(examples, tmp_path):
    photos, shapes = examples
    files = [tmp_path / f"{i}.png" for i in range(len(photos))]
    for file, photo in zip(files, photos, strict=True):
        Image.fromarray(photo).save(file)
    one, two = fit_locator(photos, shapes, n_jobs=1).arrays(), fit_locator(files, shapes, n_jobs=2).arrays()
    assert all(np.array_equal(array, two[name]) for name, array in one.items())


def test_photos_of_several_objects_with_missing_landmarks(tmp_path):
    rng = np.random.default_rng(1)
    photos, shapes = [], []
    for _ in range(4):
        photo, found = scattered_photo(rng, 2)
        found[1, 2] = np.nan
        photos += [photo, photo]
        shapes += list(found)
    # An object of one landmark has no pose, and is left out.
    shapes[-1][1:] = np.nan
    locator = fit_locator(photos, shapes)
    boxes, rolls = locator.poses(shapes)
    assert np.isfinite(boxes[:-1]).all()
    assert np.isnan(rolls[-1])
    assert locator.relative_sides[0] < (boxes[:-1, 2:].mean(axis=1) / np.sqrt(photos[0].size)).min()


def test_one_photo_of_several_objects_is_enough():
    rng = np.random.default_rng(3)
    photo, shapes = scattered_photo(rng, 3, size=(360, 160))
    locator = fit_locator([photo] * 3, shapes)
    found = locate_objects(locator, scattered_photo(rng, 2)[0], max_objects=4, min_confidence=0.5)
    assert len(found) == 2


def test_photos_that_are_smaller_than_a_window():
    rng = np.random.default_rng(4)
    shapes = np.array([place(6, 6, 8, roll) for roll in (-3, 0, 4)])
    locator = fit_locator([draw([shape], (13, 13), rng) for shape in shapes], shapes)
    assert np.isfinite(locator.filters).all()


def test_rolls_are_searched_as_far_as_the_data_has_them():
    assert filter_rolls(np.linspace(-3, 3, 8)).tolist() == [0, -30, -15, 15, 30]
    assert filter_rolls(np.linspace(-70, 70, 8)).tolist() == [0, *range(-75, 0, 15), *range(15, 76, 15)]
    assert sorted(filter_rolls(np.linspace(-180, 135, 8)).tolist()) == list(range(-180, 180, 15))


def test_objects_at_any_roll_are_found():
    rng = np.random.default_rng(2)
    shapes = np.array([place(60, 60, 50, roll) for roll in range(-180, 180, 30)])
    locator = fit_locator([draw([shape], (120, 120), rng) for shape in shapes], shapes)
    assert len(locator.filters) == 24
    for roll in (-150, 80, 165):
        shape = place(90, 70, 50, roll)
        ((_, found, confidence),) = locate_objects(locator, draw([shape], (180, 150), rng))
        (expected,) = locator.poses(shape[None])[1]
        assert abs((found - expected + 180) % 360 - 180) < 5
        assert confidence > 0.5


def test_what_cannot_be_learned_is_refused(examples):
    photos, shapes = examples
    with pytest.raises(InputError, match="a single landmark have no size, expected at least 2"):
        fit_locator(photos, shapes[:, :1])
    with pytest.raises(InputError, match="all landmarks coincide"):
        fit_locator(photos, np.full_like(shapes, 50.0))
    with pytest.raises(InputError, match="y has 6 objects"):
        fit_locator(photos[:2], shapes)
    with pytest.raises(InputError, match=r"images\[2\]: float64 pixels"):
        fit_locator([*photos[:2], np.zeros((9, 9)), *photos[3:]], shapes)


def test_a_photo_whose_object_is_everywhere_has_no_windows_elsewhere(examples, monkeypatch):
    import ert.training.locator as training

    photos, shapes = examples
    locator = fit_locator(photos, shapes, n_jobs=1)
    boxes, rolls = locator.poses(shapes[:1])
    monkeypatch.setattr(training, "FAR_SIDES", 1e9)
    monkeypatch.setattr(training, "FAR_FACTOR", 1e9)
    photo = training._Photo(photos[0], boxes, rolls, shapes[:1])
    found = training._elsewhere(locator, photo, 9, np.random.default_rng(0))
    assert found.shape == (0, locator.filters[0].size)
