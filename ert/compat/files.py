"""dlib's functions for image files: pixels as they are stored, without a turn that EXIF asks for."""

from collections.abc import Callable

import numpy as np

from ert._core.exceptions import InputError
from ert._core.files import write_atomically
from ert._core.images import _open_image, to_gray
from ert._core.types import Pixels, StrPath
from ert.compat.errors import dlib_errors
from ert.compat.installed import installed_dlib


def load_rgb_image(filename: StrPath) -> Pixels:
    """Read an image as RGB, to the bytes that dlib reads.

    Parameters
    ----------
    filename : path-like
        What dlib reads, and whatever else Pillow reads. As in dlib, an EXIF orientation is ignored, transparent
        pixels of PNG files are drawn on black, and levels of 16-bit gray above 255 are white. JPEG and PNG
        files are decoded by the installed dlib. Without it, bytes differ a little in JPEG files with colors at
        half the resolution, as those of two builds of dlib do, and of 16-bit colors the upper 8 bits are taken,
        where dlib takes the lower.

    Returns
    -------
    uint8 array (rows, columns, 3)

    Raises
    ------
    DlibError
        When the file cannot be read.
    """

    def convert(pixels: Pixels, alpha: Pixels | None) -> Pixels:
        if pixels.ndim == 2:
            return np.stack([pixels] * 3, axis=-1)
        if alpha is None:
            return pixels
        drawn = (pixels.astype(np.uint16) * alpha[..., None] >> 8).astype(np.uint8)
        return np.where(alpha[..., None] == 255, pixels, drawn)

    with dlib_errors():
        return _load(filename, "load_rgb_image", convert)


def load_grayscale_image(filename: StrPath) -> Pixels:
    """Read an image as gray, (R + G + B) // 3, to the bytes that dlib reads.

    Parameters
    ----------
    filename : path-like
        See :func:`load_rgb_image`.

    Returns
    -------
    uint8 array (rows, columns)

    Raises
    ------
    DlibError
        When the file cannot be read.
    """

    def convert(pixels: Pixels, alpha: Pixels | None) -> Pixels:
        gray = to_gray(pixels, "rgb", "dlib")
        return gray if alpha is None else (gray.astype(np.uint16) * alpha // 255).astype(np.uint8)

    with dlib_errors():
        return _load(filename, "load_grayscale_image", convert)


def _load(filename: StrPath, function: str, convert: Callable[[Pixels, Pixels | None], Pixels]) -> Pixels:
    """Read an image file; `convert` takes gray or RGB pixels and their alpha, if there is any."""
    with _open_image(filename) as image:
        if image.format in ("JPEG", "PNG") and (dlib := installed_dlib()) is not None:
            try:
                pixels: Pixels = getattr(dlib, function)(str(filename))
                return pixels
            except RuntimeError:
                # Damaged, as Pillow will say, or of a kind that dlib lacks.
                pass
        image.load()
        alpha = None
        if image.mode.startswith(("I", "F")):
            pixels = np.clip(np.asarray(image), 0, 255).astype(np.uint8)
        elif image.mode in ("L", "LA", "1"):
            pixels = np.array(image.convert("L"))
        else:
            # Straight to RGB, some transparent palettes warn.
            rgba = np.array(image if image.mode == "RGB" else image.convert("RGBA"))
            pixels = np.ascontiguousarray(rgba[..., :3])
            if image.format == "PNG" and rgba.shape[2] == 4:
                alpha = rgba[..., 3]
        return convert(pixels, alpha)


def save_image(img: Pixels, filename: StrPath, quality: float = 75) -> None:
    """Write an image to a file.

    Parameters
    ----------
    img : uint8 array (rows, columns), (rows, columns, 3) or (rows, columns, 4)
        Gray, RGB or RGBA.
    filename : path-like
        Its suffix is the format, such as `.png`, `.jpg` or `.bmp`.
    quality : float
        Of formats that lose detail, up to 100.

    Raises
    ------
    DlibError
        When the array is no image, the format is unknown, or the file cannot be written.
    """
    from PIL import Image

    with dlib_errors():
        pixels = np.asarray(img)
        if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
            raise InputError(f"img: {pixels.dtype} {pixels.shape}, expected uint8, gray, RGB or RGBA")
        with write_atomically(filename, "image") as temporary:
            try:
                Image.fromarray(pixels).save(temporary, quality=int(quality))
            except (OSError, ValueError) as error:
                raise InputError(f"{filename}: cannot be written: {error}") from error
