"""HTML pages that stand alone: one file, no script, nothing from the network, pictures inside."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from ert._core.exceptions import one_line

__all__ = [
    "facts",
    "figure",
    "gallery",
    "key_figures",
    "page",
    "plain",
    "table",
]


_JPEG_QUALITY = 85

# The policy keeps the promise: a browser loads nothing for such a page but what is in it.
_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
"""

_STYLE = """\
:root { --ink: #1c1f24; --quiet: #565c66; --line: #d9dde3; --shade: #f4f6f8; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; overflow-wrap: anywhere; }
main { max-width: 62rem; margin: 0 auto; padding: 1.25rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p { margin: 0 0 .75rem; max-width: 44rem; }
.lead, figcaption, caption, .note { color: var(--quiet); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; margin: 1rem 0; padding: 0; }
a { color: var(--accent); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 3px solid var(--accent);
  outline-offset: 2px; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0 0; }
.figures div { background: var(--shade); border-radius: .5rem; padding: .75rem; display: flex;
  flex-direction: column; }
.figures dt { font-size: .85rem; color: var(--quiet); }
.figures dd { margin: 0; font-size: .8rem; color: var(--quiet); }
.figures dd.value { font-size: 1.45rem; line-height: 1.3; color: var(--ink); font-variant-numeric:
  tabular-nums; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 1.25rem 2rem; align-items: start; }
.columns > * { min-width: 0; }
figure { margin: 0; }
figure > svg { display: block; width: 100%; max-width: 34rem; height: auto; }
figcaption { font-size: .85rem; margin-top: .35rem; max-width: 44rem; }
.scroll { overflow-x: auto; margin: 0 0 1.25rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; min-width: 100%; }
caption { text-align: left; padding-bottom: .35rem; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; font-weight: 400; overflow-wrap: normal; }
thead th { color: var(--quiet); border-bottom-color: var(--quiet); vertical-align: bottom; }
table.numbers td, table.numbers thead th + th { text-align: right; padding: .3rem 0 .3rem .75rem; }
table.numbers td { white-space: nowrap; }
table.numbers tbody th { min-width: 6.5rem; }
details { margin: 0 0 1.25rem; }
summary { cursor: pointer; color: var(--accent); margin-bottom: .5rem; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .75rem;
  list-style: none; margin: 0 0 1.5rem; padding: 0; }
.gallery img { display: block; width: 100%; height: auto; border-radius: .35rem; }
.facts { display: grid; grid-template-columns: minmax(6.5rem, max-content) 1fr; gap: .2rem 1rem;
  margin: 0 0 1.25rem; font-size: .95rem; }
.facts dt { color: var(--quiet); }
.facts dd { margin: 0; }
progress { width: 100%; max-width: 44rem; height: 1rem; accent-color: var(--accent); }
@media print { .scroll { overflow: visible; } h2, figure, tr { break-inside: avoid; } }
"""


def plain(text: object) -> str:
    """Make of a text, wherever it comes from, HTML that shows it: one line, printable, not long."""
    return escape(one_line(str(text)))


def page(
    title: str, lead: str, sections: Sequence[tuple[str, str]], *, top: str = "", refresh: int | None = None
) -> str:
    """Put a page together.

    Parameters
    ----------
    title : str
        Plain text, as is `lead`, which stands below it.
    lead : str
    sections : sequence of (heading, HTML)
        Headings are plain text.
    top : str
        HTML that stands above the first section.
    refresh : int, optional
        Seconds after which a browser is to load the page again.

    Returns
    -------
    str
        HTML, to be written as UTF-8.
    """
    head = [_HEAD]
    if refresh is not None:
        head.append(f'<meta http-equiv="refresh" content="{refresh}">\n')
    head.append(f"<title>{plain(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n<main>\n")
    body = [f'<header>\n<h1>{plain(title)}</h1>\n<p class="lead">{plain(lead)}</p>\n</header>\n']
    if len(sections) > 3:
        links = "\n".join(
            f'<li><a href="#s{i}">{plain(heading)}</a></li>' for i, (heading, _) in enumerate(sections)
        )
        body.append(f'<nav aria-label="Contents"><ul>\n{links}\n</ul></nav>\n')
    body.append(top)
    for i, (heading, html) in enumerate(sections):
        body.append(
            f'<section aria-labelledby="s{i}">\n<h2 id="s{i}">{plain(heading)}</h2>\n{html}\n</section>\n'
        )
    return "".join([*head, *body, "</main>\n</body>\n</html>\n"])


def table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: bool = True
) -> str:
    """Return a table; the first cell of a row is its header.

    Parameters
    ----------
    caption : str
        Plain text, as is all in the table.
    head : sequence of str
    rows : sequence of sequence of str
    numbers : bool
        Whether what follows the first column is set to the right.
    """
    heads = "".join(f'<th scope="col">{plain(cell)}</th>' for cell in head)
    lines = [
        f'<tr><th scope="row">{plain(first)}</th>{"".join(f"<td>{plain(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    ]
    body, kind = "\n".join(lines), ' class="numbers"' if numbers else ""
    # A wide table scrolls by itself on a narrow screen, by the keyboard too.
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{plain(caption)}">\n'
        f"<table{kind}>\n<caption>{plain(caption)}</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>\n"
    )


def key_figures(figures: Sequence[tuple[str, str, str]]) -> str:
    """Return a row of figures: for each what it is, its value, and a remark."""
    items = "\n".join(
        f'<div><dt>{plain(name)}</dt><dd class="value">{plain(value)}</dd><dd>{plain(remark)}</dd></div>'
        for name, value, remark in figures
    )
    return f'<dl class="figures">\n{items}\n</dl>\n'


def facts(pairs: Mapping[str, object]) -> str:
    """Return a list of names and what they stand for."""
    items = "\n".join(f"<dt>{plain(name)}</dt><dd>{plain(value)}</dd>" for name, value in pairs.items())
    return f'<dl class="facts">\n{items}\n</dl>\n'


def figure(svg: str, caption: str) -> str:
    """Return a drawing with a caption."""
    return f"<figure>\n{svg}\n<figcaption>{plain(caption)}</figcaption>\n</figure>\n"


def gallery(pictures: Sequence[tuple[NDArray[np.uint8], str, str]]) -> str:
    """Return pictures side by side: for each the pixels (rows, columns, 3), its text, and what it shows."""
    items = []
    for image, caption, alt in pictures:
        rows, columns = image.shape[:2]
        items.append(
            f'<li><figure><img src="{_data_uri(image)}" width="{columns}" height="{rows}" alt="{plain(alt)}">'
            f"<figcaption>{plain(caption)}</figcaption></figure></li>"
        )
    return '<ul class="gallery">\n' + "\n".join(items) + "\n</ul>\n"


def _data_uri(image: NDArray[np.uint8]) -> str:
    from PIL import Image

    data = BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + b64encode(data.getvalue()).decode("ascii")
