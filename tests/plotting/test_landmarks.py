from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lxml import html
from PIL import Image

from ert._core.exceptions import InputError
from ert._core.images import load_image
from ert.faces.pose import HeadPose
from ert.model.schemes import FACE68_REGIONS
from ert.plotting import strokes
from ert.plotting.landmarks import (
    PHOTO_COLORS,
    contact_sheet,
    crop_thumbnail,
    draw_landmarks,
    draw_poses,
    object_thumbnail,
    object_view,
    picture_html,
    save_image,
    shortened,
    to_thumbnail_pixels,
)

GRAY = np.full((200, 200), 90, np.uint8)


@pytest.fixture
def face():
    """68 landmarks on a circle each region its own: distinct points with no anatomy."""
    turns = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    return 100 + 60 * np.stack([np.cos(turns), np.sin(turns)], -1)


def changed(picture, before):
    """Mask of the pixels that a drawing has changed."""
    return (picture != np.atleast_3d(before)).any(axis=2)


class TestDrawLandmarks:
    def test_nothing_to_draw_leaves_the_picture(self):
        image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        np.testing.assert_array_equal(draw_landmarks(image, [], min_size=1), image)

    def test_the_image_itself_is_left_alone(self, face):
        image = GRAY.copy()
        draw_landmarks(image, [face], [(40, 40, 120, 120)], min_size=1)
        np.testing.assert_array_equal(image, GRAY)

    def test_discs_have_the_given_radii(self):
        points = np.array([[60.0, 100.0], [150.0, 100.0]])
        plain = draw_landmarks(GRAY, [points], min_size=1)
        with_discs = draw_landmarks(GRAY, [points], radii=[[30.0, 10.0]], min_size=1)
        rows, columns = np.nonzero(changed(with_discs, plain))
        left = columns < 105
        for here, x, radius in ((left, 60, 30), (~left, 150, 10)):
            distances = np.hypot(columns[here] - x, rows[here] - 100)
            assert abs(distances.max() - radius) < 1.5
            assert here.sum() > 0.8 * np.pi * radius**2
        with pytest.raises(InputError, match="radii: expected one for each landmark of each shape"):
            draw_landmarks(GRAY, [points], radii=[[1.0]])

    def test_gray_becomes_rgb(self):
        drawn = draw_landmarks(GRAY, [], min_size=1)
        assert drawn.shape == (200, 200, 3)
        assert (drawn == 90).all()

    @pytest.mark.parametrize(
        ("shape", "min_size", "expected"),
        [
            ((100, 50), 800, (800, 400)),
            ((900, 1000), 800, (900, 1000)),
            ((1, 1), 8, (8, 8)),
            ((1, 999), 1000, (1, 1000)),
        ],
    )
    def test_small_pictures_are_enlarged(self, shape, min_size, expected):
        assert draw_landmarks(np.zeros(shape, np.uint8), [], min_size=min_size).shape == (*expected, 3)

    @given(x=st.floats(20, 80), y=st.floats(20, 80), scale=st.sampled_from([1, 3, 6.4]))
    def test_a_dot_lies_where_the_landmark_is(self, x, y, scale):
        image = np.zeros((100, 100), np.uint8)
        drawn = draw_landmarks(image, [[(x, y)]], colors=["white"], min_size=int(100 * scale)).max(axis=2)
        weights = drawn / drawn.sum()
        rows, columns = np.indices(weights.shape)
        center = (np.array([(weights * columns).sum(), (weights * rows).sum()]) + 0.5) / scale - 0.5
        np.testing.assert_allclose(center, (x, y), atol=0.3)

    def test_every_landmark_of_a_face_shows(self, face):
        drawn = draw_landmarks(GRAY, [face], min_size=1)
        mask = changed(drawn, GRAY)
        assert all(mask[round(y), round(x)] for x, y in face)
        assert mask.mean() < 0.2

    def test_curves_join_a_region_but_not_two_of_them(self, face):
        mask = changed(draw_landmarks(GRAY, [face], min_size=1), GRAY)
        turns = np.deg2rad(360 / 68 * (np.arange(68) + 0.5))
        between = np.rint(100 + 60 * np.stack([np.cos(turns), np.sin(turns)], -1)).astype(int)
        joined = mask[between[:, 1], between[:, 0]]
        ends = [region.stop - 1 for region in FACE68_REGIONS.values()]
        np.testing.assert_array_equal(np.flatnonzero(~joined), ends)

    def test_points_only(self, face):
        with_curves = changed(draw_landmarks(GRAY, [face]), draw_landmarks(GRAY, []))
        dots = changed(draw_landmarks(GRAY, [face], scheme="points"), draw_landmarks(GRAY, []))
        assert 0 < dots.sum() < with_curves.sum()
        five = changed(draw_landmarks(GRAY, [face[:5]]), draw_landmarks(GRAY, []))
        assert 0 < five.sum() < dots.sum()

    def test_missing_landmarks_are_left_out(self, face):
        gone = [0, 8, 27, 33, 50]
        shape = face.copy()
        shape[gone] = np.nan
        shape[8] = np.inf, 3
        mask = changed(draw_landmarks(GRAY, [shape], min_size=1), GRAY)
        shown = np.array([mask[round(y), round(x)] for x, y in face])
        np.testing.assert_array_equal(np.flatnonzero(~shown), gone)

    def test_nothing_left_to_draw(self):
        shape = np.full((68, 2), np.nan)
        np.testing.assert_array_equal(draw_landmarks(GRAY, [shape], min_size=1), draw_landmarks(GRAY, [], min_size=1))

    @given(
        hnp.arrays(
            np.float64,
            st.tuples(st.sampled_from([1, 5, 68]), st.just(2)),
            elements=st.floats(allow_nan=True, allow_infinity=True, width=32),
        )
    )
    def test_extreme_coordinates_are_accepted(self, shape):
        assert draw_landmarks(np.zeros((20, 30), np.uint8), [shape], min_size=1).shape == (20, 30, 3)

    def test_blocks_leave_no_seams(self, face, monkeypatch):
        image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
        whole = draw_landmarks(image, [face], [(30.2, 40.7, 100, 130)], min_size=1)
        monkeypatch.setattr(strokes, "BLOCK_SIZE", 31)
        blocks = draw_landmarks(image, [face], [(30.2, 40.7, 100, 130)], min_size=1)
        difference = np.abs(whole.astype(int) - blocks).max(axis=2)
        # Pillow rounds a line that leaves the block by a fraction of a pixel otherwise.
        assert difference.max() < 32
        assert (difference > 0).mean() < 0.001

    def test_boxes_are_outlined(self):
        drawn = draw_landmarks(np.zeros((100, 100), np.uint8), [], [(20, 30, 40, 50)], min_size=1)[..., 0]
        assert drawn[55, 18:22].max() > 150  # left and right sides, halfway down
        assert drawn[55, 58:62].max() > 150
        assert drawn[28:32, 40].max() > 150
        assert drawn[78:82, 40].max() > 150
        assert drawn[35:75, 25:55].max() == 0

    def test_boxes_have_round_corners(self):
        drawn = draw_landmarks(np.zeros((400, 400), np.uint8), [], [(50, 50, 300, 300)], min_size=1)[..., 0]
        for row in (50, 349):
            for column in (50, 349):
                assert drawn[row, column] == 0
            assert drawn[row, 200] > 100
            assert drawn[200, row] > 100

    def test_a_box_beyond_the_picture(self):
        drawn = draw_landmarks(GRAY, [], np.array([-50, -50, 100, 400]), min_size=1)
        assert changed(drawn, GRAY)[100, 49:51].any()

    def test_dots_grow_with_the_face(self, face):
        image = np.zeros((800, 800), np.uint8)
        small = changed(draw_landmarks(image, [face], scheme="points"), image).sum()
        large = changed(draw_landmarks(image, [4 * face], scheme="points"), image).sum()
        assert large > 4 * small

    def test_colors(self, face):
        drawn = draw_landmarks(GRAY, [face, face + 3], colors=["#ff0000", None])
        assert (drawn == (255, 0, 0)).all(axis=2).any()
        assert len({draw_landmarks(GRAY, [face], colors=[c]).tobytes() for c in (None, "red", "white")}) == 3

    def test_names_are_written(self, face):
        five = face[::14]
        plain = draw_landmarks(GRAY, [five])
        named = draw_landmarks(GRAY, [five], names=["a", "b", "c", "d", "e"])
        assert (plain != named).any()

    def test_a_lone_array_is_one_shape(self, face):
        np.testing.assert_array_equal(draw_landmarks(GRAY, face), draw_landmarks(GRAY, face[None]))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"image": GRAY / 255}, "float64 pixels"),
            ({"shapes": [np.zeros((5, 3))]}, r"shape 0: array of shape \(5, 3\)"),
            ({"shapes": [np.zeros((5, 2)), np.zeros(4)]}, r"shape 1: array of shape \(4,\)"),
            ({"boxes": [(1, 2, 3)]}, r"boxes: array of shape \(1, 3\)"),
            ({"boxes": [(1, 2, 3, np.nan)]}, "boxes: .*finite"),
            ({"scheme": "face5"}, "scheme: 'face5', expected"),
            ({"scheme": "face68"}, "shape 0: 5 landmarks, expected 68"),
            ({"names": ["a"]}, "names: 1, expected one for each of 5"),
            ({"colors": ["red", "blue"]}, "colors: 2, expected one for each of 1"),
            ({"colors": ["rot"]}, "colors: 'rot', expected a name"),
        ],
    )
    def test_bad_arguments(self, arguments, message):
        with pytest.raises(InputError, match=message):
            draw_landmarks(**{"image": GRAY, "shapes": [np.full((5, 2), 9.0)], **arguments})


class TestDrawPoses:
    @staticmethod
    def pose(yaw=0.0):
        cos, sin = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
        rotation = np.array([(cos, 0, -sin), (0, 1, 0), (sin, 0, cos)])
        camera = np.array([(200, 0, 99.5), (0, 200, 99.5), (0, 0, 1)])
        return HeadPose(yaw, 0.0, 0.0, rotation, np.array([0, -0.4, 4.5]), camera, 0.0)

    @pytest.mark.parametrize("scale", [1, 4])
    def test_red_goes_to_the_left_of_the_subject_and_green_up_and_blue_forward(self, scale):
        drawn = draw_poses(GRAY, [self.pose(-40)], min_size=200 * scale).astype(int)
        for channel, end in enumerate(self.pose(-40).axes()[1:]):
            x, y = ((end + 0.5) * scale - 0.5).round().astype(int)
            assert drawn[y, x].argmax() == channel
            assert np.sort(drawn[y, x])[-2] + 30 < drawn[y, x].max()

    def test_an_axis_towards_the_camera_covers_the_others(self):
        drawn = draw_poses(GRAY, [self.pose()], min_size=200)
        x, y = self.pose().axes()[0].round().astype(int)
        assert drawn[y, x].argmax() == 2

    def test_nothing_else_is_drawn_on(self):
        drawn = draw_poses(GRAY, [self.pose()], min_size=1)
        points = self.pose().axes()
        rows, columns = np.nonzero(changed(drawn, GRAY))
        assert (rows > points[:, 1].min() - 8).all()
        assert (columns > points[:, 0].min() - 8).all()
        np.testing.assert_array_equal(draw_poses(GRAY, [], min_size=1), np.stack([GRAY] * 3, axis=2))


class TestContactSheet:
    def test_thumbnails_are_arranged_in_rows(self):
        thumbnails = [np.full((10, 10), value, np.uint8) for value in (50, 100, 150, 200, 250)]
        sheet = contact_sheet(thumbnails, 2, tile_size=32)
        gap = 2
        assert sheet.shape == (3 * 34 + gap, 2 * 34 + gap, 3)
        centers = [sheet[gap + 16 + row * 34, gap + 16 + column * 34, 0] for row in range(3) for column in range(2)]
        assert centers[:5] == [50, 100, 150, 200, 250]
        assert centers[5] == sheet[0, 0, 0]

    def test_proportions_are_kept(self):
        sheet = contact_sheet([np.full((20, 5, 3), 255, np.uint8)], 4, tile_size=40)
        white = (sheet == 255).all(axis=2)
        assert sheet.shape == (44, 44, 3)
        assert white.any(axis=1).sum() == 40
        assert white.any(axis=0).sum() == 10

    def test_captions_stay_within_their_thumbnail(self):
        thumbnails = [np.zeros((10, 10), np.uint8)] * 2
        short = contact_sheet(thumbnails, 2, ["", "0.5 %"], tile_size=100)
        long = contact_sheet(thumbnails, 2, ["", "a caption that is far too long for its thumbnail"], tile_size=100)
        left = np.s_[:, : short.shape[1] // 2]
        np.testing.assert_array_equal(short[left], long[left])
        assert (short != long).any()

    @pytest.mark.parametrize(
        ("thumbnails", "columns", "captions", "message"),
        [
            ([], 2, None, "no thumbnails"),
            ([GRAY], 0, None, "0 columns"),
            ([GRAY], 1, ["a", "b"], "2 captions"),
            ([GRAY, GRAY / 2], 1, None, "thumbnail 1: float64"),
        ],
    )
    def test_bad_arguments(self, thumbnails, columns, captions, message):
        with pytest.raises(InputError, match=message):
            contact_sheet(thumbnails, columns, captions)


class TestSaveImage:
    @pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.bmp", "a.tif"])
    @pytest.mark.parametrize("channel_order", [1, 3])
    def test_round_trip(self, tmp_path, name, channel_order):
        image = np.random.default_rng(0).integers(0, 256, (8, 9, channel_order), dtype=np.uint8).squeeze()
        save_image(tmp_path / name, image)
        np.testing.assert_array_equal(load_image(tmp_path / name), image)
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_jpeg(self, tmp_path):
        save_image(str(tmp_path / "a.jpg"), GRAY)
        with Image.open(tmp_path / "a.jpg") as image:
            assert image.format == "JPEG"

    @pytest.mark.parametrize("name", ["a", "a.txt", "a.npz"])
    def test_unknown_suffix(self, tmp_path, name):
        with pytest.raises(InputError, match="unknown suffix"):
            save_image(tmp_path / name, GRAY)
        assert not list(tmp_path.iterdir())

    def test_no_such_folder(self, tmp_path):
        with pytest.raises(InputError, match=r"a\.png: cannot be written"):
            save_image(tmp_path / "none" / "a.png", GRAY)

    def test_an_existing_file_survives_a_bad_image(self, tmp_path):
        path = tmp_path / "a.png"
        save_image(path, GRAY)
        with pytest.raises(InputError, match="float64"):
            save_image(path, GRAY / 2)
        np.testing.assert_array_equal(load_image(path), GRAY)


def test_labels_are_above_their_boxes():
    image = np.full((120, 200, 3), 90, np.uint8)
    boxes = [(20, 50, 40, 40), (120, 2, 40, 40)]
    plain = draw_landmarks(image, [], boxes, min_size=1)
    labeled = draw_landmarks(image, [], boxes, labels=["7", "8"], min_size=1)
    rows, columns = np.nonzero((plain != labeled).any(axis=2))
    left = columns < 100
    assert rows[left].max() < 50
    # There is no room above the second.
    assert rows[~left].min() >= 0
    assert rows[~left].max() < 30
    with pytest.raises(InputError, match="labels: 1, expected one for each box"):
        draw_landmarks(image, [], boxes, labels=["7"])


class TestPictureHtml:
    @staticmethod
    def parsed(text):
        element = html.fromstring(text)
        kind, data = element.get("src").split(",")
        assert kind == "data:image/jpeg;base64"
        picture = np.asarray(Image.open(BytesIO(b64decode(data))), int)
        assert (int(element.get("height")), int(element.get("width"))) == picture.shape[:2]
        return element, picture

    @pytest.mark.parametrize(
        ("shape", "expected"),
        [((500, 1000), (240, 480)), ((1000, 500, 3), (960, 480)), ((60, 80), (360, 480)), ((5, 9000), (1, 480))],
    )
    def test_the_picture_is_at_most_480_pixels_wide(self, shape, expected):
        _, picture = self.parsed(picture_html(np.full(shape, 90, np.uint8), []))
        assert picture.shape[:2] == expected

    def test_landmarks_and_boxes_are_scaled_with_the_picture(self):
        image = np.full((1200, 960), 90, np.uint8)
        shape = np.array([(100, 300), (300, 300), (100, 500), (300, 500)]) + 0.5
        _, picture = self.parsed(picture_html(image, [shape], [(500, 600, 400, 400)]))
        colored = np.argwhere(np.ptp(picture, axis=2) > 40)[:, ::-1]
        distances = np.linalg.norm(colored[:, None] - shape / 2, axis=2)
        assert (distances.min(axis=0) < 1).all()  # color at each landmark, and nowhere else
        assert (distances.min(axis=1) < 6).all()
        bright = np.argwhere(picture.min(axis=2) > 180)
        np.testing.assert_allclose(bright.min(axis=0), (300, 250), atol=3)
        np.testing.assert_allclose(bright.max(axis=0), (500, 450), atol=3)

    def test_the_alternative_text_is_escaped(self):
        element, _ = self.parsed(picture_html(GRAY, np.zeros((0, 68, 2)), alt='a "face"\n<b> & c'))
        assert element.get("alt") == 'a "face" <b> & c'
        assert element.tag == "img"
        with pytest.raises(InputError, match="float64"):
            picture_html(GRAY / 2, [])


FACE_BOX = np.array([30.0, 20, 40, 40])


@pytest.fixture
def shape():
    return np.random.default_rng(0).uniform((30, 20), (70, 60), (20, 2))


def test_the_view_contains_the_object_despite_outliers(shape):
    left, top, side = object_view(shape, FACE_BOX)
    assert (shape > [left, top]).all()
    assert (shape < [left + side, top + side]).all()
    assert side < 2 * np.ptp(shape, axis=0).max()
    wild = shape.copy()
    wild[0] = [1e5, -1e5]
    left, top, side = object_view(wild, FACE_BOX)
    assert side <= 4 * max(FACE_BOX[2:])
    assert (wild[1:] > [left, top]).all()
    assert (wild[1:] < [left + side, top + side]).all()
    left, top, side = object_view(wild + 1e6, FACE_BOX)
    assert left <= FACE_BOX[0] < FACE_BOX[0] + FACE_BOX[2] <= left + side


@pytest.mark.parametrize("size", [30, 200])
def test_points_stay_on_their_pixels(size):
    image = np.zeros((100, 100), np.uint8)
    image[50:60, 40:50] = 255
    view = (20, 30, 60)
    thumbnail = crop_thumbnail(image, view, size).astype(float).mean(axis=2)
    assert thumbnail.shape == (size, size)
    middle = (np.indices(thumbnail.shape)[::-1] * thumbnail).sum(axis=(1, 2)) / thumbnail.sum()
    np.testing.assert_allclose(to_thumbnail_pixels(np.array([44.5, 54.5]), view, size), middle, atol=0.05)


@pytest.mark.parametrize("factor", [0.5, 20])
def test_thumbnails_have_the_given_size(factor, shape):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 60, (round(90 * factor), round(110 * factor)), dtype=np.uint8)
    shape[3] = np.nan
    thumbnail = object_thumbnail(image, FACE_BOX * factor, [shape * factor, (shape + 4) * factor], PHOTO_COLORS, 150)
    assert thumbnail.shape == (150, 150, 3)
    for color in ((86, 180, 233), (230, 159, 0)):
        assert (np.abs(thumbnail.astype(int) - color).max(axis=2) < 40).sum() > 50


def test_long_names_are_shortened_in_the_middle():
    assert shortened("short.png") == "short.png"
    name = "a" * 40 + "_0123456789.png"
    short = shortened(name)
    assert len(short) == 34
    assert short.endswith("_0123456789.png")
