"""Commands run in this process, for the tests of the command line."""

import re

from lxml import html

from ert.cli.main import main

# Fast, and the same for any data.
SMALL = ["--preset=none", "--n-stages=2", "--n-trees=20", "--n-inits=4", "--n-pixels=100", "--working-size=48"]


def run(*arguments):
    return main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    """Run a command that must fail with one line on standard error; return the line."""
    capsys.readouterr()
    try:
        status = run(*arguments)
    except SystemExit as error:
        status = error.code
    assert status == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    assert re.match(r"ert[ a-z]*: ", line)
    return line


def read_page(page):
    return html.document_fromstring(page.read_text(encoding="utf-8"))
