from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from ert import InputError, explain
from ert.evaluation import explanation as module
from ert.evaluation.explanation import check_explanation_file, explanation_sheet, save_explanation


@pytest.fixture(scope="module")
def explained(small_model, faces):
    image, box = faces[0][0]
    return image, box, explain(small_model, image, box)


def test_a_sheet_has_a_thumbnail_for_each_stage(explained, tmp_path, monkeypatch):
    captions = []
    sheet = module.contact_sheet

    def recorded(thumbnails, columns, texts, **options):
        captions.extend(texts)
        return sheet(thumbnails, columns, texts, **options)

    monkeypatch.setattr(module, "contact_sheet", recorded)
    monkeypatch.setattr(module, "_THUMBNAIL_SIZE", 120)
    save_explanation(tmp_path / "sheet.png", *explained)
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.width > 4 * 120
    shapes = explained[2].shapes
    moved = [np.linalg.norm(shapes[i + 1] - shapes[i], axis=1).mean() for i in range(3)]
    assert captions[3:] == [
        "initial shape: mean shape in the box",
        *(f"stage {i + 1}: moved by {moved[i]:.2f} px" for i in range(3)),
    ]
    assert captions[2] == "pixels read: stage 3"


@pytest.mark.parametrize("suffix", [".gif", ".apng"])
def test_an_animation_has_a_frame_for_each_stage(explained, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(module, "_PANEL_SIZE", 150)
    save_explanation(tmp_path / f"moving{suffix}", *explained)
    frames = []
    with Image.open(tmp_path / f"moving{suffix}") as picture:
        assert picture.n_frames == 4
        assert picture.size == (300, 150)
        assert picture.info["loop"] == 0
        for number in range(4):
            picture.seek(number)
            frames.append(np.asarray(picture.convert("RGB"), int))
    assert all(np.abs(a - b).max() > 50 for a, b in pairwise(frames))
    # Gray where no stage has read pixels yet, and bright where one has.
    colorful = [(np.ptp(frame[:, 150:], axis=2) > 40).sum() for frame in frames]
    assert colorful[0] < 100 < 500 < min(colorful[1:])
    assert [path.name for path in tmp_path.iterdir()] == [f"moving{suffix}"]


def test_the_map_is_brightest_where_most_pixels_were_read(explained):
    _, box, explanation = explained
    reads = np.zeros_like(explanation.reads)
    # Far from the diagonal, on which rows and columns could be mistaken for each other.
    pixel = np.ptp(explanation.pixels[1] - explanation.pixels[1].mean(axis=0), axis=1).argmax()
    reads[1, pixel] = 5
    only = replace(explanation, reads=reads)
    view = module._view(np.array(box), only)
    photo = np.full((200, 200, 3), 60, np.uint8)
    hot = module._reads_map(photo, view, only, [1]).astype(int)
    row, column = np.unravel_index(hot.sum(axis=2).argmax(), hot.shape[:2])
    expected = module.to_thumbnail_pixels(explanation.pixels[1, pixel], view, 200)
    np.testing.assert_allclose((column, row), expected, atol=1.5)
    cold = module._reads_map(photo, view, only, [0])
    assert (cold == 45).all()


@pytest.mark.parametrize("n", [1, 3, 8, 9, 12, 36, 100])
def test_the_stages_shown_are_few_and_end_with_the_last(n):
    chosen = module._shown_stages(n)
    assert chosen == sorted(set(chosen))
    assert chosen[0] == 1
    assert chosen[-1] == n
    assert len(chosen) == min(n, 8)


def test_color_images_are_drawn_in_color(explained):
    image, box, explanation = explained
    color = np.stack([image, image // 2, image // 3], axis=2)
    sheet = explanation_sheet(color, box, explanation).astype(int)
    assert ((sheet[..., 0] - sheet[..., 2]) > 60).mean() > 0.05


def test_unknown_suffixes_are_refused():
    for name in ("a.pdf", "a", "a.mp4"):
        with pytest.raises(InputError, match=r"unknown suffix .*, expected \.png"):
            check_explanation_file(name)
