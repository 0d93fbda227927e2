import json

from cli.running import run


def test_info_prints_the_contents(model, capsys):
    assert run("info", model) == 0
    text = capsys.readouterr().out
    assert "68 landmarks" in text
    assert "license: free" in text
    assert run("info", model, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["trees_per_stage"] == 20


def test_models_lists_the_bundled_models(capsys):
    assert run("models") == 0
    assert "face68: 68 landmarks" in capsys.readouterr().out
