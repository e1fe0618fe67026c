"""Options that several commands share, as click decorators; those of a run are made from the option table."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click

from conformance.client.address import check_proxy, parse_address
from conformance.config import DIALECT_MISSING, Options
from conformance.language import Message, translated
from conformance.option_table import RUN_OPTIONS, RunOption
from conformance.reports.sinks import WRITTEN


class _Type(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.4 on
    """A click type made from a row of the option table."""

    def __init__(self, option: RunOption) -> None:
        self.name = option.metavar
        self._convert = option.convert

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  (as in click)
        """Return the value; fail with a one-line message."""
        if not isinstance(value, str):
            return value  # a default
        try:
            return self._convert(value)
        except ValueError as error:
            self.fail(translated(str(error)), param, ctx)


def _option_of_run(option: RunOption) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return the decorator that adds an option of the table to a command."""
    default = getattr(Options, option.field)
    if option.is_flag:
        return click.option(*_names(option), option.field, is_flag=True, help=option.help)
    return click.option(
        *_names(option),
        option.field,
        type=click.Choice(option.choices) if option.choices else _Type(option),
        metavar=None if option.choices else option.metavar,
        default=option.shown_default or default,
        show_default=default not in {"", None, ()},
        multiple=option.is_repeatable,
        help=option.help,
    )


def _names(option: RunOption) -> list[str]:
    return [*([f"-{option.short}"] if option.short else []), f"--{option.name}"]


OPTIONS_OF_RUN: Final = {option.name: _option_of_run(option) for option in RUN_OPTIONS}


def run_options(*, selects: bool, without: tuple[str, ...] = ()) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return the decorator that adds all options of the table, or those about the server, `without` some."""

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        for option in reversed(RUN_OPTIONS):
            if (selects or not option.selects) and option.name not in without:
                function = OPTIONS_OF_RUN[option.name](function)
        return function

    return decorate


def detail_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say how much of a run is shown in the terminal."""
    function = click.option("--all", "shows_all", is_flag=True, help="Also show every scenario that passed.")(function)
    return click.option("-v", "--verbose", is_flag=True, help="Explain every cause and every failure.")(function)


def file_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options that name the files of reports."""
    for name in reversed(("ndjson", *WRITTEN)):
        function = click.option(
            f"--{name}", type=click.Path(dir_okay=False), metavar="FILE", help="Write this report."
        )(function)
    return function


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Handle SIGTERM and SIGHUP like Ctrl-C, so that the server is stopped and the files are removed.

    One that is ignored, as SIGHUP is under nohup(1), stays so.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    handled = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_target(options: Options) -> None:
    """Check that a server is given, and the options fit together; raise ClickException or AddressError."""
    if not options.address and not options.serve:
        message = Message("no server given: HOST:PORT or --serve CMD")
        raise click.UsageError(message)
    if options.address:
        parse_address(options.address)
    elif "{port}" not in options.serve:
        message = Message("--serve needs {port} in the command, or HOST:PORT as an argument")
        raise click.UsageError(message)
    if options.is_dialect_missing:
        raise click.UsageError(DIALECT_MISSING)
    for name, value in {
        "cwd": options.cwd,
        "sandbox": options.is_sandboxed,
        "sandbox-read": options.sandbox_read,
    }.items():
        if value and not options.serve:
            message = Message("--{name} is only used with --serve, but there is no --serve", name=name)
            raise click.UsageError(message)
    if options.cwd and not Path(options.cwd).is_dir():
        message = Message("--cwd {cwd}: no such directory", cwd=options.cwd)
        raise click.UsageError(message)
    if options.proxy:
        check_proxy(options.proxy)
