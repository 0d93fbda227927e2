"""Fuzz image files: mutated pictures of every common format through `load_image` and `image_size`."""

import io
import random
import struct
import time
import warnings
import zlib
from contextlib import suppress

import numpy as np
from fuzz.guards import PeakMemory
from fuzz.models import line_fault
from fuzz.readers import damaged
from PIL import Image, features

import ert
from ert._core.exceptions import InputError
from ert._core.images import image_size

SECONDS, MEMORY_BYTES, MEMORY_FILES = 1.0, 64e6, 10
SIZES = [0, 1, 2, 3, 255, 256, 4096, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1]


def seeds():
    """Return small pictures by suffix and content."""
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(24), np.arange(32)).astype(np.uint8) * 4
    color = np.stack([smooth, smooth[::-1], smooth[:, ::-1]], axis=2)
    gray, rgb = Image.fromarray(smooth), Image.fromarray(color)
    noise = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    wanted = [
        *(("jpg", picture, options) for picture in (gray, rgb, noise) for options in ({}, {"progressive": True})),
        ("jpg", rgb, {"exif": exif}),
        ("jpg", rgb.convert("CMYK"), {}),
        *(
            ("png", picture, {})
            for picture in (gray, rgb, noise, rgb.convert("RGBA"), rgb.convert("P"), gray.convert("1"))
        ),
        ("png", Image.fromarray(smooth.astype(np.uint16) * 257), {}),
        ("png", rgb, {"exif": exif}),
        *(("tif", rgb, {"compression": how}) for how in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")),
        ("tif", gray.convert("1"), {"compression": "group4"}),
        ("tif", Image.fromarray(smooth.astype(np.float32)), {}),
        ("tif", Image.fromarray(smooth.astype(np.uint16) * 257), {}),
        ("tif", rgb, {"exif": exif}),
        *(("bmp", picture, {}) for picture in (gray, rgb, rgb.convert("P"), gray.convert("1"))),
        ("gif", rgb.convert("P"), {}),
        ("gif", rgb.convert("P"), {"save_all": True, "append_images": [gray.convert("P")]}),
        *((suffix, rgb, {}) for suffix in ("ppm", "pcx", "tga", "ico", "dib", "sgi")),
        ("pgm", gray, {}),
    ]
    if features.check("webp"):
        wanted += [("webp", rgb, {}), ("webp", rgb, {"lossless": True}), ("webp", noise, {"exif": exif})]
    if features.check("jpg_2000"):
        wanted += [("jp2", rgb, {}), ("jp2", gray, {})]
    if features.check("avif"):
        wanted += [("avif", rgb, {})]
    found = []
    for suffix, picture, options in wanted:
        file = io.BytesIO()
        kind = Image.registered_extensions()["." + suffix]
        picture.save(file, kind, **{name: value for name, value in options.items() if value is not None})
        found.append((suffix, file.getvalue()))
    return found


def damage(kind_of_file, content, chance):
    """Damage a picture: its bytes, or numbers that its format gives a meaning."""
    kind = chance.random()
    if kind_of_file == "png" and kind < 0.6:
        with suppress(IndexError, ValueError, zlib.error):
            # Not where the damage before has left no chunks, or none of pixels.
            return damaged_png(content, chance)
    if kind < 0.4 and len(content) > 8:
        # A number somewhere in the first bytes, where sizes are.
        place = chance.randrange(max(1, min(len(content), 400) - 4))
        size = chance.choice(["<H", ">H", "<I", ">I"])
        number = chance.choice(SIZES) & (0xFFFF if size[1] == "H" else 0xFFFFFFFF)
        packed = struct.pack(size, number)
        return content[:place] + packed + content[place + len(packed) :]
    return damaged(content, chance)


def damaged_png(content, chance):
    """Damage one chunk of a PNG file, and correct its checksum."""
    chunks, place = [], 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        chunks.append([content[place + 4 : place + 8], bytearray(content[place + 8 : place + 8 + length])])
        place += 12 + length
    number = chance.randrange(len(chunks))
    name, data = chunks[number]
    kind = chance.random()
    if name == b"IHDR" and kind < 0.8:
        data[chance.randrange(13)] = chance.choice([0, 1, 2, 3, 4, 6, 8, 16, 255])
    elif name == b"IDAT" and kind < 0.4:
        data[:] = zlib.compress(damaged(zlib.decompress(bytes(data)), chance))
    elif kind < 0.8:
        data[:] = damaged(bytes(data), chance) if data else b"\0" * 9
    elif kind < 0.9:
        chunks.insert(chance.randrange(len(chunks)), chunks[number])
    else:
        del chunks[number]
    body = b"".join(
        struct.pack(">I", len(data)) + name + bytes(data) + struct.pack(">I", zlib.crc32(name + bytes(data)))
        for name, data in chunks
    )
    return content[:8] + body


def run(first, n, seed, folder, note=lambda number: None):
    """Yield the number, the outcome and the fault, or "", of cases."""
    pictures, memory = seeds(), PeakMemory()
    for number in range(first, first + n):
        chance = random.Random(f"{seed} image {number}")
        suffix, content = chance.choice(pictures)
        for _ in range(chance.choice([1, 1, 2])):
            content = damage(suffix, content, chance)
        if chance.random() < 0.05:
            suffix = chance.choice(["png", "jpg", "tif", "gif"])
        path = folder / f"x.{suffix}"
        path.write_bytes(content)
        note(number)
        yield number, *judge(path, content, memory)


def judge(path, content, memory):
    """Return the outcome of a case, and its fault or ""."""
    memory.start()
    begin = time.process_time()
    declared = pixels = None
    outcome, fault = "refused", ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for step in (image_size, ert.load_image):
                try:
                    result = step(path)
                except InputError as error:
                    fault = fault or line_fault(str(error), path)
                else:
                    declared, pixels = (result, pixels) if step is image_size else (declared, result)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {str(error)[:400]}"
    seconds, growth = time.process_time() - begin, memory.growth()
    if pixels is not None:
        outcome = "read"
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or declared != pixels.shape[1::-1]:
            fault = fault or f"{pixels.dtype} {pixels.shape}, declared {declared}"
    # A picture is decoded as a whole, whatever is missing of it: three bytes a pixel, and a copy.
    n_decoded = 4 * declared[0] * declared[1] if declared else 0
    n_bytes = max(len(content), n_decoded)
    if seconds > SECONDS and n_decoded < 100e6:
        fault = fault or f"takes {seconds:.1f} s for {len(content)} bytes, {declared}"
    if growth > MEMORY_BYTES + MEMORY_FILES * n_bytes:
        fault = fault or f"takes {growth / 1e6:.0f} MB for {len(content)} bytes, {declared}"
    return outcome, fault
