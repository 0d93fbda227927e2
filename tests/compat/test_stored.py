"""Imglab files of images with a turn (EXIF), which dlib ignores."""

import pytest
from turned import turned_faces

from ert.compat import dlib
from ert.datasets import write_dataset


@pytest.mark.parametrize("orientation", [3, 6])
def test_files_are_read_as_stored(tmp_path, orientation):
    """The turn of a photo (EXIF) is ignored, as in dlib, even where landmarks are outside the image then."""
    options = dlib.shape_predictor_training_options(cascade_depth=2, num_trees_per_cascade_level=20, tree_depth=2)
    errors = []
    for name, note in (("plain", None), ("turned", orientation)):
        dataset = turned_faces(tmp_path / name, 12, [note])
        dataset.landmarks[0, 0] = 20, 70
        write_dataset(dataset, tmp_path / f"{name}.xml")
        dlib.train_shape_predictor(str(tmp_path / f"{name}.xml"), str(tmp_path / f"{name}.dat"), options)
        errors.append(dlib.test_shape_predictor(str(tmp_path / f"{name}.xml"), str(tmp_path / "plain.dat")))
    assert errors[0] == errors[1]
    assert (tmp_path / "plain.dat").read_bytes() == (tmp_path / "turned.dat").read_bytes()
