"""The wheel: what its metadata says, and what is in it."""

import email
import importlib.util
import re
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RELATIVE_LINK = re.compile(r"\]\((?!https?://|#)")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    build = pytest.importorskip("hatchling.build")
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        name = build.build_wheel(str(folder))
    with zipfile.ZipFile(folder / name) as archive:
        yield archive


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
    for path in re.findall(r"/(?:raw|blob)/main/([^)]+)", text):
        assert (ROOT / path).exists(), path


def test_the_wheel_is_the_package_alone(wheel, metadata):
    folders = {name.split("/")[0] for name in wheel.namelist()}
    assert folders == {"ert", f"ert_landmarks-{metadata['Version']}.dist-info"}
    names = {Path(name).name for name in wheel.namelist()}
    assert {"face68.ert", "face68-small.ert", "face5.ert", "astronaut.jpg", "py.typed"} <= names
