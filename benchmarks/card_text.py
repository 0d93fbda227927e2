"""The text of a model's card, made from its figures alone."""

import re
import textwrap

DETECTORS = {"dlib": "dlib's HOG detector", "haar": "OpenCV's Haar cascade"}
# The columns of the tables; and of those cut at quartiles, what their lowest and highest groups are.
COLUMNS = {
    "yaw": ("Turn of the head", ("that are turned least", "that are turned most")),
    "roll": ("Tilt of the head", ("that are most upright", "that are tilted most")),
    "size": ("Size", ("that are smallest", "that are largest")),
    "brightness": (
        "Brightness of the skin",
        ("with the darkest skin region", "with the brightest skin region"),
    ),
    "mouth": ("Expression", ("with the most closed mouths", "with the widest open mouths")),
    "source": ("Source of the image", None),
}

CARD = """\
# {name}

Locates the {landmarks} points of 300-W on a face, given a gray or RGB image and the face's box. Mean error
on {faces} test faces, in % of the inter-ocular distance: {headline}.

Written by [benchmarks/model_card.py](../../benchmarks/model_card.py) on {date} from the figures in
[model_card.json](../../benchmarks/results/model_card.json). In brackets stand 95 % bootstrap intervals over
faces.

## The model

A cascade of regression trees (Kazemi & Sullivan, CVPR 2014): {stages} stages, {trees:,} trees of {leaves}
leaves, a leaf {components} numbers of {bits} bits; {numbers:,} numbers in all, {megabytes:.2f} MB as a
file. It learned from {objects:,} boxes of faces ({samples:,} samples).

{notes}

Trained by

```
python benchmarks/train_bundled.py --only {name}
```

with these parameters of `ert.ShapePredictor`, all others as they are by default:

{parameters}.

## Accuracy

On the {faces} test faces of HELEN, none of which it learned from. Faces that the detector missed are
included, in the boxes that it would typically have drawn. NME is the mean distance of the points from the
truth over the distance between the pupils or between the outer eye corners; a face is a failure above 8 %
of the latter, where the AUC ends too.

{accuracy}

![Cumulative error distributions]({name}_ced.svg)

## Point by point

The mean error of each landmark, drawn on the mean shape of the model (boxes of {detector}):

![Mean error of each landmark]({name}_landmarks.svg)

{regions}

## Who is it worse for?

The test faces in groups by what was measured on their true points and on pixels; numbers are cut at their
quartiles, and a limit belongs to the group above it. Signs are dropped: left and right are one. Boxes of
{detector}, {starts}. "Times others" is the mean error over that of all other faces. Errors in % of the box
round the true landmarks, sqrt(width x height), stand beside those in % of the inter-ocular distance,
because turned faces have their eyes nearer together in the picture, which alone makes the latter larger.

{groups}

## Limits

What these tables show, and no more:

{limits}

The lowest and highest groups make {comparisons} comparisons; of twenty without any difference one would
look like one. The data says nothing of age, sex, skin color, glasses or what hides parts of a face, and so
neither does this card. Where you know them of faces of your own, this measures by them:

```
ert evaluate {name} FACES --by yaw,age --columns known.csv
```

## The worst faces

`python benchmarks/model_card.py` draws the {worst} worst faces, the true points in white and those that
were found in blue, to `runs/{name}_worst{worst}.jpg`. It is not here, for the pictures of 300-W may not be
passed on.

{versions}
"""


def card(result):
    """Return the text of the card of the figures that `model_card.main` gathers."""
    model, made = result["model"], result["made"]
    headline = " and ".join(
        f"{_estimate(found['NME inter-ocular'])} with boxes of {DETECTORS[detector]}"
        for detector, found in result["accuracy"][model["name"]].items()
    )
    versions = [f"{name} {made['versions'][name]}" for name in ("ert-landmarks", "numpy", "numba")]
    inits = f"{model['starts']} starts" if model["starts"] > 1 else "one start, as by default"
    text = CARD.format(
        **{key: value for key, value in model.items() if key not in ("notes", "parameters", "starts")},
        notes="\n".join(f"- {key}: {text}" for key, text in model["notes"].items()),
        parameters=", ".join(f"`{name}={value!r}`" for name, value in model["parameters"].items()),
        inits=inits,
        faces=result["faces"],
        headline=headline,
        date=made["date"],
        accuracy="\n".join(_accuracy(result["accuracy"])),
        detector=next(iter(DETECTORS.values())),
        regions="\n".join(_regions(result["regions"])),
        groups="\n\n".join(_groups(result["by"])),
        limits="\n".join(f"- {sentence}" for sentence in limits(result)),
        comparisons=len(result["extremes"]),
        worst=result["worst drawn"],
        versions=f"Measured with {', '.join(versions)}.",
    )
    return _filled(text)


def _filled(text):
    """Break paragraphs and items into lines; what Markdown needs in one piece stays so."""
    blocks = []
    for block in text.strip().split("\n\n"):
        if block.startswith(("|", "#", "!", "```")):
            blocks.append(block)
            continue
        pieces = re.split(r"\n(?=- )", block) if block.startswith("- ") else [block]
        how = {"break_long_words": False, "break_on_hyphens": False}
        indent = "  " if block.startswith("- ") else ""
        blocks.append(
            "\n".join(textwrap.fill(piece, 118, subsequent_indent=indent, **how) for piece in pieces)
        )
    return "\n\n".join(blocks) + "\n"


def limits(result):
    """Yield what the figures show of the model's limits, in words."""
    yield from _extremes(result["extremes"])
    for pair in result["together"]:
        first, second = (f"`{name}`" for name in pair["columns"])
        yield (
            f"{first} and {second} go together (rank correlation {pair['correlation']:.2f}): these tables "
            "cannot tell which of the two makes an error."
        )
    for detector, found in result["missed"].items():
        if found and found["interval_95"][0] > 1:
            yield (
                f"The {found['faces']} faces that {DETECTORS[detector]} missed have **{found['ratio']:.2f} "
                f"times** the error of those that it found ({_span(found['interval_95'])}), in the boxes "
                "that it would typically have drawn."
            )
    faces = result["faces"]
    for detector, found in result["accuracy"][result["model"]["name"]].items():
        failures = round(found["failure rate"]["mean"] * faces)
        yield (
            f"With boxes of {DETECTORS[detector]} {failures} of {faces} faces have an error above 8 % of the "
            f"inter-ocular distance; the worst has {found['worst inter-ocular']:.1f} %."
        )
    regions = result["regions"]
    worst, best = max(regions, key=regions.get), min(regions, key=regions.get)
    yield (
        f"Of the parts of the face the {_words(worst)} is the least exact ({regions[worst]:.2f} %), with "
        f"{regions[worst] / regions[best]:.1f} times the error of the {_words(best)} ({regions[best]:.2f} %)."
    )
    sources = result["by"]["inter-ocular"]["columns"]["source"]["groups"]
    if len(sources) == 1:
        source = sources[0]["group"]
        yield f"All test faces are from one source, `{source}`: of faces from elsewhere nothing is known."


def _extremes(compared):
    worse = [each for each in compared if each["inter-ocular"]["interval_95"][0] > 1]
    for each in sorted(worse, key=lambda each: -each["inter-ocular"]["ratio"]):
        eyes, box = each["inter-ocular"], each["box"]
        in_box = f"{box['ratio']:.2f} ({_span(box['interval_95'])})"
        if box["interval_95"][0] <= 1:
            in_box += ", which may be no difference"
        yield (
            f"The {eyes['faces']} faces {each['words']} (`{each['column']}` {each['group']}) have "
            f"**{eyes['ratio']:.2f} times** the error of the others ({_span(eyes['interval_95'])}); in % of "
            f"the box round the landmarks {in_box}."
        )
    unclear = []
    for each in compared:
        low, high = each["inter-ocular"]["interval_95"]
        if low <= 1 <= high:
            unclear.append(f"{each['words']}: {each['inter-ocular']['ratio']:.2f} ({_span((low, high))})")
    if unclear:
        listed = "; those ".join(unclear)
        yield f"Whether these differ from the others, so few faces cannot tell: those {listed}."


def _accuracy(models):
    yield "| model | boxes | NME inter-pupil, % | NME inter-ocular, % | over 8 %, % of faces | AUC |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, of_boxes in models.items():
        for detector, found in of_boxes.items():
            cells = [
                name,
                detector,
                _estimate(found["NME inter-pupil"]),
                _estimate(found["NME inter-ocular"]),
                _estimate(found["failure rate"], 1, 100),
                _estimate(found["AUC"], 3),
            ]
            yield _row(cells)


def _regions(regions):
    yield "| part of the face | mean error, % of the inter-ocular distance |"
    yield "| --- | --- |"
    for region, error in regions.items():
        yield _row([_words(region), f"{error:.2f}"])


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
        yield _row(
            [row["group"], str(row["n"]), *_error(row)[:1], failures, *_error(row)[1:], *_error(in_box)]
        )


def _error(row):
    interval = f" ({_span(row['interval_95'])})" if row["interval_95"] else ""
    return f"{row['mean']:.2f}{interval}", f"{row['times_others']:.2f}"


def _row(cells):
    return f"| {' | '.join(cells)} |"


def _estimate(found, digits=2, factor=1):
    return f"{factor * found['mean']:.{digits}f} ({_span(found['interval_95'], digits, factor)})"


def _span(pair, digits=2, factor=1):
    return " to ".join(f"{factor * number:.{digits}f}" for number in pair)


def _words(region):
    return region.replace("_", " ")
