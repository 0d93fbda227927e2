import argparse
import inspect
import re
import subprocess
import sys

import pytest
from cli.running import refused, run

import ert
from ert.cli.main import build_parser
from ert.cli.parser import Parser


def parsers(parser, name="ert"):
    """Yield the parser of each command with its name, `ert` itself first."""
    parser.complete()
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command, child in action.choices.items():
                yield from parsers(child, f"{name} {command}")


PARSERS = dict(parsers(build_parser()))
EVERY_PARSER = pytest.mark.parametrize("name", PARSERS)


def test_all_commands_are_there():
    dataset = {f"dataset {name}" for name in ("info", "check", "show", "split", "mirror")}
    commands = "align predict train evaluate compare measure explain video webcam convert info models dataset demo "
    commands += "export warmup annotate tune"
    expected = {*commands.split(), "completion", *dataset, "export web", "export npm"}
    assert set(PARSERS) == {"ert", *(f"ert {name}" for name in expected)}


@EVERY_PARSER
def test_every_help_ends_with_two_examples_that_are_valid(name):
    *_, title, first, second = PARSERS[name].format_help().splitlines()
    assert title == "examples:"
    for example in (first, second):
        assert example.startswith(f"  {name} ") or example == f"  {name}"
        command = re.split(r" [|>] ", example)[0].split()
        # It raises SystemExit for an example that cannot be parsed.
        assert build_parser().parse_args(command[1:]).run is not None


def test_the_line_of_a_command_is_the_first_sentence_of_its_help():
    for parser in (PARSERS["ert"], PARSERS["ert dataset"]):
        (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
        for line in commands._choices_actions:
            assert commands.choices[line.dest].description.lower().startswith(f"{line.help.lower()}.")


@EVERY_PARSER
def test_no_help_has_markup_or_leaves_out_an_argument(name):
    text = PARSERS[name].format_help()
    for markup in ("`", ":func:", ":class:", "**", "see ert.", "%("):
        # The number of leaves is a power.
        assert markup not in text.replace("2**", "")
    for action in PARSERS[name]._actions:
        assert action.help or isinstance(action, argparse._SubParsersAction), action


@EVERY_PARSER
def test_switches_and_choices_are_shown_as_such(name):
    for action in PARSERS[name]._actions:
        assert action.type is not bool, action
        assert not isinstance(action.default, bool) or action.nargs == 0, action
        if action.option_strings and action.choices:
            assert action.metavar is None, action
        assert "--n-jobs" not in action.option_strings


def test_train_offers_every_parameter_of_the_predictor():
    names = set(inspect.signature(ert.ShapePredictor).parameters) - {"channel_order", "verbose"}
    actions = {action.dest: action for action in PARSERS["ert train"]._actions}
    assert names <= set(actions)
    for name in names:
        flag = "--jobs" if name == "n_jobs" else "--" + name.replace("_", "-")
        assert actions[name].option_strings == [flag]
        # A preset chooses those that are not given.
        assert actions[name].default == (-1 if name == "n_jobs" else argparse.SUPPRESS)
    assert actions["kind"].choices == ["ert", "dlib"]
    assert actions["leaf_bits"].choices == [8, 16]
    assert actions["gray_weights"].choices == ["luma", "dlib"]
    # Errors may also be relative to the distance between two landmarks.
    assert actions["normalizer"].choices is None
    assert all(name in actions["normalizer"].help for name in ert.metrics.NORMALIZERS)
    assert actions["max_memory"].type is float
    assert "--n-pixels" in actions["n_pool_candidates"].help


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("alignn", "ert: unknown command 'alignn', did you mean align?"),
        ("dataset checks x", "ert dataset: unknown command 'checks', did you mean check?"),
        ("fly", "ert: unknown command 'fly', expected align, predict, train,"),
        ("align x.png --modle face68", "ert align: unknown option --modle, did you mean --mode or --model?"),
        ("align x.png --modle=face68", "ert align: unknown option --modle, did you mean --mode or --model?"),
        ("train x --ot y.ert", "ert train: unknown option --ot, did you mean --out?"),
        ("train x --out y.ert --n-jobs 2", "ert train: unknown option --n-jobs, did you mean --jobs?"),
        ("dataset split x --out y --fold-s 3", "ert dataset split: unknown option --fold-s, did you mean --folds?"),
        ("--versoin", "ert: unknown option --versoin, did you mean --version?"),
        ("align x.png --wings", "ert align: unknown option --wings (see"),
        ("align x.png -q", "ert align: unknown option -q (see"),
        (
            "align x.png --mode accurately",
            "ert align: argument --mode: 'accurately', expected fast or accurate, did you mean accurate?",
        ),
        ("train x --out y --leaf-bits 12", "argument --leaf-bits: 12, expected 8 or 16 (see"),
        ("completion tcsh", "argument shell: 'tcsh', expected bash, zsh or fish"),
        ("align", "ert align: the following arguments are required: IMAGE (see ert align --help)"),
        ("align x.png --box 1,2,3", "argument --box: '1,2,3': expected LEFT,TOP,WIDTH,HEIGHT"),
        ("align x.png --inits five", "argument --inits: invalid int value: 'five'"),
        ("models x", "unrecognized arguments: x"),
        ("", "ert: the following arguments are required: COMMAND"),
    ],
)
def test_wrong_usage_is_one_line_with_a_suggestion(capsys, arguments, message):
    assert message in refused(capsys, *arguments.split())


def test_what_follows_two_dashes_is_no_option(capsys):
    assert "--modle: no such file" in refused(capsys, "info", "--", "--modle")


def test_beginnings_of_options_are_accepted():
    assert build_parser().parse_args(["align", "x.png", "--min-conf", "0.5"]).min_confidence == 0.5


def test_boxes_may_begin_with_a_minus():
    parser = Parser(add_options=lambda parser: parser.add_argument("--box"))
    assert parser.parse_args(["--box=-5,-5,80,80"]).box == "-5,-5,80,80"


@pytest.mark.parametrize(("option", "message"), [("--version", f"ert {ert.__version__}"), ("--help", "usage: ert")])
def test_help_and_version_exit_with_0(capsys, option, message):
    with pytest.raises(SystemExit) as error:
        run(option)
    assert error.value.code == 0
    assert capsys.readouterr().out.startswith(message)


def test_the_help_text_does_not_import_numba():
    code = (
        "import contextlib, sys\n"
        "from ert.cli.main import main\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "assert not {'numpy', 'numba', 'scipy', 'PIL'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ert")
