from dataclasses import replace

import pytest
from cli.running import SMALL, run

import ert
from ert._kernels import choice
from ert.datasets.synthetic import synthetic_dataset


@pytest.fixture(autouse=True)
def no_notice_of_compiling(monkeypatch):
    """What a test prints does not depend on whether kernels are compiled already: the notice has come."""
    monkeypatch.setattr(choice, "_has_compiled", True)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """A folder of 24 synthetic faces."""
    return synthetic_dataset(tmp_path_factory.mktemp("cli") / "faces", 24, seed=3)


@pytest.fixture(scope="session")
def model(dataset):
    """The file of a model trained on them."""
    out = dataset.parent / "model.ert"
    assert run("train", dataset / "landmarks.xml", "--out", out, "--note", "license=free", *SMALL) == 0
    return out


@pytest.fixture(scope="session")
def trained(dataset, tmp_path_factory):
    """A model of three stages, and the page of the report of its training."""
    folder = tmp_path_factory.mktemp("trained")
    out, report = folder / "model.ert", folder / "report"
    options = ("--validation", 0.2, "--report", report, *SMALL, "--n-stages=3")
    assert run("train", dataset, "--out", out, *options) == 0
    return out, report / "report.html"


@pytest.fixture(scope="module")
def wings(model, tmp_path_factory):
    """A model file whose boxes are the whole images."""
    out = tmp_path_factory.mktemp("wings") / "wings.ert"
    whole = ert.load(model)
    whole.fitted_ = replace(whole.fitted_, box_source="whole")
    whole.save(out)
    return out
