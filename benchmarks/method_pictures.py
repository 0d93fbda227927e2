"""Make the pictures of docs/how_it_works.md: some of those that examples/walk_through.py draws, smaller.

python benchmarks/method_pictures.py
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import common
from PIL import Image

OUT = common.ROOT / "docs" / "how_it_works"
# The files of the example, the names and the widths of the pictures.
PICTURES = {
    "1_initialization.png": ("initialization.jpg", 1000),
    "2_pool.png": ("pool.jpg", 1100),
    "3_tree.png": ("tree.jpg", 1600),
    "4_stages.png": ("stages.jpg", 1100),
}
QUALITY = 85


def main():
    OUT.mkdir(exist_ok=True)
    example = common.ROOT / "examples" / "walk_through.py"
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"MPLBACKEND": "Agg"}
        subprocess.run([sys.executable, str(example)], cwd=folder, env=environment, check=True)
        for source, (name, width) in PICTURES.items():
            with Image.open(Path(folder) / "walk_through" / source) as picture:
                height = round(picture.height * width / picture.width)
                picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS).save(
                    OUT / name, quality=QUALITY, optimize=True
                )


if __name__ == "__main__":
    main()
