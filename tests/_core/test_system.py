import json
from datetime import date
from pathlib import Path

import numpy as np

import ert
from ert._core import system as module
from ert._core.system import busy_notes, machine_load, provenance


def test_versions_processor_and_date():
    before = date.today().isoformat()
    found = provenance(["pillow", "no-such-package"])
    assert before <= found["date"] <= date.today().isoformat()
    assert found["versions"]["ert-landmarks"] == ert.__version__
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["pillow"]
    assert found["versions"]["no-such-package"] is None
    assert found["cpu"]
    assert found["cores"] >= 1
    assert json.loads(json.dumps(found)) == found


def test_the_processor_outside_linux(monkeypatch, tmp_path):
    monkeypatch.setattr(module.platform, "processor", lambda: "arm")
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Fast One: 3 GHz\n")
    monkeypatch.setattr(module, "Path", lambda _: tmp_path / "cpuinfo")
    assert provenance()["cpu"] == "Fast One: 3 GHz"
    (tmp_path / "cpuinfo").write_text("processor : 0\n")
    assert provenance()["cpu"] == "arm"
    monkeypatch.setattr(module, "Path", lambda _: Path(tmp_path / "absent"))
    assert provenance()["cpu"] == "arm"


def test_the_load_of_the_machine(monkeypatch):
    monkeypatch.setattr(module.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(module.os, "getloadavg", lambda: (2.0, 9, 9), raising=False)
    assert machine_load() == 0.5
    monkeypatch.delattr(module.os, "getloadavg")
    assert machine_load() is None


def test_a_busy_machine_is_noted():
    assert busy_notes(None) == busy_notes(0.1) == []
    (note,) = busy_notes(1.5)
    assert "busy (a load of 150%" in note
