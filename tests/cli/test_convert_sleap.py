import sys
from types import SimpleNamespace

import numpy as np
import pytest
from cli.running import refused, run
from helpers import write
from PIL import Image

from ert import InputError, load_dataset

NODES = [SimpleNamespace(name="nose"), SimpleNamespace(name="tail")]
MISSING = (np.nan, np.nan)


def instance(*points):
    return SimpleNamespace(numpy=lambda: np.array(points, float), skeleton=SimpleNamespace(nodes=NODES))


def frame(video, index, by_hand=(), predicted=(), image=None):
    return SimpleNamespace(
        video=SimpleNamespace(filename=video),
        frame_idx=index,
        user_instances=list(by_hand),
        predicted_instances=list(predicted),
        image=image,
    )


@pytest.fixture
def frames(tmp_path, monkeypatch):
    """Return a list of frames, which is what the package sleap-io reads from any file."""
    frames = []
    monkeypatch.setitem(sys.modules, "sleap_io", SimpleNamespace(load_file=lambda path: frames))
    write(tmp_path / "a.slp", b"")
    Image.new("L", (30, 20)).save(tmp_path / "f0.png")
    return frames


def test_labels_of_images(tmp_path, frames, capsys):
    frames.append(frame(["x", r"C:\work\f0.png"], 1, [instance((1, 2), (9, 8.5))], [instance((5, 5), (6, 7))]))
    frames.append(frame([str(tmp_path / "f0.png")], 0, [], [instance((3, 4), MISSING), instance(MISSING, MISSING)]))
    assert run("convert", tmp_path / "a.slp", tmp_path / "a.csv", "--boxes", "image") == 0
    assert "1 of 3 objects left out (no landmarks)" in capsys.readouterr().err
    data = load_dataset(tmp_path / "a.csv")
    assert data.files == [tmp_path / "f0.png"] * 2
    assert data.landmark_names == ("nose", "tail")
    np.testing.assert_array_equal(data.landmarks, [[(1, 2), (9, 8.5)], [(3, 4), MISSING]])
    assert data.boxes.tolist() == [[0, 0, 30, 20]] * 2
    assert not (tmp_path / "a_frames").exists()


def test_frames_of_a_video_become_images(tmp_path, frames, capsys):
    pixels = np.arange(60, dtype=np.uint8).reshape(5, 12, 1)
    frames.append(frame("films/mouse.mp4", 7, [instance((1, 2), (4, 3))], image=pixels))
    for _ in range(2):
        assert run("convert", tmp_path / "a.slp", tmp_path / "b.csv") == 0
    assert f"images of the frames are in {tmp_path / 'b_frames'}" in capsys.readouterr().err
    (file,) = load_dataset(tmp_path / "b.csv").files
    assert file == tmp_path / "b_frames" / "mouse_000007.png"
    np.testing.assert_array_equal(np.array(Image.open(file)), pixels[:, :, 0])
    frames[0].image = pixels + 1
    assert "is another image" in refused(capsys, "convert", tmp_path / "a.slp", tmp_path / "b.csv")
    np.testing.assert_array_equal(np.array(Image.open(file)), pixels[:, :, 0])


def test_frames_that_cannot_be_read_are_faults(tmp_path, frames, capsys):
    frames.append(frame("mouse.mp4", 7, [instance((1, 2), (4, 3))], image="no image"))
    message = "a.slp: frame 0: frame 7 of mouse.mp4 cannot be read"
    assert message in refused(capsys, "convert", tmp_path / "a.slp", tmp_path / "b.csv")
    frames.append(frame([str(tmp_path / "f0.png")], 0, [instance((3, 4), (5, 6))]))
    assert run("convert", tmp_path / "a.slp", tmp_path / "b.csv", "--skip-bad") == 0
    assert len(load_dataset(tmp_path / "b.csv")) == 1


def test_what_cannot_be_converted(tmp_path, frames, capsys, monkeypatch):
    def fail(path):
        raise OSError("Unable to open file\n(bad)")

    source, target = tmp_path / "a.slp", tmp_path / "c.csv"
    assert "no annotated object" in refused(capsys, "convert", source, target)
    assert "expected none of --split" in refused(capsys, "convert", source, target, "--label", "a")
    monkeypatch.setattr(sys.modules["sleap_io"], "load_file", fail)
    assert "sleap-io cannot read it: Unable to open file (bad)" in refused(capsys, "convert", source, target)
    monkeypatch.setitem(sys.modules, "sleap_io", None)
    assert "needs the package sleap-io" in refused(capsys, "convert", source, target)
    with pytest.raises(InputError, match="SLEAP labels, which is not read as annotations; convert it with"):
        load_dataset(source)
