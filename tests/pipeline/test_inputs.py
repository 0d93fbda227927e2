"""Which images are predicted."""

import numpy as np
import pytest
from helpers import write
from PIL import Image

import ert
from ert._core.exceptions import InputError
from ert.datasets.dataset import Dataset
from ert.pipeline.inputs import Inputs


def names(inputs):
    return [item.file.name for item in inputs.items.values()]


def test_files_of_folders_are_in_natural_order_and_occur_once(photos):
    inputs = Inputs().add([photos / "wing3.png", photos, str(photos / "wing1?.png"), photos / "more/../wing0.png"])
    assert names(inputs) == ["wing3.png", *(f"wing{i}.png" for i in range(12) if i != 3)]
    assert inputs.faults == []
    assert inputs.notes == [f"{photos}: images in its subfolders are left out; --recursive takes them too"]
    assert [item.specimen for item in inputs.items.values()][:2] == ["wing3", "wing0"]
    assert names(Inputs(recursive=True).add([photos]))[-2:] == ["wing12.png", "wing13.png"]


def test_patterns_and_lists(photos, tmp_path):
    write(photos / "notes.txt", "no image")
    assert names(Inputs().add([f"{photos}/wing[13]*"])) == ["wing1.png", "wing3.png", "wing10.png", "wing11.png"]
    assert names(Inputs().add([f"{photos}/**/wing1[23].png"])) == ["wing12.png", "wing13.png"]
    listed = write(photos / "more/list.txt", "\ufeffwing13.png\r\n\r\n# first\r\n../wing2.png\r\n@other.txt\r\n")
    inputs = Inputs().add([f"@{listed}"])
    assert names(inputs) == ["wing13.png", "wing2.png"]
    assert inputs.faults == [f"{listed}:5: '@other.txt', expected an image, not another list"]


def test_inputs_that_cannot_be_used_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    inputs = Inputs().add([tmp_path / "empty", str(tmp_path / "*.png"), f"@{tmp_path}/no.txt", tmp_path / "no.csv"])
    assert not inputs.items
    for fault, fragment in zip(
        inputs.faults, ["no image in this folder", "no image matches", "no such file", "no such file"], strict=True
    ):
        assert fragment in fault
        assert str(tmp_path) in fault


def test_annotations_give_images_boxes_ids_and_scales(photos, tmp_path):
    table = write(
        tmp_path / "a.csv",
        "image,left,top,width,height,x0,y0,x1,y1,id,scale\n"
        "wing1.png,1,2,30,40,5,6,7,8,first,0.5\n"
        "wing1.png,9,2,30,40,5,6,7,8,second,0.5\n"
        "wing2.png,1,2,30,40,0,0,,,,\n"
        "none.png,1,2,30,40,5,6,7,8,,\n",
    )
    inputs = Inputs(image_folder=photos).add([table])
    one, two = inputs.items.values()
    assert (one.specimen, one.boxes, one.ids, one.scale) == (
        "first",
        ((1, 2, 30, 40), (9, 2, 30, 40)),
        ("first", "second"),
        0.5,
    )
    assert (two.specimen, two.boxes, two.ids, two.scale) == ("wing2", ((1, 2, 30, 40),), ("",), None)
    (fault,) = inputs.faults
    assert "image 'none.png' not found" in fault
    assert inputs.has_boxes


def test_boxes_around_true_landmarks_are_not_given_to_a_new_image(photos, tmp_path):
    table = write(photos / "b.csv", "image,x0,y0,x1,y1\nwing1.png,5,6,7,8\n")
    assert not Inputs().add([table]).has_boxes
    assert not Inputs().add([ert.load_dataset(table)]).has_boxes
    assert Inputs().add([ert.load_dataset(table, boxes="image")]).has_boxes


def test_datasets_and_arrays(photos):
    file = photos / "wing0.png"
    dataset = Dataset([file] * 2, np.array([[0, 0, 9, 9], [5, 5, 9, 9.0]]), np.zeros((2, 1, 2)), ("0",), "d")
    inputs = Inputs().add([dataset, np.zeros((5, 6), np.uint8)])
    one, two = inputs.items.values()
    assert one.boxes == ((0, 0, 9, 9), (5, 5, 9, 9))
    assert two.specimen == "1"
    with pytest.raises(InputError, match="is an array, expected an image file"):
        _ = two.file


def test_boxes_of_a_table_or_of_the_caller(photos, tmp_path):
    inputs = Inputs().add([photos / "wing1.png", photos / "wing2.png"])
    table = write(photos / "boxes.csv", "image,d_left,d_top,d_width,d_height\nwing2.png,1,2,3,4\n")
    inputs.give_boxes(f"{table}:d")
    assert [item.boxes for item in inputs.items.values()] == [(), ((1, 2, 3, 4),)]
    inputs.give_boxes((1, 2, 3, 4))
    assert [item.boxes for item in inputs.items.values()] == [((1, 2, 3, 4),)] * 2
    inputs.give_boxes([[(1, 2, 3, 4), (5, 6, 7, 8)], (9, 9, 9, 9)])
    assert [len(item.boxes) for item in inputs.items.values()] == [2, 1]
    with pytest.raises(InputError, match="expected left, top, width, height, or the boxes of 2 images"):
        inputs.give_boxes([(1, 2, 3, 4)] * 3)


def test_names_that_no_table_can_hold(tmp_path):
    good, bad = tmp_path / "a.png", tmp_path / "b\x07.png"
    for file in (good, bad):
        Image.new("L", (3, 3)).save(file)
    inputs = Inputs().add([tmp_path])
    inputs.leave_out_names(tmp_path)
    assert names(inputs) == ["a.png"]
    assert "is not a valid name in a table" in inputs.faults[0]


def test_pixels_in_a_table_have_to_be_written_first(tmp_path):
    table = write(tmp_path / "k.csv", "left_eye_x,left_eye_y,Image\n1,2," + " ".join(["7"] * 9216) + "\n")
    (fault,) = Inputs().add([table]).faults
    assert "its images are pixels in the table; ert convert --write-images DIR" in fault


def test_scales(photos, tmp_path):
    inputs = Inputs().add([photos / "wing1.png", photos / "wing2.png"])
    scales = lambda: [item.scale for item in inputs.items.values()]  # noqa: E731
    inputs.give_scales("0.25")
    assert scales() == [0.25, 0.25]
    table = write(photos / "scales.csv", "image,mm\nwing2.png,0.5\nwing1.png,\n")
    inputs.give_scales(f"{table}:mm")
    assert scales() == [None, 0.5]
    inputs.give_scales(f"{write(tmp_path / 's.csv', 'specimen,mm_per_pixel' + chr(10) + 'wing1,2')}:mm_per_pixel")
    assert scales() == [2, None]
    for bad, message in (
        ("-1", "expected a number above 0, or CSV:COLUMN"),
        ("few", "expected a number above 0, or CSV:COLUMN"),
        (f"{table}:cm", "no column cm; found: image, mm"),
        (f"{write(tmp_path / 't.csv', 'specimen,mm' + chr(10) + 'a,1' + chr(10) + 'a,2')}:mm", "'a' has two scales"),
        (f"{tmp_path}/no.csv:mm", "no.csv: no such file"),
    ):
        with pytest.raises(InputError, match=message):
            inputs.give_scales(bad)


def test_images_are_read_as_asked_for(photos, tmp_path):
    Image.fromarray(np.full((4, 6), 500, np.uint16)).save(tmp_path / "deep.png")
    (item,) = Inputs(levels=(0, 1000)).add([tmp_path / "deep.png"]).items.values()
    assert ert.load_image(item.file).tolist() == [[128] * 6] * 4
