import subprocess
import sys
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from ert import InputError
from ert.plotting import save_image, show

IMAGE = np.full((120, 160, 3), 90, np.uint8)
SHAPE = np.array([[30.0, 40.0], [50.0, 60.0], [np.nan, np.nan]])
BOX = (20, 30, 40, 50)


def drawn_shapes(axes):
    return [collection.get_offsets() for collection in axes.collections]


def drawn_boxes(axes):
    return [(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in axes.patches[1::2]]


def test_faces_are_drawn_in_pixels_of_the_image():
    faces = [SimpleNamespace(box=BOX, landmarks=SHAPE), SimpleNamespace(box=(1, 2, 3, 4), landmarks=SHAPE + 9)]
    axes = show(IMAGE, faces)
    first, second = drawn_shapes(axes)
    np.testing.assert_array_equal(np.ma.filled(first, np.nan), SHAPE)
    np.testing.assert_array_equal(np.ma.filled(second, np.nan), SHAPE + 9)
    assert drawn_boxes(axes) == [(19.5, 29.5, 40, 50), (0.5, 1.5, 3, 4)]
    assert axes.get_xlim() == (-0.5, 159.5)
    assert axes.get_ylim() == (119.5, -0.5)
    assert axes._repr_png_().startswith(b"\x89PNG")


def test_pyplot_is_not_imported():
    code = "import sys, numpy, ert; ert.plotting.show(numpy.zeros((9, 9), numpy.uint8))._repr_png_()"
    code += "; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0


def test_single_faces_arrays_paths_and_gray_images_are_accepted(tmp_path):
    one = show(IMAGE[..., 0], SimpleNamespace(box=BOX, landmarks=SHAPE), boxes=[(0, 0, 9, 9)])
    assert len(drawn_shapes(one)) == 1
    assert len(drawn_boxes(one)) == 2
    save_image(tmp_path / "a.png", IMAGE)
    assert len(drawn_shapes(show(tmp_path / "a.png", np.stack([SHAPE, SHAPE])))) == 2
    assert len(drawn_shapes(show(IMAGE, SHAPE))) == 1
    assert not drawn_shapes(show(IMAGE))
    assert not drawn_shapes(show(IMAGE, []))


def test_given_axes_are_drawn_in_and_faces_beyond_the_border_do_not_change_the_view():
    axes = Figure().add_subplot()
    face = np.random.default_rng(0).uniform(-500, 500, (68, 2))
    assert show(IMAGE, [face], boxes=[(-900, 0, 9, 9)], ax=axes) is axes
    assert axes.get_xlim() == (-0.5, 159.5)
    assert len(axes.get_lines()) >= 2 * 9  # the curves of the regions


def test_bad_arguments():
    with pytest.raises(InputError, match=r"shape 0: array of shape \(3,\)"):
        show(IMAGE, [[1, 2, 3]])
    with pytest.raises(InputError, match="boxes"):
        show(IMAGE, boxes=[(1, 2)])
    with pytest.raises(InputError, match="float64"):
        show(IMAGE / 2)


def test_landmarks_are_visible_in_the_picture():
    axes = show(IMAGE, [SimpleNamespace(box=BOX, landmarks=SHAPE)])
    picture = np.asarray(Image.open(BytesIO(axes._repr_png_())).convert("RGB"), int)
    assert (np.ptp(picture, axis=2) > 60).sum() > 10  # the colored dots
