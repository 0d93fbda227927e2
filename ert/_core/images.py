"""Images: read from files, validated, converted to gray."""

import math
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from ert._core.embedded_image import embedded_pixels
from ert._core.exceptions import InputError
from ert._core.files import check_input
from ert._core.image_paths import ImagePath, Levels, check_levels, quick_header
from ert._kernels import to_gray as convert_to_gray

if TYPE_CHECKING:
    from PIL import Image

# Weights of R, G, B and a rounding term, in units of 2^-16. Luma: ITU-R BT.601 as 77, 150, 29 of 256, rounded
# to nearest. dlib: (R + G + B) // 3, which 21846 / 65536 gives exactly for every sum up to 765.
# All are even, and half of each is a number of 15 bits.
_GRAY_WEIGHTS = {"luma": (77 << 8, 150 << 8, 29 << 8, 128 << 8), "dlib": (21846, 21846, 21846, 0)}


def channel_weights(channel_order: str, weights: str) -> NDArray[np.uint32]:
    """Return what the three channels of a pixel are multiplied by, and its rounding term, in units of 2^-16.

    Raises
    ------
    InputError
        When `channel_order` or `weights` is unknown.
    """
    if channel_order not in ("rgb", "bgr"):
        raise InputError(f"channel_order: {channel_order!r}, expected 'rgb' or 'bgr'")
    if weights not in _GRAY_WEIGHTS:
        raise InputError(f"weights: {weights!r}, expected 'luma' or 'dlib'")
    red, green, blue, rounding = _GRAY_WEIGHTS[weights]
    if channel_order == "bgr":
        red, blue = blue, red
    return np.array((red, green, blue, rounding), np.uint32)


# A gray part of an image, and its first column and row.
Part: TypeAlias = tuple[NDArray[np.uint8], int, int]

# The dtype object that uint8 arrays share: compared by identity.
UINT8 = np.dtype(np.uint8)

# A gray and a color image that kernels are compiled on.
DUMMY_IMAGES = (np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint8))

# Medium-format cameras stay below 250 megapixels; larger images are mistakes or attacks.
MAX_PIXELS = 250_000_000
# Deflate makes at most 1032 bytes of one, and a byte has at most 8 pixels. More would be allocated in vain.
_MAX_PNG_PIXELS_PER_BYTE = 8 * 1032
_AT_MOST = f"at most {MAX_PIXELS // 10**6} million"

_GRAY_MODES = ("L", "1", "LA")
_COLOR_MODES = ("RGB", "P", "PA", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
# Gray of more than 8 bits, which levels scale.
_DEEP_MODES = {"I;16": "16-bit", "I;16L": "16-bit", "I;16B": "16-bit", "I;16N": "16-bit", "I": "32-bit", "F": "float"}
# Of the pixels of an image, these parts become black and white with levels "auto": some sensors have dead pixels.
_AUTO_PERCENTILES = 0.1, 99.9
# Major brands in the headers of HEIF files.
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

# Pillow's limit and Python's warning filters are global: one thread at a time changes them.
WARNINGS_LOCK = threading.Lock()


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    from PIL import Image

    with WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        default_limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = default_limit


@contextmanager
def _open_image(path: str | os.PathLike[str]) -> Iterator["Image.Image"]:
    """Open an image file; whatever goes wrong inside the block becomes an InputError that names the file."""
    from PIL import Image

    path = check_input(path, "an image file")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty, expected an image file")
        with _quiet_pillow():
            image = _identify(path)
        with image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise InputError(f"{path}: {width} x {height} pixels are too many, expected {_AT_MOST}")
            if image.format == "PNG" and width * height > _MAX_PNG_PIXELS_PER_BYTE * path.stat().st_size:
                raise InputError(f"{path}: the image is corrupt or truncated: too short for {width} x {height} pixels")
            if image.mode not in (*_GRAY_MODES, *_COLOR_MODES, *_DEEP_MODES):
                raise InputError(f"{path}: pixels of mode {image.mode}; 8-bit pixels were expected, gray or RGB")
            yield image
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(f"{path}: too many pixels, expected {_AT_MOST}") from None
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:
        # Decoders raise nearly anything for corrupt files: OSError, SyntaxError, struct.error, IndexError.
        message = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: the image is corrupt or truncated: {message}") from error


def _identify(path: Path) -> "Image.Image":
    """Open an image; where Pillow does not know its kind, try pillow-heif or raise an InputError that says the kind."""
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(path)
    except UnidentifiedImageError:
        with open(path, "rb") as stream:
            start = stream.read(512)
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS:
        try:
            import pillow_heif
        except ImportError:
            raise InputError(f"{path}: a HEIC photo, which needs pillow-heif: pip install pillow-heif") from None
        pillow_heif.register_heif_opener()
        with suppress(UnidentifiedImageError):
            return Image.open(path)
        raise InputError(f"{path}: a HEIC photo that pillow-heif cannot read, perhaps damaged") from None
    text = start.lstrip().lower()
    kind = ""
    if text.startswith((b"<!doctype html", b"<html")):
        kind = ": a web page, perhaps of a failed download"
    elif b"<svg" in text:
        kind = ": a drawing (SVG), expected pixels"
    elif start[8:10] == b"CR" or start[:4] in (b"IIRO", b"IIU\0", b"FUJI") or (start[:2] in (b"II", b"MM")):
        kind = ": perhaps a raw photo, which has to be developed to JPEG, PNG or TIFF"
    raise InputError(f"{path}: is not an image, or of a kind that Pillow cannot read{kind}")


def load_image(path: str | os.PathLike[str], levels: Levels | None = None) -> NDArray[np.uint8]:
    """Read an image file, upright: a rotation noted in the file (EXIF) is applied.

    Paths of a dataset may say otherwise, see ``exif`` and ``levels`` of :func:`ert.load_dataset`.

    Parameters
    ----------
    path : path-like
        A file in any format that Pillow reads; HEIC photos with pillow-heif. Of several frames or pages the first is
        taken.
    levels : (float, float) or "auto", optional
        For gray images of 16 bits, 32 bits or floats: the values that become 0 (black) and 255 (white); those between
        are scaled linearly, those beyond are clipped. "auto" takes the 0.1 and 99.9 percentiles of each image. Other
        images are not changed. Without levels such images are errors.

    Returns
    -------
    ndarray of uint8, (rows, columns) or (rows, columns, 3)
        Gray where the file is gray or bilevel, else RGB. Transparency is dropped. Of 16-bit colors the upper 8 bits
        are taken.

    Raises
    ------
    InputError
        When there is no such file, or it is no image, corrupt, truncated, larger than 250 megapixels, or has
        gray pixels of more than 8 bits and there are no levels.

    Examples
    --------
    >>> ert.load_image(ert.sample_image()).shape
    (512, 512, 3)
    """
    if (pixels := embedded_pixels(path)) is not None:
        return pixels.copy()
    return _read_pixels(path, levels, None)


def load_preview(path: str | os.PathLike[str], side: int) -> NDArray[np.uint8]:
    """Load an image as `load_image` does, but a large JPEG at a half, a quarter or an eighth of its size.

    That takes a fraction of the time and of the memory.

    Parameters
    ----------
    path : path-like
        An image file.
    side : int
        The longer side of the result has at least this many pixels, unless the image itself has fewer.

    Raises
    ------
    InputError
        As :func:`load_image`.
    """
    if (pixels := embedded_pixels(path)) is not None:
        return pixels.copy()
    return _read_pixels(path, None, side)


def _read_pixels(path: str | os.PathLike[str], levels: Levels | None, side: int | None) -> NDArray[np.uint8]:
    from PIL.Image import Transpose

    stored, of_path = (path.stored, path.levels) if isinstance(path, ImagePath) else (False, None)
    levels = of_path if levels is None else check_levels(levels)
    with _open_image(path) as image:
        if side is not None and image.format == "JPEG":
            share = side / max(image.size)
            image.draft(None, (math.ceil(image.width * share), math.ceil(image.height * share)))
        # Pillow turns a TIFF while it loads the pixels.
        before = _orientation(image) if stored and image.format == "TIFF" else 1
        _load(image)
        orientation = _orientation(image)
        result = _scale_levels(image, levels, path) if image.mode in _DEEP_MODES else _gray_or_rgb(image)
        if stored:
            orientation = _INVERSE.get(before, before) if orientation != before else 1
        if orientation in _TRANSPOSITIONS:
            result = result.transpose(Transpose(_TRANSPOSITIONS[orientation]))
        return np.array(result, dtype=np.uint8, order="C")


def _gray_or_rgb(image: "Image.Image") -> "Image.Image":
    if image.mode in _GRAY_MODES:
        return image.convert("L")
    # Straight to RGB, some transparent palettes warn.
    return image if image.mode == "RGB" else image.convert("RGBA").convert("RGB")


def _scale_levels(image: "Image.Image", levels: Levels | None, path: str | os.PathLike[str]) -> "Image.Image":
    """Return gray pixels of more than 8 bits as 8 bits."""
    from PIL import Image

    values = np.asarray(image)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if levels is None:
        found = f", here from {finite.min():g} to {finite.max():g}" if finite.size else ""
        what = f"{_DEEP_MODES[image.mode]} gray pixels{found}; 8-bit pixels were expected"
        raise InputError(f"{path}: {what}: --levels MIN,MAX or auto (levels=... in Python) scales them")
    if levels == "auto":
        low, high = np.percentile(finite, _AUTO_PERCENTILES) if finite.size else (0.0, 0.0)
        # An image of one value is black.
        levels = float(low), float(high if high > low else low + max(1.0, abs(low)))
    low, high = levels
    scaled = np.empty(values.shape, np.uint8)
    for rows, target in zip(values, scaled, strict=True):  # not at once, which would take a multiple of the memory
        known = np.clip(np.where(np.isnan(rows), low, rows), low, high)
        target[:] = np.rint((known - low) * (255 / (high - low)))
    return Image.fromarray(scaled)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return width and height of the image that `load_image` would return, without reading its pixels.

    Parameters
    ----------
    path : path-like
        An image file.

    Returns
    -------
    tuple of int
        Width and height of the upright image, in pixels.

    Raises
    ------
    InputError
        As `load_image`, but damage behind the header is not noticed.
    """
    if (pixels := embedded_pixels(path)) is not None:
        return pixels.shape[1], pixels.shape[0]
    stored = isinstance(path, ImagePath) and path.stored
    with _open_image(path) as image:
        width, height = image.size
        if image.format == "TIFF":
            # Some versions of Pillow have turned this size already.
            tags: Any = image
            width, height = (int(tags.tag_v2[tag]) for tag in _TIFF_SIZE)
        sideways = not stored and _late_orientation(image, path) in _SIDEWAYS
        return (height, width) if sideways else (width, height)


def has_turn(path: str | os.PathLike[str]) -> bool:
    """Return whether an image notes (EXIF) that it is to be turned or mirrored; False where it cannot be read."""
    if not quick_header(path)[0]:
        return False
    with suppress(InputError), _open_image(path) as image:
        return _late_orientation(image, path) in _TRANSPOSITIONS
    return False


def check_image(image: object, what: str = "image") -> NDArray[np.uint8]:
    """Check that an array is an image.

    Parameters
    ----------
    image : ndarray of uint8, (rows, columns), (rows, columns, 1) or (rows, columns, 3), or PIL.Image.Image
        The array; or an image of Pillow, whose pixels are taken as they are, gray or RGB.
    what : str
        Its name in error messages.

    Returns
    -------
    ndarray of uint8, (rows, columns) or (rows, columns, 3)
        The same array, or a view of it; never a copy of an array.

    Raises
    ------
    InputError
        When it is not such an array, or has no pixels.
    """
    if not isinstance(image, np.ndarray):
        image = _pillow_pixels(image, what)
    if image.dtype.char != "B":
        raise InputError(f"{what}: {image.dtype} pixels, expected uint8 (0 to 255){_dtype_hint(image)}")
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim != 2 and not (image.ndim == 3 and image.shape[2] == 3):
        hint = _shape_hint(image)
        raise InputError(f"{what}: array of shape {image.shape}, expected (rows, columns) or (rows, columns, 3){hint}")
    if image.size == 0:
        raise InputError(f"{what}: array of shape {image.shape} without pixels, expected at least one")
    return image


def to_gray(image: NDArray[np.uint8], channel_order: str = "rgb", weights: str = "luma") -> NDArray[np.uint8]:
    """Convert a color image to gray.

    Parameters
    ----------
    image : ndarray of uint8, (rows, columns) or (rows, columns, 3)
        The image; any view will do, such as a crop of a large photograph.
    channel_order : {"rgb", "bgr"}
        Order of the colors.
    weights : {"luma", "dlib"}
        "luma" is ITU-R BT.601 in integers, (77 R + 150 G + 29 B + 128) >> 8; "dlib" is (R + G + B) // 3,
        what dlib computes.

    Returns
    -------
    ndarray of uint8, (rows, columns)
        A gray image is returned as it is, without a copy.

    Raises
    ------
    InputError
        When `image` is not an image, or `channel_order` or `weights` is none of the above.
    """
    coefficients = channel_weights(channel_order if isinstance(image, np.ndarray) else "rgb", weights)
    image = check_image(image)
    if image.ndim == 2:
        return image
    return gray_part(image, slice(0, image.shape[0]), slice(0, image.shape[1]), coefficients)


def gray_part(
    image: NDArray[np.uint8], rows: slice, columns: slice, coefficients: NDArray[np.uint32]
) -> NDArray[np.uint8]:
    """Convert a part of a color image to gray without touching the rest.

    Parameters
    ----------
    image : ndarray of uint8, (rows, columns, 3)
    rows, columns : slice
        The part, within the image.
    coefficients : ndarray of uint32
        From :func:`channel_weights`.
    """
    gray = np.empty((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    if is_kernel_ready(image):
        convert_to_gray(image, rows.start, columns.start, coefficients, gray)
    else:
        # A copy: the kernel is compiled for one kind of array.
        convert_to_gray(image[rows, columns].copy(), 0, 0, coefficients, gray)
    return gray


def is_kernel_ready(image: NDArray[np.uint8]) -> bool:
    """Return whether an image is the kind of array that kernels are compiled for."""
    flags = image.flags
    return flags.c_contiguous and flags.writeable


def is_kernel_ready_gray(image: NDArray[np.uint8]) -> bool:
    """Return whether an image is that kind of array, and gray."""
    return image.ndim == 2 and is_kernel_ready(image)


def read_part(image: NDArray[np.uint8], columns: slice, rows: slice, channel_order: str, weights: str) -> Part:
    """Copy a part of an image, gray or color, in gray: a part that :func:`is_kernel_ready_gray` is true of.

    Returns
    -------
    part : ndarray of uint8
    column, row : int
        Its first column and row in the image.
    """
    part = (
        image[rows, columns].copy()
        if image.ndim == 2
        else gray_part(image, rows, columns, channel_weights(channel_order, weights))
    )
    return part, columns.start, rows.start


def _pillow_pixels(image: Any, what: str) -> NDArray[np.uint8]:
    # An image of Pillow exists only where Pillow has been imported.
    pillow = sys.modules.get("PIL.Image")
    if pillow is None or not isinstance(image, pillow.Image):
        raise InputError(f"{what}: {type(image).__name__}, expected a numpy array of uint8")
    if image.mode not in _GRAY_MODES + _COLOR_MODES:
        raise InputError(f"{what}: an image of mode {image.mode}; 8-bit pixels were expected, gray or RGB")
    try:
        return np.array(_gray_or_rgb(image), np.uint8, order="C")
    except (OSError, ValueError, SyntaxError) as error:
        # Pillow reads pixels when they are first needed.
        raise InputError(f"{what}: the image cannot be read: {' '.join(str(error).split())}") from error


def _dtype_hint(image: NDArray[Any]) -> str:
    if image.dtype == np.bool_:
        return ": multiply by 255"
    if image.dtype.kind == "f" and image.size and not (image > 1).any():
        return ": multiply by 255, round and convert with .astype(numpy.uint8)"
    if image.dtype.kind == "f":
        return ": round and convert with .astype(numpy.uint8)"
    if image.dtype == np.uint16:
        return ": divide by 257 (if 65535 is white) and convert with .astype(numpy.uint8)"
    return ": convert with .astype(numpy.uint8) where the values allow it"


def _shape_hint(image: NDArray[Any]) -> str:
    if image.ndim == 3 and image.shape[2] == 4:
        return ": drop the alpha channel, image[..., :3]"
    if image.ndim == 3 and image.shape[2] == 2:
        return ": drop the alpha channel, image[..., 0]"
    if image.ndim == 3 and image.shape[0] in (1, 3):
        return ": put the channels last, numpy.moveaxis(image, 0, -1)"
    if image.ndim == 4:
        return ": give one image at a time"
    return ""


def _load(image: "Image.Image") -> None:
    # Pillow's decoders of JPEG and PNG give no warnings, so that threads can run them in parallel.
    with nullcontext() if image.format in ("JPEG", "PNG") else _quiet_pillow():
        image.load()


def _late_orientation(image: "Image.Image", path: str | os.PathLike[str]) -> int:
    """Return the orientation of an image that is not loaded yet."""
    # A PNG may store it behind the pixels.
    if image.format == "PNG" and quick_header(path)[0]:
        _load(image)
    return _orientation(image)


def _orientation(image: "Image.Image") -> int:
    """Return the EXIF orientation that the metadata note, 1 to 8; 1 is upright."""
    from PIL import Image as PilImage

    # Junk in the metadata is common and no reason to refuse a picture.
    with _quiet_pillow(), suppress(Exception):
        # The method of the base class, because a PNG's own would decode all pixels first.
        return int(PilImage.Image.getexif(image).get(0x0112, 1))
    return 1


# EXIF orientation -> the number of Pillow's transposition (Image.Transpose) that sets the image upright.
_TRANSPOSITIONS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
_SIDEWAYS = (5, 6, 7, 8)
_TIFF_SIZE = 256, 257
# The orientations whose transpositions undo each other; the others undo themselves.
_INVERSE = {6: 8, 8: 6}


# An array, a path or an image of Pillow.
ImageLike: TypeAlias = "npt.NDArray[np.uint8] | str | os.PathLike[str] | Image.Image"


def read_image(image: ImageLike, what: str) -> npt.NDArray[np.uint8]:
    """Return an image given as an array, a path or an image of Pillow; `what` is its name in error messages."""
    # Arrays first: the test for a path takes longer than all tests of an array.
    if not isinstance(image, np.ndarray) and isinstance(image, (str, os.PathLike)):
        return load_image(image)  # its errors name the file
    return check_image(image, what)
