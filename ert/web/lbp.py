"""The face detector of pages: the cascade of local binary patterns that scikit-image brings, as compact JSON.

The file names no author and no terms. scikit-image says of it that it "is part of the OpenCV repository", where it is
``data/lbpcascades/lbpcascade_frontalface.xml``. OpenCV was under a 3-clause BSD license up to version 4.4, and is under
the Apache License 2.0 since version 4.5.
"""

import xml.etree.ElementTree as ET
from typing import Any

# What a page that contains the cascade has to say.
CASCADE_SOURCE = (
    "lbpcascade_frontalface.xml of OpenCV (https://github.com/opencv/opencv/tree/master/data/lbpcascades), as "
    "scikit-image distributes it. The file names no author and no terms. OpenCV was under a 3-clause BSD license up to "
    "version 4.4, and is under the Apache License 2.0 since version 4.5."
)


def face_cascade() -> dict[str, Any]:
    """Return the cascade that detector "lbp" of :func:`ert.detect_faces` uses, for ``FaceDetector`` of faces.js.

    Returns
    -------
    dict
        ``window``: width and height in pixels. ``features``: x, y and the size of one of 3 x 3 blocks. ``stages``: a
        threshold each, and decisions of a feature's number, 256 bits as eight integers of 32, and what is added to the
        score where the bit of the feature's pattern is 1 and where it is 0.
    """
    from skimage.data import lbp_frontal_face_cascade_filename

    file = lbp_frontal_face_cascade_filename()  # type: ignore[no-untyped-call]
    root = ET.parse(file).getroot()[0]
    return {
        "source": CASCADE_SOURCE,
        "window": [int(_text(root, "width")), int(_text(root, "height"))],
        "features": [[int(number) for number in _text(each, "rect").split()] for each in root.iterfind("features/_")],
        "stages": [
            {
                "threshold": _rounded(_text(stage, "stageThreshold")),
                "decisions": [_decision(each) for each in stage.iterfind("weakClassifiers/_")],
            }
            for stage in root.iterfind("stages/_")
        ],
    }


def _decision(element: ET.Element) -> list[float]:
    # The first two numbers are those of the next nodes; there is one node only.
    feature, *bits = [int(number) for number in _text(element, "internalNodes").split()[2:]]
    return [feature, *bits, *(_rounded(number) for number in _text(element, "leafValues").split())]


def _rounded(number: str) -> float:
    # The file has more digits than the 32 bits that they were.
    return float(f"{float(number):.9g}")


def _text(element: ET.Element, name: str) -> str:
    return element.findtext(name) or ""
