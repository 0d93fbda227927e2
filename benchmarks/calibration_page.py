"""Draw docs/confidence.svg and write the figures of docs/confidence.md from benchmarks/results/.

python benchmarks/calibration_page.py
"""

import common
from common import result

PAGE, FIGURE = common.ROOT / "docs" / "confidence.md", common.ROOT / "docs" / "confidence.svg"
# Targets: coverage of 90 % intervals, area under the ROC curve of failed faces, share of boxes without a face
# that are rejected while 95 % of the faces are kept, relative time of a prediction with standard errors.
COVERAGE, AUC, REJECTED, TIMES = (0.87, 0.93), 0.90, 0.95, 1.30


def percent(share):
    return f"{100 * share:.1f} %"


def verdicts(measured):
    """Yield each target, whether it is met, and the measured value."""
    at = measured["levels"].index(0.9)
    for name, shares in measured["coverage"].items():
        if name.startswith("boxes"):
            low, high = COVERAGE
            target = f"90 % intervals contain {100 * low:.0f} to {100 * high:.0f} % of the landmarks, {name}"
            yield target, low <= shares[at] <= high, percent(shares[at])
    for name, part in measured["failed"].items():
        if part["auc"] is not None:
            target = f"detection of failed faces, {name}: area under the ROC curve at least {AUC:g}"
            found = f"{part['auc']:.3f} ({part['failed']} of {part['faces']} failed)"
            yield target, part["auc"] >= AUC, found
    for name, part in measured["rejected"].items():
        target = f"{name}: at least {100 * REJECTED:.0f} % rejected, 95 % of the faces kept"
        yield target, part["rejected"] >= REJECTED, f"{percent(part['rejected'])} of {part['squares']}"
    times = measured["milliseconds"]
    ratio = times["predict with std"] / times["predict"]
    yield (
        f"time with standard errors at most {TIMES:g} times that without",
        ratio <= TIMES,
        f"{ratio:.2f} times",
    )


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " --- |" * (len(head) - 1)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]


def tenths(rows):
    return [
        (percent(row["probability"]), percent(row["share"]), f"{row['count']}", percent(row["weight"]))
        for row in rows
    ]


def lines_of_page(measured):
    lines = table(
        ("target", "", "measured"),
        [(target, "met" if met else "not met", found) for target, met, found in verdicts(measured)],
    )
    levels = [f"{100 * level:.0f} %" for level in measured["levels"]]
    lines += ["", "Share of the landmarks within the circles of each nominal coverage:", ""]
    lines += table(
        ("faces", *levels),
        [(name, *map(percent, shares)) for name, shares in measured["coverage"].items()],
    )
    fifths = measured["coverage by expected error"]
    lines += [
        "",
        "Coverage of the 90 % circles by quintiles of the standard error (its mean, in % of inter-ocular):",
        "",
    ]
    lines += table(
        ("faces", "smallest", "", "", "", "largest"),
        [
            (name, *(f"{percent(fifth['share'])} ({fifth['std']:.1f})" for fifth in row))
            for name, row in fifths.items()
        ],
    )
    head = ("predicted", "observed", "count", "weight")
    lines += ["", "`within`: a landmark is within 5 % of inter-ocular:", ""]
    lines += table(head, tenths(measured["within"]))
    lines += ["", "`confidence`, for faces and background, with a weight of 10 % for background:", ""]
    lines += table(head, tenths(measured["confidence"]))
    times = ", ".join(f"{name} {value:.3f} ms" for name, value in measured["milliseconds"].items())
    return [
        *lines,
        "",
        f"Median time of a call for one face, one thread, interleaved: {times}.",
        "",
        f"{measured['faces']} faces, `{measured['model']}`; {measured['cpu']}; {measured['date']}.",
    ]


def main():
    from ert.plotting.charts import plot_reliability

    measured = result("calibration")
    tables = {"landmark within 5 %": measured["within"], "a face, not failed": measured["confidence"]}
    plot_reliability(tables).save(FIGURE)
    common.write_figures(PAGE, lines_of_page(measured))


if __name__ == "__main__":
    main()
