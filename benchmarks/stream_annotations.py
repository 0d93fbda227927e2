"""Memory and time of reading annotations of many images in every format.

    python benchmarks/stream_annotations.py --objects 100000 --points 68

A tenth of the objects, then all, one per image, are written to a temporary folder (the images are links to
one of a single pixel). They are read in separate processes by the reader alone, without keeping its items,
and by `load_dataset`. Growth is the peak memory minus the memory before.
"""

import json
import tempfile
import time
from pathlib import Path

import common

FOLDERS = ("pts", "tem", "ljson")
FILES = {"imglab": "x.xml", "csv": "x.csv", "tps": "x.tps", "coco": "x.json"}


def points_of(i, n_points):
    return [(i % 100 + 1.25 * k, i % 50 + 0.75 * k) for k in range(n_points)]


def imglab(n, n_points):
    yield "<dataset>\n<images>\n"
    for i in range(n):
        yield f"<image file='images/{i}.png'>\n<box top='1' left='1' width='90' height='90'>\n"
        for k, (x, y) in enumerate(points_of(i, n_points)):
            yield f"<part name='{k}' x='{x}' y='{y}'/>\n"
        yield "</box>\n</image>\n"
    yield "</images>\n</dataset>\n"


def csv(n, n_points):
    yield "image," + ",".join(f"x{k},y{k}" for k in range(n_points)) + "\n"
    for i in range(n):
        yield f"{i}.png," + ",".join(f"{x},{y}" for x, y in points_of(i, n_points)) + "\n"


def tps(n, n_points):
    for i in range(n):
        yield f"LM={n_points}\n" + "".join(f"{x} {y}\n" for x, y in points_of(i, n_points))
        yield f"IMAGE={i}.png\nID={i}\n"


def coco(n, n_points):
    images = [{"id": i, "file_name": f"{i}.png", "width": 1, "height": 1} for i in range(n)]
    yield f'{{"images": {json.dumps(images)}, "annotations": [\n'
    for i in range(n):
        keypoints = [number for x, y in points_of(i, n_points) for number in (x, y, 2)]
        entry = {"id": i, "image_id": i, "category_id": 1, "bbox": [1, 1, 90, 90], "keypoints": keypoints}
        yield ",\n" * (i > 0) + json.dumps(entry)
    category = {"id": 1, "name": "face", "keypoints": [str(k) for k in range(n_points)]}
    yield f'],\n"categories": [{json.dumps(category)}]}}\n'


def folder_text(kind, points):
    rows = "".join(f"{x} {y}\n" for x, y in points)
    if kind == "pts":
        return f"version: 1\nn_points: {len(points)}\n{{\n{rows}}}\n"
    if kind == "tem":
        return f"{len(points)}\n{rows}0\n"
    return json.dumps({"version": 2, "labels": [], "landmarks": {"points": [(y, x) for x, y in points]}})


def write(kind, folder, n, n_points):
    """Write n objects in a format; return the path to read and its size in MB."""
    from PIL import Image

    images = folder if kind in FOLDERS else folder / "images"
    images.mkdir(parents=True)
    pixel = folder.parent / "pixel.png"
    Image.new("L", (1, 1)).save(pixel)
    for i in range(n):
        (images / f"{i}.png").symlink_to(pixel)
    if kind in FILES:
        path = folder / FILES[kind]
        with open(path, "w") as file:
            file.writelines({"imglab": imglab, "csv": csv, "tps": tps, "coco": coco}[kind](n, n_points))
        return path, path.stat().st_size / 1e6
    size = sum((folder / f"{i}.{kind}").write_text(folder_text(kind, points_of(i, n_points))) for i in range(n))
    return folder, size / 1e6


def resident(field):
    """Return the memory of this process in MB: VmRSS for the current amount, VmHWM for the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def iterate(kind, path):
    from ert.datasets.formats.coco import read_coco
    from ert.datasets.formats.csv import read_csv
    from ert.datasets.formats.imglab import read_imglab
    from ert.datasets.formats.ljson import read_ljson_folder
    from ert.datasets.formats.pts import read_pts_folder
    from ert.datasets.formats.tem import read_tem_folder
    from ert.datasets.formats.tps import read_tps

    readers = {"imglab": read_imglab, "csv": read_csv, "tps": read_tps, "coco": read_coco}
    readers |= {"pts": read_pts_folder, "tem": read_tem_folder, "ljson": read_ljson_folder}
    return sum(1 for _ in readers[kind](path)), 0.0


def load(kind, path):
    from ert.datasets.formats import load_dataset

    dataset = load_dataset(path)
    return len(dataset), (dataset.boxes.nbytes + dataset.landmarks.nbytes) / 1e6


def read(function, kind, path, warm_up):
    """Read annotations; return the seconds, the growth of memory and the size of the arrays in MB."""
    function(kind, warm_up)
    before, begin = resident("VmRSS"), time.perf_counter()
    n, size = function(kind, path)
    seconds, growth = time.perf_counter() - begin, resident("VmHWM") - before
    return n, {"seconds": round(seconds, 2), "growth_mb": round(growth, 1), "arrays_mb": round(size, 1)}


def main():
    options = common.arguments(__doc__, objects=100_000, points=68, formats=",".join((*FILES, *FOLDERS)))
    counts = (options.objects // 10, options.objects)
    results = {}
    with tempfile.TemporaryDirectory() as name:
        for kind in options.formats.split(","):
            warm_up, _ = write(kind, Path(name, kind, "few"), 20, options.points)
            for n in counts:
                path, size = write(kind, Path(name, kind, str(n)), n, options.points)
                row = {"objects": n, "annotations_mb": round(size, 1)}
                for what, function in (("reader", iterate), ("load_dataset", load)):
                    (found, figures), _, _ = common.measured(read, function, kind, path, warm_up)
                    if found != n:
                        raise SystemExit(f"{path}: {found} objects, expected {n}")
                    row[what] = figures
                results.setdefault(kind, []).append(row)
                print(kind, row, flush=True)
    common.save_result("stream_annotations", {"points": options.points, "formats": results})


if __name__ == "__main__":
    main()
