"""Write the table of docs/networks.md and draw docs/networks.svg, from benchmarks/results/.

python benchmarks/networks_page.py
"""

import common
from common import result
from plot import OURS, THEIRS, quiet_pyplot, save_figure

PAGE, FIGURE = common.ROOT / "docs" / "networks.md", common.ROOT / "docs" / "networks.svg"


def span(pair, digits=2):
    return " to ".join(f"{number:.{digits}f}" for number in pair)


def training_time(seconds):
    """Return a time in words."""
    if seconds is None:
        return ""
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def table(measured):
    """Return the lines of the table."""
    yield "| method | NME, boxes dlib | NME, boxes Haar | one thread | two threads | file | training |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, row in measured["methods"].items():
        errors = [row["NME inter-pupil"][detector] for detector in ("dlib", "haar")]
        cells = [f"{error['mean']:.2f} ({span(error['interval_95'])})" for error in errors]
        for n_threads in (1, 2):
            times = row["milliseconds"].get(f"{n_threads} threads")
            cells.append(f"{times['median']:.2f} ms ({span((times['low'], times['high']))})" if times else "")
        facts = row["facts"]
        cells += [f"{facts['MB']:.1f} MB", training_time(facts.get("training seconds"))]
        if facts.get("steps", 0) < facts.get("of steps", 0):
            cells[-1] += f" (unfinished: {facts['steps']} of {facts['of steps']} steps)"
        yield f"| {name} | {' | '.join(cells)} |"


def joined(measured, mesh):
    """Return the figures of all methods, with those of the face mesh when it was measured on the same faces."""
    if mesh and mesh["faces of"] == measured["faces of"]:
        measured = measured | {"methods": measured["methods"] | mesh["methods"]}
    return measured


def draw(file, measured):
    """Draw error against time; the areas of the circles are the sizes of the files."""
    pyplot = quiet_pyplot()
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    points = []
    for name, row in measured["methods"].items():
        time = row["milliseconds"].get("1 threads") or row["milliseconds"]["2 threads"]
        points.append((time["median"], row["NME inter-pupil"]["dlib"]["mean"], row["facts"]["MB"], name))
    for i, (x, y, megabytes, name) in enumerate(sorted(points)):
        color = OURS if name.startswith("face68") else THEIRS
        axes.scatter(x, y, s=12 * megabytes + 10, color=color, alpha=0.5, linewidth=0)
        # Above and below in turn: neighbors are not written over each other.
        axes.annotate(name, (x, y), xytext=(6, -14 if i % 2 else 6), textcoords="offset points", fontsize=8.5)
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.2)
    axes.set_xlabel("time of a face, milliseconds, one thread")
    axes.set_ylabel("NME inter-pupil, %")
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, file)


def main():
    measured = joined(result("networks"), result("face_mesh") if (common.RESULTS / "face_mesh.json").exists() else None)
    made = f"{measured['cpu']}, {measured['cores']} cores; torch {measured['torch']}; {measured['date']}."
    lines = [f"Measured on the {measured['faces']} {measured['faces of']}.", "", *table(measured), "", made]
    lines += ["", f"![Error and time of a face]({FIGURE.name})"]
    common.write_figures(PAGE, lines)
    draw(FIGURE, measured)


if __name__ == "__main__":
    main()
