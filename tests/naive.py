"""Slow, obvious NumPy twins of the kernels."""

import numpy as np


def to_grey(image, channels="rgb", weights="luma"):
    if image.ndim == 2:
        return image
    red, green, blue = np.moveaxis(image.astype(int), -1, 0)
    if channels == "bgr":
        red, blue = blue, red
    if weights == "dlib":
        return ((red + green + blue) // 3).astype(np.uint8)
    return ((77 * red + 150 * green + 29 * blue + 128) // 256).astype(np.uint8)
