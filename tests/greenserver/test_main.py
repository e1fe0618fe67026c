"""The engine is known, and gevent has monkey-patched, before anything imports a socket."""

import sys
from pathlib import Path

import pytest

from greenserver import __main__ as program
from greenserver import cli
from greenserver.monkeypatch import patch_for


def run_program() -> None:
    """Call `main`, which never returns unless it is replaced."""
    program.main()


def test_main_patches_before_it_runs_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr(cli, "main", lambda **settings: given.append(settings))
    run_program()
    assert given == [{"prepare": patch_for}]


@pytest.mark.parametrize(
    ("arguments", "other_sources", "engine"),
    [
        ([], ("", ""), "gevent"),
        ([], ("threads", ""), "threads"),
        ([], ("", "sequential"), "sequential"),
        ([], ("threads", "sequential"), "threads"),
        (["--engine", "selectors"], ("", ""), "selectors"),
        (["--engine=selectors"], ("threads", "sequential"), "selectors"),
        (["--engine=threads", "--engine", "sequential"], ("", ""), "sequential"),
    ],
)
def test_finds_the_engine_before_importing_anything_to_be_patched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], other_sources: tuple[str, str], engine: str
) -> None:
    environment, file = other_sources
    if environment:
        monkeypatch.setenv("GREENSERVER_ENGINE", environment)
    config = tmp_path / "config.toml"
    config.write_text(f'engine = "{file}"\n' if file else "")
    prepared_for: list[str] = []

    def prepare(name: str) -> None:
        prepared_for.append(name)
        sys.exit(7)

    with pytest.raises(SystemExit) as raised:
        cli.main(["-c", str(config), *arguments], prepare=prepare)
    assert (raised.value.code, prepared_for) == (7, [engine])
