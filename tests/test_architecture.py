"""The package keeps its layout: few entries, short modules, kernels with few parameters, imported from one place."""

import ast
import re
from pathlib import Path

import pytest

import ert
from ert import _kernels

PACKAGE = Path(ert.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
KERNEL_DECORATORS = ("njit", "kernel", "register_jitable", "intrinsic")
MAX_ENTRIES, MAX_FILES, MAX_LINES, MAX_PARAMETERS, MAX_EXPORTS = 22, 16, 500, 8, 16


def visible(folder):
    return [path for path in folder.iterdir() if not path.name.startswith((".", "__pycache__"))]


def test_entries_of_the_package_are_few():
    assert len(visible(PACKAGE)) <= MAX_ENTRIES


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=lambda path: path.name)
def test_no_folder_has_too_many_files(folder):
    modules = sorted(path.name for path in visible(folder) if path.is_file() and path.name != "__init__.py")
    assert len(modules) <= MAX_FILES, f"{folder}: move, merge or split modules before you add one"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_are_short_and_say_what_they_are(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(ast.parse(text))


def kernels(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            names = {ast.unparse(each).split("(")[0].split(".")[-1] for each in node.decorator_list}
            if names.intersection(KERNEL_DECORATORS):
                yield node


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_kernels_have_few_parameters(path):
    for node in kernels(path):
        assert len(node.args.args) <= MAX_PARAMETERS, node.name


def test_kernels_are_imported_from_one_place():
    assert len(_kernels.__all__) <= MAX_EXPORTS
    for path in MODULES:
        if "_kernels" not in path.parts:
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(from|import) ert\._kernels\.", text), path
