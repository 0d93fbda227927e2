"""Which way images with a turn (EXIF) are read, in every format."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import write
from PIL import Image
from turned import exif_bytes, save_turned, turned_faces

from ert import InputError, ShapePredictor, load_image
from ert._core.image_paths import is_stored
from ert._core.images import image_size
from ert.datasets import concatenate, load_dataset, write_dataset

SIDEWAYS = (5, 6, 7, 8)
IN_PLACE = (2, 3, 4)
FORMATS = [("a.xml", None), ("a.csv", None), ("a.tps", None), ("a.json", None), ("", "pts"), ("", "tem"), ("", "ljson")]


@pytest.fixture
def photo(tmp_path):
    """An image of 90 x 60 pixels as stored, which is upright at 60 x 90."""
    return save_turned(tmp_path / "a.png", np.zeros((60, 90, 3), np.uint8), 6)


def xml(*points, size="", file="a.png"):
    parts = "".join(f"<part name='{i}' x='{x}' y='{y}'/>" for i, (x, y) in enumerate(points))
    box = f"<box top='1' left='1' width='20' height='20'>{parts}</box>"
    return f"<dataset><images><image file='{file}'{size}>{box}</image></images></dataset>"


def coco(*points, size=(), file="a.png"):
    image = {"id": 1, "file_name": file} | dict(zip(("width", "height"), size, strict=False))
    keypoints = [number for x, y in points for number in (x, y, 2)]
    annotation = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 20, 20], "keypoints": keypoints}
    return json.dumps({"images": [image], "annotations": [annotation], "categories": [{"id": 1, "name": "a"}]})


def csv(*rows, file="a.png"):
    lines = [",".join(map(str, (file, *np.ravel(points)))) for points in rows]
    header = ",".join(f"x{i},y{i}" for i in range(len(rows[0])))
    return "\n".join([f"image,{header}", *lines, ""])


class TestWithoutSizes:
    """(10, 10) is inside both ways; (80, 10) only as stored; (10, 80) only upright."""

    @pytest.mark.parametrize("orientation", [*SIDEWAYS, *IN_PLACE])
    def test_imglab_is_read_as_stored(self, tmp_path, orientation):
        save_turned(tmp_path / "a.png", np.zeros((60, 90, 3), np.uint8), orientation)
        dataset = load_dataset(write(tmp_path / "a.xml", xml((10, 10), (20, 20))))
        assert is_stored(dataset.files[0])
        assert image_size(dataset.files[0]) == (90, 60)
        assert dataset.notes == (
            "1 image carries a turn (EXIF): read as stored, without it; --exif upright applies it",
        )

    def test_csv_is_read_upright(self, tmp_path, photo):
        dataset = load_dataset(write(tmp_path / "a.csv", csv([(10, 10), (20, 20)])))
        assert not is_stored(dataset.files[0])
        assert image_size(dataset.files[0]) == (60, 90)
        assert dataset.notes == ("1 image carries a turn (EXIF): read upright; --exif stored reads them without it",)

    def test_dlib_order_is_read_as_dlib_does(self, tmp_path, photo):
        dataset = load_dataset(write(tmp_path / "a.csv", csv([(10, 10), (20, 20)])), part_order="dlib")
        assert is_stored(dataset.files[0])

    @pytest.mark.parametrize(("point", "stored"), [((80, 10), True), ((10, 80), False)])
    @pytest.mark.parametrize(("name", "text"), [("a.xml", xml), ("a.json", coco), ("a.csv", lambda *p: csv(p))])
    def test_landmarks_tell(self, tmp_path, photo, name, text, point, stored):
        dataset = load_dataset(write(tmp_path / name, text((20, 20), point)))
        assert is_stored(dataset.files[0]) == stored

    def test_what_some_images_tell_holds_for_all(self, tmp_path, photo):
        for name in ("b.png", "c.png"):
            (tmp_path / name).write_bytes(photo.read_bytes())
        rows = [csv([(10, 10), (20, 20)]), csv([(80, 10), (20, 20)], file="b.png"), csv([(1, 2), (3, 4)], file="c.png")]
        text = rows[0] + "".join(row.split("\n", 1)[1] for row in rows[1:])
        dataset = load_dataset(write(tmp_path / "a.csv", text))
        assert [file.name for file in dataset.files] == ["a.png", "b.png", "c.png"]
        assert all(map(is_stored, dataset.files))
        assert dataset.landmarks[2].tolist() == [[1, 2], [3, 4]]
        assert dataset.notes[0].startswith("3 images carry a turn (EXIF): read as stored")

    def test_the_majority_decides(self, tmp_path, photo):
        save_turned(tmp_path / "b.png", np.zeros((60, 90, 3), np.uint8), 6)
        rows = [[(10, 80), (20, 20)], [(10, 80), (30, 20)], [(80, 10), (20, 20)]]
        dataset = load_dataset(write(tmp_path / "a.csv", csv(*rows)))
        assert not any(map(is_stored, dataset.files))

    def test_missing_landmarks_tell_nothing(self, tmp_path, photo):
        dataset = load_dataset(
            write(tmp_path / "a.csv", csv([("", ""), (80, 10), (1, 2)], [(10, 10), ("", ""), (3, 4)]))
        )
        assert all(map(is_stored, dataset.files))

    @pytest.mark.parametrize("name", ["a.xml", "a.csv"])
    def test_images_without_a_turn_are_plain_paths(self, tmp_path, name):
        save_turned(tmp_path / "a.png", np.zeros((60, 90, 3), np.uint8), None)
        text = xml((10, 10), (70, 20)) if name == "a.xml" else csv([(10, 10), (70, 20)])
        dataset = load_dataset(write(tmp_path / name, text))
        assert type(dataset.files[0]) is type(tmp_path)
        assert dataset.notes == ()


class TestSizes:
    @pytest.mark.parametrize("size", [(90, 60), (60, 90)])
    @pytest.mark.parametrize("name", ["a.xml", "a.json"])
    def test_the_size_tells(self, tmp_path, photo, name, size):
        text = (
            xml((10, 10), size=" width='{}' height='{}'".format(*size))
            if name == "a.xml"
            else coco((10, 10), size=size)
        )
        dataset = load_dataset(write(tmp_path / name, text))
        assert image_size(dataset.files[0]) == size

    @pytest.mark.parametrize("orientation", [None, 3, 6])
    @pytest.mark.parametrize("name", ["a.xml", "a.json"])
    def test_a_size_that_contradicts_the_image_is_refused(self, tmp_path, name, orientation):
        save_turned(tmp_path / "a.png", np.zeros((60, 90, 3), np.uint8), orientation)
        text = xml((10, 10), size=" width='61' height='90'") if name == "a.xml" else coco((10, 10), size=(61, 90))
        path = write(tmp_path / name, text)
        with pytest.raises(InputError, match=r"is 61 x 90, expected 90 x 60.* as in .*a\.png") as info:
            load_dataset(path)
        assert str(info.value).startswith(str(path))
        assert ("or 60 x 90" in str(info.value)) == (orientation == 6)
        assert len(load_dataset(path, exif="stored")) == 1

    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp"])
    def test_the_right_size_in_every_kind_of_image(self, tmp_path, suffix):
        save_turned(tmp_path / f"a{suffix}", np.zeros((60, 90, 3), np.uint8), None)
        path = write(tmp_path / "a.json", coco((10, 10), size=(90, 60), file=f"a{suffix}"))
        assert len(load_dataset(path)) == 1
        path = write(tmp_path / "a.json", coco((10, 10), size=(60, 90), file=f"a{suffix}"))
        with pytest.raises(InputError, match="60 x 90, expected 90 x 60 as in"):
            load_dataset(path)

    @pytest.mark.parametrize("size", [(0, 0), ("90", "60"), (None, 60), (90,), (90.0, 60.0), (-1, 5)])
    def test_what_is_no_size_tells_nothing(self, tmp_path, photo, size):
        assert not is_stored(load_dataset(write(tmp_path / "a.json", coco((10, 10), size=size))).files[0])

    def test_sizes_of_others_tell_for_a_half_turn(self, tmp_path, photo):
        save_turned(tmp_path / "b.png", np.zeros((60, 90, 3), np.uint8), 3)
        data, other = json.loads(coco((10, 10), size=(90, 60))), json.loads(coco((10, 10), size=(90, 60), file="b.png"))
        data["images"].append(other["images"][0] | {"id": 2})
        data["annotations"].append(other["annotations"][0] | {"image_id": 2})
        assert all(map(is_stored, load_dataset(write(tmp_path / "a.json", json.dumps(data))).files))

    def test_an_image_that_cannot_be_read_is_no_contradiction(self, tmp_path):
        write(tmp_path / "a.png", b"junk")
        assert len(load_dataset(write(tmp_path / "a.json", coco((10, 10), size=(90, 60))))) == 1


class TestOption:
    @pytest.mark.parametrize("exif", ["stored", "upright"])
    @pytest.mark.parametrize(
        "text", [xml((20, 20), (80, 10)), xml((20, 20), (10, 80)), xml((9, 9), size=" width='1' height='2'")]
    )
    def test_it_decides(self, tmp_path, photo, text, exif):
        dataset = load_dataset(write(tmp_path / "a.xml", text), exif=exif)
        assert is_stored(dataset.files[0]) == (exif == "stored")
        assert len(dataset.notes) == 1

    def test_unknown(self, tmp_path, photo):
        with pytest.raises(InputError, match="exif is 'turned', expected 'stored' or 'upright'"):
            load_dataset(write(tmp_path / "a.xml", xml((10, 10))), exif="turned")

    def test_levels_are_in_every_path(self, tmp_path):
        Image.fromarray(np.array([[0, 500], [1000, 1000]], np.uint16)).save(tmp_path / "a.png")
        path = write(tmp_path / "a.csv", csv([(0, 1), (1, 0)]))
        with pytest.raises(InputError, match="16-bit gray pixels"):
            load_image(load_dataset(path).files[0])
        assert load_image(load_dataset(path, levels=(0, 1000)).files[0]).tolist() == [[0, 128], [255, 255]]
        with pytest.raises(InputError, match="levels 'dark'"):
            load_dataset(path, levels="dark")

    def test_levels_and_a_turn(self, tmp_path):
        image = Image.fromarray(np.array([[0, 500, 1000]], np.uint16))
        image.save(tmp_path / "a.png", exif=exif_bytes(6))
        stored, upright = (
            load_dataset(write(tmp_path / "a.csv", csv([(0, 1), (1, 0)])), exif=exif, levels=(0, 1000)).files[0]
            for exif in ("stored", "upright")
        )
        assert load_image(stored).tolist() == [[0, 128, 255]]
        assert load_image(upright).tolist() == [[0], [128], [255]]


class TestFormats:
    @pytest.mark.parametrize("orientation", [6, 3, 7])
    @pytest.mark.parametrize(("name", "format"), FORMATS)
    def test_what_is_written_is_read_as_the_notes_say(self, tmp_path, name, format, orientation):
        """Coordinates are kept; where the format's default is the other way, a note says how to read the file."""
        dataset = turned_faces(tmp_path / "faces", 3, [orientation])
        write_dataset(dataset, tmp_path / "faces.xml")
        stored = load_dataset(tmp_path / "faces.xml")
        assert all(map(is_stored, stored.files))
        path = tmp_path / "faces" / name if format is None else tmp_path / "faces"
        notes = write_dataset(stored, path, format)
        advice = [note for note in notes if note.startswith("3 images carry a turn (EXIF)")]
        assert [note.endswith("read this file with --exif stored") for note in advice] == (
            [] if name == "a.xml" else [True]
        )
        back = load_dataset(path, exif=None if name == "a.xml" else "stored")
        assert all(map(is_stored, back.files))
        np.testing.assert_allclose(back.landmarks, stored.landmarks, atol=1e-6)
        np.testing.assert_allclose(back.boxes[:, 2:] / back.boxes[:, 2:].max(), 1, atol=0.6)

    def test_upright_coordinates_in_an_imglab_file_are_noted(self, tmp_path, photo):
        dataset = load_dataset(write(tmp_path / "a.csv", csv([(10, 80), (20, 20)])))
        (note,) = write_dataset(dataset, tmp_path / "b.xml")
        assert note.endswith("those of the upright images: read this file with --exif upright")
        assert not write_dataset(dataset, tmp_path / "b.csv")

    @pytest.mark.parametrize("orientation", SIDEWAYS)
    def test_y_of_tps_is_counted_from_the_bottom_of_the_image_that_is_read(self, tmp_path, orientation):
        save_turned(tmp_path / "a.png", np.zeros((60, 90, 3), np.uint8), orientation)
        path = write(tmp_path / "a.tps", "LM=2\n10 0\n20 20\nIMAGE=a.png\n")
        assert load_dataset(path, exif="stored").landmarks[0].tolist() == [[10, 59], [20, 39]]
        assert load_dataset(path, exif="upright").landmarks[0].tolist() == [[10, 89], [20, 69]]
        path = write(tmp_path / "a.tps", "LM=2\n80 0\n20 20\nIMAGE=a.png\n")
        assert load_dataset(path).landmarks[0].tolist() == [[80, 59], [20, 39]]

    def test_whole_images_as_boxes(self, tmp_path, photo):
        path = write(tmp_path / "a.csv", csv([(10, 10), (20, 20)]))
        assert load_dataset(path, boxes="image", exif="stored").boxes.tolist() == [[0, 0, 90, 60]]
        assert load_dataset(path, boxes="image", exif="upright").boxes.tolist() == [[0, 0, 60, 90]]


@pytest.fixture(scope="module", params=[6, 3, 7])
def pair(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("turned")
    datasets = []
    for name, orientation in (("plain", None), ("turned", request.param)):
        write_dataset(turned_faces(folder / name, 12, [orientation]), folder / f"{name}.xml")
        datasets.append(load_dataset(folder / f"{name}.xml"))
    return datasets


class TestEverywhere:
    """Turned images that were annotated as stored give what the same images without a turn give."""

    def test_pixels(self, pair):
        for plain, turned in zip(*(dataset.files for dataset in pair), strict=True):
            np.testing.assert_array_equal(load_image(turned), load_image(plain))

    def test_a_model(self, pair):
        models = [ShapePredictor(n_stages=2, n_trees=20, n_inits=4, n_jobs=1).fit(each.X, each.y) for each in pair]
        np.testing.assert_array_equal(models[0].predict(pair[0].X), models[1].predict(pair[1].X))
        np.testing.assert_array_equal(
            models[0].predict(pair[0].X, "accurate"), models[0].predict([pair[1][i] for i in range(12)], "accurate")
        )

    def test_parts_of_a_dataset(self, pair):
        turned = pair[1]
        both = concatenate([turned, replace(turned, name="again")])
        for dataset in (turned.subset([3, 1]), turned[::2], both, turned + turned):
            assert all(map(is_stored, dataset.files))
        assert is_stored(turned[5][0])
        assert turned._repr_html_().rsplit("base64,")[1] == pair[0]._repr_html_().rsplit("base64,")[1]


def test_an_object_is_a_pair(tmp_path):
    dataset = turned_faces(tmp_path, 3)
    file, box = dataset[1]
    assert file == dataset.files[1]
    assert box is not None
    np.testing.assert_array_equal(box, dataset.boxes[1])
    assert dataset[-1][0] == dataset.files[2]
    assert dataset[np.int64(1)][0] == file
    assert [file for file, _ in dataset] == dataset.files
    assert len(dataset[1:]) == len(dataset[[0, 2]]) == len(dataset[dataset.boxes[:, 0] < 1e9][1:]) == 2
    with pytest.raises(IndexError):
        dataset[3]
