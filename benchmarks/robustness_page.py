"""Draw docs/robustness.svg and write the figures of docs/robustness.md, from benchmarks/results/.

python benchmarks/robustness_page.py
"""

import common
from common import result
from plot import OURS, THEIRS, quiet_pyplot, save_figure

PAGE, FIGURE = common.ROOT / "docs" / "robustness.md", common.ROOT / "docs" / "robustness.svg"
SETTINGS = ("ert", "ert, accurate")
# Measured on rotated faces only: it takes a hundred times as long.
SEARCHING = "ert, max_roll=45"
STYLES = {
    "ert": {"color": OURS, "linestyle": "-", "marker": "o"},
    "ert, accurate": {"color": OURS, "linestyle": "--"},
    SEARCHING: {"color": OURS, "linestyle": ":", "marker": "^"},
    "dlib": {"color": THEIRS, "linestyle": "-", "marker": "s"},
    "dlib, not rounded": {"color": THEIRS, "linestyle": ":"},
}
# Curves with a logarithmic axis, and those that get harder with smaller amounts.
LOGARITHMIC, FALLING = {"size", "dark"}, {"jpeg", "dark", "size"}
# The end of the error axes: larger errors are failures anyway.
MAX_ERROR_PERCENT = 20
# Requirements: the largest increase of the error by shifting and scaling the box, and the largest ratio of
# the errors of a rotated and of an upright face.
MORE_THAN_UNMOVED, TIMES_UPRIGHT = 0.4, 1.2
WITHIN_SHIFT, WITHIN_SCALE, WITHIN_ROLL = 15, 0.2, 30


# Words.


def table(part):
    """Return the lines of a curve's table, or of the table of unchanged faces."""
    if not part["amounts"]:
        limit = part["levels"].index(10)
        lines = [f"| {part['what']} | mean | median | within 10 % |", "| --- | --- | --- | --- |"]
        for name, (mean,) in part["nme"].items():
            cells = f"{mean:.2f} | {part['median'][name]:.2f} | {part['share of frames'][name][limit]:.1%}"
            lines.append(f"| {name} | {cells} |")
        return lines
    lines = [f"| {part['what']} | " + " | ".join(f"{amount:g}" for amount in part["amounts"]) + " |"]
    lines.append("| --- |" + " --- |" * len(part["amounts"]))
    for name, means in part["nme"].items():
        lines.append(f"| {name} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")
    return lines


def worse(measured):
    """Yield curve, amount, setting, both errors and the interval wherever ert is worse than dlib."""
    for part in [*measured["curves"].values(), *measured["ytf"].values()]:
        for setting in SETTINGS:
            both = zip(part["nme"][setting], part["nme"]["dlib"], part["minus dlib, 95 %"][setting], strict=True)
            for amount, (ours, theirs, interval) in zip(part["amounts"] or [None], both, strict=True):
                if ours > theirs:
                    yield part["what"], amount, setting, ours, theirs, interval


def bars(curves, setting):
    """Yield each requirement on shift, scale and roll, whether it is met, and the measured value."""
    for name, usual, what, unit in (
        ("shift", 0, f"box shifted by at most {WITHIN_SHIFT} %", "%"),
        ("scale", 1, f"box scaled by at most {100 * WITHIN_SCALE:g} %", "times"),
    ):
        errors = dict(zip(curves[name]["amounts"], curves[name]["nme"][setting], strict=True))
        reach = WITHIN_SHIFT if name == "shift" else WITHIN_SCALE
        more = {
            amount: error - errors[usual]
            for amount, error in errors.items()
            if abs(amount - usual) <= reach + 1e-9 and amount != usual
        }
        amount = max(more, key=more.__getitem__)
        yield (
            f"{what}: at most +{MORE_THAN_UNMOVED}",
            more[amount] <= MORE_THAN_UNMOVED,
            f"{more[amount]:+.2f} at {amount:g} {unit}",
        )
    errors = dict(zip(curves["roll"]["amounts"], curves["roll"]["nme"][setting], strict=True))
    times = errors[WITHIN_ROLL] / errors[0]
    what = f"rolled by {WITHIN_ROLL} degrees: at most {TIMES_UPRIGHT} times the upright error"
    yield what, times <= TIMES_UPRIGHT, f"{times:.2f} times"


def verdicts(measured):
    """Return the lines about the requirements, and about where ert is worse than dlib."""
    found = list(worse(measured))
    lines = ["| requirement | " + " | ".join(SETTINGS) + " |", "| --- |" + " --- |" * len(SETTINGS)]
    for both in zip(*(bars(measured["curves"], setting) for setting in SETTINGS), strict=True):
        cells = [f"{'met' if holds else 'not met'}: {how}" for _, holds, how in both]
        lines.append(f"| {both[0][0]} | " + " | ".join(cells) + " |")
    counts = [sum(setting == each[2] for each in found) for setting in SETTINGS]
    cells = [f"not met: {count} figures" if count else "met" for count in counts]
    lines += ["| never worse than dlib | " + " | ".join(cells) + " |", ""]
    roll = measured["curves"]["roll"]
    if SEARCHING in roll["nme"]:
        rolled = dict(zip(roll["amounts"], roll["nme"][SEARCHING], strict=True))
        times = f"{rolled[WITHIN_ROLL] / rolled[0]:.2f} times the upright error"
        lines += [f"With `max_roll=45`, the error of faces rotated by {WITHIN_ROLL} degrees is {times}.", ""]
    if not found:
        return [*lines, "In no condition is the error of `ert` larger than that of dlib."]
    lines += ["The error of `ert` is larger than that of dlib in these conditions:", ""]
    for what, amount, setting, ours, theirs, (low, high) in found:
        where = what if amount is None else f"{what}, {amount:g}"
        interval = f"difference {low:.2f} to {high:.2f}" + ("" if low > 0 else "; not significant")
        lines.append(f"- {where}, `{setting}`: {ours:.2f} against {theirs:.2f} ({interval})")
    return lines


def lines_of_page(measured):
    lines = verdicts(measured)
    for part in [*measured["curves"].values(), *measured["ytf"].values()]:
        lines += ["", *table(part)]
    frames = next(iter(measured["ytf"].values()))
    numbers = measured["versions"]
    versions = f"dlib {numbers['dlib-bin']}, OpenCV {numbers['opencv-python-headless']}"
    return [
        *lines,
        "",
        f"{measured['faces']} faces; {frames['frames']} frames, {frames['found']} with a detected face. "
        f"`{measured['model']}`; {versions}; {measured['cpu']}; {measured['date']}.",
    ]


# The figure.


def draw_curve(axes, name, part):
    for tool, means in part["nme"].items():
        axes.plot(part["amounts"], means, label=tool, linewidth=1.6, markersize=3.5, **STYLES[tool])
    kind = name.partition(",")[0]
    if kind in LOGARITHMIC:
        axes.set_xscale("log")
        axes.minorticks_off()
    if kind in FALLING:
        axes.invert_xaxis()
    axes.set_xticks(part["amounts"], [f"{amount:g}" for amount in part["amounts"]])
    if len(part["amounts"]) > 7:
        axes.tick_params(axis="x", labelsize=7)
    axes.set_ylim(0, MAX_ERROR_PERCENT)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)


def draw_frames(axes, part):
    for tool, shares in part["share of frames"].items():
        axes.plot(part["levels"], [100 * share for share in shares], linewidth=1.6, **STYLES[tool] | {"marker": ""})
    axes.set_xlim(0, part["levels"][-1])
    axes.set_ylim(0, 100)
    axes.set_xlabel("% of the frames with at most this error", fontsize=8)
    axes.grid(color="#dddddd", linewidth=0.6)


def draw(measured, file):
    pyplot = quiet_pyplot()
    panels = [*measured["curves"].items(), *measured["ytf"].items()]
    n_rows = -(-(len(panels) + 1) // 3)
    figure, grid = pyplot.subplots(n_rows, 3, figsize=(9.5, 2.1 * n_rows + 0.4), layout="constrained")
    for (name, part), axes in zip(panels, grid.flat, strict=False):
        axes.tick_params(labelsize=8)
        draw_curve(axes, name, part) if part["amounts"] else draw_frames(axes, part)
        axes.set_title(part["what"].replace(": ", ":\n"), loc="left", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    lines = {line.get_label(): line for axes in grid.flat[: len(measured["curves"])] for line in axes.get_lines()}
    grid.flat[len(panels)].legend(lines.values(), lines, loc="center left", frameon=False, fontsize=9.5)
    title = f"mean error, NME inter-pupil in % (the panels end at {MAX_ERROR_PERCENT})"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    save_figure(figure, file)


def main():
    measured = result("robustness")
    draw(measured, FIGURE)
    common.write_figures(PAGE, lines_of_page(measured))


if __name__ == "__main__":
    main()
