"""Draw docs/confidence.svg and write the figures of docs/confidence.md, from benchmarks/results/.

python benchmarks/calibration_page.py
"""

import common
from common import result

PAGE, FIGURE = common.ROOT / "docs" / "confidence.md", common.ROOT / "docs" / "confidence.svg"
# Requirements: the coverage of 90 % intervals, the area under the ROC curve for failed faces, the share of
# non-faces rejected when 95 % of the faces are kept, and the time of a prediction with standard errors,
# relative to one without.
COVERAGE, AUC, REJECTED, TIME_RATIO = (0.87, 0.93), 0.90, 0.95, 1.30


def percent(share):
    return f"{100 * share:.1f} %"


def verdicts(measured):
    """Yield each requirement, whether it is met, and the measured value."""
    at = measured["levels"].index(0.9)
    for name, shares in measured["coverage"].items():
        if name.startswith("boxes"):
            met = COVERAGE[0] <= shares[at] <= COVERAGE[1]
            low, high = (100 * share for share in COVERAGE)
            asked = f"90 % intervals cover {low:.0f} to {high:.0f} % of the landmarks, {name}"
            yield asked, met, percent(shares[at])
    for name, part in measured["failed"].items():
        if part["auc"] is not None:
            asked = f"failed faces detected, {name}: area under the ROC curve at least {AUC:g}"
            came = f"{part['auc']:.3f} ({part['failed']} of {part['faces']} failed)"
            yield asked, part["auc"] >= AUC, came
    for name, part in measured["non-faces"].items():
        asked = f"{name}: at least {100 * REJECTED:.0f} % rejected when 95 % of the faces are kept"
        yield asked, part["rejected"] >= REJECTED, f"{percent(part['rejected'])} of {part['squares']}"
    times = measured["milliseconds"]
    ratio = times["predict with std"] / times["predict"]
    yield (
        f"time with standard errors at most {TIME_RATIO:g} times the time without",
        ratio <= TIME_RATIO,
        f"{ratio:.2f} times",
    )


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " --- |" * (len(head) - 1)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]


def tenths(rows):
    return [
        (percent(row["probability"]), percent(row["share"]), f"{row['count']}", percent(row["weight"])) for row in rows
    ]


def lines_of_page(measured):
    lines = table(
        ("requirement", "", "measured"),
        [(asked, "met" if met else "not met", found) for asked, met, found in verdicts(measured)],
    )
    levels = [f"{100 * level:.0f} %" for level in measured["levels"]]
    lines += ["", "Share of the landmarks inside the circles of each nominal coverage:", ""]
    lines += table(("faces", *levels), [(name, *map(percent, shares)) for name, shares in measured["coverage"].items()])
    fifths = measured["coverage by expected error"]
    lines += ["", "Coverage of the 90 % circles by fifths of the standard error (its mean, in % of inter-ocular):", ""]
    lines += table(
        ("faces", "smallest", "", "", "", "largest"),
        [(name, *(f"{percent(fifth['share'])} ({fifth['std']:.1f})" for fifth in row)) for name, row in fifths.items()],
    )
    head = ("predicted", "observed", "number", "share of all")
    lines += [
        "",
        "`within`, the probability that the error of a landmark is at most 5 % of the inter-ocular distance:",
        "",
    ]
    lines += table(head, tenths(measured["within"]))
    lines += ["", "`confidence`, on faces and background, with one box in ten on background:", ""]
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
