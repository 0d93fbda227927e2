"""Error against time and file size: members, stages, trees, leaves, and how often each mode runs the cascade.

    python benchmarks/tradeoff.py              # two hours; models are kept in runs/tradeoff/: start it again to go on
    python benchmarks/tradeoff.py --quick 1    # a sixth of the stages, half an hour; writes tradeoff_quick.json
    python benchmarks/tradeoff.py --draw 1     # only the picture, of the last result

Models are trained on three quarters of the 300-W training faces, as `train_bundled.py` trains `face68`, and tried on
the other 503 (fold 0 of 4, see EXPERIMENTS.md); no face of the test split is read. Errors are NME inter-pupil in
percent, in the boxes of two detectors. Times are of one thread and a call for each face: the median over the faces of
the shortest of some repeats. A model of fewer members than were trained has the first of them. Modes have no
restarts, as there is no confidence model. With --seeds 3 each model is trained with three seeds, and figures are means.
"""

import time
from dataclasses import replace

import common
import numpy as np
from train_bundled import COMMON, FACE68

N_FOLDS, N_TIMED, N_REPEATS = 4, 100, 7
# What differs from `face68`: name, members that are trained, parameters.
MODELS = [
    ("72 stages", 4, {"n_stages": 72}),
    ("48 stages", 4, {"n_stages": 48}),
    ("36 stages", 4, {"n_stages": 36}),
    ("24 stages", 4, {"n_stages": 24}),
    ("60 trees a stage", 2, {"n_stages": 72, "n_trees": 60}),
    ("150 trees a stage", 1, {"n_stages": 72, "n_trees": 150}),
    ("leaves of 16 numbers", 2, {"n_stages": 72, "n_components": 16}),
    ("leaves of 48 numbers", 1, {"n_stages": 72, "n_components": 48}),
]
# The small setting of EXPERIMENTS.md, and the divisor of stages.
QUICK = {"n_pool_candidates": 0, "n_inits": 6, "n_split_tests": 40}
QUICK_DIVISOR = 6
# Initializations, passes, mirror images.
MODES = {
    "fast": (1, 1, False),
    "1 initialization, mirrored too": (1, 1, True),
    "2 passes, 1 initialization, mirrored too": (1, 2, True),
    "2 passes, 2 initializations, mirrored too": (2, 2, True),
    "accurate": (3, 2, True),
    "2 passes, 5 initializations, mirrored too": (5, 2, True),
    "2 passes, 7 initializations, mirrored too": (7, 2, True),
}
MEMBER_COLORS = {1: "#0072B2", 2: "#D55E00", 3: "#009E73", 4: "#CC79A7"}


def read_folds(data):
    """Return X and y to train on, X and y of the faces left out for each detector, and which of these are HELEN's."""
    import ert

    table = data / "300w" / "boxes.csv"
    sets = {
        boxes: ert.load_dataset(data / "300w", boxes=f"{table}:{boxes}", split="train") for boxes in ("dlib", "haar")
    }
    n = len(sets["dlib"])
    left_out = np.zeros(n, bool)
    left_out[np.array_split(np.random.default_rng(0).permutation(n), N_FOLDS)[0]] = True
    rest = [dataset.subset(~left_out) for dataset in sets.values()]
    tested = {boxes: dataset.subset(left_out) for boxes, dataset in sets.items()}
    helen = np.array(["helen" in str(file) for file in tested["dlib"].files])
    training = sum(rest[1:], rest[0])
    images = [ert.load_image(file) for file in tested["dlib"].files]
    left = {name: (list(zip(images, map(tuple, part.boxes), strict=True)), part.y) for name, part in tested.items()}
    return (training.X, training.y), left, helen


def trained(folder, training, params, seed, n_jobs):
    """Return a model from its file, or train it; an interrupted training goes on where it was."""
    import ert

    text = "-".join(f"{key}{value}" for key, value in sorted(params.items()))
    file = folder / f"{text}-seed{seed}.ert"
    if not file.exists():
        checkpoint = file.with_suffix(".checkpoint.ert")
        model = ert.ShapePredictor(**COMMON | FACE68 | params, random_state=seed, n_jobs=n_jobs)
        model.fit(*training, checkpoint=checkpoint, resume=True).save(file)
        checkpoint.unlink()
    return ert.load(file)


def with_members(model, n):
    """Return a model with the first n members of another."""
    fewer = type(model)(**model.get_params() | {"n_members": n})
    params = {**model.fitted_.params, "n_members": n}
    if n == 1:
        del params["n_members"]
    history = [entry for entry in model.history_ if entry.get("member", 1) <= n]
    further = model.fitted_.further_members[: n - 1]
    fewer.fitted_ = replace(model.fitted_, further_members=further, params=params, history=history)
    return fewer


def microseconds(model, faces, mode):
    """Return the time of a call for one face, of gray images."""
    shortest = np.full(len(faces), np.inf)
    for _ in range(N_REPEATS):
        for i, face in enumerate(faces):
            begin = time.perf_counter()
            model.predict([face], mode, n_jobs=1)
            shortest[i] = min(shortest[i], time.perf_counter() - begin)
    return 1e6 * float(np.median(shortest))


def measure(model, left, helen, file):
    """Return for each mode the errors and the time of a model, and the bytes of its file."""
    import ert
    from ert._core.images import to_gray
    from ert.metrics import nme

    model.save(file)
    size = file.stat().st_size
    file.unlink()
    faces, _ = left["dlib"]
    timed = [(np.ascontiguousarray(to_gray(image)), box) for image, box in faces[:N_TIMED]]
    rows = {}
    for name, (n_inits, n_passes, flip) in MODES.items():
        mode = "fast" if name == "fast" else ert.PredictionMode(n_inits, n_passes, flip)
        errors = {boxes: nme(y, model.predict(X, mode, n_jobs=1), "inter-pupil") for boxes, (X, y) in left.items()}
        rows[name] = {
            "error": {boxes: float(all_of.mean()) for boxes, all_of in errors.items()},
            "error_helen": {boxes: float(all_of[helen].mean()) for boxes, all_of in errors.items()},
            "microseconds": microseconds(model, timed, mode),
            "bytes": size,
        }
    return rows


def mean_of(measured):
    """Return the mean of the same figures of several models."""
    if isinstance(measured[0], dict):
        return {key: mean_of([one[key] for one in measured]) for key in measured[0]}
    return float(np.mean(measured))


def run(options):
    training, left, helen = read_folds(options.data)
    folder = options.runs / "tradeoff"
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for name, n_members, params in MODELS:
        params = params | {"n_members": n_members}
        if options.quick:
            params |= QUICK | {"n_stages": params["n_stages"] // QUICK_DIVISOR}
        models = [trained(folder, training, params, seed, options.jobs) for seed in range(options.seeds)]
        for n in range(1, n_members + 1):
            rows = mean_of([measure(with_members(model, n), left, helen, folder / "size.ert") for model in models])
            found += [{"model": name, "params": params, "members": n, "mode": mode} | row for mode, row in rows.items()]
            print(
                name,
                n,
                "members",
                {mode: round(float(np.mean([*row["error"].values()])), 2) for mode, row in rows.items()},
            )
    common.save_result("tradeoff_quick" if options.quick else "tradeoff", {"seeds": options.seeds, "rows": found})


def draw(rows, file):
    """Draw the error against time and against size: lines join the modes of a model, and the models of a mode."""
    from matplotlib.ticker import LogLocator, NullFormatter
    from plot import quiet_pyplot, save_figure

    figure, (left, right) = quiet_pyplot().subplots(1, 2, figsize=(11, 5), sharey=True, layout="constrained")
    series = {}
    for row in rows:
        error = np.mean([*row["error"].values()])
        series.setdefault((left, row["model"], row["members"]), []).append((row["microseconds"], error, row["mode"]))
        if row["mode"] in ("fast", "accurate"):
            point = row["bytes"] / 1e6, error, row["mode"]
            series.setdefault((right, row["model"], row["members"]), []).append(point)
    shown = set()
    for (axes, model, n), points in series.items():
        x, y, modes = zip(*sorted(points), strict=True)
        label = f"{n} member{'s' * (n > 1)}" if (axes is left and n not in shown) else None
        shown.add(n)
        base = model == MODELS[0][0]
        style = {"color": MEMBER_COLORS[n], "linewidth": 1.6 if base else 0.7, "alpha": 1.0 if base else 0.6}
        axes.plot(x, y, label=label, **style)
        for at, error, mode in zip(x, y, modes, strict=True):
            marker = {"fast": "s", "accurate": "o"}.get(mode, ".")
            axes.plot(at, error, marker, color=MEMBER_COLORS[n], markersize=5 if base else 3.5, alpha=style["alpha"])
        if n == 1:
            axes.annotate(model, (x[0], y[0]), xytext=(4, 2), textcoords="offset points", fontsize=7)
    left.set(xscale="log", xlabel="time of a face (µs)", ylabel="error (% of the distance of the pupils)")
    right.set(xscale="log", xlabel="file (MB)")
    left.set_title("squares: fast; circles: accurate; dots: other numbers of runs", loc="left", fontsize=9)
    left.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    save_figure(figure, file)


def main():
    defaults = {"quick": 0, "draw": 0, "seeds": 1, "jobs": -1, "runs": common.ROOT / "runs"}
    options = common.arguments(__doc__, **defaults)
    if not options.draw:
        run(options)
    name = "tradeoff_quick" if options.quick else "tradeoff"
    draw(common.result(name)["rows"], common.RESULTS / f"{name}.svg")


if __name__ == "__main__":
    main()
