"""The README and the pages: their blocks, the options that they name, and the script that runs their commands."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from ert.cli.main import build_parser

# Options of other programs that pages name without the program.
OTHERS = {"--data", "--quick", "--read-only", "--web"}
DOCS = Path(__file__).parents[1] / "docs"


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


script = load_script("run_commands")
PAGES = script.pages()


def page(folder, text):
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs a page in an empty folder, and returns the lines of what failed."""
    monkeypatch.setattr(script, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project.optional-dependencies]\nopencv = ["x"]\n')

    def run(text):
        monkeypatch.chdir(tmp_path)
        runner = script.Runner(page(tmp_path, text))
        runner.run(script.read_blocks(runner.path))
        return [line for failure in runner.failures for line in failure.splitlines()], runner.n_run, runner.n_left

    return run


def test_commands_and_python_run_in_their_order(run):
    text = """
```
mkdir new && cd new  # the next command starts there
echo 1 \\
  > a.txt
```

```python
with open("a.txt") as file:
    n = int(file.read())
```

- in a list

  ```python
  assert n == 1
  ```
"""
    assert run(text) == ([], 4, 0)


def test_what_fails_is_reported_with_its_line(run):
    failures, n_run, _ = run('```\necho 1\nls nothing_here\n```\n\n```python\nx = 1\nraise ValueError("x")\n```\n')
    assert failures[0] == "page.md:3: ls nothing_here"
    assert "page.md:7: the Python block" in failures
    assert any('page.md", line 8, in <module>' in line for line in failures)
    assert "ValueError: x" in failures
    assert n_run == 1


def test_what_is_not_run(run):
    text = "<!-- not run: takes hours -->\n```\nfalse\n```\n\n```text\nprinted\n```\n\n```\n"
    text += 'pip install ".[opencv]" && true\ndocker run ert\nert webcam\n```\n'
    assert run(text) == ([], 1, 3)
    (failure, reason), _, _ = run('```\npip install ".[opencv,plto]"\n```\n')
    assert failure.startswith("page.md:2: ")
    assert reason == "there is no extra 'plto'"


def test_a_program_with_a_guard_for_other_processes_runs_on_its_own(run):
    program = '```python\nif __name__ == "__main__":\n    open("b.txt", "w").close()\n```\n'
    assert run(program + "\n```\nls b.txt\n```\n") == ([], 2, 0)


def test_blocks_in_directives_are_found(tmp_path):
    text = "````{tip}\n```python\nx\n```\n````\n\n:::{note}\n```\ny\n```\n:::\n\n```{toctree}\na\n```\n\n```r\nz\n```\n"
    assert [block.lines for block in script.read_blocks(page(tmp_path, text))] == [["x"], ["y"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```fortran\nx\n```\n", "page.md:1: 'fortran', expected bash, "),
        ("a\n\n```python\nx\n", "page.md:3: the block does not end"),
        ("<!-- not run: x -->\n\nText\n", "page.md:3: expected a block behind 'not run'"),
    ],
)
def test_pages_that_cannot_be_read(tmp_path, text, expected):
    with pytest.raises(script.PageError, match=re.escape(expected)):
        list(script.read_blocks(page(tmp_path, text)))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_blocks_of_the_pages_can_be_read(path):
    for block in script.read_blocks(path):
        assert block.lines
        if block.language == "python":
            compile("\n".join(block.lines), str(path), "exec")


def options_of(parser, name="ert"):
    """Yield the name of each command, and its options."""
    parser.complete()
    yield name, set(parser._option_string_actions)
    for action in parser._actions:
        if action.choices and hasattr(action, "_name_parser_map"):
            for command, each in action.choices.items():
                yield from options_of(each, f"{name} {command}")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_in_the_text_have_the_options_that_are_named(path):
    known = dict(options_of(build_parser()))
    every = OTHERS.union(*known.values())
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", path.read_text(encoding="utf-8"))
    for code in re.findall(r"`([^`]+)`", text):
        words = code.split()
        named = [word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)]
        if words[:1] == ["ert"]:
            command = max((name for name in known if f"{' '.join(words)} ".startswith(f"{name} ")), key=len)
            assert command != "ert" or len(words) == 1 or words[1].startswith("-"), code
            assert set(named) <= known[command], code
        elif words and words[0].startswith("--"):
            assert set(named) <= every, code
