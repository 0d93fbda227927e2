"""Draw docs/confidence.svg and write the figures of docs/confidence.md, from benchmarks/results/.

python benchmarks/calibration_page.py
"""

import common
from common import result

PAGE, FIGURE = common.ROOT / "docs" / "confidence.md", common.ROOT / "docs" / "confidence.svg"
# What is asked for: what 90 % intervals hold, the area under the ROC for failed faces, the share told of what
# is no face at 95 % of the faces kept, the time of a prediction with standard errors against that without.
HELD, AUC, TOLD, TIMES = (0.87, 0.93), 0.90, 0.95, 1.30


def percent(share):
    return f"{100 * share:.1f} %"


def verdicts(measured):
    """Yield what is asked for, whether it holds, and how it came out."""
    at = measured["levels"].index(0.9)
    for name, shares in measured["coverage"].items():
        if name.startswith("boxes"):
            holds = HELD[0] <= shares[at] <= HELD[1]
            asked = f"90 % intervals hold {100 * HELD[0]:.0f} to {100 * HELD[1]:.0f} % of the points, {name}"
            yield asked, holds, percent(shares[at])
    for name, part in measured["failed"].items():
        if part["auc"] is not None:
            asked = f"failed faces told from the others, {name}: area under the ROC at least {AUC:g}"
            came = f"{part['auc']:.3f} ({part['failed']} of {part['faces']} failed)"
            yield asked, part["auc"] >= AUC, came
    for name, part in measured["told"].items():
        asked = f"{name}: at least {100 * TOLD:.0f} % told from faces, 95 % of the faces kept"
        yield asked, part["rejected"] >= TOLD, f"{percent(part['rejected'])} of {part['squares']}"
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
        ("asked for", "", "measured"),
        [(asked, "holds" if holds else "does not hold", came) for asked, holds, came in verdicts(measured)],
    )
    levels = [f"{100 * level:.0f} %" for level in measured["levels"]]
    lines += ["", "Share of the points within the circles that are meant to hold so many:", ""]
    lines += table(
        ("faces", *levels),
        [(name, *map(percent, shares)) for name, shares in measured["coverage"].items()],
    )
    fifths = measured["coverage by expected error"]
    lines += [
        "",
        "Of the 90 % circles, by fifths of the standard error (its mean, in % of inter-ocular):",
        "",
    ]
    lines += table(
        ("faces", "smallest", "", "", "", "largest"),
        [
            (name, *(f"{percent(fifth['share'])} ({fifth['std']:.1f})" for fifth in row))
            for name, row in fifths.items()
        ],
    )
    head = ("told", "came true", "number", "of all")
    lines += ["", "`within`: that a landmark lies within 5 % of inter-ocular:", ""]
    lines += table(head, tenths(measured["within"]))
    lines += ["", "`confidence`, of faces and background, one in ten of it background:", ""]
    lines += table(head, tenths(measured["confidence"]))
    times = ", ".join(f"{name} {value:.3f} ms" for name, value in measured["milliseconds"].items())
    return [
        *lines,
        "",
        f"Median of a call for one face, one thread, in turns: {times}.",
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
