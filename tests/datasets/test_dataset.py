import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from helpers import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ert._core.exceptions import InputError
from ert.datasets.dataset import Dataset, Skipped, concatenate
from ert.datasets.formats import load_dataset
from ert.datasets.formats.csv import read_boxes

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the annotated images of ../shared/data")

CSV = "image,x0,y0,x1,y1,x2,y2\na.jpg,1,2,11,6,5,3\nb.jpg,,,3,4,4,14\na.jpg,7,8,nan,nan,9,9\n"
CSV_BOXES = "image,x0,y0,left,top,width,height\na.jpg,1,2,10,20,30,40\nb.jpg,1,2,11,21,31.5,41\n"
TPS = (
    "LM=3\n1 2\n3.5 14\n5 6\nIMAGE=a.jpg\nID=0\nSCALE=0.25\n"
    "LM=3\n-1 -1\n5 6\n7 7\nIMAGE=b.jpg\nLM=3\n1. 2.\n5 7\n3 3\nIMAGE=a.jpg\n"
)
COCO = """{"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
 "categories": [{"id": 7, "name": "face", "keypoints": ["nose", "chin"]}],
 "annotations": [
  {"image_id": 1, "category_id": 7, "bbox": [1, 2, 30.5, 40], "keypoints": [3, 4, 2, 5.5, 6, 1]},
  {"image_id": 2, "category_id": 7, "bbox": [1, 2, 30, 40], "keypoints": [0, 0, 0, 5, 6, 2]}]}
"""
TEM = "2\n1.5\t2\n3\t14\n1\n0\n2\n0 1\n"
LJSON = """{"labels": [{"label": "nose", "mask": [0]}, {"label": "chin", "mask": [1]},
  {"label": "ear", "mask": [2]}],
 "landmarks": {"connectivity": [[0, 1]], "points": [[2, 1], [14, 3.5], [5, 6]]}, "version": 2}
"""
LJSON_3 = """{"version": 3, "groups": {"LJSON":
{"labels": [{"label": "nose", "mask": [0]}, {"label": "chin", "mask": [1]}, {"label": "ear", "mask": [2]}],
 "landmarks": {"points": [[2, 1], [null, null], [5, 6]]}}}}
"""
PTS = "version: 1\nn_points: 2\n{\n1 2\n3.5 14\n}\n"
TABLE = "image,split,my_left,my_top,my_width,my_height\na.jpg,train,1,2,3,4\nb.jpg,test,5,6,7,8\n"


@pytest.fixture
def folder(tmp_path):
    """A folder with the image files a.jpg and b.jpg; they are never opened, so they are empty."""
    for name in "ab":
        (tmp_path / f"{name}.jpg").touch()
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def imglab(folder: Path, boxes: list[str], image: str = "a.jpg") -> Path:
    """Write labels.xml with a box for each string of part names; box i is in line i + 2."""
    lines = [
        "<box top='1' left='2' width='3' height='4'>"
        + "".join(f"<part name='{name}' x='{i}' y='{-i}'/>" for i, name in enumerate(names.split()))
        + "</box>"
        for names in boxes
    ]
    body = "\n".join(lines)
    head, tail = f"<dataset><images><image file='{image}'>", "</image></images></dataset>"
    return write(folder / "labels.xml", f"{head}\n{body}{tail}\n")


def refused(*fragments: str, **arguments) -> None:
    with pytest.raises(InputError) as info:
        load_dataset(**arguments)
    assert "\n" not in str(info.value)
    for fragment in fragments:
        assert fragment in str(info.value)


# --- the type ---


@pytest.fixture
def four():
    boxes, landmarks = np.arange(16.0).reshape(4, 4), np.arange(24.0).reshape(4, 3, 2)
    return Dataset([Path(f"{i}.jpg") for i in range(4)], boxes, landmarks, ("a", "b", "c"), "four")


def test_dataset_as_input_of_estimators(four):
    assert len(four) == len(four.X) == len(four.y) == 4
    image, box = four.X[2]
    assert image == Path("2.jpg")
    np.testing.assert_array_equal(box, [8, 9, 10, 11])
    assert four.y is four.landmarks


@pytest.mark.parametrize(
    ("indices", "expected"),
    [
        ([2, 0, 2], [2, 0, 2]),
        ((3, 1), [3, 1]),
        (np.array([-1]), [3]),
        (np.array([True, False, True, False]), [0, 2]),
        ([False, True, True, False], [1, 2]),
        (slice(1, None, 2), [1, 3]),
        (range(1, 3), [1, 2]),
        ([], []),
        (np.array([]), []),
    ],
)
def test_subset(four, indices, expected):
    subset = four.subset(indices)
    assert [int(file.stem) for file in subset.files] == expected
    np.testing.assert_array_equal(subset.boxes, four.boxes[expected])
    np.testing.assert_array_equal(subset.landmarks, four.landmarks[expected])
    assert (subset.landmark_names, subset.name) == (four.landmark_names, "four")


def test_sum_and_concatenate(four):
    total = four + four.subset([1])
    assert [file.stem for file in total.files] == list("01231")
    np.testing.assert_array_equal(total.boxes[[1, 4]], four.boxes[[1, 1]])
    np.testing.assert_array_equal(total.landmarks[[1, 4]], four.landmarks[[1, 1]])
    assert (total.landmark_names, total.name) == (("a", "b", "c"), "four + four")
    assert len(concatenate([four, four, four])) == 12
    assert concatenate([four]).name == "four"


def test_datasets_with_other_landmarks_are_not_concatenated(four):
    other = Dataset(four.files, four.boxes, four.landmarks, ("a", "c", "b"), "other")
    with pytest.raises(InputError, match="other: landmark 1 is 'c', expected 'b' as in four"):
        four + other
    shorter = Dataset(four.files, four.boxes, four.landmarks[:, :2], ("a", "b"), "shorter")
    with pytest.raises(InputError, match="shorter: 2 landmarks, expected 3 as in four"):
        concatenate([four, shorter])
    with pytest.raises(InputError, match="at least one"):
        concatenate([])


def test_arrays_of_inconsistent_shapes_are_refused(four):
    with pytest.raises(InputError, match=r"x: boxes have shape \(3, 4\), expected \(4, 4\)"):
        Dataset(four.files, four.boxes[:3], four.landmarks, four.landmark_names, "x")
    with pytest.raises(InputError, match=r"x: landmarks have shape \(4, 3, 2\), expected \(4, 1, 2\)"):
        Dataset(four.files, four.boxes, four.landmarks, ("a",), "x")


# --- loading ---


def test_csv_without_boxes_takes_the_square_around_the_landmarks(folder):
    dataset = load_dataset(write(folder / "faces.csv", CSV))
    assert (dataset.name, dataset.landmark_names) == ("faces", ("0", "1", "2"))
    assert dataset.files == [folder / "a.jpg", folder / "b.jpg", folder / "a.jpg"]
    assert dataset.landmarks.dtype == dataset.boxes.dtype == np.float64
    gone = [np.nan, np.nan]
    expected = [[[1, 2], [11, 6], [5, 3]], [gone, [3, 4], [4, 14]], [[7, 8], gone, [9, 9]]]
    np.testing.assert_array_equal(dataset.landmarks, expected)
    np.testing.assert_array_equal(dataset.boxes, [[1, -1, 10, 10], [-1.5, 4, 10, 10], [7, 7.5, 2, 2]])


def test_csv_with_boxes(folder):
    dataset = load_dataset(str(write(folder / "faces.csv", CSV_BOXES)))
    np.testing.assert_array_equal(dataset.boxes, [[10, 20, 30, 40], [11, 21, 31.5, 41]])


def test_csv_image_folder(folder):
    path = write(folder / "faces.csv", CSV)
    (folder / "images").mkdir()
    for name in "ab":
        (folder / f"{name}.jpg").rename(folder / "images" / f"{name}.JPG")
    write(path, CSV.replace("jpg", "JPG"))
    assert load_dataset(path, image_folder=folder / "images").files == load_dataset(path).files


def test_pts_folder(folder, monkeypatch):
    for name in "ba":
        write(folder / f"{name}.pts", PTS)
    monkeypatch.chdir(folder)
    dataset = load_dataset(".")
    assert (dataset.name, dataset.landmark_names) == (folder.name, ("0", "1"))
    assert dataset.files == [Path("a.jpg"), Path("b.jpg")]
    np.testing.assert_array_equal(dataset.landmarks, [[[0, 1], [2.5, 13]]] * 2)
    np.testing.assert_array_equal(dataset.boxes, [[-4.75, 1, 12, 12]] * 2)


def test_imglab_parts_are_the_union_in_natural_order_or_as_dlib(folder):
    path = imglab(folder, ["10 nose 2", "2 1 10"])
    natural, dlib = load_dataset(path), load_dataset(path, part_order="dlib")
    assert natural.name == "labels"
    assert natural.files == [folder / "a.jpg"] * 2
    assert natural.landmark_names == ("1", "2", "10", "nose")
    assert dlib.landmark_names == ("1", "10", "2", "nose")
    gone = [np.nan, np.nan]
    expected = [[gone, [2, -2], [0, 0], [1, -1]], [[1, -1], [0, 0], [2, -2], gone]]
    np.testing.assert_array_equal(natural.landmarks, expected)
    np.testing.assert_array_equal(dlib.landmarks, natural.landmarks[:, [0, 2, 1, 3]])
    np.testing.assert_array_equal(natural.boxes, [[2, 1, 3, 4]] * 2)


def test_imglab_parts_that_are_connected_are_one_set(folder):
    # No part is in all boxes, and the first and the last box have none in common.
    names = load_dataset(imglab(folder, ["g f", "a b", "e f", "b c", "d e", "c d"])).landmark_names
    assert names == tuple("abcdefg")


def test_memory_is_that_of_the_numbers(folder):
    n, n_parts = 1500, 40
    path = imglab(folder, [" ".join(map(str, range(n_parts)))] * n)
    load_dataset(imglab(folder / "..", ["1 2"], str(folder / "a.jpg")))
    tracemalloc.start()
    dataset = load_dataset(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert dataset.landmarks.shape == (n, n_parts, 2)
    # As Python objects (24 bytes and a pointer of 8 each) the coordinates alone would take 4 times as much.
    assert peak < 3.2 * dataset.landmarks.nbytes


# --- boxes from a table ---


def test_boxes_from_a_table_replace_others(folder):
    table = write(folder / "boxes.csv", TABLE)
    path = write(folder / "faces.csv", CSV_BOXES)
    dataset = load_dataset(path, boxes=f"{table}:my")
    np.testing.assert_array_equal(dataset.boxes, [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert dataset.files == [folder / "a.jpg", folder / "b.jpg"]


def test_boxes_of_one_split(folder):
    table = write(folder / "boxes.csv", TABLE)
    write(folder / "c.jpg", "")
    path = write(folder / "faces.csv", CSV_BOXES + "c.jpg,1,2,0,0,1,1\n")
    dataset = load_dataset(path, boxes=f"{table}:my", split="test")
    assert dataset.files == [folder / "b.jpg"]
    np.testing.assert_array_equal(dataset.boxes, [[5, 6, 7, 8]])
    refused("faces.csv:4", "c.jpg has no row", "boxes.csv:my", path=path, boxes=f"{table}:my")
    refused("'val'", "test, train", path=path, boxes=f"{table}:my", split="val")
    table.write_text(TABLE.replace("split", "fold"))
    refused("'test'", "splits found: none", path=path, boxes=f"{table}:my", split="test")
    refused("'test' without boxes", path=path, split="test")
    table.write_text(TABLE.replace("b.jpg", "d.jpg"))
    refused("faces.csv: no annotated object", path=path, boxes=f"{table}:my", split="test")


def test_boxes_are_found_for_any_spelling_of_the_path(folder, monkeypatch):
    table = write(folder / "boxes.csv", TABLE)
    write(folder / "faces.csv", CSV_BOXES)
    monkeypatch.chdir(folder)
    dataset = load_dataset("faces.csv", boxes=f"{table}:my", image_folder=f"../{folder.name}")
    np.testing.assert_array_equal(dataset.boxes, [[1, 2, 3, 4], [5, 6, 7, 8]])


def test_one_box_for_two_objects_is_refused(folder):
    table = write(folder / "boxes.csv", TABLE)
    path = write(folder / "faces.csv", CSV)
    refused("faces.csv:4", "several objects in", "a.jpg, but", "has one box per image", path=path, boxes=f"{table}:my")


# --- bad input ---


def test_refuses_unknown_files(folder):
    refused("no.xml: no such file or folder, expected a file .xml, .csv", path=folder / "no.xml")
    refused("a.jpg: unknown file type, expected a file .xml, .csv", path=folder / "a.jpg")
    path = imglab(folder, ["a b"])
    refused("part_order is 'random', expected 'natural' or 'dlib'", path=path, part_order="random")
    refused("no such box file", path=path, boxes="no.csv:dlib")


def test_refuses_an_empty_dataset(folder):
    refused("labels.xml: no annotated object", path=imglab(folder, []))
    refused("labels.xml: no annotated object", path=write(folder / "labels.xml", "<html/>"))


def test_objects_without_landmarks_are_left_out_and_counted(folder):
    path = imglab(folder, ["a b", "", "a b"])
    data = load_dataset(path)
    assert len(data) == 2
    assert data.skipped == (Skipped("no landmarks", folder / "a.jpg", f"{path}:3: box 2 of 'a.jpg': no landmarks"),)
    path = write(folder / "faces.csv", "image,x0,y0\na.jpg,1,2\nb.jpg,,\n")
    data = load_dataset(path, boxes=f"{write(folder / 'boxes.csv', TABLE)}:my")
    assert [skipped.text for skipped in data.skipped] == [f"{path}:3: no landmarks"]
    refused("labels.xml: no annotated object", "2: box 1 of", path=imglab(folder, ["", ""]))


def test_refuses_a_landmark_that_no_object_has(folder):
    path = write(folder / "faces.csv", "image,nose_x,nose_y,p_x,p_y,q_x,q_y\na.jpg,,,1,2,3,4\nb.jpg,,,1,2,3,4\n")
    refused("faces.csv: landmark 'nose' is missing in all objects", path=path)


@pytest.mark.parametrize(
    ("old", "new", "size"),
    [
        ("width='3'", "width='0'", "0 wide and 4 high"),
        ("width='3'", "width='-3'", "-3 wide and 4 high"),
        ("height='4'", "height='-0.5'", "3 wide and -0.5 high"),
    ],
)
def test_refuses_boxes_without_area(folder, old, new, size):
    path = imglab(folder, ["a b", "a b"])
    path.write_text(path.read_text().replace(old, new))
    refused("labels.xml:2: box 1 of", "a.jpg", f"the box is {size}", path=path)


def test_refuses_boxes_without_area_in_a_csv(folder):
    path = write(folder / "faces.csv", CSV_BOXES.replace("31.5", "0"))
    refused("faces.csv:3: the box is 0 wide and 41 high", path=path)


def test_refuses_to_make_a_box_around_one_point(folder):
    path = write(folder / "faces.csv", "image,x0,y0,x1,y1\na.jpg,1,2,,\na.jpg,1,2,3,4\n")
    message = "faces.csv:2: the box around the landmarks is 0 wide and 0 high, expected more than 0; --boxes gives"
    refused(message, path=path)


def test_the_box_of_a_single_landmark_is_the_image(folder):
    path = write(folder / "faces.csv", "image,x0,y0\na.jpg,1,2\n")
    refused("a.jpg: is empty, expected an image", path=path)
    Image.new("L", (30, 20)).save(folder / "a.jpg")
    data = load_dataset(path)
    assert data.boxes.tolist() == [[0, 0, 30, 20]]
    assert data.notes[0].startswith("the box is the whole image")
    assert data.notes[0].endswith("(1 object)")


@pytest.mark.parametrize(("n", "n_odd"), [(21, 1), (200, 1), (1000, 9)])
def test_refuses_a_part_in_hardly_any_box(folder, n, n_odd):
    boxes = ["left right"] * (n - n_odd) + ["rigth left"] * n_odd
    line = n - n_odd + 2
    message = f"part 'rigth' is in {n_odd} of {n} boxes only"
    refused(f"labels.xml:{line}: box {line - 1} of", message, path=imglab(folder, boxes))


@pytest.mark.parametrize(("n", "n_odd"), [(20, 1), (21, 2), (1000, 10)])
def test_accepts_parts_that_some_boxes_lack(folder, n, n_odd):
    dataset = load_dataset(imglab(folder, ["left right"] * (n - n_odd) + ["left third"] * n_odd))
    assert dataset.landmark_names == ("left", "right", "third")
    assert np.isfinite(dataset.landmarks[:, :, 0]).sum(axis=0).tolist() == [n, n - n_odd, n_odd]


@pytest.mark.parametrize(
    ("boxes", "line", "part"),
    [
        (["a b", "b c", "x y", "a"], 4, "x"),
        (["x y", "a b", "b c", "c"], 2, "x"),
        (["a b", "c d"], 3, "c"),
        (["a b", "c d", "b a", "e"], 5, "e"),
    ],
)
def test_refuses_sets_of_parts_that_have_nothing_in_common(folder, boxes, line, part):
    message = f"no part in common with other boxes, it has '{part}'"
    refused(f"labels.xml:{line}: box {line - 1} of", message, path=imglab(folder, boxes))


# --- damaged files: a dataset or an InputError, never anything else ---

MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["delete", "replace", "replace", "insert", "insert", "cut", "copy"]),
        st.sampled_from(range(10000)),
        st.one_of(st.integers(0, 255), st.sampled_from(b"0159.,-+eE_xyn'\"<>&;:/\\{}\t\r\n\0\xff\xef")),
    ),
    min_size=1,
    max_size=2,
)


def mutate(content: bytes, mutations) -> bytes:
    for kind, place, byte in mutations:
        at = place % max(len(content), 1)
        new, rest = {
            "delete": (b"", content[at + 1 + byte % 4 :]),
            "replace": (bytes([byte]), content[at + 1 :]),
            "insert": (bytes([byte]), content[at:]),
            "cut": (b"", b""),
            "copy": (content[at : at + byte], content[at:]),
        }[kind]
        content = content[:at] + new + rest
    return content


VALID_XML = """<?xml version='1.0' encoding='ISO-8859-1'?>
<?xml-stylesheet type='text/xsl' href='image_metadata_stylesheet.xsl'?>
<dataset><name>faces &amp; more</name><images>
  <image file='a.jpg' width='9' height='7'>
    <box top='1' left='2' width='30' height='40.5'><label>x</label>
      <part name='1' x='3' y='4'/><part name='10' x='5' y='-6'/></box>
    <box top='1' left='2' width='30' height='40' ignore='1'/>
    <box top='5' left='6' width='7' height='8'><part name='1' x='9' y='9'/></box>
  </image>
  <!-- the last --><image file='b.jpg'/>
</images></dataset>
"""


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.new("L", (9, 7)).save(folder / name)
    for suffix, content in (("pts", PTS), ("tem", TEM), ("ljson", LJSON)):
        (folder / suffix).mkdir()
        for name in ("a.jpg", "b.jpg"):
            (folder / suffix / name).touch()
        write(folder / suffix / f"b.{suffix}", content)
    return folder


@pytest.mark.parametrize(
    ("file", "content", "load"),
    [
        ("labels.xml", VALID_XML, load_dataset),
        ("pts/a.pts", PTS, lambda path: load_dataset(path.parent)),
        ("faces.csv", CSV, load_dataset),
        ("boxed.csv", CSV_BOXES, load_dataset),
        ("boxes.csv", TABLE, lambda path: read_boxes(f"{path}:my")),
        ("faces.tps", TPS, load_dataset),
        ("faces.json", COCO, load_dataset),
        ("tem/a.tem", TEM, lambda path: load_dataset(path.parent)),
        ("ljson/a.ljson", LJSON, lambda path: load_dataset(path.parent)),
        ("ljson/a.ljson", LJSON_3, lambda path: load_dataset(path.parent)),
    ],
)
def test_damaged_files(damaged, file, content, load):
    path = write(damaged / file, content)
    assert len(load(path)) >= 2

    @settings(max_examples=200, deadline=None)
    @given(MUTATIONS)
    def check(mutations):
        path.write_bytes(mutate(content.encode(), mutations))
        message, result = "", None
        try:
            result = load(path)
        except InputError as error:
            message = str(error)
        assert "\n" not in message
        assert result is None or len(result) >= 1
        assert result is not None or str(path.parent) in message
        if isinstance(result, Dataset):
            assert np.isfinite(result.boxes).all()
            assert (result.boxes[:, 2:] > 0).all()
            assert not np.isinf(result.landmarks).any()

    check()


# --- real data ---


@needs_shared
def test_300w_by_pts_and_by_imglab_agree():
    boxes = f"{SHARED / '300w' / 'boxes.csv'}:dlib"
    train = load_dataset(SHARED / "300w", boxes=boxes, split="train")
    assert train.landmarks.shape == (2012, 68, 2)
    assert train.landmark_names == tuple(map(str, range(68)))
    xml = load_dataset(SHARED / "300w" / "labels_300w_train.xml")
    assert xml.landmarks.shape == (2012, 68, 2)
    assert xml.landmark_names == tuple(f"{i:02d}" for i in range(68))
    place = {file.resolve(): i for i, file in enumerate(train.files)}
    same = train.subset([place[file.resolve()] for file in xml.files])
    assert np.abs(same.landmarks - xml.landmarks).max() <= 1
    assert np.abs(same.landmarks - xml.landmarks).mean() < 0.3
    assert np.abs(same.boxes - xml.boxes).max() <= 1


@needs_shared
def test_helen_and_ytf():
    helen = load_dataset(SHARED / "300w" / "helen" / "testset")
    assert (len(helen), helen.name) == (330, "testset")
    ytf = load_dataset(SHARED / "ytf" / "training_frames_keypoints.csv")
    assert ytf.landmarks.shape == (3462, 68, 2)
    assert np.isfinite(ytf.landmarks).all()
    assert len(helen + ytf) == 3792


def test_the_samples_are_equal_in_every_format():
    samples = Path(__file__).parents[2] / "data" / "samples"
    table = f"{samples / 'boxes.csv'}:haar"
    csv = load_dataset(samples / "landmarks.csv")
    files = [load_dataset(samples / f"landmarks.{suffix}") for suffix in ("xml", "tps", "json")]
    folders = [
        load_dataset(samples / kind, boxes=table, split="train", image_folder=samples)
        for kind in ("pts", "tem", "ljson")
    ]
    for other in files + folders:
        # imglab has integers.
        tolerance = 0.501 if other is files[0] else 1e-6
        np.testing.assert_allclose(other.landmarks, csv.landmarks, atol=tolerance)
        assert other.files[0].name == "astronaut.jpg"
    for other in (files[2], *folders):
        np.testing.assert_allclose(other.boxes, csv.boxes)
