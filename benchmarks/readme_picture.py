"""Draw docs/faces.jpg, the picture of the README, from the bundled photo and from synthetic faces.

python benchmarks/readme_picture.py
"""

import common
import numpy as np
from PIL import Image

PICTURE = common.ROOT / "docs" / "faces.jpg"
LARGE, SMALL, GAP = 600, 296, 8
ROLLS = (115, -35)
DRAWN = (1, 5)  # of six synthetic faces


def panel(image, landmarks, size, margin=0.3):
    """Return a square of size pixels around a face, enlarged before the landmarks are drawn."""
    from ert.plotting.landmarks import draw_landmarks

    center = (landmarks.max(axis=0) + landmarks.min(axis=0)) / 2
    half = (0.5 + margin) * np.ptp(landmarks, axis=0).max()
    corner = center - half
    # PIL's coordinates begin at the corner of the first pixel, those of landmarks at its center.
    area = (*(corner + 0.5), *(center + half + 0.5))
    whole = Image.fromarray(image).convert("RGB")
    crop = whole.transform((size, size), Image.Transform.EXTENT, area, Image.Resampling.BICUBIC)
    return draw_landmarks(np.asarray(crop), [(landmarks - corner) * size / (2 * half)], min_size=size)


def faces():
    """Yield images and the landmarks that face68 locates in them: the photo, rotated photos, drawn faces."""
    from skimage.transform import rotate

    import ert
    from ert.datasets.synthetic import synthetic_faces

    photo = ert.load_image(ert.sample_image())
    upright = ert.align(photo)[0].landmarks
    yield photo, upright
    for roll in ROLLS:
        center = upright.mean(axis=0)
        turned = rotate(photo, -roll, center=center, mode="reflect", order=3, preserve_range=True)
        image = np.clip(np.rint(turned), 0, 255).astype(np.uint8)
        shapes = [face.landmarks for face in ert.align(image, any_roll=True)]
        # Reflection at the border may repeat the face.
        yield image, min(shapes, key=lambda shape: np.linalg.norm(shape.mean(axis=0) - center))
    model = ert.load("face68")
    images, boxes, _ = synthetic_faces(6, seed=4, size=400)
    for number in DRAWN:
        yield images[number], model.predict([(images[number], boxes[number])], mode="accurate")[0]


def main():
    sheet = np.full((LARGE, LARGE + 2 * (GAP + SMALL), 3), 255, np.uint8)
    (image, landmarks), *others = faces()
    sheet[:, :LARGE] = panel(image, landmarks, LARGE, margin=0.3)
    for number, (image, landmarks) in enumerate(others):
        row, column = divmod(number, 2)
        top, left = row * (SMALL + GAP), LARGE + GAP + column * (SMALL + GAP)
        sheet[top : top + SMALL, left : left + SMALL] = panel(image, landmarks, SMALL)
    Image.fromarray(sheet).save(PICTURE, quality=88)


if __name__ == "__main__":
    main()
