import json

import pytest
from cli.running import run
from helpers import small_predictor


def test_info_prints_the_contents(model, capsys):
    assert run("info", model) == 0
    text = capsys.readouterr().out
    assert "68 landmarks" in text
    assert "license: free" in text
    assert run("info", model, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["trees_per_stage"] == 20


def test_info_says_what_each_member_weighs(members_model, tmp_path, capsys):
    members_model.save(tmp_path / "x.ert")
    assert run("info", tmp_path / "x.ert") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  3 members of 0.02, 0.02, 0.02 MB: mode='accurate' uses all of them, 'fast' the first" in lines
    assert sum("error after stage 2 of member 3: " in line for line in lines) == 1
    assert run("info", tmp_path / "x.ert", "--json", "-") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["members"] == len(facts["member_bytes"]) == 3
    assert sum(facts["member_bytes"]) == facts["array_bytes"]


def test_info_of_the_system(capsys, monkeypatch):
    monkeypatch.setenv("ERT_CACHE_DIR", "kernels")
    assert run("info", "--system", "--json", "-") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kernels"] in ("avx512", "avx2", "neon", "portable")
    assert facts["threads"] >= 1
    assert facts["settings"]["ERT_CACHE_DIR"] == "kernels"
    assert run("info", "--system") == 0
    assert "kernels: " + facts["kernels"] in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("arguments", [(), ("face68", "--system")])
def test_info_is_of_a_model_or_of_the_system(arguments, capsys):
    assert run("info", *arguments) == 2
    assert capsys.readouterr().err == "ert: ert info: expected either MODEL or --system\n"


def test_models_lists_the_bundled_models(capsys):
    assert run("models") == 0
    assert "face68: 68 landmarks" in capsys.readouterr().out


def test_info_of_any_text_in_a_model_is_printable(faces, tmp_path, capsys):
    """Terminal codes, line breaks and long texts in names and notes; --json keeps them as they are."""
    names = ["ok", "\x1b]0;pwned\x07\x1b[31m", "<script>alert(1)</script>", "a\nb", "\u202ecmd"]
    notes = {"\x1b[2Jkey": "a\r\nb\x07" + "x" * 5000}
    model = small_predictor(n_stages=1, n_trees=2).fit(
        faces[0][:5], faces[1][:5, :5], landmark_names=names, notes=notes
    )
    model.save(tmp_path / "x.ert")
    assert run("info", tmp_path / "x.ert") == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(map(str.isprintable, lines))
    assert max(map(len, lines)) < 1100
    assert any(r"\x1b[2Jkey" in line for line in lines)
    assert run("info", tmp_path / "x.ert", "--json", "-") == 0
    text = capsys.readouterr().out
    assert all(map(str.isprintable, text.splitlines()))
    assert json.loads(text)["landmark_names"] == names
