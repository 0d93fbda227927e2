import sys
from dataclasses import replace

import numpy as np
import pytest

from ert import AlignedFace, InputError, to_dataframe
from ert.datasets.formats.csv import read_csv
from ert.faces.regions import FACE_REGIONS
from ert.plotting.landmarks import save_image


@pytest.fixture
def faces():
    rng = np.random.default_rng(0)
    return [AlignedFace(rng.uniform(0, 99, 4), rng.uniform(0, 99, (68, 2))) for _ in range(3)]


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas")


def test_a_row_for_each_landmark(faces, pandas):
    table = to_dataframe(faces)
    assert list(table.columns) == ["face", "landmark", "region", "x", "y"]
    assert len(table) == 3 * 68
    for row in table.iloc[[0, 70, 200]].itertuples():
        assert (row.x, row.y) == tuple(faces[row.face].landmarks[row.landmark])
        assert row.landmark in FACE_REGIONS["face68"][row.region]
    arrays = to_dataframe(np.array([face.landmarks for face in faces]))
    pandas.testing.assert_frame_equal(arrays, table)
    pandas.testing.assert_frame_equal(to_dataframe(faces[0]), to_dataframe(faces[0].landmarks))


def test_standard_errors_and_confidence_are_columns(faces, pandas):
    rng = np.random.default_rng(1)
    assessed = [replace(face, std=rng.random(68), confidence=float(rng.random())) for face in faces]
    table = to_dataframe(assessed)
    assert list(table.columns[-2:]) == ["std", "confidence"]
    for row in table.iloc[[0, 70, 200]].itertuples():
        assert (row.std, row.confidence) == (assessed[row.face].std[row.landmark], assessed[row.face].confidence)
    assert "std" in to_dataframe(assessed[0])
    assert "std" not in to_dataframe([faces[0], assessed[1]])
    wide = to_dataframe(assessed, wide=True)
    assert list(wide.columns[-69:-66]) == ["confidence", "std0", "std1"]
    np.testing.assert_array_equal(wide.iloc[:, -68:], [face.std for face in assessed])
    np.testing.assert_array_equal(wide["confidence"], [face.confidence for face in assessed])
    assert "confidence" not in to_dataframe([faces[0], assessed[1]], wide=True)


def test_a_wide_table_is_read_as_a_dataset(faces, pandas, tmp_path):
    assessed = [replace(face, std=np.ones(68), confidence=0.5) for face in faces]
    table = to_dataframe(assessed, wide=True)
    names = [f"{i}.png" for i in range(len(faces))]
    for name in names:
        save_image(tmp_path / name, np.zeros((4, 4), np.uint8))
    table.insert(0, "image", names)
    table.to_csv(tmp_path / "faces.csv", index=False)
    read = list(read_csv(tmp_path / "faces.csv"))
    assert [list(each.landmarks.values()) for each in read] == [
        [tuple(point) for point in face.landmarks.tolist()] for face in faces
    ]


def test_a_row_for_each_face(faces, pandas):
    table = to_dataframe(faces, wide=True)
    assert list(table.columns[:6]) == ["left", "top", "width", "height", "x0", "y0"]
    np.testing.assert_array_equal(table.iloc[:, :4], [face.box for face in faces])
    np.testing.assert_array_equal(table.iloc[:, 4:].to_numpy().reshape(3, 68, 2), [face.landmarks for face in faces])
    shapes = np.zeros((2, 12, 2))
    assert list(to_dataframe(shapes, wide=True).columns[-2:]) == ["x11", "y11"]
    assert list(to_dataframe(shapes).columns) == ["face", "landmark", "x", "y"]


def test_no_faces_make_an_empty_table(pandas):
    assert to_dataframe([]).empty
    assert list(to_dataframe([], wide=True).columns) == ["left", "top", "width", "height"]


def test_other_input_is_refused(faces, pandas):
    five = AlignedFace(np.zeros(4), np.zeros((5, 2)))
    with pytest.raises(InputError, match="5 to 68 landmarks"):
        to_dataframe([*faces, five])
    for wrong in (7, "faces", np.zeros((2, 2, 5, 2)), np.zeros(3), [faces[0], None]):
        with pytest.raises(InputError, match=r"landmarks|faces"):
            to_dataframe(wrong)


def test_without_pandas_the_error_names_the_package(faces, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        to_dataframe(faces)
