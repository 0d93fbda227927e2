"""Write the figures of docs/annotate.md and docs/web.md, from benchmarks/results/.

python benchmarks/browser_pages.py
"""

import common
from common import result

ANNOTATE, WEB = common.ROOT / "docs" / "annotate.md", common.ROOT / "docs" / "web.md"
MODELS = "face68", "face68-small", "face5"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]


def help_lines(measured):
    """Return what the help of a model saves."""
    rows = []
    for name, one in measured["sets"].items():
        shares = [f"{100 * share:.1f} %" for share in one["random orders"]["shares"]]
        seconds = sum(each["seconds"] for each in one["queue"]["training"])
        row = [name, f"{one['photos']}", f"{one['landmarks']}", f"{one['actions without help']}"]
        rows.append([*row, f"**{100 * one['queue']['share']:.1f} %**", ", ".join(shares), f"{seconds:.0f} s"])
    head = "photos of", "photos", "landmarks", "actions without help", "with help", "in random orders", "training"
    off, first = measured["off beyond, % of the size"], measured["first model at"]
    text = f"""A simulated person annotates the photos of public sets, and places each landmark where the set has it.
Without help, each landmark is an action, and so is finishing the photo. With help, accepting a photo is an action,
and so is each landmark that is off by more than {off} % of the size of the object; the first {first} photos are marked
without help. Training is in seconds of one processor.
""".splitlines()
    return [
        *text,
        "",
        *table(head, rows),
        "",
        f"`benchmarks/annotation_help.py`, {measured['cpu']}, {measured['date']}.",
    ]


def web_lines(parity, speed, fuzz):
    """Return how equal the landmarks are to those of Python, the times, and what became of damaged models."""
    worst = max(parity["largest difference in pixels"].values())
    n = sum(one["objects"] for name, one in parity["differences"]["Node"].items() if name.endswith("fast"))
    rows = []
    for name in MODELS:
        times = speed["milliseconds"][name]
        cells = [f"{times['Chromium'][what][0]:.2f}" for what in ("fast", "fast, color", "accurate")]
        rows.append([f"`{name}`", *cells, f"{times['Chromium']['load'][0]:.0f}", f"{times['Python']['fast'][0]:.3f}"])
    head = "an object, milliseconds", "gray", "color", "`accurate`, gray", "loading", "Python, gray"
    programs = ", ".join(f"{name.capitalize()} {version}" for name, version in speed["versions"].items())
    counts = [chunk["counts"] for chunk in fuzz["chunks"].values()]
    tried = sum(sum(each.values()) for each in counts)
    refused = sum(each.get("refused refused", 0) for each in counts)
    accepted = sum(each.get("refused used", 0) for each in counts)
    return [
        f"The largest difference from Python's landmarks is {worst:.0e} px, for {n} faces, wings, shells and X-rays,",
        "in both modes, in Node and in Chromium (`benchmarks/web_parity.py`).",
        "",
        *table(head, rows),
        "",
        f"`benchmarks/web_speed.py`: medians, one thread, {programs}, {speed['cpu']}, {speed['date']}.",
        "",
        f"Of {tried} damaged models, both refuse {refused}, and JavaScript accepts {accepted} that Python refuses",
        "(`tests/fuzz/run.py --web 20000`).",
    ]


def fill(path, name, lines):
    """Replace what is between the markers of a page."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(f"<!-- {name} -->")
    _, after = rest.split(f"<!-- end of {name} -->")
    path.write_text(f"{before}<!-- {name} -->\n\n" + "\n".join(lines) + f"\n\n<!-- end of {name} -->{after}")


def main():
    fill(ANNOTATE, "help", help_lines(result("annotation_help")))
    fill(WEB, "figures", web_lines(result("web_parity"), result("web_speed"), result("fuzz_web")))


if __name__ == "__main__":
    main()
