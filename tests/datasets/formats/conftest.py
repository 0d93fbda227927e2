import numpy as np
import pytest
from PIL import Image

from ert.datasets import Dataset


@pytest.fixture
def three(tmp_path):
    """Three objects with three landmarks in two images of 40 and 43 rows; one landmark is missing."""
    files = [tmp_path / "a 1.png", tmp_path / "b&'2.png"]
    for i, file in enumerate(files):
        Image.new("L", (50 + i, 40 + 3 * i)).save(file)
    nan = float("nan")
    landmarks = np.array([[(1.25, 2), (3, 4), (5, 7)], [(5, 6), (nan, nan), (9, 9)], [(-7, 8), (9.5, 10), (1, 2)]])
    boxes = np.tile([1.0, 2, 30, 40], (3, 1))
    return Dataset([files[0], files[0], files[1]], boxes, landmarks, ("nose", "chin", "ear"), "three")
