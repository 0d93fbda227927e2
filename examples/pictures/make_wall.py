"""Compose wall.jpg, a wall with framed portraits, from the photos of this folder, the bundled one and drawn faces.

python examples/pictures/make_wall.py
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageOps

import ert
from ert.datasets.synthetic import synthetic_faces

FOLDER = Path(__file__).parent
SIZE = (1500, 760)
MAT_PIXELS, FRAME_PIXELS = 12, 14


def framed(picture, height, color):
    """Return a picture in a frame, RGBA."""
    picture = picture.resize((round(picture.width * height / picture.height), height), Image.Resampling.LANCZOS)
    picture = ImageOps.expand(picture.convert("RGB"), MAT_PIXELS, "#f4efe4")
    picture = ImageOps.expand(picture, FRAME_PIXELS, color)
    pen = ImageDraw.Draw(picture)
    width, height = picture.size
    edge = tuple(min(255, level + 45) for level in ImageColor.getrgb(color))
    pen.rectangle((0, 0, width - 1, height - 1), outline=edge, width=3)
    inner = FRAME_PIXELS - 2
    pen.rectangle((inner, inner, width - 1 - inner, height - 1 - inner), outline="#2a2118", width=2)
    return picture.convert("RGBA")


def hang(wall, picture, center, roll=0.0):
    """Paste a framed picture with its shadow, rotated clockwise."""
    turned = picture.rotate(-roll, Image.Resampling.BICUBIC, expand=True)
    left, top = center[0] - turned.width // 2, center[1] - turned.height // 2
    shadow = Image.new("RGBA", wall.size)
    shadow.paste((10, 14, 18, 150), (left + 7, top + 11), turned.getchannel("A"))
    wall.alpha_composite(shadow.filter(ImageFilter.GaussianBlur(9)))
    wall.alpha_composite(turned, (left, top))


def sepia(gray):
    """Color a drawn face in tones of brown."""
    return ImageOps.colorize(Image.fromarray(gray), "#21170f", "#fdf3dc", "#a98c6c")


def main():
    x, y = np.meshgrid(np.linspace(-1, 1, SIZE[0]), np.linspace(-1, 1, SIZE[1]))
    light = 1.1 - 0.28 * x**2 - 0.22 * (y + 0.3) ** 2
    noise = np.random.default_rng(0).normal(scale=1.2, size=light.shape)
    tone = np.array(ImageColor.getrgb("#3d6670"))
    pixels = np.clip(light[..., None] * tone + noise[..., None], 0, 255).astype(np.uint8)
    wall = Image.fromarray(pixels).convert("RGBA")

    astronaut = Image.open(ert.sample_image()).crop((72, 0, 382, 384))
    hopper, mona_lisa = (Image.open(FOLDER / f"{name}.jpg") for name in ("hopper", "mona_lisa"))
    faces = [sepia(image) for image in synthetic_faces(23, seed=4, size=400)[0][[10, 14, 22]]]
    hang(wall, framed(mona_lisa.crop((22, 30, 382, 480)), 560, "#8a6a2f"), (268, 375))
    hang(wall, framed(astronaut, 410, "#26262a"), (765, 262), roll=-3)
    hang(wall, framed(hopper.crop((60, 10, 500, 500)), 300, "#6b3f22"), (1210, 220), roll=13)
    hang(wall, framed(faces[0], 158, "#4a3423"), (668, 632), roll=2)
    hang(wall, framed(faces[1], 158, "#4a3423"), (905, 630), roll=-4)
    hang(wall, framed(faces[2], 205, "#4a3423"), (1195, 578), roll=-14)
    wall.convert("RGB").save(FOLDER / "wall.jpg", quality=84, optimize=True)


if __name__ == "__main__":
    main()
