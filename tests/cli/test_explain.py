from cli.running import run
from PIL import Image

import ert
import ert.training.fit


def test_explain_writes_pictures(trained, dataset, tmp_path, capsys):
    image = dataset / "face_0000.png"
    for name in ("sheet.jpg", "moving.gif"):
        assert run("explain", trained[0], image, "--box", "20,20,80,80", "--out", tmp_path / name) == 0
        with Image.open(tmp_path / name) as picture:
            assert getattr(picture, "n_frames", 1) == (4 if name == "moving.gif" else 1)
    assert "240 pairs of pixels compared" in capsys.readouterr().err  # 3 stages, 20 trees, 4 levels
    assert sorted(path.name for path in tmp_path.iterdir()) == ["moving.gif", "sheet.jpg"]


def test_explain_finds_the_largest_face_itself(tmp_path, capsys):
    assert run("explain", "face5", ert.sample_image(), "--out", tmp_path / "sheet.png") == 0
    box = ",".join(f"{number:.0f}" for number in ert.detect_faces(ert.sample_image())[0])
    assert f"box {box}," in capsys.readouterr().err
