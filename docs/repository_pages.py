"""The links of `CONTRIBUTING.md` and `CHANGELOG.md`, which are pages of the site too.

Their links are relative to the root of the repository. On the site, those to `docs/` and to the examples become links
to pages, also where only the path is named; files that the site does not have are named and not linked.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)")
# A path in the text, neither code nor a part of a link.
PATH = re.compile(r"(?<![\w`/(\[])docs/([\w/-]+\.md)\b(?![`\])])")


def page_of(path):
    """Return the page of a file of the repository, relative to `docs/`; None if it has none."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return "gallery/index" if path.startswith("examples") else None


def adapt(text):
    """Return the text of a file of the root as that of a page of the site."""

    def link(match):
        is_image, label, path, anchor = match.groups()
        page = page_of(path)
        if page is None:
            return f"`{path}`"
        # Without a label, a link has the title of the page.
        return f"{is_image}[{'' if label == path else label}]({page}{anchor or ''})"

    return PATH.sub(r"[](\1)", LINK.sub(link, text))


def link_to_pages(app, path, parent, content):
    """Adapt a file that is included from the root of the repository; called by Sphinx for each that is."""
    if (Path(app.srcdir) / path).resolve().parent == ROOT:
        content[0] = adapt(content[0])
