import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from ert.datasets import Dataset, load_dataset, synthetic_dataset
from ert.datasets.dataset import MAX_THUMBNAILS


def pictures(html):
    return re.findall('src="data:image/jpeg;base64,([^"]+)"', html)


def test_repr_has_name_sizes_and_folder(tmp_path):
    nan = float("nan")
    files = [tmp_path / "x" / "a.png", tmp_path / "x" / "a.png", tmp_path / "y" / "b.png"]
    landmarks = np.array([[(1, 2), (3, 4)], [(nan, nan), (3, 4)], [(1, 2), (nan, nan)]])
    dataset = Dataset(files, np.ones((3, 4)), landmarks, ("a", "b"), "odd")
    text = f"<Dataset 'odd': 3 objects, 2 images, 2 landmarks, 2 missing points,\n images in {tmp_path}>"
    assert repr(dataset) == text
    assert repr(dataset.subset([])) == "<Dataset 'odd': 0 objects, 0 images, 2 landmarks, 0 missing points>"


def test_html_has_a_table_and_a_contact_sheet(tmp_path):
    dataset = load_dataset(synthetic_dataset(tmp_path, 14, seed=1) / "landmarks.csv")
    html = dataset._repr_html_()
    assert ">14</td>" in html
    assert ">68</td>" in html
    (picture,) = pictures(html)
    sheet = Image.open(io.BytesIO(base64.b64decode(picture)))
    assert (sheet.format, sheet.mode) == ("JPEG", "RGB")
    # Two rows of six objects.
    assert MAX_THUMBNAILS == 12
    assert 2.5 < sheet.width / sheet.height < 3.5
    dataset.files[0].write_bytes(b"no image")
    assert len(pictures(dataset._repr_html_())) == 1


def test_html_without_images_is_the_table_and_text_is_escaped():
    files, nan = [Path("<i>.png")], np.full((1, 1, 2), np.nan)
    dataset = Dataset(files, np.ones((1, 4)), np.ones((1, 1, 2)), ("a",), "<script>&")
    html = dataset._repr_html_()
    assert pictures(html) == []
    assert "&lt;script&gt;&amp;" in html
    assert "<script>" not in html
    assert pictures(Dataset(files, np.ones((1, 4)), nan, ("a",), "none")._repr_html_()) == []
    assert pictures(dataset.subset([])._repr_html_()) == []
