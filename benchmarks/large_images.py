"""Peak memory of training on many large photos, of which only the crops are kept.

    python benchmarks/large_images.py --images 1000 --megapixels 12

Synthetic faces are pasted into large noisy images and saved as JPEG in a temporary folder; a small cascade is
trained on the first tenth, on all, and with 20 initializations, each in its own process. The differences are
the memory per face and per initialization.
"""

import tempfile
from pathlib import Path

import common
import numpy as np


def write_images(folder, n, megapixels):
    from PIL import Image

    from ert.datasets.synthetic import synthetic_faces

    columns = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    rows = round(columns * 3 / 4)
    faces, boxes, landmarks = synthetic_faces(n, seed=0, size=512)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 40, (rows // 8, columns // 8), dtype=np.uint8)
    background = np.asarray(Image.fromarray(noise).resize((columns, rows)))
    for i in range(n):
        photo = background.copy()
        left, top = rng.integers(0, columns - 512), rng.integers(0, rows - 512)
        photo[top : top + 512, left : left + 512] = faces[i]
        Image.fromarray(photo).save(folder / f"{i}.jpg", quality=85)
        boxes[i, :2] += left, top
        landmarks[i] += left, top
    np.savez(folder / "truth.npz", boxes=boxes, landmarks=landmarks)


def train(folder, n, inits):
    import ert

    truth = np.load(folder / "truth.npz")
    X = [(folder / f"{i}.jpg", box) for i, box in enumerate(truth["boxes"][:n])]
    model = ert.ShapePredictor(n_stages=1, n_trees=10, n_inits=inits)
    model.fit(X, truth["landmarks"][:n])
    return model.history_[-1]["train_nme"]


def main():
    options = common.arguments(__doc__, images=1000, megapixels=12.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        common.measured(write_images, folder, options.images, options.megapixels)
        few = options.images // 10
        _, few_seconds, few_memory = common.measured(train, folder, few, 1)
        _, seconds, memory = common.measured(train, folder, options.images, 1)
        _, _, more_memory = common.measured(train, folder, options.images, 20)
        on_disk = sum(file.stat().st_size for file in folder.glob("*.jpg"))
    per_face = (memory - few_memory) / (options.images - few)
    per_start = (more_memory - memory) / (19 * options.images)
    common.save_result(
        "large_images",
        {
            "images": options.images,
            "megapixels": options.megapixels,
            "pixels_in_memory_if_kept_mb": options.images * options.megapixels,
            "jpeg_mb": on_disk / 1e6,
            "seconds": {f"{few} images": few_seconds, f"{options.images} images": seconds},
            "peak_memory_mb": {f"{few} images": few_memory, f"{options.images} images": memory},
            "kb_per_face_with_one_start": per_face * 1024,
            "kb_per_further_start": per_start * 1024,
            "mb_for_100_000_faces_with_1_start": per_face * 100_000 + few_memory,
            "mb_for_100_000_faces_with_20_starts": (per_face + 19 * per_start) * 100_000 + few_memory,
        },
    )


if __name__ == "__main__":
    main()
