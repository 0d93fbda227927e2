"""Draw docs/boxes.jpg, what other boxes do to the landmarks of face68, from the bundled photo.

python benchmarks/boxes_picture.py
"""

import common
import numpy as np
from PIL import Image, ImageDraw

PICTURE = common.ROOT / "docs" / "boxes.jpg"
TILE, GAP, SHIFT = 480, 8, 0.45
BOX_COLOR = "#ffb000"


def boxes(detected, landmarks, image):
    """Return boxes of the face by what they are."""
    left, top, width, height = detected
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    side = (high - low).max()
    around = (*((low + high) / 2 - side / 2), side, side)
    return {
        "the detector's box": detected,
        "a box around the landmarks": around,
        f"moved by {100 * SHIFT:.0f} % of its side": (left + SHIFT * width, top, width, height),
        "the whole photo": (0, 0, image.shape[1], image.shape[0]),
    }


def panel(image, box, landmarks, view):
    """Return a square of the image with a box and landmarks, enlarged before they are drawn."""
    from ert.plotting.landmarks import draw_landmarks

    left, top, side = view
    scale = TILE / side
    # PIL's coordinates begin at the corner of the first pixel, those of landmarks at its center.
    area = (left + 0.5, top + 0.5, left + side + 0.5, top + side + 0.5)
    crop = Image.fromarray(image).transform((TILE, TILE), Image.Transform.EXTENT, area, Image.Resampling.BICUBIC)
    placed = (landmarks - (left, top)) * scale
    picture = Image.fromarray(draw_landmarks(np.asarray(crop), [placed], min_size=TILE))
    corner, sides = (np.array(box[:2]) - (left, top)) * scale, np.array(box[2:]) * scale
    ImageDraw.Draw(picture).rectangle((*corner, *(corner + sides)), outline=BOX_COLOR, width=5)
    return np.asarray(picture)


def main():
    import ert

    image = ert.load_image(ert.sample_image())
    model = ert.load("face68")
    face = ert.align(image)[0]
    rows, columns = image.shape[:2]
    near = (*(face.landmarks.mean(axis=0) - 95), 190)
    whole = ((columns - max(rows, columns)) / 2 - 6, (rows - max(rows, columns)) / 2 - 6, max(rows, columns) + 12)
    panels = []
    for name, box in boxes(face.box, face.landmarks, image).items():
        found = model.predict([(image, box)])[0]
        error = np.linalg.norm(found - face.landmarks, axis=1).mean() / np.ptp(face.landmarks[[36, 45], 0])
        print(f"{name}: {100 * error:.1f} % of the distance of the eyes from the landmarks in the detector's box")
        panels.append(panel(image, box, found, whole if name == "the whole photo" else near))
    sheet = np.full((2 * TILE + GAP, 2 * TILE + GAP, 3), 255, np.uint8)
    for number, each in enumerate(panels):
        top, left = (place * (TILE + GAP) for place in divmod(number, 2))
        sheet[top : top + TILE, left : left + TILE] = each
    Image.fromarray(sheet).save(PICTURE, quality=88)


if __name__ == "__main__":
    main()
