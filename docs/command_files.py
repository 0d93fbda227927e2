"""The files that the commands and the code of the pages suppose: drawn wings and faces, and quick models."""

import ast
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import ert
from ert.datasets.synthetic import synthetic_dataset

ROOT = Path(__file__).resolve().parents[1]
N_WINGS, N_NEW_WINGS, N_FACES = 16, 6, 6
# Trained in a second.
QUICK = {"n_stages": 3, "n_trees": 30, "n_inits": 4, "n_pixels": 120, "n_split_tests": 10}


def wing_functions():
    """Return the functions of examples/custom_object.py that draw wings, without what the example does with them."""
    path = ROOT / "examples" / "custom_object.py"
    module = ast.parse(path.read_text(encoding="utf-8"))
    last = max(i for i, node in enumerate(module.body) if isinstance(node, ast.FunctionDef))
    functions = {}
    exec(compile(ast.Module(module.body[: last + 1], []), str(path), "exec"), functions)
    return functions


def draw_wings(folder, new_photos, n=N_WINGS, n_new=N_NEW_WINGS):
    """Write photos of wings, a file wings.tps beside the first n, and others without annotations; return the file."""
    return wing_functions()["draw_photos"](folder, new_photos, n, n_new)


def write_files(folder):
    """Write all files; `folder` is the working directory of a page."""
    _write_wings(folder)
    _write_faces(folder)
    # As in a clone of the repository.
    for name in ("examples", "data"):
        (folder / name).symlink_to(ROOT / name, target_is_directory=True)


def _write_wings(folder):
    photos = folder / "photos"
    draw_wings(photos, folder / "new_photos").rename(folder / "wings.tps")
    (folder / "more_photos").mkdir()
    for path in sorted((folder / "new_photos").iterdir())[N_NEW_WINGS // 2 :]:
        path.rename(folder / "more_photos" / path.name)
    wings = ert.load_dataset(folder / "wings.tps")
    # As `ert annotate photos` leaves them.
    ert.write_dataset(wings, photos / "annotations.csv")
    ert.write_dataset(wings, folder / "landmarks.xml")
    ert.write_dataset(wings, folder / "wings.xml")
    ert.write_dataset(wings, folder / "others.tps")
    for seed, name in enumerate(("first.tps", "second.tps")):
        ert.write_dataset(_annotated_again(wings, seed), folder / name)
    (folder / "wing.txt").write_text("".join(f"point{i}\n" for i in range(12)))
    (folder / "list.txt").write_text("".join(f"new_photos/{path.name}\n" for path in (folder / "new_photos").iterdir()))
    ert.train(wings, preset="none", n_jobs=1, box_from="learned", **QUICK).save(folder / "wings.ert")


def _annotated_again(dataset, seed):
    noise = np.random.default_rng(seed).normal(scale=0.5, size=dataset.landmarks.shape)
    return replace(dataset, landmarks=dataset.landmarks + noise)


def _write_faces(folder):
    shutil.copy(ert.sample_image(), folder / "photo.jpg")
    synthetic_dataset(folder / "faces", N_FACES)
    faces = ert.load_dataset(folder / "faces" / "landmarks.xml")
    ert.write_dataset(faces, folder / "faces.xml")
    ert.write_dataset(faces, folder / "truth.csv")
    ert.write_dataset(_annotated_again(faces, seed=2), folder / "theirs.csv")
    ert.ShapePredictor(**QUICK).fit(faces.X, faces.y).save(folder / "mine.ert")
    model = ert.ShapePredictor(kind="dlib", gray_weights="dlib", **QUICK).fit(faces.X, faces.y)
    for name in ("mine.dat", "shape_predictor.dat", "shape_predictor_68_face_landmarks.dat"):
        model.save(folder / name)
    ages = "".join(f"faces/{path.name},{20 + i}\n" for i, path in enumerate(sorted((folder / "faces").glob("*.png"))))
    (folder / "known.csv").write_text(f"image,age\n{ages}")
    _write_collection(folder / "300w")
    _write_video(folder / "in.mp4")


def _write_collection(folder):
    """Write what stands for 300-W, with boxes and splits in a table."""
    synthetic_dataset(folder, 2 * N_FACES, seed=1)
    faces = ert.load_dataset(folder / "landmarks.xml")
    np.save(folder.parent / "theirs.npy", _annotated_again(faces, seed=3).y[1::2])
    lines = ["image,split,dlib_left,dlib_top,dlib_width,dlib_height"]
    for i, (file, box) in enumerate(faces.X):
        lines.append(",".join([file.name, "test" if i % 2 else "train", *(f"{side:g}" for side in box)]))
    for name in ("landmarks.xml", "landmarks.csv"):
        (folder / name).unlink()
    (folder / "boxes.csv").write_text("\n".join([*lines, ""]))


def _write_video(path, n_frames=12):
    try:
        import cv2
    except ImportError:
        return
    photo = np.asarray(Image.open(ert.sample_image()).convert("RGB").crop((100, 0, 356, 256)))
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (256, 256))
    for i in range(n_frames):
        video.write(np.roll(photo, 2 * i, axis=1)[..., ::-1].copy())
    video.release()


if __name__ == "__main__":
    draw_wings(Path("wings"), Path("new_photos"))
