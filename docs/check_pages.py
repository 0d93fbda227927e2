"""Check the built pages: python docs/check_pages.py [FOLDER], by default docs/_build.

In the files: one heading of the first level, no level left out, alternative texts of pictures, texts of links, and that
links lead to pages and anchors that exist. In Chromium, from files and without a network: that no page is wider than a
phone, and that the search finds pages. Exits with status 1 and a line for each fault.
"""

import shutil
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lxml import html

PHONE = {"width": 390, "height": 844}
# What the search is asked for, and a page that it must find.
SEARCHES = {"locator": "boxes.html", "detect_faces": "generated/ert.detect_faces.html"}
# Of the pages of the reference, each of this number is opened.
REFERENCE_STEP = 10
# Folders without pages of their own.
NOT_PAGES = ("_static", "_downloads", "_images", "_sources", "_modules")
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


def built_pages(folder):
    """Return the pages in a folder."""
    files = (file for file in folder.rglob("*.html") if file.relative_to(folder).parts[0] not in NOT_PAGES)
    return sorted(file.resolve() for file in files)


@cache
def read_page(file):
    """Return the root of a page."""
    return html.fromstring(file.read_bytes())


@cache
def anchors(file):
    """Return the names of places in a page."""
    return {name for element in read_page(file).iter() for name in (element.get("id"), element.get("name")) if name}


def label(element):
    """Return what a link or a picture is called."""
    names = [element.get("aria-label"), element.get("title"), element.text_content()]
    names += [picture.get("alt") for picture in element.iter("img")]
    return " ".join(name for name in names if name).strip()


def faults_of_text(file):
    """Yield what is wrong with headings, pictures and names of links."""
    root = read_page(file)
    levels = [HEADINGS.index(element.tag) + 1 for element in root.iter(*HEADINGS)]
    if levels.count(1) != 1:
        yield f"{levels.count(1)} headings of the first level"
    for before, level in zip([0, *levels], levels, strict=False):
        if level > before + 1:
            yield f"a heading of level {level} after one of level {before}"
    for picture in root.iter("img"):
        # Beside a thumbnail of the gallery is its title.
        is_thumbnail = any("sphx-glr-thumbcontainer" in (each.get("class") or "") for each in picture.iterancestors())
        if not ((picture.get("alt") or "").strip() or is_thumbnail):
            yield f"no alternative text: {picture.get('src')}"
    for link in root.iter("a"):
        if link.get("href") and not label(link):
            yield f"a link without a text: {link.get('href')}"


def faults_of_links(file):
    """Yield links and pictures that lead nowhere."""
    for element in read_page(file).iter("a", "img", "link", "script"):
        target = element.get("href") or element.get("src")
        if not target:
            continue
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
        if not there.is_file():
            yield f"leads nowhere: {target}"
        elif parts.fragment and there.suffix == ".html" and unquote(parts.fragment) not in anchors(there):
            yield f"no such place in the page: {target}"


def faults_in_browser(folder, files):
    """Yield pages with what is wrong with them on a phone, and searches that find nothing."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=PHONE)
        # As without a network.
        page.route(lambda url: not url.startswith("file:"), lambda route: route.abort())
        reference = [file for file in files if file.parent.name == "generated"]
        # The pages of the reference are alike, and take most of the time.
        for file in [file for file in files if file not in reference] + reference[::REFERENCE_STEP]:
            page.goto(file.as_uri(), wait_until="load")
            width = page.evaluate("document.documentElement.scrollWidth")
            if width > PHONE["width"]:
                yield file, f"{width} pixels wide, expected at most {PHONE['width']}"
        for words, expected in SEARCHES.items():
            page.goto(f"{(folder / 'search.html').as_uri()}?q={words}")
            page.wait_for_function("document.querySelector('.search-summary, .search p')?.textContent.includes(' ')")
            page.wait_for_timeout(500)
            found = page.eval_on_selector_all("ul.search li a", "links => links.map(link => link.href)")
            if not any(urlsplit(link).path.endswith(expected) for link in found):
                yield folder / "search.html", f"{words!r} finds {len(found)} pages, and not {expected}"
        browser.close()


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "_build").resolve()
    files = built_pages(folder)
    if not files:
        raise SystemExit(f"{folder}: no pages, expected those of sphinx-build")
    faults = [(file, text) for file in files for text in (*faults_of_text(file), *faults_of_links(file))]
    if shutil.which("chromium"):
        faults += faults_in_browser(folder, files)
    else:
        print("chromium is not installed: pages are not opened")
    for file, text in faults:
        print(f"{file.relative_to(folder)}: {text}")
    print(f"{len(files)} pages, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
