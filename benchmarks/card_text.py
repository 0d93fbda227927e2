"""The text of a model card, generated from its figures."""

import re
import textwrap

DETECTORS = {"dlib": "dlib's HOG detector", "haar": "OpenCV's Haar cascade"}
# The heading of each column's table, and for numbers a description of the lowest and the highest group.
COLUMNS = {
    "yaw": ("Yaw", ("with the smallest yaw", "with the largest yaw")),
    "roll": ("Roll", ("with the smallest roll", "with the largest roll")),
    "size": ("Size", ("that are smallest", "that are largest")),
    "brightness": ("Brightness of the skin", ("with the darkest skin region", "with the brightest skin region")),
    "mouth": ("Expression", ("with the most closed mouths", "with the most open mouths")),
    "source": ("Source of the image", None),
}

# The same on each card.
MODEL = """\
## The model

A cascade of regression trees (Kazemi & Sullivan, CVPR 2014): {stages} stages, {trees:,} trees of {leaves}
leaves, {components} numbers of {bits} bits in each leaf; {numbers:,} numbers in all, and a file of
{megabytes:.2f} MB. It was trained on {objects:,} boxes of faces ({samples:,} samples).{time}

{notes}

It was trained by

```
python benchmarks/train_bundled.py --only {name}
```

with these parameters of `ert.ShapePredictor`, and default values for all others:

{parameters}.

"""

CARD = (
    """\
# {name}

Locates the {landmarks} landmarks of 300-W on a face, given a gray or RGB image and the box of the face. Mean
error on {faces} test faces, in % of the inter-ocular distance: {headline}.

`benchmarks/model_card.py` wrote this page on {date} from the figures in `benchmarks/results/model_card.json`.
Brackets contain 95 % bootstrap intervals over faces.

"""
    + MODEL
    + """\
## Accuracy

Measured on the {faces} test faces of HELEN, which it was not trained on. Faces that the detector missed are
included, with the boxes that it typically draws around such landmarks. NME is the mean distance of the
landmarks from the true ones, divided by the distance between the pupils or between the outer eye corners.
Failures are faces with an error above 8 % of the latter, which is also the limit of the AUC. "accurate" is
`mode="accurate"`.

{accuracy}

![Cumulative error distributions]({name}_ced.svg)

## Error of each landmark

The mean error of each landmark, on the mean shape of the model (boxes of {detector}):

![Mean error of each landmark]({name}_landmarks.svg)

{regions}

## Error by groups of faces

The attributes are measured on the true landmarks and on pixels. Numbers are divided into groups at their
quartiles; a limit belongs to the group above it. Signs are ignored, so that left and right are one group.
Boxes of {detector}, `mode="fast"`. "Times others" is the mean error divided by that of all other faces.
Errors are also given in % of the size of the box around the true landmarks, sqrt(width x height), because
the eyes of a face with large yaw are closer together in the image, which increases the inter-ocular error.

{groups}

{attributes}

## Limits

What these tables show:

{limits}

The lowest and highest groups make {comparisons} comparisons; of twenty groups without any difference, one is
expected to show one. Age, skin color and occlusion are not annotated in any of the test data and were not
measured. With your own annotations of such attributes, measure them with:

```
ert evaluate {name} faces.xml --by yaw,age --columns known.csv
```

## The worst faces

`python benchmarks/model_card.py` draws the {worst} faces with the largest errors, true landmarks in white and
predicted ones in blue, to `runs/{name}_worst{worst}.jpg`. The images of 300-W may not be redistributed.

{versions}
"""
)

WORSE_FOR = """\
Measured by `benchmarks/attributes.py` on {faces} faces of the web, photos of MTFL (Zhang et al., ECCV 2014) that no
training used; other photos of MTFL are a part of the training data. They have marked centers of the eyes, tip of the
nose and corners of the mouth. Gender, smile, glasses and pose are as its annotators saw them. The error is that of
the 5 points in % of the distance between the eyes, or between eyes and mouth where it is larger, since the first one
shrinks when a head turns; a constant difference between the definitions of the points is taken off, for each model
its own. "Times others" is the error of `face68` relative to that of all other faces, and "minus dlib" its difference
from dlib's public model on the same faces, which gets the same pixels and boxes; that model was trained on all of
300-W. Faces that the detector missed are counted, and have no error. The groups overlap: the table cannot show which
attribute causes an error."""


def card(result):
    """Return the text of the card for the figures that `model_card.main` collects."""
    model, made = result["model"], result["made"]
    headline = " and ".join(
        f"{estimated(found['NME inter-ocular'])} with boxes of {DETECTORS[detector]}"
        for detector, found in result["accuracy"][model["name"]].items()
    )
    versions = [f"{name} {made['versions'][name]}" for name in ("ert-landmarks", "numpy", "numba")]
    text = CARD.format(
        time="",
        **{key: value for key, value in model.items() if key not in ("notes", "parameters")},
        notes="\n".join(f"- {key}: {text}" for key, text in model["notes"].items()),
        parameters=", ".join(f"`{name}={value!r}`" for name, value in model["parameters"].items()),
        faces=result["faces"],
        headline=headline,
        date=made["date"],
        accuracy="\n".join(accuracy_rows(result["accuracy"])),
        detector=next(iter(DETECTORS.values())),
        regions="\n".join(region_rows(result["regions"])),
        groups="\n\n".join(_groups(result["by"])),
        attributes="\n\n".join(worse_for(result.get("attributes"))),
        limits="\n".join(f"- {sentence}" for sentence in limits(result)),
        comparisons=len(result["extremes"]),
        worst=result["worst drawn"],
        versions=f"Measured on {made['cpu']} with {', '.join(versions)}.",
    )
    return filled(text)


def filled(text):
    """Wrap paragraphs and items; tables, headings and code stay as they are."""
    blocks = []
    for block in text.strip().split("\n\n"):
        if block.startswith(("|", "#", "!", "```")):
            blocks.append(block)
            continue
        pieces = re.split(r"\n(?=- )", block) if block.startswith("- ") else [block]
        how = {"break_long_words": False, "break_on_hyphens": False}
        indent = "  " if block.startswith("- ") else ""
        blocks.append("\n".join(textwrap.fill(piece, 118, subsequent_indent=indent, **how) for piece in pieces))
    return "\n\n".join(blocks) + "\n"


def limits(result):
    """Yield sentences about the limits of the model."""
    yield from _extremes(result["extremes"])
    for pair in result["together"]:
        first, second = (f"`{name}`" for name in pair["columns"])
        yield (
            f"{first} and {second} are correlated (rank correlation {pair['correlation']:.2f}): these tables "
            "cannot show which of the two causes an error."
        )
    for detector, found in result["missed"].items():
        if found and found["interval_95"][0] > 1:
            yield (
                f"The {found['faces']} faces that {DETECTORS[detector]} missed have **{found['ratio']:.2f} "
                f"times** the error of those that it found ({_span(found['interval_95'])}), with the boxes "
                "that it typically draws around such landmarks."
            )
    faces = result["faces"]
    for detector, found in result["accuracy"][result["model"]["name"]].items():
        failures = round(found["failure rate"]["mean"] * faces)
        yield (
            f"With boxes of {DETECTORS[detector]} {failures} of {faces} faces have an error above 8 % of the "
            f"inter-ocular distance; the largest error is {found['worst inter-ocular']:.1f} %."
        )
    regions = result["regions"]
    worst, best = max(regions, key=regions.get), min(regions, key=regions.get)
    yield (
        f"Of the parts of the face the {_words(worst)} has the largest error ({regions[worst]:.2f} %), "
        f"{regions[worst] / regions[best]:.1f} times the error of the {_words(best)} ({regions[best]:.2f} %)."
    )
    sources = result["by"]["inter-ocular"]["columns"]["source"]["groups"]
    if len(sources) == 1:
        source = sources[0]["group"]
        yield f"All test faces are from one source, `{source}`; faces from other sources were not measured."


def worse_for(measured):
    """Yield the paragraphs and tables of errors by attributes of people, of `attributes.py`; None if not measured."""
    yield "## Who it is worse for"
    if measured is None:
        yield "Gender, smiles, glasses and profiles were not measured."
        return
    first, *_ = measured["boxes"].values()
    every = first["groups"][0]
    yield WORSE_FOR.format(faces=every["faces"]).replace("\n", " ")
    for detector, found in measured["boxes"].items():
        yield f"With boxes of {DETECTORS[detector]}:"
        yield "\n".join(_attribute_table(found["groups"]))
    yield "\n".join(f"- {sentence}" for sentence in worse_sentences(measured))


def _attribute_table(groups):
    models = list(groups[0]["models"])
    ours, theirs = models[:-1], models[-1]
    yield table_row(
        ["group", "faces", "missed", *(f"{name}: error, %" for name in models), "times others", "minus dlib"]
    )
    yield table_row(["---"] * (len(models) + 5))
    for row in groups:
        figures = row["models"]
        first = figures[ours[0]]
        others = first.get("times others")
        yield table_row(
            [
                row["group"],
                str(row["faces"]),
                str(row["missed"]),
                *(estimated(figures[name]) for name in (*ours, theirs)),
                f"{others['ratio']:.2f} ({_span(others['interval_95'])})" if others else "",
                estimated(first["minus dlib"]),
            ]
        )


def worse_sentences(measured):
    """Yield in words for whom the model is worse than for others, and where it is worse than dlib's."""
    for detector, found in measured["boxes"].items():
        name = next(iter(found["groups"][0]["models"]))
        boxes = f"With boxes of {DETECTORS[detector]}"
        groups = [row for row in found["groups"] if row["attribute"] != "all"]
        compared = [(row["group"], row["models"][name]["times others"]) for row in groups]
        worse = [(group, each) for group, each in compared if each["interval_95"][0] > 1]
        for group, each in sorted(worse, key=lambda pair: -pair[1]["ratio"]):
            yield (
                f"{boxes} the error of faces in the group *{group}* is **{each['ratio']:.2f} times** that of the "
                f"others ({_span(each['interval_95'])})."
            )
        if not worse:
            yield f"{boxes} no group has a clearly larger error than the others."
        above = [
            f"*{row['group']}*, {model}: {estimated(row['models'][model]['minus dlib'])}"
            for row in found["groups"]
            for model in list(row["models"])[:-1]
            if row["models"][model]["minus dlib"]["mean"] > 0
        ]
        if above:
            yield (
                f"{boxes} the error is larger than that of dlib's public model for {'; '.join(above)}. Where the "
                "interval includes 0, the difference may be chance."
            )
        else:
            yield f"{boxes} the error is smaller than that of dlib's public model in every group."
        worst = max(groups, key=lambda row: row["missed"] / row["faces"])
        every = found["groups"][0]
        yield (
            f"The detector ({DETECTORS[detector]}) missed {every['missed']} of {every['faces']} faces, most often "
            f"those of the group *{worst['group']}*: {worst['missed']} of {worst['faces']}."
        )


def _extremes(compared):
    worse = [each for each in compared if each["inter-ocular"]["interval_95"][0] > 1]
    for each in sorted(worse, key=lambda each: -each["inter-ocular"]["ratio"]):
        eyes, box = each["inter-ocular"], each["box"]
        in_box = f"{box['ratio']:.2f} ({_span(box['interval_95'])})"
        if box["interval_95"][0] <= 1:
            in_box += ", which may be chance"
        yield (
            f"The {eyes['faces']} faces {each['words']} (`{each['column']}` {each['group']}) have "
            f"**{eyes['ratio']:.2f} times** the error of the others ({_span(eyes['interval_95'])}); in % of "
            f"the box around the landmarks {in_box}."
        )
    unclear = []
    for each in compared:
        low, high = each["inter-ocular"]["interval_95"]
        if low <= 1 <= high:
            unclear.append(f"{each['words']}: {each['inter-ocular']['ratio']:.2f} ({_span((low, high))})")
    if unclear:
        listed = "; those ".join(unclear)
        yield f"No difference from the other faces was found for those {listed}."


def accuracy_rows(models):
    yield "| model | boxes | NME inter-pupil, % | NME inter-ocular, % | over 8 %, % of faces | AUC |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, of_boxes in models.items():
        for detector, found in of_boxes.items():
            cells = [
                name,
                detector,
                estimated(found["NME inter-pupil"]),
                estimated(found["NME inter-ocular"]),
                estimated(found["failure rate"], 1, 100),
                estimated(found["AUC"], 3),
            ]
            yield table_row(cells)


def region_rows(regions):
    yield "| part of the face | mean error, % of the inter-ocular distance |"
    yield "| --- | --- |"
    for region, error in regions.items():
        yield table_row([_words(region), f"{error:.2f}"])


def _groups(by):
    for column, found in by["inter-ocular"]["columns"].items():
        groups = found["groups"]
        yield f"### {COLUMNS[column][0]}"
        yield f"`{column}`: {found['about']}."
        if len(groups) == 1:
            yield f"One group only: all {groups[0]['n']} faces are `{groups[0]['group']}`."
        else:
            yield "\n".join(_group_table(groups, by["box"]["columns"][column]["groups"]))


def _group_table(eyes, boxes):
    yield "| group | faces | NME inter-ocular, % | over 8 % | times others | NME box, % | times others |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for row, in_box in zip(eyes, boxes, strict=True):
        failures = f"{row['failure_rate']:.1%}"
        yield table_row([row["group"], str(row["n"]), *_error(row)[:1], failures, *_error(row)[1:], *_error(in_box)])


def _error(row):
    interval = f" ({_span(row['interval_95'])})" if row["interval_95"] else ""
    return f"{row['mean']:.2f}{interval}", f"{row['times_others']:.2f}"


def table_row(cells):
    return f"| {' | '.join(cells)} |"


def estimated(found, digits=2, factor=1):
    return f"{factor * found['mean']:.{digits}f} ({_span(found['interval_95'], digits, factor)})"


def _span(pair, digits=2, factor=1):
    return " to ".join(f"{factor * number:.{digits}f}" for number in pair)


def _words(region):
    return region.replace("_", " ")
