"""The examples as sphinx-gallery needs them.

They are plain scripts that write pictures and tables to the working directory, so the gallery runs copies.
"""

import shutil
from pathlib import Path

from sphinx_gallery.scrapers import figure_rst

DOCS = Path(__file__).resolve().parent
COPIES = DOCS / "generated" / "examples"


def copy_examples():
    """Copy the examples."""
    shutil.rmtree(COPIES, ignore_errors=True)
    COPIES.mkdir(parents=True)
    for path in sorted((DOCS.parent / "examples").glob("*.py")):
        shutil.copy(path, COPIES)
    text = "Each example is a script that runs on the bundled photo or on synthetic faces."
    (COPIES / "GALLERY_HEADER.rst").write_text(f"Examples\n========\n\n{text}\n")


def written_pictures(block, block_vars, gallery_conf):
    """Return the reStructuredText that shows the pictures that an example has written."""
    pictures = []
    for path in sorted(COPIES.rglob("*.png")):
        pictures.append(next(block_vars["image_path_iterator"]))
        shutil.move(path, pictures[-1])
    return figure_rst(pictures, gallery_conf["src_dir"])
