"""Fuzz every reader with damaged files: each is read completely, or refused with a one-line error, quickly.

    python tests/fuzz_readers.py --n 10000

Objects and points are counted and compared with the counts of an independent parser of the damaged file.
The same number gives the same damage on every machine.
"""

import argparse
import csv
import json
import random
import re
import struct
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

import ert
from ert._core.exceptions import InputError
from ert.datasets.formats.coco import read_coco
from ert.datasets.formats.csv import read_boxes, read_csv
from ert.datasets.formats.imglab import read_imglab
from ert.datasets.formats.ljson import read_ljson_folder
from ert.datasets.formats.pts import read_pts_folder
from ert.datasets.formats.tem import read_tem_folder
from ert.datasets.formats.tps import read_tps
from ert.model.dlib_cascade import DlibCascade
from ert.model.dlib_format import read_dlib_file, write_dlib_file

NASTY = [
    *(b"1e999", b"-1e999", b"NaN", b"nan", b"-1", b"0", b"-0", b"1e308", b"0x10", b"1_0", b"+5", b"1.", b"true"),
    *(b"null", b"", b" ", b"\n", b"\r\n", b"\r", b"\0", b"\x01\x1b", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b'"'),
    *(b"'", b",", b"\t", b"=", b"{", b"}", b"[", b"]", b"<", b">", b"&", b"&amp;", b"&bomb;", b"9" * 20, b"9" * 5000),
    *(b"\xe2\x80\xa8", b"\xc2\x85", b"\xd9\xa3", b"\\ud800", b"../" * 200, b"a" * 5000, b"%s%n", b"\\", b"Infinity"),
    *(b"<!-- ", b" -->", b"<![CDATA[", b"]]>", b"<?pi ?>", b"</box>", b"</image>", b"<box>", b"<part/>", b"<label/>"),
    *(b"<box>" * 3000, b"[" * 3000, b'{"a":' * 3000, b"[" * 100_000, b"<a>" * 300 + b"</a>" * 300),
    b"<!DOCTYPE dataset [<!ENTITY a 'aaaaaaaaaa'><!ENTITY bomb '" + b"&a;" * 999 + b"'>]>",
    *(b"LM=1\n1 2\n", b"LM3=1\n", b"CURVES=1\n", b"IMAGE=a.png\n", b"ID=3", b'"iscrowd": 1, ', b'"num_keypoints": 0, '),
]
TOKEN = re.compile(rb"[\w.+-]+")


def damaged(seed, random):
    """Apply one to three kinds of damage."""
    data = seed
    for _ in range(random.choice((1, 1, 2, 3))):
        data = random.choice(DAMAGE)(data, random) if data else random.choice(NASTY)
    return data


def stretch(data, random):
    start = random.randrange(len(data))
    return start, min(len(data), start + random.choice((1, 2, 5, 20, 100)))


def flip(data, random):
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def delete(data, random):
    start, stop = stretch(data, random)
    return data[:start] + data[stop:]


def duplicate(data, random):
    start, stop = stretch(data, random)
    return data[:stop] + data[start:]


def truncate(data, random):
    return data[: random.randrange(len(data))]


def insert(data, random):
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(NASTY) + data[at:]


def swap_lines(data, random):
    lines = data.splitlines(keepends=True)
    i, j = random.randrange(len(lines)), random.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return b"".join(lines)


def repeat_or_drop_line(data, random):
    lines = data.splitlines(keepends=True)
    i = random.randrange(len(lines))
    lines[i : i + 1] = lines[i : i + 1] * random.choice((0, 2))
    return b"".join(lines)


def replace_token(data, random):
    tokens = list(TOKEN.finditer(data))
    if not tokens:
        return data
    token, other = random.choice(tokens), random.choice(tokens)
    new = random.choice((random.choice(NASTY), other[0]))
    return data[: token.start()] + new + data[token.end() :]


def recode(data, random):
    return data.decode("utf-8", "replace").encode(random.choice(("utf-16", "latin-1", "utf-8-sig")), "replace")


DAMAGE = [flip, delete, duplicate, truncate, insert, insert, swap_lines, repeat_or_drop_line]
DAMAGE += [replace_token] * 4 + [recode]

# --- the files, and the counts of an independent parser: (objects, points), or None if it cannot count ---

IMGLAB = b"""<?xml version='1.0' encoding='UTF-8'?>
<dataset>
<name>some</name>
<images>
  <image file='a.png' width='8' height='8'>
    <box top='1' left='1' width='5' height='6'>
      <label>face</label>
      <part name='0' x='1' y='2'/>
      <part name='1' x='3' y='4.5'/>
    </box>
    <box top='1' left='2' width='5' height='6' ignore='1'/>
  </image>
  <image file='b.png'>
    <box top='2' left='1' width='5' height='6'>
      <part name='0' x='-1' y='2'/>
      <part name='1' x='3' y='4'/>
    </box>
  </image>
</images>
</dataset>
"""


def count_imglab(data):
    # Not lxml; expat follows an older edition of XML, in which these letters are not allowed in names.
    data = re.sub(b"\xef\xbb\xbf|\xd9\xa3", b"_", data.removeprefix(b"\xef\xbb\xbf"))
    root = ElementTree.fromstring(data)
    boxes = [box for box in root.iter("box") if box.get("ignore", "0").lower() in ("0", "false")]
    n_other = sum(len(box) for box in boxes) - sum(len(box.findall("label")) for box in boxes)
    return len(boxes), n_other


def count_pts(data):
    lines = [line for line in data.decode("utf-8-sig").split("\n") if line.strip()]
    return 1, len(lines) - 4


def rows_of(data):
    return [row for row in csv.reader(data.decode("utf-8-sig").split("\n")) if row]


def count_csv(data):
    if b'"' in data or b"\r" in data:
        return None
    header, *rows = rows_of(data)
    return len(rows), len(rows) * (len(header) - 5) // 2


def count_boxes(data):
    return None if b'"' in data or b"\r" in data else (len(rows_of(data)) - 1, 0)


def count_tps(data):
    lines = [line.strip() for line in data.decode("utf-8-sig").split("\n")]
    points = [line for line in lines if line and "=" not in line]
    return sum(re.match(r"LM\s*=", line, re.IGNORECASE) is not None for line in lines), len(points)


def count_coco(data):
    annotations = json.loads(data)["annotations"]
    taken = [a for a in annotations if a.get("iscrowd") != 1]
    return len(taken), sum(len(a.get("keypoints") or ()) for a in taken if a.get("num_keypoints") != 0) // 3


def count_tem(data):
    # All lines of two cells before the first line of one cell.
    rows = [line.split() for line in data.decode("utf-8-sig").split("\n")[1:]]
    return 1, next((i for i, row in enumerate(rows) if len(row) != 2), len(rows))


def count_ljson(data):
    data = json.loads(data)
    (body,) = data["groups"].values() if "groups" in data and data["version"] == 3 else (data,)
    return 1, len(body["landmarks"]["points"])


def count_dat(data):
    """Count the numbers in a file by their first bytes."""
    n, at = 0, 0
    while at < len(data):
        n, at = n + 1, at + 1 + (data[at] & 15)
    return 1, n


def annotations(reader, path):
    found = list(reader(path))
    for annotation in found:
        if annotation.fault is not None:
            raise InputError(annotation.fault)
    return len(found), sum(len(annotation.landmarks) for annotation in found)


def read_dat(path):
    cascade = read_dlib_file(path)
    n_stages, n_trees, n_splits = cascade.thresholds.shape
    n_pixels, column = cascade.anchors.shape[1], 2 + 2 * cascade.mean_shape.size
    tree = 2 + 4 * n_splits + (n_splits + 1) * column
    return 1, 4 + column + n_stages * (3 + n_trees * tree + 5 * n_pixels)


def read_ert(path):
    ert.load(path)
    return 1, path.stat().st_size


COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}, {"id": 2, "file_name": "b.png"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4.5], "keypoints": [1, 2, 2, 3, 4, 1]},
        {"id": 2, "image_id": 2, "category_id": 1, "num_keypoints": 1, "keypoints": [1, 2.5, 2, 0, 0, 0]},
        {"id": 3, "image_id": 2, "category_id": 1, "iscrowd": 1},
    ],
    "categories": [{"id": 1, "name": "face", "keypoints": ["nose", "chin"]}],
}
LJSON = {
    "version": 2,
    "labels": [{"label": "nose", "mask": [0]}, {"label": "chin", "mask": [1]}],
    "landmarks": {"connectivity": [[0, 1]], "points": [[1, 2.5], [3, None]]},
}
LJSON["landmarks"]["points"][1] = [3, 4]
CSV = b"image,left,top,width,height,x0,y0,nose_x,nose_y\na.png,1,2,3,4,5,6.5,7,8\nb.png,1,2,3,4,,,7,8\n"
BOXES = b"image,split,left,top,width,height\na.png,train,1,2,3,4\nb.png,test,1,2,3.5,4\n"
TPS = b"LM=2\n1 2\n3 4.5\nIMAGE=a.png\nID=0\nSCALE=0.5\nLM=2\n-1 -1\n5 6\nIMAGE=b.png\nID=1\n"
PTS = b"version: 1\nn_points: 3\n{\n1 2\n3.5 4\nnan nan\n}\n"
TEM = b"3\n1\t2\n3.5\t4\n5\t6\n1\n0\n3\n0 1 2\n"

# File name, content, reader, independent counter.
FORMATS = {
    "imglab": ("x.xml", IMGLAB, lambda path: annotations(read_imglab, path), count_imglab),
    "pts": ("a.pts", PTS, lambda path: annotations(read_pts_folder, path.parent), count_pts),
    "csv": ("x.csv", CSV, lambda path: annotations(read_csv, path), count_csv),
    "tps": ("x.tps", TPS, lambda path: annotations(read_tps, path), count_tps),
    "coco": ("x.json", json.dumps(COCO, indent=1).encode(), lambda path: annotations(read_coco, path), count_coco),
    "tem": ("a.tem", TEM, lambda path: annotations(read_tem_folder, path.parent), count_tem),
    "ljson": (
        "a.ljson",
        json.dumps(LJSON, indent=1).encode(),
        lambda path: annotations(read_ljson_folder, path.parent),
        count_ljson,
    ),
    "boxes": ("boxes.csv", BOXES, lambda path: (len(read_boxes(str(path))), 0), count_boxes),
    "dat": ("x.dat", b"", read_dat, count_dat),
    "ert": ("x.ert", b"", read_ert, lambda data: (1, len(data))),
}


def model_bytes(folder):
    """Return the bytes of a small model as .dat and .ert files."""
    rng = np.random.default_rng(0)

    def floats(*shape):
        return rng.normal(size=shape).astype(np.float32)

    pairs = rng.integers(0, 4, (2, 2, 3, 2), dtype=np.uint16)
    anchors = rng.integers(0, 3, (2, 4), dtype=np.uint16)
    trees = pairs, floats(2, 2, 3), floats(2, 2, 4, 6)
    none = np.empty((2, 0), np.float32), np.empty((2, 0, 6), np.int16)
    cascade = DlibCascade(floats(3, 2), anchors, floats(2, 4, 2), *trees, *none)
    write_dlib_file(folder / "seed.dat", cascade)
    ert.load(folder / "seed.dat").save(folder / "seed.ert")
    return {kind: (folder / f"seed.{kind}").read_bytes() for kind in ("dat", "ert")}


def with_checksum(data):
    """Correct the checksum of a damaged .ert file, so that the reader gets past it."""
    if len(data) < 20:
        return data
    return data[:16] + struct.pack("<I", zlib.crc32(data[20:], zlib.crc32(data[:16]))) + data[20:]


def fuzz(kind, n, folder, seconds=None, first=0):
    """Read n damaged files of a format; return the counts of accepted and refused files, and the faults."""
    name, seed, read, count = FORMATS[kind]
    seed = seed or model_bytes(folder)[kind]
    place = folder / kind
    place.mkdir()
    for image in ("a.png", "b.png"):
        Image.new("L", (8, 8)).save(place / image)
    path = place / name
    counts, faults = Counter(), []
    path.write_bytes(seed)
    if read(path) != count(seed):
        raise AssertionError(f"{kind}: {read(path)} in the undamaged file, expected {count(seed)}")
    for i in range(first, first + n):
        rng = random.Random(f"{kind} {i}")
        data = damaged(seed, rng)
        if kind == "ert" and rng.random() < 0.8:
            data = with_checksum(data)
        path.write_bytes(data)
        begin = time.process_time()
        fault, outcome = assessed(read, count, path, data)
        counts[outcome] += 1
        if seconds is not None and time.process_time() - begin > seconds:
            fault = f"takes {time.process_time() - begin:.1f} s of CPU time"
        if fault:
            faults.append(f"{kind} {i}: {fault}")
    return counts, faults


def assessed(read, count, path, data):
    """Return the fault in reading a file, or "", and the outcome."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = read(path)
    except InputError as error:
        message = str(error)
        if len(message.splitlines()) != 1 or not message.isprintable() or len(message) > 2000:
            return f"not one line: {message[:200]!r}", "refused"
        return ("" if str(path.parent) in message else f"names no file: {message[:200]}"), "refused"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}", "failed"
    try:
        expected = count(data)
    except Exception as error:
        return (f"accepted, but the independent parser raises {type(error).__name__}: {str(error)[:100]}", "accepted")
    if expected is None:
        return "", "accepted, not counted"
    return ("" if found == expected else f"found {found}, expected {expected}"), "accepted"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000, help="number of damaged files per format")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--formats", nargs="+", choices=list(FORMATS), default=list(FORMATS))
    parser.add_argument("--show", type=int, default=20, help="number of faults to show per format")
    options = parser.parse_args()
    bad = False
    for kind in options.formats:
        with tempfile.TemporaryDirectory() as folder:
            counts, faults = fuzz(kind, options.n, Path(folder), seconds=1.0, first=options.first)
        print(f"{kind}: {dict(counts)}, {len(faults)} faults", *faults[: options.show], sep="\n  ", flush=True)
        bad |= bool(faults)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
