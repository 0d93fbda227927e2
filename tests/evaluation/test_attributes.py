import json
import shutil

import numpy as np
import pytest

from ert._core.exceptions import InputError
from ert._core.images import load_image
from ert.cli.main import main
from ert.datasets.dataset import Dataset, load_dataset
from ert.datasets.synthetic import synthetic_dataset
from ert.evaluation.attributes import MEASURED, by_groups, group_columns, group_lines, read_table
from ert.evaluation.groups import errors_by, skin_brightness, yaw
from ert.metrics import nme
from ert.predictor import load


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
    with pytest.raises(InputError, match=r"columns.csv:2: 'face_0002.png' may be .*, expected a path"):
        read_table(names, dataset, tmp_path)


def test_objects_of_an_image_are_told_apart_by_their_number(dataset, folder, tmp_path):
    files = [dataset.files[0], dataset.files[1], dataset.files[0], dataset.files[0]]
    several = Dataset(files, dataset.boxes[:4], dataset.landmarks[:4], dataset.landmark_names, dataset.name)
    names = [f"{file.parent.name}/{file.name}" for file in files]
    rows = ("image,object,who", f"{names[0]},2,c", f"{names[0]},0,a", f"{names[1]},,x")
    assert read_table(table(tmp_path, *rows), several, folder) == {"who": ["a", "x", "", "c"]}
    alike = table(tmp_path, "image,who", f"{names[0]},y")
    assert read_table(alike, several, folder) == {"who": ["y", "", "y", "y"]}
    for number in ("3", "-1", "x", "1.0", "9" * 5000):
        with pytest.raises(
            InputError, match=r"columns.csv:2: object .*, expected a number of one, from 0 to 2"
        ):
            read_table(table(tmp_path, "image,object,who", f"{names[0]},{number},c"), several, folder)
    for again in (f"{names[0]},1,d", f"{names[0]},,d"):
        with pytest.raises(InputError, match=r"columns.csv:3: .*: line 2 is about it already"):
            read_table(table(tmp_path, "image,object,who", f"{names[0]},1,c", again), several, folder)


def test_rows_of_other_images_are_refused_unless_it_is_a_part(dataset, folder, tmp_path):
    file = table(tmp_path, "image,x", "a/face_0000.png,1", "a/face_9999.png,2")
    with pytest.raises(InputError, match=r"columns.csv:3: image 'a/face_9999.png' is not in faces"):
        read_table(file, dataset, folder)
    assert "1" in read_table(file, dataset, folder, part=True)["x"]
    none = table(tmp_path, "image,x", "nowhere.png,2")
    with pytest.raises(InputError, match="no row is about an image of faces"):
        read_table(none, dataset, folder, part=True)
    with pytest.raises(InputError, match="no column besides image, expected one to group by"):
        read_table(table(tmp_path, "image", "a/face_0000.png"), dataset, folder)


def test_columns_are_numbers_where_they_hold_nothing_else(dataset, folder, tmp_path):
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


def test_a_column_of_the_table_goes_before_a_measured_one(dataset, folder, tmp_path):
    file = table(tmp_path, "image,yaw", "a/face_0000.png,17")
    assert np.nansum(group_columns(["yaw"], dataset, folder, file)["yaw"].values) == 17


def test_faces_of_other_points_have_no_pose(dataset, folder):
    few = Dataset(dataset.files, dataset.boxes, dataset.landmarks[:, :5], dataset.landmark_names[:5], "few")
    for name in ("yaw", "roll", "mouth", "brightness"):
        with pytest.raises(InputError, match=f"few: {name} needs the 68 points of a face, got 5 landmarks"):
            group_columns([name], few, folder)
    found = group_columns(["size", "source"], few, folder)
    np.testing.assert_allclose(found["size"].values, dataset.boxes[:, 2:].mean(axis=1))


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
    assert [(row["group"], row["n"]) for row in columns["kind"]["groups"]] == [
        ("p", 19),
        ("q", 19),
        ("missing", 2),
    ]
    for row in columns["yaw"]["groups"]:
        (line,) = (line for line in printed.splitlines() if line.startswith(f"{row['group']} "))
        assert line.split()[3:5] == [str(row["n"]), f"{row['mean']:.3f}"]
    assert "a proxy of the turn" in printed
    assert "nearer together" in printed
    assert "fewer than 10 objects" in printed


def test_texts_of_a_table_stay_in_their_line(dataset, folder, tmp_path):
    file = tmp_path / "columns.csv"
    file.write_text(f'image,"a\nb"\na/face_0000.png,"{"x" * 500}\n\x1b[1m"\n')
    columns = group_columns(["a\nb"], dataset, folder, file)
    lines = group_lines(by_groups(columns, np.ones(40), "box"))
    assert all(line.isprintable() and len(line) < 250 for line in lines)
    with pytest.raises(InputError) as refused:
        group_columns(["c\nd"], dataset, folder, file)
    assert str(refused.value).isprintable()


def test_evaluate_with_one_norm(model_file, folder, capsys):
    assert run("evaluate", model_file, folder, "--normalizer", "box", "--by", "roll", "--json", "-") == 0
    figures = json.loads(capsys.readouterr().out)
    assert list(figures["norms"]) == ["box"]
    assert figures["by"]["normalizer"] == "box"
    mean = sum(row["n"] * row["mean"] for row in figures["by"]["columns"]["roll"]["groups"]) / 40
    assert mean == pytest.approx(figures["norms"]["box"]["mean"])


def test_what_evaluate_by_refuses(model_file, folder, tmp_path, capsys):
    file = table(tmp_path, "image,kind", "a/face_0000.png,p")
    for arguments, message in [
        (("--by", "sex"), "no column 'sex' to group by; columns that are there: size, yaw, roll, "),
        (("--by", "sex", "--columns", file), "columns that are there: kind, size, yaw"),
        (("--by", ""), "no column ''"),
        (("--columns", file), "without --by"),
        (("--by", "kind", "--columns", tmp_path / "none.csv"), "none.csv: cannot be read"),
    ]:
        capsys.readouterr()
        assert run("evaluate", model_file, folder, *arguments) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert message in line
