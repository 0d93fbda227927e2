import csv
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

import ert
from ert import InputError
from ert.cli.main import main
from ert.tracking.tracker import TrackedFace, Tracker
from ert.tracking.video import VideoReader, draw_tracked, face_table, video_writer

cv2 = pytest.importorskip("cv2")

SIZE = 240, 180


@pytest.fixture(scope="module")
def frames():
    """The sample face, moving by a pixel per frame, in BGR."""
    photo = Image.fromarray(ert.load_image(ert.sample_image()))
    return [np.ascontiguousarray(np.array(photo.crop((100 + k, 20, 340 + k, 200)))[..., ::-1]) for k in range(20)]


@pytest.fixture(scope="module")
def clip(frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    write_clip(path, frames)
    return path


def write_clip(path, frames, rate=25):
    try:
        with video_writer(path, SIZE, rate) as write:
            for frame in frames:
                write(frame)
    except InputError as error:
        pytest.skip(str(error))


def face(number=0, x=50.0):
    landmarks = np.random.default_rng(number).uniform(x, x + 60, (68, 2))
    return TrackedFace(number, np.array([x, x, 60.0, 60.0]), landmarks, np.ones(68), 0.75, 1.0, 0.0)


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_written_videos_are_read(tmp_path, frames, suffix):
    path = tmp_path / f"clip{suffix}"
    write_clip(path, frames)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with VideoReader(path) as reader:
        assert reader.size == SIZE
        assert reader.rate == pytest.approx(25)
        assert reader.n_frames == 20
        times, read = zip(*reader, strict=True)
    assert np.allclose(times, np.arange(20) / 25, atol=1e-3)
    for before, after in zip(frames, read, strict=True):
        assert after.shape == before.shape
        assert np.abs(after.astype(int) - before).mean() < 6


def test_a_failure_leaves_the_old_video(tmp_path, frames):
    path = tmp_path / "clip.avi"
    write_clip(path, frames[:1])
    old = path.read_bytes()

    def fail():
        with video_writer(path, SIZE, 25) as write:
            write(frames[1])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.mp4", None, "no such file"),
        ("text.mp4", b"not a video", "is not a video that OpenCV can read"),
        ("empty.mp4", b"", "is not a video that OpenCV can read"),
        (".", None, "is a folder"),
    ],
)
def test_invalid_videos(tmp_path, capfd, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        VideoReader(tmp_path / name)
    assert main(["video", str(tmp_path / name)]) == 2
    said = capfd.readouterr().err
    assert said.startswith("ert: ")
    assert said.count("\n") == 1


def test_no_camera(capfd):
    with pytest.raises(InputError, match="camera 97: no such camera"):
        VideoReader(97)
    assert main(["webcam", "--camera", "97"]) == 2
    assert capfd.readouterr().err == "ert: camera 97: no such camera, or it is in use\n"


def test_without_opencv(monkeypatch, clip, tmp_path):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match="needs OpenCV: pip install opencv-python-headless"):
        VideoReader(clip)
    with pytest.raises(InputError, match="needs OpenCV"), video_writer(tmp_path / "x.avi", SIZE, 25):
        pass


def test_a_codec_that_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(cv2, "VideoWriter_fourcc", lambda *_: 0x20202020)
    with (
        pytest.raises(InputError, match="cannot write mp4v video of 240 x 180"),
        video_writer(tmp_path / "x.mp4", SIZE, 25),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_times_always_go_forward(clip, monkeypatch):
    with VideoReader(clip) as reader:
        reader._position = cv2.CAP_PROP_SATURATION  # which is 0 for a file
        times = [time for time, _ in reader]
    assert np.allclose(np.diff(times), 1 / 25)


def test_table(tmp_path):
    path = tmp_path / "faces.csv"
    with face_table(path, 68) as tell:
        tell(0, 0.0, [face(0), face(1)])
        tell(1, 0.04, [])
        tell(2, 0.08, [face(1)])
    head, *rows = csv.reader(path.read_text().splitlines())
    assert head[:10] == ["frame", "time", "id", "left", "top", "width", "height", "confidence", "x0", "y0"]
    assert len(head) == 8 + 136
    assert [row[:3] for row in rows] == [["0", "0.000000", "0"], ["0", "0.000000", "1"], ["2", "0.080000", "1"]]
    assert np.allclose(np.array(rows[2][3:], float), [50, 50, 60, 60, 0.75, *face(1).landmarks.ravel()], atol=1e-3)


def test_drawing_keeps_the_frame_and_uses_a_color_per_face():
    frame = np.full((180, 240, 3), 90, np.uint8)
    assert draw_tracked(frame, []) is frame
    drawn = draw_tracked(frame, [face(0), face(1, 130.0)])
    assert drawn.shape == frame.shape
    assert (frame == 90).all()
    sides = [part[part.max(axis=2) - part.min(axis=2) > 60].mean(axis=0) for part in np.split(drawn, 2, axis=1)]
    assert np.abs(sides[0] - sides[1]).max() > 40


def test_command(tmp_path, clip, capsys):
    out, table = tmp_path / "out.avi", tmp_path / "out.csv"
    assert main(["video", str(clip), "--out", str(out), "--csv", str(table)]) == 0
    said = capsys.readouterr().err
    assert "20 frames, 1 face, " in said
    head, *rows = csv.reader(table.read_text().splitlines())
    assert [int(row[0]) for row in rows] == list(range(20))
    assert {row[2] for row in rows} == {"0"}
    x30 = np.array([float(row[head.index("x30")]) for row in rows])
    # The nose moves to the left as the crop moves to the right.
    assert np.polyfit(range(20), x30, 1)[0] == pytest.approx(-1, abs=0.1)
    with VideoReader(out) as drawn, VideoReader(clip) as plain:
        pairs = list(zip(drawn, plain, strict=True))
    for (_, after), (_, before) in pairs:
        assert np.abs(after.astype(int) - before).max() > 80


def test_the_number_of_threads_changes_nothing(tmp_path, clip):
    written = []
    for jobs in ("1", "3"):
        out, table = tmp_path / "out.avi", tmp_path / "out.csv"
        assert main(["video", str(clip), "--out", str(out), "--csv", str(table), "--jobs", jobs]) == 0
        written.append((out.read_bytes(), table.read_bytes()))
    assert written[0] == written[1]


def test_threads_have_ended_when_a_video_is_closed(tmp_path, clip, monkeypatch):
    """Also after an error: a thread that still reads would read from a closed file."""
    before, update, left = threading.active_count(), Tracker.update, []

    def fail(self, frame, time=None):
        if time is not None and time > 0.2:
            raise InputError("enough")
        return update(self, frame, time)

    monkeypatch.setattr(Tracker, "update", fail)
    monkeypatch.setattr(VideoReader, "close", lambda self: left.append(threading.active_count()))
    assert main(["video", str(clip), "--csv", str(tmp_path / "out.csv"), "--jobs", "3"]) == 2
    assert left == [before]


def test_a_truncated_video(clip, tmp_path, monkeypatch, capsys):
    path = tmp_path / "cut.avi"
    data = clip.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert main(["video", str(path), "--csv", str(tmp_path / "out.csv")]) == 0
    assert "cut.avi: corrupt or truncated: " in capsys.readouterr().err


def test_part_of_a_video(clip, tmp_path, capsys):
    table = tmp_path / "out.csv"
    assert main(["video", str(clip), "--csv", str(table), "--seconds", "0.2", "--raw"]) == 0
    assert "6 frames" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "clip.gif"], "clip.gif: unknown suffix '.gif', expected one of .mp4, .avi, .mkv"),
        (["--out", "nowhere/clip.mp4"], "nowhere/clip.mp4: cannot be written: there is no folder nowhere"),
        (["--csv", "nowhere/clip.csv"], "nowhere/clip.csv: cannot be written: there is no folder nowhere"),
        (["--model", "nonesuch"], "nonesuch: no such file"),
        (["--max-faces", "0"], "max_faces: 0, expected at least 1"),
    ],
)
def test_bad_options(clip, capsys, arguments, message):
    assert main(["video", str(clip), *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ert: {message}")
    assert said.count("\n") == 1


def test_the_input_video_is_not_overwritten(clip, capsys):
    before = clip.read_bytes()
    assert main(["video", str(clip), "--out", str(clip)]) == 2
    assert "it is also an input" in capsys.readouterr().err
    assert clip.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_an_interrupted_command_keeps_its_results(tmp_path, frames):
    long = tmp_path / "long.avi"
    write_clip(long, frames * 120)
    out, table = tmp_path / "out.avi", tmp_path / "out.csv"
    process = subprocess.Popen(
        [sys.executable, "-m", "ert", "video", str(long), "--out", str(out), "--csv", str(table)],
        stderr=subprocess.PIPE,
        text=True,
    )
    give_up = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < give_up:
        # Under a temporary name until it is complete.
        if any(file.stat().st_size > 50_000 for file in tmp_path.glob(".ert-*.avi")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "interrupted after" in said
    with VideoReader(out) as reader:
        n_frames = sum(1 for _ in reader)
    assert 0 < n_frames < 2400
    rows = list(csv.reader(table.read_text().splitlines()))
    assert int(rows[-1][0]) == n_frames - 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["long.avi", "out.avi", "out.csv"]


def test_an_interrupt_between_a_frame_and_its_row_waits_for_the_row(monkeypatch, clip, tmp_path):
    written, rows = [], []

    def write(frame):
        written.append(frame)
        if len(written) == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("ert.cli.video.open_outputs", lambda *_: (write, lambda *row: rows.append(row)))
    assert main(["video", str(clip), "--out", str(tmp_path / "o.avi"), "--csv", str(tmp_path / "o.csv")]) == 130
    assert len(written) == len(rows) == 3


def test_webcam_takes_any_reader(monkeypatch, clip, tmp_path, capsys):
    reader = VideoReader(clip)
    monkeypatch.setattr("ert.cli.video.VideoReader", lambda camera: reader)
    table = tmp_path / "seen.csv"
    assert main(["webcam", "--csv", str(table)]) == 0
    assert "20 frames, 1 face" in capsys.readouterr().err
    assert len(table.read_text().splitlines()) == 21


def test_webcam_needs_a_window_or_a_file(monkeypatch, clip, capsys):
    monkeypatch.setattr("ert.cli.video.VideoReader", lambda camera: VideoReader(clip))
    monkeypatch.setattr("ert.cli.video._open_window", lambda: False)
    assert main(["webcam"]) == 2
    assert "cannot open windows (opencv-python can), expected --out or --csv" in capsys.readouterr().err
