"""Files that people have, which lie in ../shared/cases: each is read like its usual twin, or refused in one line."""

import numpy as np
import pytest
from helpers import SHARED

from ert._core.exceptions import InputError
from ert.datasets import load_dataset

CASES = SHARED.parent / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs the files of ../shared/cases")

# File -> what the error says.
REFUSED = {
    "10-tps-curves-outlines/lm3.tps": "expected landmarks of an image, with x and y only",
    "10-tps-curves-outlines/onlycurves.tps": "--curves=as-landmarks",
    "20-kaggle-and-other-csv/latin1.csv": ":5: image 'löaf3.png' not found",
    "20-kaggle-and-other-csv/missing_image.csv": ":6: image 'gone.png' not found",
    "21-pts-in-the-wild/binary": "bytes that are not text",
    "21-pts-in-the-wild/missing_minus1": "--missing=-1",
    "21-pts-in-the-wild/missing_zero": "--missing=0",
}
# Of images of other sizes than those of the twin.
OTHERS = {"20-kaggle-and-other-csv/kaggle_training.csv": (4, 4)}


def names(pattern):
    return [path.relative_to(CASES).as_posix() for path in sorted(CASES.glob(pattern)) if path.suffix != ".png"]


def load(name, **options):
    if name in REFUSED:
        with pytest.raises(InputError) as info:
            load_dataset(CASES / name, **options)
        assert REFUSED[name] in str(info.value)
        assert "\n" not in str(info.value)
        return None
    return load_dataset(CASES / name, **options)


@pytest.mark.parametrize(
    ("pattern", "twin"),
    [
        ("10-*/*.tps", "12-tps-empty-fields/spaces.tps"),
        ("12-*/*.tps", "12-tps-empty-fields/spaces.tps"),
        ("19-*/*.csv", "19-dlc-csv/lp_one_header.csv"),
        ("20-*/*.csv", "20-kaggle-and-other-csv/quoted.csv"),
        ("21-*/*", "21-pts-in-the-wild/std"),
    ],
)
def test_files_are_read_like_their_twin(pattern, twin):
    expected = load(twin)
    found = names(pattern)
    assert found
    for name in found:
        data = load(name)
        if name in OTHERS:
            assert data.landmarks.shape[:2] == OTHERS[name]
        elif data is not None:
            n = len(expected)
            assert [file.stem.lower() for file in data.files[:n]] == [file.stem.lower() for file in expected.files], (
                name
            )
            known = np.isfinite(data.landmarks[:n])
            assert known.mean() > 0.8
            np.testing.assert_allclose(data.landmarks[:n][known], expected.landmarks[known], atol=0.011, err_msg=name)


def test_options_read_what_is_refused_without_them():
    for name, missing in (("missing_minus1", -1), ("missing_zero", 0)):
        path = CASES / "21-pts-in-the-wild" / name
        with pytest.raises(InputError, match="landmark '3' is missing in all objects"):
            load_dataset(path, missing=[missing])
        assert load_dataset(path, missing=[]).landmarks[0, 3].tolist() == [missing - 1, missing - 1]
    curves = CASES / "10-tps-curves-outlines"
    assert len(load_dataset(curves / "onlycurves.tps", curves="as-landmarks").landmark_names) == 3
    assert len(load_dataset(curves / "outline.tps", curves="as-landmarks").landmark_names) == 7


def test_a_list_of_wflw():
    data = load("18-other-tools-json-xml/wflw.txt")
    assert (data.landmarks.tolist(), data.boxes.tolist()) == ([[[1, 2], [3, 4]]], [[0, 0, 10, 10]])
