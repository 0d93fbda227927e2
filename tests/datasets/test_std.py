"""Standard errors of landmarks: read, kept with their landmarks, and written."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import refused, write, write_with_image

from ert import load_dataset, write_dataset
from ert.datasets.dataset import concatenate, mirror_dataset
from ert.datasets.formats.csv import read_csv

HEADER = "image,specimen,object,left,top,width,height,roll,confidence,scale"


def test_the_wide_table_of_predictions(tmp_path):
    rows = [
        f"{HEADER},x_nose,y_nose,std_nose,x_tail-tip,y_tail-tip,std_tail-tip",
        "table.jpg,fish 1,0,0,0,9,9,12.5,0.98,0.25,1,2,0.5,3,4,0.75",
        "table.jpg,fish 2,1,0,0,9,9,-3,0.4,,5,6,,,,",
    ]
    dataset = load_dataset(write_with_image(tmp_path / "table.csv", "\n".join(rows)))
    assert dataset.landmark_names == ("nose", "tail-tip")
    assert dataset.ids == ("fish 1", "fish 2")
    np.testing.assert_array_equal(dataset.scales, [0.25, np.nan])
    np.testing.assert_array_equal(dataset.std, [[0.5, 0.75], [np.nan, np.nan]])
    np.testing.assert_array_equal(dataset.boxes[0], [0, 0, 9, 9])


def test_the_long_table_of_predictions(tmp_path):
    rows = [
        "image,specimen,object,landmark,x,y,std,confidence,scale",
        "table.jpg,fish 1,0,nose,1,2,0.5,0.98,0.25",
        "table.jpg,fish 1,0,tail,3,4,0.75,0.98,0.25",
        "table.jpg,fish 2,1,nose,5,6,,0.4,",
        "table.jpg,fish 2,1,tail,7,9,,0.4,",
    ]
    dataset = load_dataset(write_with_image(tmp_path / "table.csv", "\n".join(rows)))
    assert (dataset.landmark_names, dataset.ids) == (("nose", "tail"), ("fish 1", "fish 2"))
    np.testing.assert_array_equal(dataset.landmarks, [[[1, 2], [3, 4]], [[5, 6], [7, 9]]])
    np.testing.assert_array_equal(dataset.std, [[0.5, 0.75], [np.nan, np.nan]])
    np.testing.assert_array_equal(dataset.scales, [0.25, np.nan])


def test_rows_of_an_object_follow_each_other(tmp_path):
    rows = "image,landmark,x,y\ntable.jpg,a,1,2\nother.jpg,a,1,2\ntable.jpg,b,3,4\n"
    write(tmp_path / "other.jpg", b"")
    refused(read_csv(write_with_image(tmp_path / "table.csv", rows)), ":4: further rows of an object above")


@pytest.mark.parametrize(("cell", "found"), [("-0.5", "'-0.5'"), ("wide", "'wide'"), ("inf", "'inf'")])
def test_standard_errors_are_numbers_from_0(tmp_path, cell, found):
    table = write_with_image(tmp_path / "table.csv", f"image,x0,y0,std0\ntable.jpg,1,2,{cell}\n")
    refused(read_csv(table), f"table.csv:2: column 'std0' is {found}, expected")


def test_a_landmark_may_be_called_std(tmp_path):
    text = "image,std_x,std_y,std_std,x_x,y_x,std_x2\ntable.jpg,1,2,0.5,3,4,9\n"
    refused(read_csv(write_with_image(tmp_path / "table.csv", text)), "'std_x2', expected a name like x0 or nose_x")
    text = "image,std_x,std_y,std_std\ntable.jpg,1,2,0.5\n"
    (annotation,) = read_csv(write_with_image(tmp_path / "table.csv", text))
    assert (annotation.landmarks, annotation.std) == ({"std": (1, 2)}, {"std": 0.5})


@pytest.fixture
def dataset(tmp_path):
    text = "image,x0,y0,x1,y1,x2,y2,std0,std1,std2\ntable.jpg,1,2,3,5,7,9,0.1,0.2,0.3\ntable.jpg,2,2,3,5,7,9,1,,3\n"
    return load_dataset(write_with_image(tmp_path / "table.csv", text), missing=[])


def test_they_stay_with_their_landmarks(dataset):
    np.testing.assert_array_equal(dataset.subset([1]).std, [[1, np.nan, 3]])
    turned = dataset.with_landmarks([2, 0])
    assert turned.landmark_names == ("2", "0")
    np.testing.assert_array_equal(turned.std, [[0.3, 0.1], [3, 1]])
    np.testing.assert_array_equal(turned.landmarks[0], [[7, 9], [1, 2]])
    mirrored = mirror_dataset(dataset, [10, 10], [2, 1, 0])
    np.testing.assert_array_equal(mirrored.std[0], [0.3, 0.2, 0.1])
    without = replace(dataset, std=None)
    joined = concatenate([without, dataset])
    np.testing.assert_array_equal(joined.std, [*np.full((2, 3), np.nan), *dataset.std])
    assert concatenate([without, without]).std is None


def test_objects_without_any_and_objects_that_are_left_out(tmp_path):
    rows = ["1,2,", ",,0.5", "3,4,0.5", "5,6,"]
    text = "\n".join(["image,left,top,width,height,x0,y0,std0", *(f"table.jpg,0,0,9,9,{row}" for row in rows)])
    dataset = load_dataset(write_with_image(tmp_path / "table.csv", text))
    np.testing.assert_array_equal(dataset.std, [[np.nan], [0.5], [np.nan]])


def test_they_are_written_to_tables_only(dataset, tmp_path):
    assert write_dataset(dataset, tmp_path / "out.csv") == []
    assert (tmp_path / "out.csv").read_text().splitlines()[0].endswith("x2,y2,std0,std1,std2")
    np.testing.assert_array_equal(load_dataset(tmp_path / "out.csv").std, dataset.std)
    named = replace(dataset, landmark_names=("nose", "1", "tail tip"))
    write_dataset(named, tmp_path / "named.csv")
    again = load_dataset(tmp_path / "named.csv")
    assert again.landmark_names == named.landmark_names
    np.testing.assert_array_equal(again.std, dataset.std)
    assert "standard errors are dropped: the format has none" in write_dataset(dataset, tmp_path / "out.xml")
