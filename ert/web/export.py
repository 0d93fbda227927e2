"""A model as a web page: one file that locates landmarks in photos and camera pictures, without Python or a network.

page.html   policy: nothing is loaded but what is here
            style
            import map: each module of ert/web/ and ert/web/page/ as a data URL
            settings, model (compressed) and example as data
            a script that imports app.js
"""

import json
import os
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from importlib import resources
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ert._core.arguments import checked_arguments
from ert._core.exceptions import InputError, one_line
from ert._core.files import check_writable, write_text
from ert._core.images import load_image
from ert._core.types import StrPath
from ert._core.version import __version__
from ert.metrics import normalizer_text
from ert.model.fitted import BOX_SOURCES
from ert.model.schemes import FACE68_CLOSED, FACE68_REGIONS
from ert.predictor import ShapePredictor, load

FOLDER = Path(str(resources.files("ert.web")))
_MAX_TITLE = 200
# The example is shown on a screen; larger ones would make the page slow to open.
_EXAMPLE_PIXELS, _EXAMPLE_QUALITY = 1600, 90
_IMPORT = re.compile(r'^(import\b[^"]*|\} from )"(\.{1,2}/[\w./-]+)"', re.MULTILINE)
_CONSTANT = r"^const {} = (.+);$"
# A browser without import maps does not run the page's modules: only a classic script can say so.
_SUPPORT = """if (!(HTMLScriptElement.supports && HTMLScriptElement.supports("importmap"))) {
  document.getElementById("status").textContent =
    "This browser is too old for this page, which needs Chrome 89, Firefox 113, Safari 16.4 or later.";
}"""
_BOXES = {
    "given": "drawn by you",
    "whole": "the whole photo",
    "face": "from the face detector in this page",
    "learned": "from the locator in the model",
}


@checked_arguments
def export_page(
    model: ShapePredictor | str | os.PathLike[str],
    out: StrPath,
    *,
    title: str | None = None,
    image: StrPath | None = None,
    box_from: str | None = None,
) -> int:
    """Write a web page that locates landmarks with a model: a single HTML file, which needs no server.

    It opens in Chrome 89, Firefox 113, Safari 16.4 and later, by a double click, on a phone too. Photos are dropped or
    chosen, or the camera is used; landmarks are saved as CSV, JSON and on the picture. The page uses no
    network: it has no code for it, and its policy has the browser refuse requests.

    Parameters
    ----------
    model : ShapePredictor, str or path-like
        A fitted model, or a name or file for :func:`ert.load`.
    out : path-like
        The file to write, ending in ``.html``.
    title : str, optional
        The heading of the page; by default "Landmarks by the model" and its name.
    image : path-like, optional
        A photo that is put into the page, reduced to 1600 pixels a side, and shown when it is opened.
    box_from : {"auto", "whole", "face", "learned", "given"}, optional
        Where the boxes of objects come from, as for :func:`ert.predict`; by default the model's own way.

    Returns
    -------
    int
        The size of the page in bytes.

    Raises
    ------
    InputError
        When the model or the photo cannot be read, the title is not a line of text, the model has no locator for boxes
        that are "learned", or the file cannot be written.

    Examples
    --------
    >>> n_bytes = ert.web.export_page("face68", "faces.html")
    """
    check_page(out)
    if title is not None and (not title.strip() or len(title) > _MAX_TITLE or one_line(title, _MAX_TITLE) != title):
        raise InputError(f"title: expected one line of text of at most {_MAX_TITLE} characters")
    name = "model" if isinstance(model, ShapePredictor) else Path(model).stem
    predictor = model if isinstance(model, ShapePredictor) else load(model)
    source = _box_source(predictor, box_from)
    parts = _parts(predictor, source, name, title, image)
    page = _fill((FOLDER / "page" / "page.html").read_text(encoding="utf-8"), parts)
    with write_text(out, "web page") as file:
        file.write(page)
    return len(page.encode())


def check_page(out: StrPath) -> None:
    """Raise InputError unless a page can be written to a file."""
    if Path(out).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out}: expected a file ending in .html")
    check_writable(out, "web page")


def _box_source(model: ShapePredictor, box_from: str | None) -> str:
    source = {"auto": None, "learnt": "learned"}.get(box_from or "auto", box_from) or model.box_source_
    if source not in BOX_SOURCES:
        raise InputError(f"box_from={source!r}: expected one of {', '.join(BOX_SOURCES)}")
    if source == "learned" and model.fitted_.locator is None:
        raise InputError("the model has no locator: train it with ert train --box-from learned")
    return source


def _parts(model: ShapePredictor, source: str, name: str, title: str | None, image: StrPath | None) -> dict[str, str]:
    """Return what takes the place of each name in braces in page.html, as HTML."""
    word = "face" if source == "face" else "object"
    low, high, colors = _color_scale()
    notices = _notices(model, source)
    settings = {
        "name": name,
        "boxSource": source,
        "object": word,
        "links": face68_links() if model.n_landmarks_ == 68 else [],
        "cascade": _face_cascade() if source == "face" else None,
    }
    style = _fill((FOLDER / "page" / "page.css").read_text(encoding="utf-8"), {"colors": colors})
    modules, script = json.dumps({"imports": dict(_modules())}), 'import "app.js";'
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, (modules, _SUPPORT, script)))} data:; "
        f"style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return {
        "version": escape(__version__),
        "policy": policy,
        "title": escape(title or f"Landmarks by the model {one_line(name, _MAX_TITLE)}"),
        # A comment ends with ">", which is escaped.
        "notices": escape("\n\n".join(f"{heading}: {text}" for heading, text in notices)),
        "style": style,
        "modules": modules,
        "lead": escape(
            f"{_count(model.n_landmarks_, 'landmark')} of {'each face' if word == 'face' else 'an object'}."
        ),
        "Objects": f"{word.capitalize()}s",
        "low": low,
        "high": high,
        "about": _about(model, source, name, notices),
        "settings": _in_script(settings),
        "model": b64encode(_model_bytes(model)).decode(),
        "example": "" if image is None else _example(image),
        "support": _SUPPORT,
        "script": script,
    }


def _fill(template: str, parts: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _modules() -> Iterator[tuple[str, str]]:
    """Yield the name and the data URL of each module that app.js needs, itself included.

    A data URL has no folder, so relative imports become names, which the import map resolves.
    """
    waiting, seen = [FOLDER / "page" / "app.js"], set()
    while waiting:
        path = waiting.pop()
        if path.name in seen:
            continue
        seen.add(path.name)
        text = path.read_text(encoding="utf-8")
        waiting += [(path.parent / found[2]).resolve() for found in _IMPORT.finditer(text)]
        named = _IMPORT.sub(lambda found: f'{found[1]}"{Path(found[2]).name}"', text)
        # Browsers name it so in messages, in place of the URL.
        named += f"//# sourceURL={path.name}\n"
        yield path.name, "data:text/javascript;base64," + b64encode(named.encode()).decode()


def _model_bytes(model: ShapePredictor) -> bytes:
    with TemporaryDirectory(prefix="ert-") as folder:
        file = Path(folder, "model.ert")
        model.save(file, compress=True)
        return file.read_bytes()


def _example(image: StrPath) -> str:
    """Return the element of a photo to show at first."""
    from PIL import Image

    picture = Image.fromarray(load_image(image))
    picture.thumbnail((_EXAMPLE_PIXELS, _EXAMPLE_PIXELS), Image.Resampling.LANCZOS)
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=_EXAMPLE_QUALITY)
    name = escape(one_line(f"{Path(image).stem}.jpg", _MAX_TITLE))
    return f'<script id="example" type="text/plain" data-name="{name}">{b64encode(stream.getvalue()).decode()}</script>'


def face68_links() -> list[tuple[int, int]]:
    """Return the pairs of the 68 landmarks of a face that are joined by lines."""
    links = []
    for name, region in FACE68_REGIONS.items():
        links += [(i, i + 1) for i in region[:-1]]
        if name in FACE68_CLOSED:
            links.append((region[-1], region[0]))
    return links


def _face_cascade() -> dict[str, Any]:
    from ert.web.lbp import face_cascade

    return face_cascade()


def _color_scale() -> tuple[str, str, str]:
    """Return the ends of the scale of standard errors in percent, and its colors, as drawing.js has them."""
    text = (FOLDER / "page" / "drawing.js").read_text(encoding="utf-8")

    def constant(name: str) -> Any:
        found = re.search(_CONSTANT.format(name), text, re.MULTILINE)
        assert found is not None, name
        return json.loads(found[1])

    low, high = (f"{100 * constant(name):g}" for name in ("CERTAIN", "UNCERTAIN"))
    return low, high, ", ".join("rgb({} {} {})".format(*color) for color in constant("COLORS"))


def _notices(model: ShapePredictor, source: str) -> list[tuple[str, str]]:
    """Return what is to be known of the terms of all that is in the page."""
    notes = model.summary_["notes"]
    notices = [("Model", notes.get("license", "its author has noted no terms in it"))]
    license = (FOLDER / "page" / "license.txt").read_text(encoding="utf-8").strip()
    if source == "face":
        from ert.web.lbp import CASCADE_SOURCE

        notices.append(("Face detector", CASCADE_SOURCE))
    return [*notices, (f"Program of this page (ert {__version__})", license)]


def _about(model: ShapePredictor, source: str, name: str, notices: list[tuple[str, str]]) -> str:
    """Return facts about the model and the notices as HTML."""
    summary = model.summary_
    facts = {"Model": one_line(name, _MAX_TITLE), "Boxes": _BOXES[source]}
    if summary["n_objects"]:
        facts["Trained on"] = _count(summary["n_objects"], "object")
    if (found := summary.get("validation")) is not None:
        facts["Error of new photos"] = f"{found['error']:.2f} % of the {normalizer_text(found['normalizer'])}"
    facts |= {key[:1].upper() + key[1:]: text for key, text in summary["notes"].items() if key != "license"}
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(str(text))}</dd>" for key, text in facts.items())
    texts = "".join(
        f"<h3>{escape(heading)}</h3>" + (f"<pre>{escape(text)}</pre>" if "\n" in text else f"<p>{escape(text)}</p>")
        for heading, text in notices
    )
    return f"<dl>{rows}</dl>{texts}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _in_script(value: Any) -> str:
    """Return JSON that cannot end the element that it is in."""
    return json.dumps(value, separators=(",", ":")).replace("<", r"\u003c")


def _hash(text: str) -> str:
    """Return the name by which the policy allows an element with this text."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
