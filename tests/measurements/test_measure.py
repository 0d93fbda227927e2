import csv
import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ert
from ert import InputError
from ert.datasets.dataset import Dataset

SHAPES = np.array([[[0, 0], [30, 0], [30, 40], [0, 40]], [[5, 5], [11, 5], [11, 13], [5, 13]]], float)


def make_dataset(**changed):
    files = [Path("photos/a.jpg"), Path("photos/old/b.jpg")]
    fields = {"files": files, "boxes": np.tile([0.0, 0, 50, 50], (2, 1)), "landmarks": SHAPES.copy()}
    return Dataset(**fields | {"landmark_names": ("p", "q", "r", "s"), "name": "rectangles"} | changed)


def test_columns_have_names_and_units():
    table = ert.measure(
        make_dataset(),
        distances="p-r,width=p-q",
        angles=[("p", "q", "r")],
        areas="p-q-r-s",
        perimeters={"around": "0-1-2-3"},
        centroid_size=True,
        scales=0.1,
    )
    expected = {
        "distance_p-r_mm": [5, 1],
        "width_mm": [3, 0.6],
        "angle_p-q-r_deg": [90, 90],
        "area_p-q-r-s_mm2": [12, 0.48],
        "around_mm": [14, 2.8],
        "centroid_size_mm": [5, 1],
    }
    assert list(table.columns) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(table[name], values)
    assert table.specimens == ("a", "b")
    assert table.images == ("a.jpg", "old/b.jpg")
    assert table.notes == ()
    assert repr(table) == (
        "<Measurements: 2 objects, 6 columns: distance_p-r_mm, width_mm, angle_p-q-r_deg, area_p-q-r-s_mm2, "
        "around_mm, centroid_size_mm>"
    )
    with pytest.raises(InputError, match="no column 'width', expected one of distance_p-r_mm, width_mm"):
        table["width"]


def test_arrays_are_measured_in_pixels():
    table = ert.measure(SHAPES, distances=[(0, 2)])
    assert table["distance_0-2_px"].tolist() == [50, 10]
    assert (table.specimens, table.images) == (("0", "1"), ("", ""))
    assert ert.measure(SHAPES.tolist(), centroid_size=True)["centroid_size_px"].tolist() == [50, 10]


def predictions():
    files = [Path("photos/a.jpg"), Path("photos/a.jpg"), Path("photos/b.jpg")]
    box, names, std = np.array([0.0, 0, 50, 50]), ("p", "q", "r", "s"), np.full(4, 0.5)
    for file, shape in zip(files, SHAPES[[0, 1, 0]], strict=True):
        yield ert.Prediction(file, file.stem, box, shape, names, std=std, scale=None if file.stem == "b" else 0.1)


def test_predictions_are_measured():
    table = ert.measure(predictions(), distances="p-r")
    np.testing.assert_array_equal(table["distance_p-r_mm"], [5, 1, np.nan])
    np.testing.assert_allclose(table["std_distance_p-r_mm"], [np.sqrt(0.005), np.sqrt(0.005), np.nan])
    assert table.specimens == ("a", "a_2", "b")
    assert table.images == ("photos/a.jpg", "photos/a.jpg", "photos/b.jpg")
    of_arrays = [replace(one, image=np.zeros((9, 9), np.uint8), std=None, scale=None) for one in predictions()]
    table = ert.measure(of_arrays, distances="p-r")
    assert (list(table.columns), table.images) == (["distance_p-r_px"], ("",) * 3)
    with pytest.raises(InputError, match="data: item 1 has other landmarks than item 0"):
        ert.measure([of_arrays[0], replace(of_arrays[1], landmark_names=("a", "b", "c", "d"))], distances="0-1")


def test_specimens_are_ids_or_names_of_images():
    assert ert.measure(make_dataset(ids=("7", "")), centroid_size=True).specimens == ("7", "b")
    one_image = make_dataset(files=[Path("a.jpg")] * 2)
    assert ert.measure(one_image, centroid_size=True).specimens == ("a", "a_2")
    predicted = make_dataset(files=[Path("a.jpg")] * 2, ids=("fly", "fly"))
    assert ert.measure(predicted, centroid_size=True).specimens == ("fly", "fly_2")


def test_scales_of_the_dataset_of_the_caller_and_none():
    own = make_dataset(scales=np.array([0.5, np.nan]))
    table = ert.measure(own, distances="p-r")
    np.testing.assert_array_equal(table["distance_p-r_mm"], [25, np.nan])
    assert table.notes == ("no scale is known for 1 of 2 objects: their cells in mm are empty",)
    assert ert.measure(own, distances="p-r", unit="px")["distance_p-r_px"].tolist() == [50, 10]
    assert ert.measure(own, distances="p-r", unit="cm")["distance_p-r_cm"][0] == 25
    other = ert.measure(own, distances="p-r", scales=[1, 2])
    assert other["distance_p-r_mm"].tolist() == [50, 20]
    assert other.notes == ("the data have other scales, in place of which the given one is taken",)
    assert ert.measure(own, distances="p-r", scales=0.50001).notes == ()
    # Angles have no scale.
    np.testing.assert_allclose(ert.measure(own, angles="p-q-r")["angle_p-q-r_deg"], 90)


def test_a_scale_from_a_known_length():
    lengths = ert.measure(SHAPES, distances="0-1,0-2", scale_points="0-1=6")
    assert lengths["distance_0-1_mm"].tolist() == [6, 6]
    assert lengths["distance_0-2_mm"].tolist() == [10, 10]
    of_images = ert.measure(SHAPES, distances="0-2", scale_points="-3, 10.5 : 1,7.5=10")
    assert of_images["distance_0-2_mm"].tolist() == [100, 20]
    missing = SHAPES.copy()
    missing[1, 1] = np.nan
    table = ert.measure(missing, distances="0-2", scale_points="0-1=6")
    np.testing.assert_array_equal(table["distance_0-2_mm"], [10, np.nan])
    assert table.notes == ("no scale is known for 1 of 2 objects: their cells in mm are empty",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to measure, expected distances, angles, areas, perimeters, centroid_size or procrustes"),
        ({"scales": 0}, "scales: 0, expected the length of a pixel, above 0"),
        ({"scales": -1.5}, "scales: -1.5, expected"),
        ({"scales": [1, -2]}, "scales: object 1: -2, expected"),
        ({"scales": [1, np.inf]}, "scales: object 1: inf, expected"),
        ({"scales": [np.nan, np.nan]}, "scales: nan, expected"),
        ({"scales": [1, 2, 3]}, "scales: array of shape .3,., expected one number, or one for each of 2 objects"),
        ({"scales": "1:2"}, "scales: '1:2', expected"),
        ({"scales": 1, "scale_points": "0-1=3"}, "scales and scale_points are given, expected one of them"),
        ({"scale_points": "0-1"}, "scale_points: '0-1': expected A-B=LENGTH or X,Y:X,Y=LENGTH"),
        ({"scale_points": "0-1=0"}, "scale_points: '0-1=0': expected"),
        ({"scale_points": "0-9=1"}, "scale_points: '0-9=1': no landmark '9'"),
        ({"scale_points": "1,2:1,2=5"}, "the two points are the same, expected them apart"),
        ({"scale_points": "1,2:1,--2=5"}, "expected X,Y:X,Y=LENGTH, with coordinates in pixels"),
        ({"unit": "mm"}, r"unit 'mm': no scale is known, expected one in the file \(SCALE=, column scale\), or scales"),
        ({"unit": "furlong"}, "unit is 'furlong', expected one of px, mm"),
        ({"std": [[1, 2]]}, r"std: array of shape \(1, 2\), expected \(2, 4\)"),
        ({"std": np.full((2, 4), -1)}, "std: array of shape .* from 0 up"),
        ({"distances": "a=0-1", "perimeters": "a=0-1-2"}, "two measurements of the name 'a'"),
        ({"distances": "centroid_size=0-1"}, "two measurements of the name 'centroid_size'"),
        ({"distances": 5}, "distances: 5, expected"),
    ],
)
def test_errors(arguments, message):
    more = {} if not arguments else {"centroid_size": True}
    with pytest.raises(InputError, match=message):
        ert.measure(SHAPES, **more, **arguments)


def test_data_that_are_no_landmarks():
    for data in (SHAPES[0], SHAPES[..., :1], "photo.jpg", None):
        with pytest.raises(InputError, match="data"):
            ert.measure(data, centroid_size=True)
    with pytest.raises(InputError, match="data: object 1, landmark 0: expected finite coordinates or NaN"):
        ert.measure([SHAPES[0], np.full((4, 2), np.inf)], centroid_size=True)
    with pytest.raises(InputError, match="procrustes: 2 landmarks, expected at least 3"):
        ert.measure(SHAPES[:, :2], procrustes=True)


def test_standard_errors_of_the_data_or_the_caller():
    std = np.array([[0.3, 0.3, 0.4, 0], [1, 1, 1, 1]])
    own = ert.measure(make_dataset(std=std), distances="p-r", areas="p-q-r-s", scales=0.1)
    assert list(own.columns) == ["distance_p-r_mm", "std_distance_p-r_mm", "area_p-q-r-s_mm2", "std_area_p-q-r-s_mm2"]
    np.testing.assert_allclose(own["std_distance_p-r_mm"], [0.05, np.sqrt(2) / 10])
    np.testing.assert_allclose(ert.measure(SHAPES, distances="0-2", std=std)["std_distance_0-2_px"][0], 0.5)
    twice = ert.measure(make_dataset(std=std), distances="p-r", std=2 * std)
    np.testing.assert_allclose(twice["std_distance_p-r_px"][0], 1)
    # A length that is known has no error, in whatever landmarks it is.
    exact = ert.measure(SHAPES, distances="0-1", std=std, scale_points="0-1=5")
    np.testing.assert_allclose(exact["std_distance_0-1_mm"], 0, atol=1e-12)


def test_procrustes_coordinates_count_y_upwards():
    table = ert.measure(make_dataset(std=np.full((2, 4), 0.1)), procrustes=True)
    names = [f"procrustes_{axis}_{name}" for name in "pqrs" for axis in "xy"]
    assert list(table.columns) == [
        *names,
        *(f"std_{name}" for name in names),
        "procrustes_distance",
        "std_procrustes_distance",
    ]
    # Of the first landmark, at the left and on top.
    np.testing.assert_allclose(table["procrustes_x_p"], [-0.3, -0.3])
    np.testing.assert_allclose(table["procrustes_y_p"], [0.4, 0.4])
    np.testing.assert_allclose(table["procrustes_distance"], 0, atol=1e-9)
    assert (table["std_procrustes_x_p"] < 0.1 / np.array([50, 10])).all()
    assert table["std_procrustes_x_p"][1] == pytest.approx(5 * table["std_procrustes_x_p"][0])


def test_objects_without_a_landmark_have_empty_cells():
    shapes = np.concatenate([SHAPES, np.full((1, 4, 2), 7.0)])
    shapes[0, 3] = np.nan
    table = ert.measure(shapes, distances="0-2,0-3", angles="0-1-2", centroid_size=True, procrustes=True)
    np.testing.assert_array_equal(table["distance_0-2_px"], [50, 10, 0])
    np.testing.assert_array_equal(table["distance_0-3_px"], [np.nan, 8, 0])
    np.testing.assert_allclose(table["angle_0-1-2_deg"], [90, 90, np.nan])
    np.testing.assert_array_equal(table["centroid_size_px"], [np.nan, 10, 0])
    np.testing.assert_allclose(table["procrustes_x_0"], [np.nan, -0.3, np.nan])
    assert table.notes == ("procrustes: 2 of 3 objects left out, since landmarks are missing or all in one place",)


def test_areas_of_crossed_outlines_are_named():
    table = ert.measure(SHAPES, areas="0-1-3-2")
    (note,) = table.notes
    assert note.startswith("area_0-1-3-2: the outline crosses itself in 2 of 2 objects")


def test_tables_as_text(tmp_path):
    dataset = make_dataset(scales=np.array([0.5, np.nan]), ids=("x,1", "b"))
    table = ert.measure(dataset, distances="p-r", angles="p-q-r")
    assert table.text(".csv") == (
        'specimen,image,distance_p-r_mm,angle_p-q-r_deg\n"x,1",a.jpg,25,90\nb,old/b.jpg,,90\n'
    )
    rows = list(csv.DictReader(io.StringIO(table.text(".csv"))))
    assert rows[0]["specimen"] == "x,1"
    table.write(tmp_path / "t.json")
    first, second = json.loads((tmp_path / "t.json").read_text())
    assert first == {"specimen": "x,1", "image": "a.jpg", "distance_p-r_mm": 25, "angle_p-q-r_deg": 90}
    assert second["distance_p-r_mm"] is None
    with pytest.raises(InputError, match=r"t.xls: unknown suffix '.xls', expected .csv or .json"):
        table.write(tmp_path / "t.xls")


def test_a_table_of_pandas(monkeypatch):
    pandas = pytest.importorskip("pandas")
    table = ert.measure(make_dataset(), distances="p-r", scales=[0.5, np.nan])
    frame = table.to_dataframe()
    assert frame.columns.tolist() == ["specimen", "image", "distance_p-r_mm"]
    read = pandas.read_csv(io.StringIO(table.text(".csv")))
    pandas.testing.assert_frame_equal(frame, read)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="needs pandas"):
        table.to_dataframe()


def test_no_objects():
    table = ert.measure(SHAPES[:0], distances="0-1", areas="0-1-2", centroid_size=True, procrustes=True)
    assert len(table) == 0
    assert len(table.columns) == 3 + 9


def test_the_code_in_the_documentation_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pandas")
    page = Path(ert.__file__).parents[1] / "docs" / "measurements.md"
    if not page.is_file():
        pytest.skip("needs the documentation")
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{name}.png" for name in "abcdef"]
    for file in files:
        Image.fromarray(np.zeros((90, 90), np.uint8)).save(file)
    landmarks = rng.uniform(5, 80, (8, 2)) + rng.normal(size=(6, 8, 2))
    names = tuple(map(str, range(8)))
    ert.write_dataset(
        Dataset(files, np.tile([0.0, 0, 90, 90], (6, 1)), landmarks, names, "wings"), tmp_path / "wings.tps"
    )
    monkeypatch.chdir(tmp_path)
    variables = {}
    blocks = re.findall("```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    for block in blocks:
        exec(block, variables)
    assert len(blocks) == 2
    assert variables["frame"].index.tolist() == list(range(6))
    assert "mean" in capsys.readouterr().out
