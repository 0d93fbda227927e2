import subprocess
import sys

import pytest
from cli.running import refused, run

# The function fills the array COMPREPLY, so that it must not run in a subshell.
BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
function=$(complete -p ert | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
$function ert "${COMP_WORDS[$COMP_CWORD]}" "${COMP_WORDS[$COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(script, folder, *words):
    """Return what bash offers for the last of the words."""
    command = ["bash", "-c", BASH, "bash", script, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.fixture
def bash(tmp_path, capsys):
    pytest.importorskip("shtab")
    assert run("completion", "bash") == 0
    script = tmp_path / "ert.bash"
    script.write_text(capsys.readouterr().out)
    return script


def test_the_script_for_bash_is_valid_and_completes(bash, tmp_path):
    subprocess.run(["bash", "-n", bash], check=True)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "photo.jpg").touch()
    (tmp_path / "files" / "folder").mkdir()

    def offered(*words):
        return completed(bash, tmp_path / "files", "ert", *words)

    assert offered("al") == {"align"}
    assert {"check", "info", "mirror", "show", "split"} <= offered("dataset", "")
    assert offered("align", "--mo") == {"--model", "--mode"}
    assert offered("align", "photo.jpg", "--mode", "") == {"fast", "accurate"}
    assert offered("align", "ph") == {"photo.jpg"}
    assert offered("align", "photo.jpg", "--model", "ph") == {"photo.jpg"}
    assert {name.rstrip("/") for name in offered("align", "photo.jpg", "--draw", "")} == {"folder"}
    assert "--n-stages" in offered("train", "--n-st")


@pytest.mark.parametrize(("shell", "message"), [("zsh", "#compdef ert"), ("fish", "complete -c ert")])
def test_scripts_for_other_shells(shell, message, capsys):
    pytest.importorskip("shtab")
    assert run("completion", shell) == 0
    script = capsys.readouterr().out
    assert message in script
    assert "--min-confidence" in script or "min-confidence" in script
    assert "webcam" in script


def test_without_shtab_the_error_names_the_package(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    line = refused(capsys, "completion", "bash")
    assert line == 'ert: completion: needs shtab, which is not installed: pip install "ert-landmarks[completion]"'
