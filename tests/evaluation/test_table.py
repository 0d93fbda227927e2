import shutil

import pytest

from ert._core.exceptions import InputError
from ert.datasets.dataset import Dataset
from ert.datasets.formats import load_dataset
from ert.datasets.synthetic import synthetic_dataset
from ert.evaluation.table import read_table


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
