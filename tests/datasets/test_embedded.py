import copy
import pickle

import numpy as np
import pytest
from helpers import refused, small_predictor, write
from PIL import Image

from ert import explain
from ert._core.exceptions import InputError
from ert._core.images import image_size, load_image
from ert.datasets import check_dataset, load_dataset, write_dataset, write_images
from ert.datasets.formats.csv import read_csv

HEADER = "left_eye_center_x,left_eye_center_y,nose_tip_x,nose_tip_y,Image\n"


def row(pixels, landmarks="20.5,30,44,60.25"):
    return f"{landmarks},{' '.join(map(str, pixels.ravel()))}\n"


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 96, 96), dtype=np.uint8)


@pytest.fixture
def table(tmp_path, pixels):
    rows = [
        row(image, landmarks) for image, landmarks in zip(pixels, ["20.5,30,,"] + ["20.5,30,44,60"] * 5, strict=True)
    ]
    return write(tmp_path / "training.csv", HEADER + "".join(rows))


def test_images_are_pixels_in_the_table(table, pixels):
    data = load_dataset(table)
    assert data.landmark_names == ("left_eye_center", "nose_tip")
    assert np.isnan(data.landmarks[0, 1]).all()
    assert [file.name for file in data.files[:2]] == ["training_2.png", "training_3.png"]
    assert len(set(data.files)) == 6
    for file, image in zip(data.files, pixels, strict=True):
        np.testing.assert_array_equal(load_image(file), image)
        assert image_size(file) == (96, 96)
    # Its parent is the table itself.
    assert data.files[0].parent == table
    for other in (copy.copy(data.files[0]), pickle.loads(pickle.dumps(data.files[0]))):
        np.testing.assert_array_equal(load_image(other), pixels[0])
    load_image(data.files[0])[:] = 0
    np.testing.assert_array_equal(load_image(data.files[0]), pixels[0])


def test_models_are_fitted_and_images_checked_and_drawn(table):
    data = load_dataset(table, boxes="image")
    model = small_predictor(n_stages=1, n_trees=5, n_pixels=20).fit(data.X, data.y)
    assert model.predict(data.X).shape == (6, 2, 2)
    assert explain(model, *data.X[0]).shapes.shape[-2:] == (2, 2)
    assert "image" not in {finding.kind for finding in check_dataset(data) if "unreadable" in finding.kind}
    assert "base64" in data._repr_html_()


def test_images_are_written_only_if_asked(table, tmp_path, pixels):
    data = load_dataset(table)
    for target, format in (("x.xml", None), ("x.csv", None), ("x.tps", None), ("x", "pts")):
        with pytest.raises(
            InputError, match=r"training\.csv: its images are pixels in the table; ert convert --write-im"
        ):
            write_dataset(data, tmp_path / target, format)
    assert [file.name for file in tmp_path.iterdir()] == ["training.csv"]
    written = write_images(data, tmp_path / "images")
    write_dataset(written, tmp_path / "x.csv")
    again = load_dataset(tmp_path / "x.csv")
    np.testing.assert_array_equal(again.landmarks, data.landmarks)
    np.testing.assert_array_equal(load_image(again.files[3]), pixels[3])
    assert write_images(data, tmp_path / "images").files == written.files == again.files
    Image.new("L", (3, 3)).save(written.files[0])
    with pytest.raises(InputError, match=r"training_2\.png: exists and is another image"):
        write_images(data, tmp_path / "images")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ".join(["7"] * 17), "17 pixels, expected those of a square image"),
        (" ".join(["256"] * 16), "a pixel has the value 256, expected 0 to 255"),
        (" ".join(["1"] * 15), "not found"),
        (" ".join(["-1"] * 16), "not found"),
    ],
)
def test_refuses(tmp_path, text, message):
    refused(read_csv(write(tmp_path / "t.csv", f"{HEADER}1,2,3,4,{text}\n")), "t.csv:2", message)
