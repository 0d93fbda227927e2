"""The wheel and the sdist: what their metadata says, what is in them, and what else has to agree with them."""

import email
import importlib.util
import json
import re
import shutil
import tarfile
import tomllib
import zipfile
from functools import partial
from pathlib import Path, PurePosixPath

import pytest

import ert

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RELATIVE_LINK = re.compile(r"\]\((?!https?://|#)")


def build(kind, folder):
    """Build the wheel or the sdist, and return its path."""
    hatchling = pytest.importorskip("hatchling.build")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return folder / getattr(hatchling, f"build_{kind}")(str(folder))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    with zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The paths of the files in the sdist, without the folder that all of them are in."""
    with tarfile.open(build("sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        paths = [PurePosixPath(member.name) for member in archive if member.isfile()]
    (top,) = {path.parts[0] for path in paths}
    return {path.relative_to(top).as_posix() for path in paths}


@pytest.fixture(scope="module")
def content(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return wheel.read(name)


@pytest.fixture(scope="module")
def metadata(content):
    return email.message_from_bytes(content)


def test_the_terms_of_code_and_models_are_in_the_metadata(wheel, metadata):
    assert metadata["License-Expression"] == "BSD-3-Clause AND LicenseRef-300-W-research-only"
    assert metadata.get_all("License-File") == ["LICENSE", "LICENSE-MODELS"]
    folder = f"{metadata['Name'].replace('-', '_')}-{metadata['Version']}.dist-info/licenses"
    assert b"BSD 3-Clause License" in wheel.read(f"{folder}/LICENSE")
    terms = " ".join(wheel.read(f"{folder}/LICENSE-MODELS").decode().split())
    assert "research purposes only; commercial use is not allowed" in terms
    for name in wheel.namelist():
        if name.endswith(".ert"):
            assert Path(name).stem in terms
            assert Path(name).parent.as_posix() in terms


def test_the_metadata_is_valid(content):
    checked = pytest.importorskip("packaging.metadata").Metadata.from_email(content, validate=True)
    assert checked.description_content_type.startswith("text/markdown")
    assert str(checked.requires_python) == ">=3.11"


def test_the_description_has_no_link_that_an_index_page_cannot_follow(metadata):
    text = metadata.get_payload()
    assert text.startswith("# ert")
    assert "for research, not for commercial use" in " ".join(text.split())
    assert not RELATIVE_LINK.search(text)


def test_links_of_the_readme_lead_to_the_repository():
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    # The test above would find nothing otherwise.
    assert len(RELATIVE_LINK.findall(readme)) > 5
    text = module.index_page(readme, "https://example.org/ert/")
    assert not RELATIVE_LINK.search(text)
    assert "](https://example.org/ert/raw/main/docs/faces.jpg)" in text
    assert "](https://example.org/ert/blob/main/docs/docker.md)" in text
    assert module.index_page("a\n\n![x](y.png)\n\n[b](c.md) [d](https://e.f)", None) == "a\n\nb [d](https://e.f)"
    for link in re.findall(r"/(?:raw|blob)/main/([^)]+)", text):
        path, _, anchor = link.partition("#")
        assert (ROOT / path).exists(), link
        if anchor:
            headings = re.findall(r"(?m)^#+ (.+)", (ROOT / path).read_text(encoding="utf-8"))
            assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings], link


def test_the_wheel_is_the_package_alone(wheel, metadata):
    folders = {name.split("/")[0] for name in wheel.namelist()}
    assert folders == {"ert", f"ert_landmarks-{metadata['Version']}.dist-info"}
    names = {Path(name).name for name in wheel.namelist()}
    assert {"face68.ert", "face68-small.ert", "face5.ert", "astronaut.jpg", "py.typed"} <= names


def files_below(*folders):
    """Return the paths of the files of the repository in these folders, without those that are generated."""
    paths = [path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    generated = {"__pycache__", "_build", "generated", "gallery", "marks"}
    return {path.as_posix() for path in paths if not generated & set(path.parts) and path.suffix != ".pyc"}


def test_the_wheel_has_all_files_of_the_package(wheel):
    files = {name for name in wheel.namelist() if not PurePosixPath(name).parts[0].endswith(".dist-info")}
    assert files == files_below("ert")
    # Others have not been meant to be there; add the suffix of a new kind of file that is.
    suffixes = ".py .ert .jpg .json .html .j2 .css .js .mjs .ts .md .txt .xml .svg .typed"
    assert {PurePosixPath(name).suffix or name for name in files} <= {*suffixes.split(), "ert/py.typed"}


def test_the_wheel_can_be_built_from_what_the_container_image_is_built_from(wheel, tmp_path, monkeypatch):
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in [line[1:] for line in lines if line.startswith("!")]:
        path = ROOT / name
        copy = partial(shutil.copytree, ignore=shutil.ignore_patterns("__pycache__")) if path.is_dir() else shutil.copy
        copy(path, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    built = pytest.importorskip("hatchling.build").build_wheel(str(tmp_path))
    with zipfile.ZipFile(tmp_path / built) as archive:
        assert sorted(archive.namelist()) == sorted(wheel.namelist())


def test_the_sdist_has_what_tests_and_documentation_need_and_nothing_else(sdist):
    at_the_top = """
    .dockerignore .gitignore CHANGELOG.md CITATION.cff CONTRIBUTING.md Dockerfile LICENSE LICENSE-MODELS PKG-INFO
    README.md hatch_build.py pyproject.toml
    """
    assert {path for path in sdist if "/" not in path} == set(at_the_top.split())
    folders = {path.split("/")[0] for path in sdist if "/" in path}
    assert folders == {"benchmarks", "conda", "data", "docs", "ert", "examples", "tests"}
    parts = {part for path in sdist for part in path.split("/")}
    assert not parts & {"__pycache__", "_build", "generated", "gallery", "runs", "marks", "node_modules", ".ci"}
    # A file that is left out is not for others, or is missing.
    assert files_below("ert", "tests", "examples", "docs", "conda") <= sdist | {"docs/sg_execution_times.rst"}


def test_the_version_is_the_same_everywhere(metadata):
    version = ert.__version__
    assert metadata["Version"] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f'\n  version: "{version}"\n' in (ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    assert json.loads((ROOT / "ert" / "web" / "package.json").read_text(encoding="utf-8"))["version"] == version
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert heading[1] == version


def test_the_conda_recipe_has_the_requirements_of_the_package():
    recipe = pytest.importorskip("yaml").safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    requirement = pytest.importorskip("packaging.requirements").Requirement
    parsed = [requirement(text) for text in PROJECT["dependencies"]]
    expected = {f"{need.name} {need.specifier}" for need in parsed} | {f"python {PROJECT['requires-python']}"}
    assert set(recipe["requirements"]["run"]) == expected
    assert recipe["about"]["license"] == PROJECT["license"]
    assert recipe["about"]["license_file"] == PROJECT["license-files"]
    assert recipe["about"]["summary"] == PROJECT["description"]
    assert recipe["build"]["python"]["entry_points"] == [f"ert = {PROJECT['scripts']['ert']}"]
    # Their names differ in conda-forge.
    names = {"opencv-python-headless": "py-opencv", "matplotlib": "matplotlib-base"}
    extras = PROJECT["optional-dependencies"]
    optional = [requirement(text) for name in ("opencv", "plot", "annotate") for text in extras[name]]
    limits = {name.replace(" ", "", 1): name for name in recipe["requirements"]["run_constraints"]}
    assert {requirement(text) for text in limits} == {
        requirement(f"{names.get(need.name, need.name)}{need.specifier}") for need in optional
    }


def test_the_lock_of_the_benchmarks_satisfies_their_extra():
    requirement = pytest.importorskip("packaging.requirements").Requirement
    lines = (ROOT / "benchmarks" / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pinned = {}
    for line in lines:
        if not line.startswith("#"):
            pin = requirement(line)
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            assert pin.url is None
            pinned.setdefault(pin.name, []).append(specifier.version)
    extras = PROJECT["optional-dependencies"]
    needed = [*PROJECT["dependencies"], *extras["benchmarks"]]
    needed += [text for name in ("opencv", "plot", "service") for text in extras[name]]
    for need in map(requirement, needed):
        if need.name == PROJECT["name"]:
            assert need.extras == {"opencv", "plot", "service"}
            continue
        assert pinned[need.name], need
        assert all(version in need.specifier for version in pinned[need.name]), need
