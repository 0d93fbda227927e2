"""Runs JavaScript of ert/web in Node, for tests; they are skipped where there is no Node."""

import json

import numpy as np
from web.node import WEB, node

# Pixels are given as a binary file, one image after the other.
PRELUDE = """
import {{ readFileSync }} from "node:fs";
const {{ sizes, given }} = JSON.parse(readFileSync({task}, "utf8"));
const pixels = new Uint8Array(readFileSync({pixels}));
let place = 0;
const images = sizes.map(([width, height, channels]) => {{
  const data = pixels.subarray(place, place += width * height * channels);
  return {{ data, width, height }};
}});
const answer = (value) => console.log(JSON.stringify(value, (_, v) => (ArrayBuffer.isView(v) ? Array.from(v) : v)));
"""


def run_javascript(folder, script, images=(), given=None, imports=None):
    """Run a script that calls `answer` once, and return what it answers.

    Parameters
    ----------
    folder : path
        For files.
    script : str
        It has `images` (of `images`, gray or RGBA) and `given`.
    imports : dict
        Names to import, by file of ert/web.
    """
    sizes = [[image.shape[1], image.shape[0], 1 if image.ndim == 2 else image.shape[2]] for image in images]
    task, pixels, module = folder / "task.json", folder / "pixels", folder / "script.mjs"
    task.write_text(json.dumps({"sizes": sizes, "given": given}))
    pixels.write_bytes(b"".join(np.ascontiguousarray(image).tobytes() for image in images))
    lines = [f"import {{ {names} }} from {json.dumps((WEB / file).as_uri())};" for file, names in imports.items()]
    prelude = PRELUDE.format(task=json.dumps(str(task)), pixels=json.dumps(str(pixels)))
    module.write_text("\n".join([*lines, prelude, script]))
    return json.loads(node(module))
