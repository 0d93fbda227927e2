"""Shared by the benchmarks of ert.js: scripts run in Node, and in Chromium through Playwright."""

import json
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import common

MODELS = common.ROOT / "ert" / "_core" / "data" / "models"
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
MINUTES = 30


def in_node(script, task):
    """Return what the exported function `main(ert, task, read)` of a script returns in Node."""
    program = f"""
        import {{ readFile }} from "node:fs/promises";
        import * as ert from "{common.ROOT}/ert/web/ert.js";
        import {{ main }} from "{common.ROOT}/benchmarks/{script}";
        console.log(JSON.stringify(await main(ert, JSON.parse(await readFile("{task}")), readFile)));
    """
    command = [shutil.which("node"), "--input-type=module", "--eval", program]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60 * MINUTES).stdout)


class _Handler(SimpleHTTPRequestHandler):
    """Serve all files of this machine, to this machine: pages that are isolated have finer clocks."""

    def __init__(self, *args, **options):
        super().__init__(*args, directory="/", **options)

    def end_headers(self):
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def guess_type(self, path):
        return "text/javascript" if str(path).endswith(".mjs") else super().guess_type(path)

    def log_message(self, *args):
        pass


@contextmanager
def _page():
    from playwright.sync_api import sync_playwright

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*_FLAGS])
        try:
            page = browser.new_page()
            page.set_default_timeout(60_000 * MINUTES)
            page.goto(f"http://127.0.0.1:{server.server_port}{common.ROOT}/ert/web/README.md")
            yield page
        finally:
            browser.close()
            server.shutdown()


def in_chromium(script, task):
    """Return the same in Chromium."""
    program = f"""async () => {{
        const ert = await import("{common.ROOT}/ert/web/ert.js");
        const {{ main }} = await import("{common.ROOT}/benchmarks/{script}");
        const read = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
        return main(ert, await (await fetch("{task}")).json(), read);
    }}"""
    with _page() as page:
        return page.evaluate(program)


def versions():
    """Return the versions of Node and of Chromium."""
    found = {}
    for name, command in (("node", "node"), ("chromium", "chromium")):
        text = subprocess.run([shutil.which(command), "--version"], capture_output=True, text=True, check=True).stdout
        found[name] = re.search(r"[\d.]+", text)[0]
    return found
