import numpy as np
import pytest
from helpers import SHARED, write
from PIL import Image

from ert._core.exceptions import InputError
from ert.datasets import Dataset, load_dataset, write_dataset
from ert.datasets.formats import FORMATS

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the annotated images of ../shared/data")


@pytest.mark.parametrize("name", FORMATS)
def test_y_is_counted_from_the_bottom_in_any_format(name, tmp_path):
    file = tmp_path / "a.png"
    Image.new("L", (30, 20)).save(file)
    data = Dataset([file], np.array([[1.0, 2, 10, 12]]), np.array([[[4.0, 3], [9, 12]]]), ("0", "1"), "two")
    path = tmp_path / "folder" if FORMATS[name].folder else tmp_path / f"x{FORMATS[name].suffix}"
    write_dataset(data, path, name if FORMATS[name].folder else None)
    turned = [[[4, 16], [9, 7]]]
    for y_origin in ("top", "bottom", None):
        read = load_dataset(path, y_origin=y_origin, image_folder=tmp_path)
        as_written = y_origin in (None, FORMATS[name].y_origin)
        assert read.landmarks.tolist() == (data.landmarks.tolist() if as_written else turned)
        if FORMATS[name].boxes and name != "ljson":
            assert read.boxes.tolist() == [[1, 2 if as_written else 6, 10, 12]]
    with pytest.raises(InputError, match="y_origin is 'left', expected 'top' or 'bottom'"):
        load_dataset(path, y_origin="left", image_folder=tmp_path)


def test_boxes_that_begin_at_their_upper_edge_are_refused(tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    table = "image,left,top,width,height,x0,y0,x1,y1\na.png,2,{},10,8,5,6,7,9\n"
    path = write(tmp_path / "t.csv", table.format(4))
    assert load_dataset(path, y_origin="bottom").boxes.tolist() == [[2, 8, 10, 8]]
    write(path, table.format(12))
    with pytest.raises(InputError, match=r"t\.csv:2: the box is above its landmarks, expected the y of its lower edge"):
        load_dataset(path, y_origin="bottom")


def test_images_that_cannot_be_read_are_faults(tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    write(tmp_path / "b.png", "text")
    path = write(tmp_path / "t.csv", "image,x0,y0,x1,y1\nb.png,1,2,3,4\na.png,1,2,3,5\n")
    with pytest.raises(InputError, match=r"b\.png: is not an image"):
        load_dataset(path, y_origin="bottom")
    data = load_dataset(path, y_origin="bottom", skip_bad=True)
    assert data.landmarks.tolist() == [[[1, 17], [3, 14]]]
    assert [skipped.kind for skipped in data.skipped] == ["unreadable image"]


@pytest.mark.parametrize("name", ["imglab", "coco", "tem", "ljson"])
def test_numbers_that_are_missing_are_an_option_of_any_format(name, tmp_path):
    file = tmp_path / "a.png"
    Image.new("L", (30, 20)).save(file)
    files, boxes = [file, tmp_path / "b.png"], np.array([[1.0, 2, 10, 12]] * 2)
    files[1].write_bytes(file.read_bytes())
    data = Dataset(
        files, boxes, np.array([[[-1.0, -1], [9, 12], [8, 8]], [[1, 2], [3, 4], [7, 7]]]), ("0", "1", "2"), "x"
    )
    path = tmp_path / "folder" if FORMATS[name].folder else tmp_path / f"x{FORMATS[name].suffix}"
    write_dataset(data, path, name if FORMATS[name].folder else None)
    np.testing.assert_array_equal(load_dataset(path, image_folder=tmp_path).landmarks, data.landmarks)
    read = load_dataset(path, missing=[-1], image_folder=tmp_path)
    assert np.isnan(read.landmarks[0, 0]).all()
    np.testing.assert_array_equal(read.landmarks[1], data.landmarks[1])
    np.testing.assert_array_equal(load_dataset(path, missing=-1, image_folder=tmp_path).landmarks, read.landmarks)
    for wrong in ("none", ["none"], [None], object(), [float("nan")]):
        with pytest.raises(InputError, match=r"missing is .*, expected numbers such as \[-1\], or \[\] for none"):
            load_dataset(path, missing=wrong, image_folder=tmp_path)


@needs_shared
def test_real_wings_in_csv_and_tps():
    wings = SHARED / "wings"
    options = {"image_folder": wings / "image-examples"}
    tps = load_dataset(wings / "landmark-examples" / "tps-example.tps", **options)
    table = load_dataset(wings / "landmark-examples" / "csv-example.csv", y_origin="bottom", **options)
    order = [table.files.index(file) for file in tps.files]
    np.testing.assert_array_equal(table.landmarks[order], tps.landmarks)
