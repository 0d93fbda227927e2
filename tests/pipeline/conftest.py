from dataclasses import replace

import numpy as np
import pytest
from helpers import small_predictor
from PIL import Image

from ert.datasets.synthetic import synthetic_faces

NAMES = ("eye", "nose_x", "tip", "3", "jaw end")


@pytest.fixture(scope="session")
def whole_model():
    """A tiny model of five landmarks whose boxes are the whole images."""
    images, _, landmarks = synthetic_faces(40, seed=1, size=96)
    whole = [(image, (0, 0, *image.shape[1::-1])) for image in images]
    params = {"n_stages": 2, "n_trees": 10, "n_inits": 3, "working_size": 48}
    model = small_predictor(**params).fit(whole, landmarks[:, [8, 30, 36, 45, 54]], landmark_names=NAMES)
    model.fitted_ = replace(model.fitted_, box_source="whole")
    return model


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder with twelve photographs, and two in a subfolder."""
    folder = tmp_path_factory.mktemp("photos")
    images, _, _ = synthetic_faces(14, seed=5, size=96)
    for i, image in enumerate(images):
        path = folder / (f"wing{i}.png" if i < 12 else f"more/wing{i}.png")
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.asarray(image)).save(path)
    return folder
