"""The text of the cards of the smaller bundled models, and of the index of all cards, generated from their figures."""

import common
from card_text import DETECTORS, MODEL, accuracy_rows, estimated, filled, limits, region_rows, table_row

WHAT = {
    "face68-small": "Locates the 68 landmarks of 300-W on a face, given a gray or RGB image and the box of the face. "
    "It is smaller and faster than [face68](face68.md), which has smaller errors.",
    "face5": "Locates 5 landmarks of a face, given a gray or RGB image and the box of the face: the outer and the "
    "inner corner of each eye, and the base of the nose, in the order of dlib's model of 5 points. They are the "
    "landmarks 45, 42, 36, 39 and 33 of 300-W.",
}
FOR = {
    "face68-small": "For web pages, phones and other places where the size of the file or the time of a face counts.",
    "face5": "For turning and cropping faces, for example before they are recognized.",
}

CARD = (
    """\
# {name}

{what}

{use} Mean error on {faces} test faces, in % of the inter-ocular distance: {headline}.

`benchmarks/model_card.py` wrote this page on {date} from the figures in `benchmarks/results/model_card_others.json`.
Brackets contain 95 % bootstrap intervals over faces.

"""
    + MODEL
    + """\
## Accuracy

Measured on the {faces} test faces of HELEN, which it was not trained on. Faces that the detector missed are
included, with the boxes that it typically draws around such landmarks. NME is the mean distance of the
landmarks from the true ones, divided by the distance between the pupils or between the outer eye corners of the
68 annotated landmarks. Failures are faces with an error above 8 % of the latter, which is also the limit of the
AUC. "accurate" is `mode="accurate"`; {rival}

{accuracy}

![Cumulative error distributions]({name}_ced.svg)

{regions}

## Limits

Groups are the quartiles of an attribute, as on [the card of face68](face68.md#error-by-groups-of-faces).

{limits}
- It has no confidence model: `return_std=True` and a `confidence` need [face68](face68.md).
- Age, skin color and occlusion are not annotated in the test data and were not measured. For whom `face68` is worse
is on [its card](face68.md#who-it-is-worse-for); this model was trained on the same faces, and was not measured on
those groups.

## Terms

The code is free software, but this model was trained on 300-W and MTFL, which are for research, not for commercial use.
`LICENSE-MODELS` in the repository has the terms, and what publications that use the model cite.

{versions}
"""
)

INDEX = """\
# Model cards

Three models for faces are in the package; `ert models` lists them, and `ert.load("face68")` loads one. They need the
box of the face, which `ert.detect_faces` or another detector draws. Each has a card that says what it was trained on,
how large its errors are, and for which faces they are larger.

```{{toctree}}
:hidden:
{names}
```

{table}

NME is the mean distance of the landmarks from the true ones on the 330 test faces of HELEN, in % of the distance
between the outer eye corners, with boxes of dlib's HOG detector and of OpenCV's Haar cascade. The error of 5
landmarks does not compare with that of 68.{time}

All three were trained on the same faces, by `python benchmarks/train_bundled.py`: 2012 faces of 300-W with their mirror
images, and 8,820 faces of MTFL whose landmarks a network has marked. These collections are **for research, not for
commercial use**, and so are the models (`LICENSE-MODELS` in the repository). A model that you train on photos of
your own is not subject to these terms.

`python benchmarks/model_card.py` wrote this page and the cards on {date} ({cpu}).
"""

# The rows of predict_vs_dlib.json.
TIMES = {"face68": "face68 against the public 68-point model", "face68-small": "face68-small, against the same"}


def short_card(result):
    """Return the text of the card of a smaller model for the figures that `model_card.main` collects."""
    model, made = result["model"], result["made"]
    name = model["name"]
    headline = " and ".join(
        f"{estimated(found['NME inter-ocular'])} with boxes of {DETECTORS[detector]}"
        for detector, found in result["accuracy"][name].items()
    )
    rival = (
        "dlib's predictor was trained with its default options on the 2012 faces of 300-W, and gets the same pixels "
        "and boxes."
    )
    versions = ", ".join(f"{each} {made['versions'][each]}" for each in ("ert-landmarks", "numpy", "numba"))
    text = CARD.format(
        **{key: value for key, value in model.items() if key not in ("notes", "parameters")},
        what=WHAT[name],
        use=FOR[name],
        notes="\n".join(f"- {key}: {text}" for key, text in model["notes"].items()),
        parameters=", ".join(f"`{key}={value!r}`" for key, value in model["parameters"].items()),
        faces=result["faces"],
        headline=headline,
        date=made["date"],
        time=f" A face takes {_time(name)} on one thread: [Results](../results.md)." if _time(name) else "",
        rival=rival,
        accuracy="\n".join(accuracy_rows(result["accuracy"])),
        regions="\n".join(region_rows(result["regions"])),
        limits="\n".join(f"- {sentence}" for sentence in limits(result)),
        versions=f"Measured on {made['cpu']} with {versions}.",
    )
    return filled(text)


def index(cards, made):
    """Return the text of the index for the figures of all cards."""
    lines = [
        table_row(["model", "landmarks", "stages x trees", "file", "NME, dlib's boxes", "NME, Haar boxes", "a face"])
    ]
    lines.append(table_row(["---"] * 7))
    for name, result in cards.items():
        model = result["model"]
        errors = [estimated(found["NME inter-ocular"]) for found in result["accuracy"][name].values()]
        trees = f"{model['stages']} x {model['trees'] // model['stages']}"
        file = f"{model['megabytes']:.2f} MB"
        lines.append(table_row([f"[{name}]({name}.md)", str(model["landmarks"]), trees, file, *errors, _time(name)]))
    prediction = common.result("predict_vs_dlib")
    time = f' "a face" is the time of a prediction on one thread ({prediction["cpu"]}, {prediction["date"]}).'
    text = INDEX.format(names="\n".join(cards), table="\n".join(lines), time=time, date=made["date"], cpu=made["cpu"])
    return filled(text)


def _time(name):
    """Return the median time of a face, "" where it was not measured."""
    models = common.result("predict_vs_dlib")["models"]
    return f"{models[TIMES[name]]['ert']['median_ms']:.2f} ms" if name in TIMES else ""
