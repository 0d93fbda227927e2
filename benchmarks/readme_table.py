"""Write the table of measured figures into docs/results.md, and six of its rows into the README.

python benchmarks/readme_table.py

The figures are those in benchmarks/results/.
"""

import re
import textwrap

import common
import objects
from common import result

# How the rows that the README shows begin.
README_ROWS = (
    "error on HELEN",
    "the same: `face68`, `mode=",
    "wings (12 points), nothing but",
    "training with dlib's default options",
    "one face, one thread: dlib's 10 x 500 x depth 4, from its `.dat`",
    "one face, one thread: `face68` against",
)


def rows():
    from ert._core.files import bundled_models

    accuracy, training, prediction = result("accuracy"), result("train_vs_dlib"), result("predict_vs_dlib")
    start, large = result("start")["seconds"], result("large_images")
    models = accuracy["models"]

    def errors(name):
        shown = [models[name][f"boxes {boxes}"]["inter-pupil"]["mean"] for boxes in ("dlib", "haar")]
        return " / ".join(f"{value:.2f}" for value in shown)

    dlib = errors("dlib, default options")
    if "dlib, tuned" in models:
        dlib += f" (default options); {errors('dlib, tuned')} (tuned)"
    yield (
        "error on HELEN's 330 test faces, NME inter-pupil in %, boxes of dlib / Haar detector",
        (f"**{errors('ert face68')}** (`face68`)", dlib),
    )
    yield 'the same: `face68`, `mode="accurate"`', (errors("ert face68, accurate"), "")
    small = bundled_models()["face68-small"].stat().st_size / 1e6
    yield f"the same: `face68-small`, {small:.2f} MB", (errors("ert face68-small"), "")
    five = accuracy["nme inter-pupil, 5 points"]
    yield (
        "the same for 5 points: `face5`, and dlib trained on these 5",
        tuple(
            " / ".join(f"{five[f'boxes {boxes}'][who]:.2f}" for boxes in ("dlib", "haar"))
            for who in ("ert face5", "dlib, 5 points")
        ),
    )
    for name, found in result("objects")["sets"].items():
        n_folds = len(objects.folds_of(name))
        whole = {method: row for method, row in found["methods"].items() if len(row["folds"]) == n_folds}
        methods = {method: f"{row['%']:.2f}" for method, row in whole.items()}
        if not {"ert", "ert, accurate", *objects.DLIB_OPTIONS} <= set(methods):
            continue
        others = f"{methods['dlib']} (default options); {methods['dlib, options of ml-morph']} (options of ml-morph)"
        yield (
            f"{name} ({found['landmarks']} points), nothing but new photos: error in % of the diagonal",
            (f'**{methods["ert"]}**; {methods["ert, accurate"]} (`mode="accurate"`)', others),
        )
    for name, measured in result("same_options")["objects"].items():
        of = f"{measured['objects']} objects, {measured['folds']} folds"
        ours, for_dlib, theirs = (measured["mean error"][who] for who in ("ert", "ert for dlib", "dlib"))
        yield (
            f"{name} ({measured['landmarks']} points, {of}), same options: error in % of the diagonal",
            (f"{ours:.2f} (written as `.dat`: {for_dlib:.2f})", f"{theirs:.2f}"),
        )
    seconds, memory = training["seconds"], training["peak_memory_mb"]
    yield (
        f"training with dlib's default options, 2012 faces, {training['threads']} threads",
        (f"**{seconds['ert']:.0f} s**, {memory['ert']:.0f} MB", f"{seconds['dlib']:.0f} s, {memory['dlib']:.0f} MB"),
    )
    nme = training["nme_helen_test"]
    yield (
        "the models of that training: NME inter-pupil, boxes of dlib / Haar detector",
        tuple(
            " / ".join(f"{nme[f'{boxes} boxes, inter-pupil'][who]:.2f}" for boxes in ("dlib", "haar"))
            for who in ("ert", "dlib")
        ),
    )
    yield "their files", tuple(f"{training['file_mb'][who]:.1f} MB" for who in ("ert", "dlib"))
    for name, times in prediction["models"].items():
        low, high = times["ratio_of_rounds"]["quartiles"]
        faster = f"{times['ratio']:.1f}x faster; quartiles {low:.2f} to {high:.2f}"
        yield (
            "one face, one thread: " + _named(name),
            (f"**{times['ert']['median_ms']:.2f} ms** ({faster})", f"{times['dlib']['median_ms']:.2f} ms"),
        )
    name = "face68 against the public 68-point model"
    if (common.RESULTS / "predict_vs_dlib_avx2.json").exists() and prediction["kernels"] != "avx2":
        times = result("predict_vs_dlib_avx2")["models"][name]
        ours, theirs = (f"{times[who]['median_ms']:.2f} ms" for who in ("ert", "dlib"))
        what = f"the same with the kernels of processors without AVX-512: {_named(name)}"
        yield what, (f"{ours} ({times['ratio']:.1f}x faster)", theirs)
    for name, times in prediction["models"].items():
        if name.endswith(".dat"):
            same = f"{times['faces_with_the_same_whole_pixels']} of {times['faces']} faces"
            yield (f"faces with the same integer pixels as dlib: {name.removesuffix(', from its .dat')}", (same, ""))
    if (common.RESULTS / "throughput.json").exists():
        many = result("throughput")["throughput"]["face68, gray"]
        rates = many["faces_per_second"]
        faster = f"({many['ratio']:.2f}x)"
        yield (
            f"`face68` on {many['faces']:,} faces in memory: one thread, two threads",
            (f"{rates['1 thread']:.0f}, {rates['2 threads']:.0f} per second {faster}", ""),
        )
    if (common.RESULTS / "video.json").exists():
        video = result("video")
        names = "ert.Tracker", "dlib frame by frame"
        steps = [video["paths"]["still"]["methods"][name]["step px"] for name in names]
        yield (
            "video of a still face of 150 pixels: mean displacement of landmarks between frames, in pixels",
            (f"**{steps[0]:.2f}** (`ert.Tracker`)", f"{steps[1]:.2f} (detected and aligned in every frame)"),
        )
        speeds = [video["speed"]["shift"][name]["frames_per_second"] for name in names]
        yield (
            "video of 640 x 480 with one moving face, one core: frames per second",
            (f"**{speeds[0]:.0f}**", f"{speeds[1]:.0f}"),
        )
    if (common.RESULTS / "growth.json").exists():
        growth = result("growth")
        powers = [growth[what]["exponents"]["growing the trees"] for what in ("faces", "trees", "stages")]
        low, high = (growth["faces"]["amounts"][i] for i in (0, -1))
        yield (
            f"exponent of the time to grow the trees in: faces ({low} to {high:,}), trees, stages",
            (", ".join(f"{power:.2f}" for power in powers), ""),
        )
        faster = growth["2 threads against 1"]["ratio"]
        at_most = growth["2 threads against 1"]["two fits at a time"]
        shown = f"{faster['growing the trees']:.2f}x; {faster['all of fit']:.2f}x; {at_most:.2f}x"
        what = "speedup by a second thread: growing the trees; a fit of two stages; two fits at a time"
        yield what, (shown, "")
    yield (
        "training on 1,000 photos of 12 megapixels (12 GB of gray pixels): peak memory",
        (f"{large['peak_memory_mb']['1000 images']:.0f} MB", ""),
    )
    yield (
        "`import ert`; first `ert demo` on a machine; `ert align` later",
        (f"{start['import ert']:.2f} s; {start['ert demo, first ever']:.1f} s; {start['ert align, next']:.1f} s", ""),
    )


def kinds_of_kernels():
    """Yield the lines of a table: how much faster than dlib with the kernels of each kind of processor."""
    yield "| kernels (`ERT_KERNELS`), times faster than dlib | `face68` | `face68`, accurate | training |"
    yield "| --- | --- | --- | --- |"
    for kind, found in result("cpus")["kinds"].items():
        modes = found["prediction, times faster than dlib's public model"]
        faster = [modes[mode]["ratio"] for mode in ("fast", "accurate")] + [found["training"]["times faster than dlib"]]
        yield f"| {kind} | {' | '.join(f'{times:.1f}' for times in faster)} |"


def _named(name):
    """Return a model's name in the results as the table shows it."""
    name = re.sub(r"face68(-small)?|\.dat", r"`\g<0>`", name)
    return name.replace(" in accurate mode", ', `mode="accurate"`')


def _provenance(*names):
    """Return on which machine and when the figures of files of results were measured."""
    found = {name: result(name) for name in names if (common.RESULTS / f"{name}.json").exists()}
    machines = {}
    for name, made in found.items():
        machine = f"{made['cpu']}, {made['cores']} cores"
        machines.setdefault(machine, {}).setdefault(made["date"], []).append(f"`{name}.json`")
    texts = []
    for machine, dates in machines.items():
        of_dates = [f"{date} ({', '.join(files)})" for date, files in sorted(dates.items())]
        texts.append(f"{machine}: {'; '.join(of_dates)}.")
    versions = next(iter(found.values()))["versions"]
    used = [f"dlib {versions['dlib-bin']}", f"numba {versions['numba']}", f"numpy {versions['numpy']}"]
    lines = f"Measured with {', '.join(used)}. {' '.join(texts)}"
    return textwrap.wrap(lines, 120, break_long_words=False, break_on_hyphens=False)


# The files of results that the first table shows.
FIRST = (
    *("accuracy", "predict_vs_dlib", "predict_vs_dlib_avx2", "train_vs_dlib", "objects", "same_options", "throughput"),
    *("video", "growth", "large_images", "start"),
)

PLOT = "![Speed and error of ert and dlib](comparison.svg)"


def main():
    head = ["| measured side by side | ert | dlib |", "| --- | --- | --- |"]
    lines = [f"| {what} | {ours} | {theirs} |" for what, (ours, theirs) in rows()]
    short = [line for line in lines if line.startswith(tuple(f"| {row}" for row in README_ROWS))]
    of_objects = objects.tables(result("objects")["sets"])
    assert len(short) == len(README_ROWS), short
    measured = [*head, *lines, "", *_provenance(*FIRST), "", *of_objects, "", *_provenance("objects"), ""]
    measured += [*kinds_of_kernels(), "", *_provenance("cpus"), "", PLOT, ""]
    measured += _provenance("accuracy", "predict_vs_dlib", "train_vs_dlib", "same_options")
    common.write_figures(common.ROOT / "docs" / "results.md", measured)
    common.write_figures(common.ROOT / "README.md", [*head, *short])


if __name__ == "__main__":
    main()
