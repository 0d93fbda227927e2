"""The messages that docs/faq.md explains are those that users get."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import small_predictor

import ert
from ert import metrics
from ert.datasets import synthetic_dataset
from ert.inference import validation

PAGE = Path(__file__).parents[1] / "docs" / "faq.md"


@pytest.fixture(scope="module")
def patterns():
    """Return a pattern of each message in the table of the page."""
    rows = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    # Numbers are those of an example.
    return [re.sub(r"\d+", r"\\d+", re.escape(row).replace(r"\.\.\.", ".*")) for row in rows]


def give(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def unfit(folder, image):
    ert.ShapePredictor().predict([(image, (0, 0, 9, 9))])


def too_little_memory(folder, image):
    X = [(image[:, :, 0], (0, 0, 50, 50))] * 6
    small_predictor(max_memory=0.01).fit(X, np.random.default_rng(0).random((6, 5, 2)))


CALLS = {
    "float pixels": lambda folder, image: ert.load("face5").predict([(image / 255, (0, 0, 99, 99))]),
    "four channels": lambda folder, image: ert.load("face5").predict(
        [(np.dstack([image] * 2)[..., :4], (0, 0, 99, 99))]
    ),
    "no list": lambda folder, image: ert.load("face5").predict((image, (0, 0, 99, 99))),
    "outside": lambda folder, image: ert.load("face5").predict([(image, (5000, 0, 99, 99))]),
    "too large": lambda folder, image: ert.load("face5").predict([(image, (0, 0, 90_000, 90_000))]),
    "no image": lambda folder, image: ert.load_image(give(folder, "a.txt", "text")),
    "other landmarks": lambda folder, image: metrics.nme(np.ones((1, 5, 2)), np.ones((1, 5, 2)), "inter-ocular"),
    "no confidence": lambda folder, image: ert.load("face5").predict([(image, (0, 0, 99, 99))], return_std=True),
    "unfit": unfit,
    "no .dat": lambda folder, image: ert.load("face5").save(folder / "face5.dat"),
    "compressed": lambda folder, image: ert.load(give(folder, "a.dat.bz2", b"BZh91AY&SY" + bytes(30))),
    "pointer": lambda folder, image: ert.load(give(folder, "a.dat", "version https://git-lfs.github.com/spec/v1\n")),
    "absent image": lambda folder, image: ert.load_dataset(
        give(folder, "absent.csv", "image,x0,y0,x1,y1\nabsent.png,1,2,3,4\n")
    ),
    "zero": lambda folder, image: ert.load_dataset(
        give(folder, "zero.csv", "image,x0,y0,x1,y1\nfaces/face_0000.png,1,2,0,0\n")
    ),
    "no parts": lambda folder, image: ert.load_dataset(
        give(
            folder,
            "boxes.xml",
            "<dataset><images><image file='faces/face_0000.png'><box top='1' left='1' width='9' height='9'/></image>"
            "</images></dataset>",
        )
    ),
    "cut off": lambda folder, image: ert.load_dataset(give(folder, "cut.xml", "<dataset><images><image file='a.png'>")),
    "memory": too_little_memory,
}


@pytest.mark.parametrize("name", CALLS)
def test_a_message_is_on_the_page(name, patterns, tmp_path):
    synthetic_dataset(tmp_path / "faces", 1)
    with pytest.raises((ert.InputError, ert.NotFittedError)) as raised:
        CALLS[name](tmp_path, ert.load_image(ert.sample_image()))
    text = str(raised.value)
    # The command line names the option, Python the argument.
    text = re.sub(r"max_memory=([\d.]+)", r"--max-memory \1", text).replace("--max-memory 0.01", "--max-memory 1")
    assert any(re.search(pattern, text) for pattern in patterns), text


def test_the_warning_about_corners_is_on_the_page(patterns):
    validation._warn_of_corners.cache_clear()
    with pytest.warns(UserWarning, match="is it meant so") as raised:
        ert.load("face5").predict([(ert.sample_image(), (400, 400, 500, 500))])
    validation._warn_of_corners.cache_clear()
    assert any(re.search(pattern, str(raised[0].message)) for pattern in patterns)
