"""The examples in the docstrings of all public modules and names run as they stand."""

import doctest
import importlib
import inspect
import sys

import matplotlib as mpl
import pytest

import ert

# The modules of docs/api.md.
MODULES = ("ert", *(f"ert.{name}" for name in ert.__all__ if inspect.ismodule(getattr(ert, name))), "ert.compat.dlib")


def examples():
    """Yield the docstrings that have examples, by the name under which users find them."""
    finder, seen = doctest.DocTestFinder(recurse=True), set()
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        names = [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]
        found = [(module_name, module), *((f"{module_name}.{name}", getattr(module, name)) for name in names)]
        for name, value in found:
            home = sys.modules[getattr(value, "__module__", module_name)]
            if inspect.ismodule(value):
                test = doctest.DocTestParser().get_doctest(value.__doc__, {}, name, None, 0)
                tests = [test] if test.examples else []
            elif inspect.isclass(value) or inspect.isfunction(value):
                tests = finder.find(value, name, module=home, globs={"ert": ert})
            else:
                tests = []
            for test in tests:
                if test.examples and test.docstring not in seen:
                    seen.add(test.docstring)
                    yield pytest.param(test, id=test.name)


EXAMPLES = list(examples())


@pytest.mark.parametrize("test", EXAMPLES)
def test_example(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    lines = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=lines.append, clear_globs=False)
    assert not lines, "".join(lines)


def test_each_public_module_has_an_example():
    shown = {parameter.id for parameter in EXAMPLES}
    # The names of `ert.compat` are those of its module for dlib.
    assert set(MODULES) - {"ert.compat"} <= shown
