"""The command line: options to a Server; the only printing and the only exit codes."""

import logging
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click

from greenserver import __version__, engines, limits, logs
from greenserver.dialects import DEFAULT_DIALECT, DIALECTS
from greenserver.listening import UNIX_PREFIX
from greenserver.server import Server

PROGRAM: Final = "greenserver"
FAILURE: Final = 1
USAGE_FAILURE: Final = 2

_LEVELS: Final = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
_ANY_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (where to reach a server that listens there)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 after a stop, 1 if it could not serve, 2 for a wrong command line."""
    try:
        serve.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        hint = f" (see {PROGRAM} --help)" if isinstance(error, click.UsageError) else ""
        click.echo(f"{PROGRAM}: {_one_line(error.format_message())}{hint}", err=True)
        sys.exit(USAGE_FAILURE if hint else FAILURE)
    except click.Abort:
        sys.exit(FAILURE)
    sys.exit(0)


@click.command(
    context_settings={
        "auto_envvar_prefix": PROGRAM.upper(),
        "help_option_names": ["-h", "--help"],
        "show_default": True,
    },
    epilog="Every option can be given by environment too: GREENSERVER_PORT=2000, GREENSERVER_ENGINE=threads ...",
)
@click.option("-d", "--directory", default=".", metavar="DIR", help="What to serve: the regular files in it.")
@click.option(
    "-a", "--address", default="127.0.0.1", metavar="HOST", help="Where to listen: a name, an IP address, unix:PATH."
)
@click.option("-p", "--port", default=limits.DEFAULT_PORT, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--port-file", metavar="FILE", help="Write the port there once it listens.")
@click.option(
    "--engine",
    default=engines.DEFAULT_ENGINE,
    type=click.Choice(list(engines.MODULES)),
    help="How clients share the server.",
)
@click.option("--dialect", default=DEFAULT_DIALECT, type=click.Choice(list(DIALECTS)), help="The protocol's year.")
@click.option("--hidden", is_flag=True, help="Serve files whose names begin with a dot, too.")
@click.option("--log-format", default="text", type=click.Choice(list(logs.FORMATTERS)), help="Of the lines on stderr.")
@click.option("-v", "--verbose", count=True, show_default=False, help="Log more.")
@click.option("-q", "--quiet", count=True, show_default=False, help="Log only warnings; twice: only errors.")
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def serve(  # noqa: PLR0913  (an option each)
    *,
    directory: str,
    address: str,
    port: int,
    port_file: str | None,
    engine: str,
    dialect: str,
    hidden: bool,
    log_format: str,
    verbose: int,
    quiet: int,
) -> None:
    """Serve the files of a directory to HFTP clients."""
    logs.configure(log_format, _level(verbose - quiet))
    if port_file is not None and address.startswith(UNIX_PREFIX):
        message = "--port-file: a unix socket has no port"
        raise click.UsageError(message)
    try:
        with Server(directory, address=address, port=port, engine=engine, dialect=dialect, hidden=hidden) as server:
            _stop_on_signals(server)
            try:
                if port_file is not None:
                    write_port(port_file, server.port)
                click.echo(introduction(server))
                server.serve()
            finally:
                signal.set_wakeup_fd(-1)
    except (OSError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error


def introduction(server: Server) -> str:
    """Return the line that says where a server listens, what it serves, and how to try it."""
    host = _ANY_HOST.get(server.host, server.host)
    where = (
        f"-U {shlex.quote(host.removeprefix(UNIX_PREFIX))}" if host.startswith(UNIX_PREFIX) else f"{host} {server.port}"
    )
    return (
        f"{PROGRAM} {__version__} listens on {server.address} and serves {server.store.directory}; "
        rf"try: printf 'get_file_listing\r\nquit\r\n' | nc {where}"
    )


def write_port(path: str, port: int) -> None:
    """Write a port to a file such that nobody ever sees half of it.

    Raises OSError with a message for people.
    """
    target = Path(path)
    try:
        descriptor, draft = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f"{port}\n")
            Path(draft).chmod(0o644)
            Path(draft).replace(target)
        except BaseException:
            Path(draft).unlink()
            raise
    except OSError as error:
        message = f"cannot write the port to {path}: {error.strerror}"
        raise OSError(message) from error


def _stop_on_signals(server: Server) -> None:
    """Make the first SIGINT or SIGTERM stop the server; the second one ends the process, as if never caught."""
    stopping = (signal.SIGINT, signal.SIGTERM)

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in stopping:
            signal.signal(number, signal.SIG_DFL)
        server.stop()

    # Without it, a signal that comes just before the wait, or to another thread, would not end the wait.
    signal.set_wakeup_fd(server.wakeup_fileno(), warn_on_full_buffer=False)
    for number in stopping:
        signal.signal(number, stop)


def _level(louder: int) -> int:
    """Return the logging level for so many -v less so many -q."""
    usual = _LEVELS.index(logging.INFO)
    return _LEVELS[min(max(usual + louder, 0), len(_LEVELS) - 1)]


def _one_line(text: str) -> str:
    return " ".join(text.split())
