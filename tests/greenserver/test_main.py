"""The engine is known before the command line is read, and is the one that it will read."""

import sys
from typing import TYPE_CHECKING, cast

import pytest

from greenserver import __main__ as program
from greenserver import cli
from greenserver.__main__ import engine_asked_for

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("arguments", "environment", "engine"),
    [
        ([], "", "gevent"),
        ([], "threads", "threads"),
        (["--engine", "selectors"], "", "selectors"),
        (["--engine=selectors"], "", "selectors"),
        (["--engine", "selectors"], "threads", "selectors"),
        (["--engine=threads", "--engine", "sequential"], "", "sequential"),
        (["--engine", "threads", "--engine=sequential"], "", "sequential"),
        (["-p", "0", "--engine", "threads", "-q"], "", "threads"),
        (["--port=0", "-vv"], "sequential", "sequential"),
    ],
)
def test_the_engine_is_the_one_that_the_command_line_will_read(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], environment: str, engine: str
) -> None:
    monkeypatch.setenv("GREENSERVER_ENGINE", environment)
    assert engine_asked_for(arguments, {"GREENSERVER_ENGINE": environment}) == engine
    assert cli.serve.make_context("greenserver", list(arguments)).params["engine"] == engine


def test_an_engine_without_a_name_is_not_gevent() -> None:
    assert engine_asked_for(["--engine"], {}) == ""


def test_without_gevent_nothing_is_patched_and_the_command_line_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr("gevent.monkey.patch_all", lambda: done.append("patched"))
    monkeypatch.setattr(cli, "main", lambda: done.append("run"))
    monkeypatch.setattr(sys, "argv", ["greenserver", "--engine", "threads"])
    run_program = cast("Callable[[], None]", program.main)  # it does not return, but for what replaces the command line
    run_program()
    assert done == ["run"]


def test_with_gevent_all_is_patched_before_the_command_line_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr("gevent.monkey.patch_all", lambda: done.append("patched"))
    monkeypatch.setattr(cli, "main", lambda: done.append("run"))
    monkeypatch.setattr(sys, "argv", ["greenserver"])
    run_program = cast("Callable[[], None]", program.main)  # it does not return, but for what replaces the command line
    run_program()
    assert done == ["patched", "run"]
