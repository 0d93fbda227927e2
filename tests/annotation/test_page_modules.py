"""The modules of the annotation page that need no browser, in Node."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import ert.annotation

PAGE = Path(ert.annotation.__file__).parent / "page"


@pytest.mark.parametrize("name", ["page_modules.mjs", "panel_modules.mjs"])
def test_modules_in_node(name):
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node (apt-get install nodejs)")
    command = [node, "--test", str(Path(__file__).with_name(name))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted(PAGE.iterdir()), ids=lambda path: path.name)
def test_no_address_outside_the_machine(path):
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "http:" not in text
    assert "https:" not in text
    assert len(text.splitlines()) <= 500


def luminance(color):
    """Return the relative luminance of WCAG 2."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast(theme):
    found = re.findall(r"--([a-z-]+): light-dark\((#\w{6}), (#\w{6})\)", (PAGE / "page.css").read_text())
    colors = {name: dark if theme == "dark" else light for name, light, dark in found}
    texts = [
        (text, back)
        for text in ("text", "muted", "accent", "good", "error")
        for back in ("bg", "surface", "shade")
    ]  # fmt: skip
    texts += [("text", "warn"), ("on-accent", "accent"), ("bg", "text")]
    assert {pair: ratio for pair in texts if (ratio := contrast(*(colors[name] for name in pair))) < 4.5} == {}
    # The focus, and borders of what is selected.
    assert min(contrast(colors["accent"], colors[back]) for back in ("bg", "surface", "around-photo")) >= 3


@pytest.mark.parametrize("path", sorted(PAGE.glob("*.[jh]*")), ids=lambda path: path.name)
def test_nothing_from_outside_is_run(path):
    text = path.read_text(encoding="utf-8")
    html = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|<[^>]* on[a-z]+="
    assert re.findall(html + r"|\beval\(|new Function|javascript:", text) == []


def test_nothing_moves_for_people_who_asked_for_less_motion():
    css = "".join((PAGE / name).read_text() for name in ("panels.css", "page.css"))
    before = css[: css.index("@media (prefers-reduced-motion: no-preference)")]
    assert not re.search(r"\b(transition|animation|scroll-behavior)\b", before)
    assert not any("smooth" in path.read_text() for path in PAGE.glob("*.js"))
