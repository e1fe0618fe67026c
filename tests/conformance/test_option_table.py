"""Both command lines are generated from one table, and complete."""

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest

from conformance import cli, cli_types, pytest_plugin
from conformance.config import FIXED_SEED, Options
from conformance.option_table import RUN_OPTIONS, RunOption

COMMAND_LINE_ONLY = {"baseline", "jobs", "exitfirst", "name", "deep"}
"""pytest has marks, pytest-xdist and -x for them, and a report of its own."""
REPORTS = {"verbose", "shows_all", "ndjson", "junit", "html", "lang"}
"""Options of `conformance run` that are no part of `Options`."""
VALUES = {"fixtures": ("x", Path("x")), "large_bytes": ("64K", 64 << 10), "seed": ("7", 7), "clients": ("8", 8)}
VALUES |= {"jobs": ("3", 3), "timeout_scale": ("2", 2.0), "fail_on": ("should", "should"), "dialect": ("2018", "2018")}
VALUES |= {"max_seconds": ("60", 60), "deep": ("5", 5), "catalogue": ("2026.1", "2026.1"), "sandbox": ("auto", "auto")}
VALUES |= {"baseline": ("known.toml", Path("known.toml"))}

each_option = pytest.mark.parametrize("option", [pytest.param(option, id=option.name) for option in RUN_OPTIONS])


def example(option: RunOption) -> tuple[str, Any]:
    """Return a word of a command line, and the value that it stands for."""
    return VALUES.get(option.field, ("a b", "a b"))


def click_options() -> dict[str, click.Option]:
    """Return the options of `conformance run`, by their fields."""
    run = cli.commands.commands["run"]
    return {row.name: row for row in run.params if isinstance(row, click.Option) and row.name is not None}


def pytest_options() -> dict[str, dict[str, Any]]:
    """Return what the plugin adds to pytest: attributes of argparse, by the option's name."""
    added: dict[str, dict[str, Any]] = {}
    group = SimpleNamespace(addoption=lambda name, **attributes: added.update({name: attributes}))
    pytest_plugin.pytest_addoption(cast("pytest.Parser", SimpleNamespace(getgroup=lambda *_: group)))
    return added


def pytest_values(*words: str) -> dict[str, Any]:
    """Return what the plugin's options give for a command line."""
    parser = argparse.ArgumentParser()
    for name, attributes in pytest_options().items():
        parser.add_argument(name, **attributes)
    return vars(parser.parse_args(words))


def test_table_has_every_option_but_the_address() -> None:
    assert [option.field for option in RUN_OPTIONS] == [name for name in vars(Options()) if name != "address"]


def test_command_line_has_no_other_options() -> None:
    assert click_options().keys() - REPORTS == {option.field for option in RUN_OPTIONS}


def test_pytest_has_all_but_its_own_options() -> None:
    names = {option.name for option in RUN_OPTIONS}
    assert pytest_options().keys() == {"--hftp", "--hftp-lang"} | {
        f"--hftp-{name}" for name in names - COMMAND_LINE_ONLY
    }


@each_option
def test_both_have_the_names_and_help_of_the_table(option: RunOption) -> None:
    row = click_options()[option.field]
    assert f"--{option.name}" in row.opts
    assert row.help == option.help
    if option.in_pytest:
        assert pytest_options()[f"--hftp-{option.name}"]["help"] == option.help


@each_option
def test_both_convert_values_alike(option: RunOption) -> None:
    word, value = ("", True) if option.is_flag else example(option)
    expected = (value, value) if option.is_repeatable else value
    words = [f"--{option.name}", *([] if option.is_flag else [word])] * (2 if option.is_repeatable else 1)
    context = cli.commands.commands["run"].make_context("run", list(words))
    assert context.params[option.field] == expected
    if option.in_pytest:
        found = pytest_values(*[f"--hftp-{word[2:]}" if word.startswith("--") else word for word in words])
        given = found[f"hftp_{option.name.replace('-', '_')}"]
        assert (tuple(given) if option.is_repeatable else given) == expected


@each_option
def test_default_is_that_of_options(option: RunOption) -> None:
    context = cli.commands.commands["run"].make_context("run", [])
    assert context.params[option.field] == getattr(Options(), option.field) or option.name == "seed"


def test_a_seed_is_drawn_for_each_run_but_programs_get_a_fixed_one() -> None:
    run = cli.commands.commands["run"]
    seeds = {run.make_context("run", []).params["seed"] for _ in range(3)}
    assert len(seeds) == 3
    assert Options().seed == FIXED_SEED
    assert cli_types.seed("random") != cli_types.seed("random")
    assert "[default: random]" in " ".join(run.get_help(run.make_context("run", [])).split())


def test_reproduces_a_run_with_non_default_options() -> None:
    fields = {option.field: example(option)[1] for option in RUN_OPTIONS}
    fields |= {option.field: (fields[option.field],) * 2 for option in RUN_OPTIONS if option.is_repeatable}
    assert Options(**fields).command("try", "x") == (
        "conformance try x --serve 'a b' --cwd 'a b' --sandbox auto --sandbox-read 'a b' "
        "--sandbox-read 'a b' --fixtures x --proxy 'a b' --dialect 2018 --seed 7 --size 65536 "
        "--clients 8 --timeout-scale 2.0 --scenarios 'a b' --scenarios 'a b'"
    )
    again = Options(address="127.0.0.1:9", select=("a", "b c"), skip=("d",)).run_command
    assert again == "conformance run 127.0.0.1:9 --seed 2008 -t a -t 'b c' --skip d"


@pytest.mark.parametrize(
    ("text", "number"),
    [("1000", 1000), ("64K", 64 << 10), ("64KiB", 64 << 10), ("32m", 32 << 20), ("4GB", 4 << 30)],
)
def test_accepts_units_of_size(text: str, number: int) -> None:
    assert cli_types.size(text) == number


@pytest.mark.parametrize("text", ["", "0", "-1", "K", "1T", "1.5M", "9" * 16, "\N{ARABIC-INDIC DIGIT ONE}", "1_0"])
def test_rejects_an_invalid_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        cli_types.size(text)


@pytest.mark.parametrize("text", ["0", "0.009", "1001", "nan", "inf", "-1", "x", ""])
def test_rejects_an_invalid_scale(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a number from 0\.01 to 1000"):
        cli_types.scale(text)


def test_accepts_scales_from_a_hundredth_to_a_thousand() -> None:
    assert [cli_types.scale(text) for text in ("0.01", "1", "1000")] == [0.01, 1.0, 1000.0]


@pytest.mark.parametrize("text", ["0", "65", "-1"])
def test_limits_the_number_of_jobs(text: str) -> None:
    with pytest.raises(ValueError, match=f"{text} is not in the range from 1 to 64"):
        cli_types.jobs(text)


def test_accepts_automatic_jobs() -> None:
    assert (cli_types.jobs("auto"), cli_types.jobs("1"), cli_types.jobs("64")) == (0, 1, 64)
