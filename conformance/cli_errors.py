"""How a command ends: the exit status, and for an error one line on the standard error stream that says what to do."""

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from conformance.cli_language import Group, translate
from conformance.config import PROGRAM
from conformance.failures import UsageError
from conformance.fixtures.disk import FULL
from conformance.language import Message, translated
from conformance.model.verdicts import Exit
from conformance.printable import printable
from conformance.reports.files import FilledDiskError, ReportError, drop_output
from conformance.runner.play import fault

_HELP: Final = getattr(click.exceptions, "NoArgsIsHelpError", ())  # click 8.2 or later; older ones exit themselves
_TRACEBACK: Final = f"python -X dev -m {PROGRAM}"


class _OutputClosedError(Exception):
    """The reader of the standard output is gone."""


class Commands(Group):
    """Commands that end without an error at a closed pipe; click would exit with 1, which means not conformant.

    The modules of some are imported on first use.
    """

    modules: Mapping[str, str] = {}
    """Those commands: where each is, as MODULE:NAME."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, sorted."""
        return sorted({*super().list_commands(ctx), *self.modules})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; import it if need be."""
        if cmd_name in self.modules and cmd_name not in self.commands:
            module, _, name = self.modules[cmd_name].partition(":")
            self.add_command(getattr(import_module(module), name))
            translate(self.commands[cmd_name])
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  (as in click)
        """Run the command; raise _OutputClosedError."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _OutputClosedError from error


def ended(command: Callable[[], object]) -> NoReturn:
    """Run a command, and exit with the status that it returns, or that an error has."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a locale may lack characters
    try:
        status = command()
        sys.stdout.flush()
    except _HELP as error:
        click.echo(error.format_message(), err=True)
        sys.exit(Exit.USAGE)
    except click.ClickException as error:
        _complain(Message("{error} (see {program} --help)", error=error.format_message(), program=PROGRAM))
        sys.exit(Exit.USAGE)
    except UsageError as error:
        _complain(str(error), error.output)
        sys.exit(Exit.SUITE_FAULT if _is_out_of_space(error.__cause__) else Exit.USAGE)
    except click.Abort:
        _complain(Message("interrupted"))
        sys.exit(Exit.INCOMPLETE)
    except (_OutputClosedError, BrokenPipeError):
        drop_output()
        sys.exit(Exit.INCOMPLETE)
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        drop_output()
        _complain(_explained(error))
        sys.exit(Exit.NOT_CONFORMANT if isinstance(error, FilledDiskError) else Exit.SUITE_FAULT)
    sys.exit(status if isinstance(status, int) else Exit.CONFORMANT)


def _explained(error: Exception) -> str:
    if isinstance(error, ReportError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        message = Message("cannot go on: {reason}", reason=error.strerror)
        return Message("{message}: {file}", message=message, file=error.filename) if error.filename else message
    return Message("the suite itself failed: {fault} ({command} shows where)", fault=fault(error), command=_TRACEBACK)


def _is_out_of_space(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in FULL


def _complain(text: str, output: Sequence[str] = ()) -> None:
    """Print a message in one line, and what the server printed, if that belongs to it."""
    click.echo(printable(f"{PROGRAM}: {' '.join(translated(text).split())}"), err=True)
    for line in output:
        click.echo(printable(f"  {line}", keep="\t"), err=True)
