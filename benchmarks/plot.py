"""Draw docs/comparison.svg, speed and error compared with dlib, from benchmarks/results/.

python benchmarks/plot.py
"""

import argparse
from pathlib import Path

import common
from common import result

# Blue and vermilion of the palette of Okabe and Ito, safe for color blindness; their lightness differs too.
OURS, THEIRS = "#0072B2", "#D55E00"


def speeds():
    """Yield what was timed, the speedup over dlib and the times."""
    training, prediction = result("train_vs_dlib"), result("predict_vs_dlib")["models"]
    seconds = training["seconds"]
    yield ("training, dlib's options", seconds["ratio"], f"{seconds['ert']:.0f} s, dlib {seconds['dlib']:.0f} s")
    for name, times in prediction.items():
        ours, theirs = (times[who]["median_ms"] for who in ("ert", "dlib"))
        yield f"a face: {name}", times["ratio"], f"{ours:.2f} ms, dlib {theirs:.2f} ms"


def errors():
    """Yield what was predicted and the errors of ert and dlib in percent."""
    accuracy, training = result("accuracy")["models"], result("train_vs_dlib")["nme_helen_test"]
    for boxes, detector in (("dlib", "dlib's"), ("haar", "OpenCV's")):
        ours, theirs = (
            accuracy[model][f"boxes {boxes}"]["inter-pupil"]["mean"]
            for model in ("ert face68", "dlib, default options")
        )
        yield f"HELEN: face68, {detector} boxes", ours, theirs
    for boxes, detector in (("dlib", "dlib's"), ("haar", "OpenCV's")):
        both = training[f"{boxes} boxes, inter-pupil"]
        yield f"HELEN: same options, {detector} boxes", both["ert"], both["dlib"]
    if (common.RESULTS / "same_options.json").exists():
        for name, found in result("same_options")["objects"].items():
            yield f"same options: {name}", found["mean error"]["ert"], found["mean error"]["dlib"]


def bars(axes, names, lengths, texts, dlib):
    places = range(len(names))
    axes.barh(places, lengths, height=0.62, color=OURS)
    axes.axvline(dlib, ymax=(len(names) - 0.4) / (len(names) + 0.6), color=THEIRS, linewidth=2.5)
    axes.text(dlib, -0.85, "dlib", color=THEIRS, fontsize=9.5, ha="center", va="center", fontweight="bold")
    for place, length, text in zip(places, lengths, texts, strict=True):
        # Right of both the bar and the line.
        axes.text(max(length, dlib), place, f"  {text}", va="center", fontsize=9, color="#222222")
    axes.set_yticks(places, names, fontsize=9)
    axes.set_ylim(len(names) - 0.4, -1.2)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def quiet_pyplot():
    """Return pyplot, set up for reproducible files."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "ert"
    from matplotlib import pyplot

    return pyplot


def save_figure(figure, file):
    figure.savefig(file, facecolor="white", metadata={"Date": None} if file.suffix == ".svg" else None)
    quiet_pyplot().close(figure)


def draw(file):
    pyplot = quiet_pyplot()
    fast, exact = list(speeds()), list(errors())
    heights = [len(fast), len(exact)]
    size = (9.5, 0.34 * sum(heights) + 2.2)
    figure, (above, below) = pyplot.subplots(2, height_ratios=heights, figsize=size, layout="constrained")
    bars(
        above,
        [name for name, *_ in fast],
        [ratio for _, ratio, _ in fast],
        [f"{ratio:.1f} times: {text}" for _, ratio, text in fast],
        dlib=1,
    )
    above.set_xlim(0, 1.6 * max(ratio for _, ratio, _ in fast))
    above.set_title("speedup over dlib (longer is better)", loc="left", fontsize=11, fontweight="bold")
    bars(
        below,
        [name for name, *_ in exact],
        [100 * ours / theirs for _, ours, theirs in exact],
        [f"{ours:.2f} %, dlib {theirs:.2f} %" for _, ours, theirs in exact],
        dlib=100,
    )
    below.set_xlim(0, 135)
    below.set_title("mean error in percent of dlib's (shorter is better)", loc="left", fontsize=11, fontweight="bold")
    save_figure(figure, file)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=common.ROOT / "docs" / "comparison.svg")
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
