"""A real browser, and `ert annotate` as a process of its own, for tests of pages.

They need Playwright (the extra `dev`) and Debian's Chromium, and are skipped where one of them is absent. With the
environment variable ERT_SCREENSHOTS, `screenshot` writes what tests see to this folder.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip
SCREENSHOTS = os.environ.get("ERT_SCREENSHOTS")
# No test waits this long: it is when something is broken.
SECONDS = 60
# Of requests that do not leave the page.
LOCAL_SCHEMES = {"about", "blob", "data", "file"}
# What a browser says of requests to a server that was killed, in whatever state they were.
GONE = ("net::ERR_CONNECTION_", "net::ERR_EMPTY_RESPONSE", "net::ERR_SOCKET_")
VIEWPORTS = {
    "wide": (1280, 800), "phone": (390, 780), "tall": (390, 844), "landscape": (844, 390), "small": (320, 568),
    "tablet": (820, 1180), "zoomed": (640, 400),
}  # fmt: skip
# "zoomed" is a wide window at 200 %.
WITHOUT_TOUCH = ("wide", "zoomed")


@pytest.fixture(scope="session")
def chromium():
    """The browser's file."""
    pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra dev)")
    found = shutil.which("chromium")
    return found or pytest.skip("needs chromium (apt-get install chromium)")


@pytest.fixture(scope="module")
def launch(chromium):
    """Start a browser with more flags; Playwright holds the event loop of the thread, so not for a whole session."""
    import playwright.sync_api as api

    with api.sync_playwright() as playwright:
        browsers = []

        def start(*flags):
            browsers.append(playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, *flags]))
            return browsers[-1]

        yield start
        for browser in browsers:
            browser.close()


@pytest.fixture(scope="module")
def browser(launch):
    return launch()


@pytest.fixture
def open_page(request, chromium):
    """Open a page; the test fails on any error that the page has, and on any request to another host.

    `expected` are parts of error messages that belong to the test. `browser` is one of other flags.
    """
    contexts, problems = [], []

    def start(url, *, view="wide", dark=False, expected=(), browser=None, **options):
        width, height = VIEWPORTS[view]
        touch = view not in WITHOUT_TOUCH
        context = (browser or request.getfixturevalue("browser")).new_context(
            viewport={"width": width, "height": height},
            has_touch=touch,
            is_mobile=touch,
            device_scale_factor=2 if touch else 1,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            accept_downloads=True,
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(1000 * SECONDS)
        watch(context, urlsplit(url), expected, problems)
        page = context.new_page()
        page.goto(url)
        return page

    yield start
    for context in contexts:
        context.close()
    assert problems == []


def watch(context, address, expected, problems):
    """Note the errors of the pages of a context, and requests to another host than that of the address."""

    def note(text):
        if not any(part in text for part in expected):
            problems.append(text)

    def check(request):
        target = urlsplit(request.url)
        if target.scheme not in LOCAL_SCHEMES and target.netloc != address.netloc:
            note(f"request to another host: {request.url}")

    context.on("request", check)
    context.on("console", lambda message: message.type == "error" and note(f"console: {message.text}"))
    context.on("weberror", lambda error: note(f"error: {error.error}"))


def screenshot(page, name):
    """Write what a page shows where the environment variable names a folder."""
    if SCREENSHOTS:
        Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")


def wait_until(holds, what="", seconds=SECONDS):
    """Call a function until its result is true, and return it; for what is not in a page."""
    end = time.monotonic() + seconds
    while not (result := holds()):
        assert time.monotonic() < end, f"not within {seconds} seconds: {what or holds}"
        time.sleep(0.05)
    return result


class Server:
    """`ert annotate` in a process of its own.

    Attributes
    ----------
    url : str
        The address that it prints, with the token.
    process : subprocess.Popen
    log : pathlib.Path
        What it prints.
    """

    def __init__(self, arguments, log, port=0):
        self.log = log
        command = [sys.executable, "-m", "ert", "annotate", *map(str, arguments), "--no-browser", "--port", str(port)]
        with log.open("wb") as output:
            # In a folder without a package `ert`, which `-m` would prefer to the installed one.
            self.process = subprocess.Popen(
                command,
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.url = wait_until(self._address, "the address of the server")
        except BaseException:
            self.kill()
            raise
        parts = urlsplit(self.url)
        self.origin, self._token = f"{parts.scheme}://{parts.netloc}", parts.query.removeprefix("token=")

    def _address(self):
        text = self.log.read_text()
        assert self.process.poll() is None, text
        found = re.search(r"http://\S+/\?token=[\w-]+(?=\s)", text)
        return found and found.group()

    def api(self, path, body=None, method=None):
        """Return the answer to a request with the token: its status and its JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.origin + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def get(self, path):
        status, answer = self.api(path)
        assert status == 200, answer
        return answer

    def stop(self):
        """Interrupt it, as a user does; return its exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(SECONDS)

    def kill(self):
        """End it with SIGKILL, without a chance to write anything."""
        self.process.kill()
        self.process.wait(SECONDS)


@pytest.fixture
def annotate(tmp_path):
    """Start `ert annotate` with the arguments given; it is killed after the test."""
    servers = []

    def start(*arguments, port=0):
        servers.append(Server(arguments, tmp_path / f"server{len(servers)}.log", port))
        return servers[-1]

    yield start
    for server in servers:
        # What it has started is in its group.
        with suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(SECONDS)
