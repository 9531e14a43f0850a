import argparse
from pathlib import Path

import pytest

from latentode import LatentODEForecaster
from latentode.cli import _OPTIONS, commands
from latentode.cli.parser import parser

COMMANDS = {
    "fit": ["fit", "a.csv", "--out", "model"],
    "forecast": ["forecast", "model", "--out", "f.csv"],
    "evaluate": ["evaluate", "a.csv"],
    "report": ["report", "model", "a.csv", "--out", "r.html"],
    "demo": ["demo"],
}


def commands_of():
    """The parser of each command."""
    (group,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return group.choices


def refused(capsys, *words):
    with pytest.raises(SystemExit) as end:
        parser().parse_args([str(w) for w in words])
    assert end.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_the_function_of_its_name(name):
    assert parser().parse_args(COMMANDS[name]).command is getattr(commands, name)


def test_there_is_a_command_for_every_function():
    assert sorted(commands_of()) == sorted(commands.__all__) == sorted(COMMANDS)


# Words of the command line, the parameter they set, and its value.
REACHED = [
    (["--id", "storm"], "id_col", "storm"),
    (["--time", "when"], "time_col", "when"),
    (["--target", "wind", "--target", "rain"], "target_cols", ["wind", "rain"]),
    (["--horizon", "30D"], "horizon", "30D"),
    (["--horizon", "2.5"], "horizon", 2.5),
    (["--static", "sex"], "static_cols", ["sex"]),
    (["--known", "dose"], "known_cols", ["dose"]),
    (["--impulse", "a", "--impulse", "b"], "impulse_cols", ["a", "b"]),
    (["--past", "sun"], "past_cols", ["sun"]),
    (["--seasonality", "1D", "--seasonality", "7"], "seasonality", ["1D", 7.0]),
    (["--seasonality", "none"], "seasonality", None),
    (["--seasonality", "auto"], "seasonality", "auto"),
    (["--likelihood", "poisson"], "likelihood", "poisson"),
    (["--n-models", "4"], "n_models", 4),
    (["--max-steps", "50"], "max_steps", 50),
    (["--seed", "7"], "random_state", 7),
]


@pytest.mark.parametrize("command", ["fit", "evaluate"])
@pytest.mark.parametrize(("words", "name", "value"), REACHED)
def test_an_option_reaches_the_parameter_of_the_forecaster_and_changes_no_other(command, words, name, value):
    ours = commands._forecaster(parser().parse_args([*COMMANDS[command], *words])).get_params()
    assert ours == {**LatentODEForecaster(random_state=0).get_params(), name: value}


def test_without_options_the_forecaster_is_the_default_of_seed_0():
    ours = commands._forecaster(parser().parse_args(COMMANDS["fit"]))
    assert ours.get_params() == LatentODEForecaster(random_state=0).get_params()


@pytest.mark.parametrize("command", ["fit", "evaluate", "report", "forecast"])
def test_every_command_that_reads_a_table_takes_how_it_is_written(command):
    words = ["--sep", "tab", "--decimal", ","]
    of_dates = {("--no-dayfirst",): (None, False), ("--date-format", "%d.%m.%Y"): ("%d.%m.%Y", None)}
    for more, expected in of_dates.items():
        found = commands._text_format(parser().parse_args([*COMMANDS[command], *words, *more]))
        assert (found.sep, found.decimal) == ("\t", ",")
        assert (found.date_format, found.dayfirst) == expected
    assert parser().parse_args(COMMANDS[command]).dayfirst is None


def test_places_are_paths_and_levels_numbers():
    words = [
        "--level",
        "90",
        "--level",
        "50.5",
        "--id",
        "a",
        "--history",
        "h.csv",
        "--plot",
        "f.png",
        "--grid",
        "clock",
    ]
    args = parser().parse_args([*COMMANDS["forecast"], *words])
    assert (args.level, args.id, args.grid) == ([90.0, 50.5], ["a"], "clock")
    assert (args.model, args.out, args.history, args.plot) == tuple(map(Path, ("model", "f.csv", "h.csv", "f.png")))
    assert parser().parse_args(COMMANDS["forecast"]).grid == "last"
    assert parser().parse_args(["report", "model", "a.csv", "-o", "r.html"]).out == Path("r.html")
    assert parser().parse_args([*COMMANDS["fit"], "--checkpoint-dir", "kept"]).checkpoint_dir == Path("kept")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*COMMANDS["fit"], "--n-models", "two"], "argument --n-models: invalid int value: 'two'"),
        ([*COMMANDS["fit"], "--max-steps", "1.5"], "argument --max-steps: invalid int value: '1.5'"),
        ([*COMMANDS["fit"], "--seed", ""], "argument --seed: invalid int value: ''"),
        ([*COMMANDS["forecast"], "--level", "high"], "argument --level: invalid float value: 'high'"),
        ([*COMMANDS["fit"], "--colour", "red"], "unrecognized arguments: --colour red"),
        (["fit", "a.csv"], "the following arguments are required: --out"),
        (["forecast", "--out", "f.csv"], "the following arguments are required: MODEL"),
        (["report", "model", "--out", "r.html"], "the following arguments are required: DATA"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_a_wrong_word_is_refused_by_the_name_of_its_option(capsys, words, said):
    assert f"error: {said}\n" in refused(capsys, *words)


@pytest.mark.parametrize(
    ("words", "option", "wrong", "choices"),
    [
        ([*COMMANDS["forecast"], "--grid", "moon"], "--grid", "moon", ("last", "clock")),
        (["predict"], "COMMAND", "predict", tuple(COMMANDS)),
    ],
)
def test_a_choice_that_there_is_not_is_refused_with_those_there_are(capsys, words, option, wrong, choices):
    said = refused(capsys, *words)
    assert f"argument {option}: invalid choice: '{wrong}'" in said
    assert all(choice in said.rpartition("choose from")[2] for choice in choices)


def test_every_option_says_what_it_is_for():
    for name, command in commands_of().items():
        assert command.description, name
        assert all(action.help for action in command._actions), name
        assert command.format_help()  # a percent sign in a help text must be doubled


def test_options_that_errors_of_the_library_are_put_in_terms_of_exist():
    there = {
        option for command in commands_of().values() for action in command._actions for option in action.option_strings
    }
    assert set(_OPTIONS.values()) <= there
    assert set(_OPTIONS) - {"history", "ids", "freq", "align"} <= set(LatentODEForecaster().get_params())
