import json
import shutil

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ert._core.exceptions import InputError
from ert._core.images import load_image
from ert.cli.main import main
from ert.datasets.dataset import Dataset
from ert.datasets.formats import load_dataset
from ert.datasets.synthetic import synthetic_dataset, synthetic_faces
from ert.evaluation.attributes import (
    MEASURED,
    attribute_table,
    group_columns,
    object_size,
    read_table,
    roll,
    skin_brightness,
    yaw,
)
from ert.evaluation.groups import by_groups, errors_by, group_lines
from ert.faces.regions import mouth_opening
from ert.metrics import nme
from ert.model.schemes import FACE68_MIRROR
from ert.predictor import load

SHAPES = {"yaw": yaw, "roll": roll, "mouth": mouth_opening}


@pytest.fixture(scope="module")
def shapes():
    return synthetic_faces(30, seed=5)[2]


def moved(shapes, degrees=0.0, scale=1.0, shift=(0.0, 0.0)):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return scale * shapes @ turn + shift


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """40 faces in two folders, a and b, as .pts beside the images."""
    folder = tmp_path_factory.mktemp("groups") / "faces"
    for name, seed in (("a", 3), ("b", 4)):
        synthetic_dataset(folder.parent / name, 20, seed=seed)
        (folder / name).mkdir(parents=True)
        for file in (folder.parent / name).glob("face_*"):
            shutil.copy(file, folder / name)
    return folder


@pytest.fixture(scope="module")
def dataset(folder):
    return load_dataset(folder)


@pytest.fixture(scope="module")
def model_file(small_model, tmp_path_factory):
    file = tmp_path_factory.mktemp("groups") / "small.ert"
    small_model.save(file)
    return file


def table(tmp_path, *lines):
    file = tmp_path / "columns.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_columns_of_numbers_become_numeric(dataset, folder, tmp_path):
    rows = [f"a/{path.name}" for path in dataset.files if path.parent.name == "a"]
    lines = [f"{row},{i},{'x' if i else 3},nan,inf" for i, row in enumerate(rows)]
    file = table(tmp_path, "image,number,text,none,infinite", *lines)
    found = group_columns(["number", "text", "none", "infinite"], dataset, folder, file)
    assert np.nansum(found["number"].values) == sum(range(20))
    assert np.isnan(found["number"].values).sum() == 20
    assert sorted(set(found["text"].values)) == ["", "3", "x"]
    assert np.isnan(found["none"].values).all()
    assert sorted(set(found["infinite"].values)) == ["", "inf"]
    assert [row["group"] for row in errors_by(found["none"].values, np.ones(40))] == ["missing"]


def test_measured_columns(dataset, folder, tmp_path):
    found = group_columns(list(MEASURED), dataset, folder, n_jobs=2)
    assert list(found) == list(MEASURED)
    np.testing.assert_array_equal(found["yaw"].values, yaw(dataset.landmarks))
    assert found["source"].values.tolist() == [path.parent.name for path in dataset.files]
    assert "proxy" in found["yaw"].about
    for i in (0, 7, 39):
        expected = skin_brightness(load_image(dataset.files[i]), dataset.landmarks[i])
        assert found["brightness"].values[i] == expected
    inside = dataset.subset(slice(0, 20))
    assert set(group_columns(["source"], inside, folder / "a")["source"].values) == {"a"}
    assert set(group_columns(["source"], inside, tmp_path)["source"].values) == {"a"}


def test_columns_of_the_table_take_precedence(dataset, folder, tmp_path):
    file = table(tmp_path, "image,yaw", "a/face_0000.png,17")
    assert np.nansum(group_columns(["yaw"], dataset, folder, file)["yaw"].values) == 17


def test_face_attributes_need_68_points(dataset, folder):
    few = Dataset(dataset.files, dataset.boxes, dataset.landmarks[:, :5], dataset.landmark_names[:5], "few")
    for name in ("yaw", "roll", "mouth", "brightness"):
        with pytest.raises(InputError, match=f"few: {name} needs the 68 points of a face, got 5 landmarks"):
            group_columns([name], few, folder)
    found = group_columns(["size", "source"], few, folder)
    np.testing.assert_allclose(found["size"].values, dataset.boxes[:, 2:].mean(axis=1))


def test_a_table_for_pandas(dataset, folder, tmp_path):
    pandas = pytest.importorskip("pandas")
    file = table(tmp_path, "image,yaw,age", "a/face_0000.png,17,old", "b/face_0001.png,18,")
    rows = pandas.DataFrame(attribute_table(dataset, table=file))
    assert list(rows) == ["image", "size", "yaw", "roll", "brightness", "mouth", "source", "age"]
    assert len(rows) == len(dataset)
    assert rows.groupby("source").size().to_dict() == {"a": 20, "b": 20}
    assert rows["yaw"].sum() == 35
    assert rows[rows["age"] == "old"]["image"].tolist() == [str(dataset.files[0])]
    np.testing.assert_array_equal(rows["roll"], roll(dataset.landmarks))
    few = Dataset(dataset.files, dataset.boxes, dataset.landmarks[:, :5], dataset.landmark_names[:5], "few")
    assert list(attribute_table(few)) == ["image", "size", "source"]


# measured attributes


def test_attributes_are_invariant_to_position_size_and_mirroring(shapes):
    mirrored = shapes[:, list(FACE68_MIRROR)] * (-1, 1) + (127, 0)
    for name, measure in SHAPES.items():
        expected = measure(shapes)
        np.testing.assert_allclose(measure(moved(shapes, scale=3, shift=(20, -7))), expected, atol=1e-9)
        np.testing.assert_allclose(measure(mirrored), expected, atol=1e-9)
        if name != "roll":
            np.testing.assert_allclose(measure(moved(shapes, degrees=25)), expected, atol=1e-9)


def test_roll_is_the_angle_of_the_eyes(shapes):
    level = shapes.copy()
    level[:, 36:42] += (30, 64) - level[:, 36:42].mean(axis=1, keepdims=True)
    level[:, 42:48] += (90, 64) - level[:, 42:48].mean(axis=1, keepdims=True)
    for degrees in (0, 10, -25, 120):
        assert roll(moved(level, degrees)) == pytest.approx(abs(degrees))


def test_yaw_increases_with_the_angle():
    """Points on half a cylinder: jaw line at the ears, nose in front of it."""
    shape = np.zeros((68, 3))
    angles = np.radians(np.linspace(-90, 90, 17))
    shape[:17] = np.column_stack([np.sin(angles), 0.5 * np.cos(angles), np.cos(angles)])
    shape[30] = (0, 0.1, 1.2)
    rotated = [Rotation.from_euler("y", angle, degrees=True).apply(shape)[:, :2] for angle in range(0, 40, 5)]
    found = yaw(np.array(rotated))
    assert found[0] == pytest.approx(0, abs=1e-12)
    assert (np.diff(found) > 0.02).all()
    back = Rotation.from_euler("y", -20, degrees=True).apply(shape)[None, :, :2]
    assert yaw(back) == pytest.approx(found[4])


def test_size(shapes):
    boxes = np.array([[0, 0, 40, 60]] * len(shapes), float)
    assert object_size(shapes[:, :5], boxes) == pytest.approx(50)
    expected = np.linalg.norm(shapes[:, 45] - shapes[:, 36], axis=1)
    np.testing.assert_allclose(object_size(shapes, boxes), expected)


def test_missing_landmarks_give_no_number(shapes):
    for name, i in (("yaw", 30), ("yaw", 2), ("roll", 40), ("mouth", 66)):
        broken = shapes.copy()
        broken[3, i] = np.nan
        assert np.flatnonzero(np.isnan(SHAPES[name](broken))).tolist() == [3]


def test_brightness_is_that_of_the_skin_alone(shapes):
    shape = shapes[0]
    image = np.full((128, 128), 10, np.uint8)
    rows, columns = np.mgrid[:128, :128]

    def paint(part, gray):
        low, high = shape[part].min(axis=0), shape[part].max(axis=0)
        inside = (columns >= low[0]) & (columns <= high[0]) & (rows >= low[1]) & (rows <= high[1])
        image[inside] = gray

    paint(slice(0, 27), 200)
    for part in (slice(36, 42), slice(42, 48), slice(48, 60)):
        paint(part, 0)
    # The rectangles round eyes and mouth are larger than these, and dark corners of skin are left.
    assert 170 < skin_brightness(image, shape) < 200
    whole = np.full((128, 128), 77, np.uint8)
    assert skin_brightness(whole, shape) == 77
    assert skin_brightness(np.dstack([whole] * 3), shape) == 77
    eyes = image.copy()
    for part in (slice(36, 42), slice(42, 48), slice(48, 60)):
        center = np.rint(shape[part].mean(axis=0)).astype(int)
        eyes[center[1], center[0]] = 255
    assert skin_brightness(eyes, shape) == skin_brightness(image, shape)


def test_brightness_of_faces_that_are_cut_off(shapes):
    image = np.full((128, 128), 90, np.uint8)
    assert skin_brightness(image, shapes[0] + (60, 0)) == 90
    assert skin_brightness(image, shapes[0] - (60, 60)) == 90
    assert np.isnan(skin_brightness(image, shapes[0] + (500, 0)))
    assert np.isnan(skin_brightness(image, shapes[0] - (500, 0)))
    assert np.isnan(skin_brightness(image, np.tile(64.5, (68, 2))))
    missing = shapes[0].copy()
    missing[50] = np.nan
    assert np.isnan(skin_brightness(image, missing))


# the command line


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_evaluate_by_prints_tables_and_writes_json(model_file, dataset, folder, tmp_path, capsys):
    rows = [f"{path.parent.name}/{path.name},{'pq'[i % 2]}" for i, path in enumerate(dataset.files[:-2])]
    file, out = table(tmp_path, "image,kind", *rows), tmp_path / "figures.json"
    by = ("--by", "yaw, kind,yaw", "--columns", file)
    assert run("evaluate", model_file, folder, *by, "--json", out) == 0
    printed = capsys.readouterr().out
    figures = json.loads(out.read_text())
    assert figures["by"]["normalizer"] == "inter-ocular"
    columns = figures["by"]["columns"]
    assert list(columns) == ["yaw", "kind"]
    errors = nme(dataset.y, load(model_file).predict(dataset.X), "inter-ocular")
    assert columns["yaw"]["groups"] == json.loads(json.dumps(errors_by(yaw(dataset.landmarks), errors)))
    assert [(row["group"], row["n"]) for row in columns["kind"]["groups"]] == [("p", 19), ("q", 19), ("missing", 2)]
    for row in columns["yaw"]["groups"]:
        (line,) = (line for line in printed.splitlines() if line.startswith(f"{row['group']} "))
        assert line.split()[3:5] == [str(row["n"]), f"{row['mean']:.3f}"]
    assert "a proxy for the yaw angle" in printed
    assert "compare --normalizer box" in printed
    assert "fewer than 10 objects" in printed


def test_text_of_a_table_is_printed_on_one_line(dataset, folder, tmp_path):
    file = tmp_path / "columns.csv"
    file.write_text(f'image,"a\nb"\na/face_0000.png,"{"x" * 500}\n\x1b[1m"\n')
    columns = group_columns(["a\nb"], dataset, folder, file)
    lines = group_lines(by_groups(columns, np.ones(40), "box"))
    assert all(line.isprintable() and len(line) < 250 for line in lines)
    with pytest.raises(InputError) as refused:
        group_columns(["c\nd"], dataset, folder, file)
    assert str(refused.value).isprintable()


def test_evaluate_with_one_normalizer(model_file, folder, capsys):
    assert run("evaluate", model_file, folder, "--normalizer", "box", "--by", "roll", "--json", "-") == 0
    figures = json.loads(capsys.readouterr().out)
    assert list(figures["norms"]) == ["box"]
    assert figures["by"]["normalizer"] == "box"
    mean = sum(row["n"] * row["mean"] for row in figures["by"]["columns"]["roll"]["groups"]) / 40
    assert mean == pytest.approx(figures["norms"]["box"]["mean"])


def test_invalid_options_of_evaluate_by(model_file, folder, tmp_path, capsys):
    file = table(tmp_path, "image,kind", "a/face_0000.png,p")
    for arguments, message in [
        (("--by", "sex"), "unknown attribute 'sex', expected one of size, yaw, roll, "),
        (("--by", "sex", "--columns", file), "expected one of kind, size, yaw"),
        (("--by", ""), "unknown attribute ''"),
        (("--columns", file), "without --by"),
        (("--by", "kind", "--columns", tmp_path / "none.csv"), "none.csv: no such file"),
    ]:
        capsys.readouterr()
        assert run("evaluate", model_file, folder, *arguments) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert message in line


def test_rows_are_found_by_paths_from_either_folder_and_by_names(dataset, folder, tmp_path):
    file = table(tmp_path, "image,x", "a/face_0003.png,1", f"{folder}/b/face_0000.png,2")
    found = read_table(file, dataset, folder)["x"]
    named = [f"{path.parent.name}/{path.name}" for path in dataset.files]
    assert found[named.index("a/face_0003.png")] == "1"
    assert found[named.index("b/face_0000.png")] == "2"
    assert found.count("") == 38
    beside = folder.parent / "columns.csv"
    beside.write_text("who,x\nfaces/a/face_0001.png,5\n")
    assert read_table(beside, dataset, tmp_path)["x"][named.index("a/face_0001.png")] == "5"
    one_folder = dataset.subset([path.parent.name == "a" for path in dataset.files])
    names = table(tmp_path, "x,image", "7,face_0002.png")
    assert read_table(names, one_folder, tmp_path) == {
        "x": ["7" if path.name == "face_0002.png" else "" for path in one_folder.files]
    }
    with pytest.raises(InputError, match=r"csv:2: ambiguous image name 'face_0002.png' \(.*\); give a path"):
        read_table(names, dataset, tmp_path)


def test_objects_of_an_image_are_identified_by_their_index(dataset, folder, tmp_path):
    files = [dataset.files[0], dataset.files[1], dataset.files[0], dataset.files[0]]
    several = Dataset(files, dataset.boxes[:4], dataset.landmarks[:4], dataset.landmark_names, dataset.name)
    names = [f"{file.parent.name}/{file.name}" for file in files]
    rows = ("image,object,who", f"{names[0]},2,c", f"{names[0]},0,a", f"{names[1]},,x")
    assert read_table(table(tmp_path, *rows), several, folder) == {"who": ["a", "x", "", "c"]}
    alike = table(tmp_path, "image,who", f"{names[0]},y")
    assert read_table(alike, several, folder) == {"who": ["y", "", "y", "y"]}
    for number in ("3", "-1", "x", "1.0", "9" * 5000):
        with pytest.raises(InputError, match=r"columns.csv:2: object .*, expected an index from 0 to 2"):
            read_table(table(tmp_path, "image,object,who", f"{names[0]},{number},c"), several, folder)
    for again in (f"{names[0]},1,d", f"{names[0]},,d"):
        with pytest.raises(InputError, match=r"columns.csv:3: .*: duplicate row \(first in line 2\)"):
            read_table(table(tmp_path, "image,object,who", f"{names[0]},1,c", again), several, folder)


def test_rows_of_other_images_are_errors_unless_the_dataset_is_a_part(dataset, folder, tmp_path):
    file = table(tmp_path, "image,x", "a/face_0000.png,1", "a/face_9999.png,2")
    with pytest.raises(InputError, match=r"columns.csv:3: image 'a/face_9999.png' is not in faces"):
        read_table(file, dataset, folder)
    assert "1" in read_table(file, dataset, folder, part=True)["x"]
    none = table(tmp_path, "image,x", "nowhere.png,2")
    with pytest.raises(InputError, match="no row has an image of faces"):
        read_table(none, dataset, folder, part=True)
    with pytest.raises(InputError, match="no column besides image, expected one to group by"):
        read_table(table(tmp_path, "image", "a/face_0000.png"), dataset, folder)
