"""Fuzz every reader with damaged files: each is read completely, or refused with a one-line error, quickly.

Objects and points are counted and compared with the counts of an independent parser of the damaged file.
The same number gives the same damage on every machine.
"""

import csv
import json
import random
import re
import struct
import time
import warnings
import zlib
from collections import Counter
from xml.etree import ElementTree

import numpy as np
from PIL import Image

import ert
from ert._core.exceptions import InputError
from ert.datasets.formats.coco import read_coco
from ert.datasets.formats.csv import read_boxes, read_csv
from ert.datasets.formats.imglab import read_imglab
from ert.datasets.formats.jsonl import read_json_lines
from ert.datasets.formats.ljson import read_ljson_folder
from ert.datasets.formats.pts import read_pts_folder
from ert.datasets.formats.tem import read_tem_folder
from ert.datasets.formats.tps import read_tps
from ert.datasets.formats.wflw import read_wflw
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
    try:
        data.decode()
    except UnicodeDecodeError:
        data = data.decode("cp1252").encode()
    root = ElementTree.fromstring(data)
    boxes = [box for box in root.iter("box") if box.get("ignore", "0").lower() in ("0", "false")]
    n_other = sum(len(box) for box in boxes) - sum(len(box.findall("label")) for box in boxes)
    return len(boxes), n_other


def lines_of(data):
    """Return the lines of a text that are not blank."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16")
    elif b"\0" in data:
        text = data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x1a", "").split("\n")
    return [line.strip() for line in lines if line.strip()]


def count_pts(data):
    text = "\n".join(line.partition("#")[0] for line in lines_of(data))
    pieces = [piece for line in text.split("\n") for piece in re.split("[{}]", line) if piece.strip()]
    points = [piece for piece in pieces if not re.match("version|n_points", piece.strip(), re.IGNORECASE)]
    # A number alone at the start is the number of points.
    return 1, len(points) - (len(points) == len(pieces) and points[0].strip().isdigit())


def rows_of(data):
    lines = lines_of(data)
    marks = [mark for mark in ",;\t" if mark in lines[0]]
    rows = csv.reader(lines, delimiter=marks[0] if marks else ",")
    return [row for row in rows if any(map(str.strip, row))]


def count_csv(data):
    lines = lines_of(data)
    if b'"' in data or lines[0].lower().startswith("sep=") or sum(mark in lines[0] for mark in ",;\t") > 1:
        return None
    header, *rows = rows_of(data)
    axes = [
        re.search("^[xy]_?[0-9]+$|[_ .-][xy]$|[0-9][xy]$|^[xy][_ .-]", name.strip(), re.IGNORECASE) for name in header
    ]
    n_boxes = sum(name.strip().lower() in ("left", "top", "width", "height") for name in header)
    numbered = sum(name.strip().isdigit() for name in header[1:])
    n_axes = sum(map(bool, axes)) + numbered
    # The column of images may be named as an axis.
    return (len(rows), len(rows) * n_axes // 2) if n_boxes in (0, 2, 4) and n_axes % 2 == 0 else None


def count_boxes(data):
    lines = lines_of(data)
    unsure = b'"' in data or lines[0].lower().startswith("sep=") or sum(mark in lines[0] for mark in ",;\t") > 1
    return None if unsure else (len(rows_of(data)) - 1, 0)


def count_tracks(data):
    rows = [row for row in rows_of(data) if row[0].strip().lower() not in ("scorer", "bodyparts", "coords")]
    return None if b'"' in data else (len(rows), 2 * len(rows))


def count_sleap(data):
    return None if b'"' in data else (len(rows_of(data)) - 1, 2 * (len(rows_of(data)) - 1))


def count_kaggle(data):
    return None if b'"' in data else (len(rows_of(data)) - 1, 2 * (len(rows_of(data)) - 1))


def count_wflw(data):
    """Count the numbers before the name; a box and attributes are ten of them."""
    lines = lines_of(data)
    n = next(
        i for i, word in enumerate(lines[0].split()) if not re.fullmatch(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?", word, re.I)
    )
    numbers = lines[0].split()[:n]
    has_box = n > 11 and set(numbers[-6:]) <= {"0", "1"} and float(numbers[-10]) < float(numbers[-8])
    has_box = has_box and float(numbers[-9]) < float(numbers[-7])
    return len(lines), len(lines) * (n - 10 * has_box) // 2


def count_tps(data):
    lines = [line for line in lines_of(data) if not line.startswith("#")]
    n_landmarks, state = 0, 0
    for line in lines:
        key, equals, value = (part.strip() for part in line.partition("="))
        if equals:
            state = int(value) if key.upper() == "LM" else -int(value) if key.upper() == "POINTS" else 0
        elif state > 0:
            n_landmarks, state = n_landmarks + 1, state - 1
    return sum(re.match(r"LM\s*=", line, re.IGNORECASE) is not None for line in lines), n_landmarks


def count_coco(data):
    annotations = json.loads(data)["annotations"]
    taken = [a for a in annotations if a.get("iscrowd") != 1]
    return len(taken), sum(len(a.get("keypoints") or ()) for a in taken if a.get("num_keypoints") != 0) // 3


def count_tem(data):
    # All lines of two cells before the first line of one cell.
    rows = [line.split() for line in lines_of(data)[1:]]
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
JSONL = (
    b'{"image": "a.png", "specimen": "a", "scale": 0.5, "object": 1, "box": [1, 2, 3, 4], '
    b'"landmarks": {"x": [5, 6.5], "y": [7, 8]}, "std": {"x": 0.25}}\n{"image": "b.png", "object": null}\n'
)
LONG = (
    b"image,specimen,object,landmark,x,y,std,scale\n"
    b"a.png,a,1,0,5,6.5,0.25,0.5\na.png,a,1,1,7,8,,0.5\nb.png,b,1,0,1,2,,\n"
)

CURVES = TPS.replace(b"IMAGE=a", b"CURVES=1\nPOINTS=2\n7 7\n8 8\nIMAGE=a").replace(b".", b",").replace(b",png", b".png")
SEMICOLONS = CSV.replace(b",", b";").replace(b"6.5", b"6,5")
TRACKS = b"scorer,Me,Me,Me,Me\nbodyparts,nose,nose,chin,chin\ncoords,x,y,x,y\na.png,1,2,3,4.5\nb.png,5,6,,\n"
SLEAP = b"track,frame_idx,instance.score,a.x,a.y,a.score,b.x,b.y,b.score\n,1,0.9,1,2,1,3,4,1\nt,2,0.9,5,6,1,7,8,1\n"
KAGGLE = b"nose_x,nose_y,chin_x,chin_y,Image\n1,2,3,4.5," + b"7 " * 35 + b"8\n1,2,,," + b"9 " * 35 + b"255\n"
WFLW = b"1 2 3.5 4 0 1 10 12 0 1 0 0 0 0 a.png\n5 6 7 8 1 1 9 9 0 0 0 0 0 1 b.png\n"

# File name, content, reader, independent counter.
FORMATS = {
    "imglab": ("x.xml", IMGLAB, lambda path: annotations(read_imglab, path), count_imglab),
    "pts": ("a.pts", PTS, lambda path: annotations(read_pts_folder, path.parent), count_pts),
    "csv": ("x.csv", CSV, lambda path: annotations(read_csv, path), count_csv),
    "tps": ("x.tps", TPS, lambda path: annotations(read_tps, path), count_tps),
    "curves": ("x.tps", CURVES, lambda path: annotations(read_tps, path), count_tps),
    "semicolons": ("x.csv", SEMICOLONS, lambda path: annotations(read_csv, path), count_csv),
    "tracks": ("x.csv", TRACKS, lambda path: annotations(read_csv, path), count_tracks),
    "sleap": ("x.csv", SLEAP, lambda path: annotations(read_csv, path), count_sleap),
    "kaggle": ("x.csv", KAGGLE, lambda path: annotations(read_csv, path), count_kaggle),
    "wflw": ("x.txt", WFLW, lambda path: annotations(read_wflw, path), count_wflw),
    "coco": ("x.json", json.dumps(COCO, indent=1).encode(), lambda path: annotations(read_coco, path), count_coco),
    "jsonl": (
        "x.jsonl",
        JSONL,
        lambda path: annotations(read_json_lines, path),
        lambda data: (2, 2) if data == JSONL else None,
    ),
    "long": ("x.csv", LONG, lambda path: annotations(read_csv, path), lambda data: (2, 3) if data == LONG else None),
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
    for image in ("a.png", "b.png") if kind != "sleap" else ("1.png", "2.png", "0.png"):
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
    except ElementTree.ParseError as error:
        # Expat knows the names of XML's fourth edition; U+FFFD in a name is of the fifth.
        if "invalid token" in str(error) and "\ufffd".encode() in data:
            return "", "accepted, not counted"
        return f"accepted, but the independent parser raises {error}", "accepted"
    except Exception as error:
        return (f"accepted, but the independent parser raises {type(error).__name__}: {str(error)[:100]}", "accepted")
    if expected is None:
        return "", "accepted, not counted"
    return ("" if found == expected else f"found {found}, expected {expected}"), "accepted"
