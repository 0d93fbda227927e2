"""Run the commands and the Python code of the README and of the pages: python docs/run_commands.py [PAGES...].

The blocks of a page run in their order, in a new folder with the files that the pages suppose (`command_files.py`).
Blocks without a language are commands, which run one by one. The Python blocks of a page share their variables; a block
with ``__main__`` is a program of its own. ``<!-- not run: REASON -->`` in the line before a block says why it is not
run. Single commands that are not run, or not to their end, are in `NOT_RUN` and `SERVERS`; `SHORTENED` has numbers
that are smaller here. ``--list`` lists all of these.
"""

import argparse
import http.cookiejar
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
import urllib.request
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Seconds that a command or a Python block may take.
LIMIT = 180
N_PROCESSES = 2
COMMANDS, PYTHON = ("", "bash", "sh"), ("python",)
# Blocks that are shown only.
SHOWN = {"text", "r", "bibtex", "json", "javascript", "html", "xml", "csv", "yaml", "dockerfile", "toml", "typescript"}
# Directives whose contents are Markdown.
CONTAINERS = {"note", "tip", "important", "warning", "admonition", "dropdown", "tab-set", "tab-item", "grid", "card"}
# They install something, need a camera, a container engine, a cluster, the internet, or the photos of the benchmarks,
# or are run by .ci/run itself.
NOT_RUN = (
    r"(git|cd ert$|pytest|python3? -m (venv|pip)|source|conda|docker|npm|ssh|sphinx-build|pre-commit|ert webcam)\b"
    r"|python benchmarks/|.*\b(tcp|s3|gs)://"
)
# They run until they are stopped: here, until they answer, or until the end of the block.
SERVERS = ("ert annotate ", "uvicorn ")
# What is done with less here.
SHORTENED = {
    "--cv 5": "--cv 2",
    "cv=5": "cv=2",
    "--time 30m": "--time 5s --trials 1 --cv 2 --preset fast",
    # It is tested elsewhere; the files that it draws are used by what follows.
    "python ../examples/custom_object.py": f"python {shlex.quote(str(ROOT / 'docs' / 'command_files.py'))}",
}
FENCE = re.compile(r"( *)(`{3,}|:{3,})([^`]*)$")
MARK = re.compile(r"<!-- not run: (.+) -->$")


@dataclass
class Block:
    """A fenced block of a page: its language, the lines in it with their numbers, and why it is not run."""

    language: str
    first_line: int
    lines: list[str] = field(default_factory=list)
    indent: str = ""
    reason: str | None = None


class PageError(Exception):
    """A page cannot be read, or something on it does not run."""


def pages():
    """Return the README and the pages of the guide."""
    generated = {"_build", "_templates", "generated", "gallery"}
    found = [path for path in (ROOT / "docs").rglob("*.md") if not generated & set(path.relative_to(ROOT).parts)]
    return [ROOT / "README.md", *sorted(found)]


def read_blocks(path):
    """Yield the blocks of a page that are commands or Python."""
    block = fence = reason = None
    containers = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = FENCE.fullmatch(line)
        indent, marks, info = match.groups() if match else ("", "", "")
        info = info.strip()
        if block is not None:
            if match is None or info or not marks.startswith(fence):
                block.lines.append(line.removeprefix(block.indent))
                continue
            if block.language in COMMANDS + PYTHON:
                yield block
            elif not block.language.startswith("{") and block.language not in SHOWN:
                expected = ", ".join(sorted({*COMMANDS[1:], *PYTHON, *SHOWN}))
                raise PageError(f"{path.name}:{block.first_line - 1}: {block.language!r}, expected {expected} or none")
            block = None
        elif match is not None and not info and containers and marks.startswith(containers[-1]):
            containers.pop()
        elif match is not None and info.startswith("{") and info[1:].partition("}")[0] in CONTAINERS:
            containers.append(marks)
        elif match is not None:
            fence, block, reason = marks, Block(info, number + 1, indent=indent, reason=reason), None
        elif MARK.match(line.strip()):
            reason = MARK.match(line.strip())[1]
        elif reason is not None and line.strip():
            raise PageError(f"{path.name}:{number}: expected a block behind 'not run'")
    if block is not None:
        raise PageError(f"{path.name}:{block.first_line - 1}: the block does not end")


def commands(block):
    """Yield the number of the line and the command for each command of a block."""
    parts, first = [], None
    for number, line in enumerate(block.lines, block.first_line):
        if not parts and (not line.strip() or line.lstrip().startswith("#")):
            continue
        first = number if not parts else first
        parts.append(line)
        if not line.endswith("\\"):
            yield first, "\n".join(parts)
            parts = []


def requirements(command):
    """Check that the extras in a `pip install` are there."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for names in re.findall(r"\[([\w,-]+)\]", command):
        for name in names.split(","):
            if name not in extras:
                raise PageError(f"there is no extra {name!r}")


def _adapted(command):
    """Return what is run for a command, or None."""
    if command.startswith("pip install "):
        requirements(command)
        command = command.partition("&& ")[2]
    if not command or re.match(NOT_RUN, command):
        return None
    return _shortened(command)


def _shortened(text):
    for long, short in SHORTENED.items():
        text = text.replace(long, short)
    return text


class Runner:
    """Runs the blocks of a page in the current working directory."""

    def __init__(self, path):
        self.path, self.name = path, path.relative_to(ROOT).as_posix()
        self.variables = {"__name__": "page"}
        self.servers, self.failures = [], []
        self.n_run = self.n_left = 0

    def run(self, blocks):
        """Run blocks."""
        for block in blocks:
            if block.reason is not None:
                self.n_left += 1
            elif block.language in PYTHON:
                self._try(block.first_line, "the Python block", lambda block=block: self._run_python(block))
            else:
                for line, command in commands(block):
                    self._try(line, command, lambda command=command: self._run_command(command))
                self._stop_servers()

    def _try(self, line, what, function):
        try:
            ran = function()
        except PageError as error:
            self.failures.append(f"{self.name}:{line}: {what}\n{error}\n")
        else:
            self.n_run, self.n_left = self.n_run + ran, self.n_left + (not ran)

    def _run_python(self, block):
        text = "\n" * (block.first_line - 1) + _shortened("\n".join(block.lines)) + "\n"
        if "__main__" in text:
            # Other processes import it.
            Path("block.py").write_text(text, encoding="utf-8")
            return self._run_command(f"{shlex.quote(sys.executable)} block.py")
        printed = StringIO()
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(LIMIT)
        try:
            with redirect_stdout(printed), redirect_stderr(printed):
                exec(compile(text, str(self.path), "exec"), self.variables)
        except BaseException as error:
            raise PageError(printed.getvalue() + traceback.format_exc()) from error
        finally:
            signal.alarm(0)
        return True

    def _run_command(self, command):
        command = _adapted(command)
        if command is None:
            return False
        if command.startswith(SERVERS):
            self._start_server(command)
            return True
        with tempfile.TemporaryDirectory() as scratch:
            # The next command starts in the folder that this one ends in.
            script = f"{command}\npwd -P > {shlex.quote(scratch)}/folder"
            output, status = _wait_for(_start(script), LIMIT)
            # Status 1 of `ert dataset check` is that there are findings.
            if status and not (command.startswith("ert dataset check ") and status == 1):
                raise PageError(f"{output}exit status {status}")
            with suppress(FileNotFoundError):
                os.chdir(Path(scratch, "folder").read_text().strip())
        return True

    def _start_server(self, command):
        is_page = command.startswith("ert annotate ")
        process = _start(f"exec {command} --no-browser" if is_page else f"exec {command}")
        self.servers.append(process)
        address = _address(process) if is_page else "http://127.0.0.1:8000/"
        if not _answers(process, address, expects_page=is_page):
            raise PageError(f"{_stop(process)[0]}no answer of {address}")
        if is_page:
            self._stop_servers()

    def _stop_servers(self):
        while self.servers:
            output, status = _stop(self.servers.pop())
            if status not in (0, -signal.SIGINT):
                raise PageError(f"{output}exit status {status}")


def _too_long(*_):
    raise TimeoutError(f"longer than {LIMIT} s")


def _start(script):
    arguments = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _wait_for(process, seconds):
    try:
        return process.communicate(timeout=seconds)[0], process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0], f"none after {seconds} s"


def _stop(process):
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    return _wait_for(process, 30)


def _address(process):
    """Return the address that `ert annotate` prints."""
    printed = ""
    for line in process.stdout:
        printed += line
        found = re.search(r"http://\S+", line)
        if found:
            return found[0]
    raise PageError(f"{printed}no address was printed")


def _answers(process, address, expects_page):
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if expects_page:
                return b"<html" in opener.open(address, timeout=10).read()
            socket.create_connection(("127.0.0.1", 8000), timeout=10).close()
            return True
        except OSError:
            time.sleep(0.2)
    return False


def run_page(path, files, folder):
    """Run a page in a copy of the files; return its name, what failed, and the numbers of what ran and what did not."""
    # A shell ignores it in what it starts in the background, and so would the servers.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(files, folder, symlinks=True)
    os.chdir(folder)
    # Answers of a service with an error are failures, too.
    Path(".curlrc").write_text("fail\n", encoding="utf-8")
    os.environ["CURL_HOME"] = str(folder)
    sys.path.insert(0, "")
    started, runner = time.monotonic(), Runner(path)
    runner.run(read_blocks(path))
    return runner.name, runner.failures, runner.n_run, runner.n_left, time.monotonic() - started


def _list_left(paths):
    for path in paths:
        for block in read_blocks(path):
            if block.reason is not None:
                print(f"{path.name}:{block.first_line}: {block.reason}")
                continue
            for line, command in commands(block) if block.language in COMMANDS else ():
                if _adapted(command) != command:
                    print(f"{path.name}:{line}: {command} -> {_adapted(command)}")


def main():
    """Run pages, print what failed, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE", help="default: README.md and all of docs/")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the folders of the pages in DIR, with the files")
    parser.add_argument("--list", action="store_true", help="list what is not run, or in another way")
    options = parser.parse_args()
    paths = [path.resolve() for path in options.pages] or pages()
    if options.list:
        _list_left(paths)
        return 0
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ["MPLBACKEND"] = "agg"
    numbers = {path: sum(block.reason is None for block in read_blocks(path)) for path in paths}
    paths = sorted([path for path in paths if numbers[path]], key=numbers.get, reverse=True)
    started, failed = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="ert_pages_") as temporary:
        folder = options.keep.resolve() if options.keep else Path(temporary)
        if not (folder / "files").exists():
            from command_files import write_files

            (folder / "files").mkdir(parents=True)
            write_files(folder / "files")
            print(f"files: {time.monotonic() - started:.0f} s", flush=True)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(N_PROCESSES, mp_context=spawn, max_tasks_per_child=1) as pool:
            names = [path.relative_to(ROOT).as_posix().replace("/", "_") for path in paths]
            runs = [
                pool.submit(run_page, path, folder / "files", folder / name)
                for path, name in zip(paths, names, strict=True)
            ]
            for run in runs:
                name, failures, n_run, n_left, seconds = run.result()
                print(f"{name}: {n_run} run, {n_left} not run, {seconds:.0f} s", *failures, sep="\n", flush=True)
                failed += len(failures)
    print(f"{failed} failed, {time.monotonic() - started:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
