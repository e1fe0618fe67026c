"""The command line of `hftp`: parse, run a command, print, and set the exit status."""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click

from greenserver import __version__
from greenserver.client import commands
from greenserver.client.address import Address, parse_address
from greenserver.client.client import Client
from greenserver.client.errors import AddressError, Exit, HftpError, LocalError
from greenserver.client.options import Options
from greenserver.client.output import PROGRAM, Output, complain
from greenserver.io.standard_streams import give_up_output
from greenserver.protocol.slice_decodings import FORMS

Command = TypeVar("Command", bound=Callable[..., Any])

_DEFAULTS: Final = Options()
_SHA256: Final = re.compile(r"[0-9A-Fa-f]{64}")
_SUM_LINE: Final = re.compile(r"([0-9A-Fa-f]{64}) [ *](\S+)")
_MOST_SUMS_BYTES: Final = 64 << 20


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit, see `Exit`."""
    try:
        hftp.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        complain(f"{' '.join(error.format_message().split())} (see {PROGRAM} --help)")
        sys.exit(Exit.USAGE)
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        _end(Exit.INTERRUPTED)
    except OSError as error:  # of --help and --version, which click prints
        give_up_output()
        complain(f"cannot write to standard output: {error.strerror}")
        sys.exit(Exit.LOCAL)
    sys.exit(Exit.DONE)


def _end(status: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:
        give_up_output()
    sys.exit(status)


def _read_address(_context: click.Context, _parameter: click.Parameter, text: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        raise click.BadParameter(str(error)) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 110})
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def hftp() -> None:
    """Fetch files by HFTP.

    ADDRESS is HOST:PORT, hftp://HOST:PORT/NAME, hftps://HOST:PORT/NAME or unix:PATH. The port is 19500 by default.
    """


_COMMON: Final = (
    click.argument("address", callback=_read_address),
    click.option("--json", "is_json", is_flag=True, help="Print a JSON object per line."),
    click.option("-q", "--quiet", "is_quiet", is_flag=True, help="Print neither progress nor what went well."),
    click.option("--dialect", type=click.Choice(list(FORMS)), help="Do not ask the server for its dialect."),
    click.option("--base64", "is_base64", is_flag=True, help="Ask for base64, also where slices can be had raw."),
    click.option(
        "--connections",
        type=click.IntRange(1, 64),
        metavar="N",
        default=_DEFAULTS.connections,
        help="How many connections fetch a large file.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(0.1, 3600),
        metavar="SECONDS",
        default=_DEFAULTS.timeout_seconds,
        help="How long a server may not answer, or send less than 1 KiB per second.",
    ),
    click.option(
        "--retries",
        type=click.IntRange(0, 1000),
        metavar="N",
        default=_DEFAULTS.retries,
        help="How often to connect again after a loss.",
    ),
    click.option("--proxy", metavar="URL", default="", help="Connect through socks5h://HOST:PORT."),
    click.option("--proxy-protocol", type=click.IntRange(1, 2), help="Begin with a PROXY protocol header."),
    click.option("--tls-ca", metavar="FILE", default="", help="Trust these certificates, and not the system's (PEM)."),
    click.option("--tls-cert", metavar="FILE", default="", help="The client's own certificate chain (PEM)."),
    click.option("--tls-key", metavar="FILE", default="", help="Its private key (PEM)."),
)


def _command(least_names: int, *decorators: Callable[[Any], Any]) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function that takes a job and the options of its own."""

    def decorate(function: Callable[..., None]) -> click.Command:
        def run(address: Address, names: tuple[str, ...], **values: Any) -> None:  # noqa: ANN401  (one value per option)
            output = Output(is_json=values.pop("is_json"), is_quiet=values.pop("is_quiet"))
            _run(function, address, names, output, least_names, values)

        names = click.argument("names", nargs=-1, metavar="[NAME]...")
        command: Any = run
        for decorate_it in reversed((_COMMON[0], names, *decorators, *_COMMON[1:])):
            command = decorate_it(command)
        return hftp.command(function.__name__, help=function.__doc__)(command)

    return decorate


def _run(  # noqa: PLR0913, PLR0917  (what a command has)
    function: Callable[..., None],
    address: Address,
    names: tuple[str, ...],
    output: Output,
    least_names: int,
    values: dict[str, Any],
) -> None:
    names = (*((address.name,) if address.name else ()), *names)
    if len(names) < least_names:
        message = "name a file"
        raise click.UsageError(message)
    try:
        options = Options(
            dialect=values.pop("dialect") or "",
            is_raw_wanted=not values.pop("is_base64"),
            timeout_seconds=values.pop("timeout"),
            proxy_protocol=values.pop("proxy_protocol") or 0,
            **{each: values.pop(each) for each in ("retries", "connections", "proxy", "tls_ca", "tls_cert", "tls_key")},
        )
        with Client(address, options) as client:
            function(commands.Job(client, output, names), **values)
            output.flush()
    except AddressError as error:
        raise click.UsageError(str(error)) from error
    except HftpError as error:
        output.error(error)
    except commands.EndedError:
        pass
    except KeyboardInterrupt:
        complain("interrupted; what was fetched is kept for the next time")
        _end(Exit.INTERRUPTED)
    try:
        output.flush()
    except LocalError as error:
        if output.exit == Exit.DONE:  # another error, such as one of writing this, has been told
            output.exit = Exit.LOCAL
            complain(str(error))
        give_up_output()
    _end(output.exit)


_folder = click.option(
    "-d", "--directory", type=click.Path(path_type=Path), default=Path(), metavar="DIR", help="Where the files are."
)
_hashed = click.option("--sha256", "is_hashed", is_flag=True, help="Print the SHA-256 of each file, as sha256sum does.")


def _read_sums(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> dict[str, str] | None:
    """Read what sha256sum prints."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_SUMS_BYTES).decode("utf-8")
    except (OSError, UnicodeError) as error:
        message = f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no text'}"
        raise click.BadParameter(message) from error
    found = [(line, _SUM_LINE.fullmatch(line)) for line in text.splitlines() if line]
    for line, match in found:
        if match is None:
            message = f"{line[:80]!r} is no line of sha256sum"
            raise click.BadParameter(message)
    return {match[2]: match[1].lower() for _, match in found if match}


def _read_digest(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    if text and not _SHA256.fullmatch(text):
        message = "a SHA-256 has 64 hexadecimal digits"
        raise click.BadParameter(message)
    return text.lower()


_sums = click.option(
    "--sums",
    type=click.Path(path_type=Path),
    metavar="FILE",
    callback=_read_sums,
    help="Compare with this list of digests, as sha256sum prints it.",
)


@_command(0, click.option("-l", "--long", "is_long", is_flag=True, help="With the size of each file."))
def ls(job: commands.Job, *, is_long: bool) -> None:
    """List the files of a server, or those that are named."""
    commands.ls(job, is_long=is_long)


@_command(0)
def stat(job: commands.Job) -> None:
    """Show the size of files; without names, the dialect of the server."""
    commands.stat(job)


@_command(
    1,
    click.option("--offset", type=click.IntRange(0), default=0, metavar="N", help="Begin at this byte."),
    click.option("--size", type=click.IntRange(0), metavar="N", help="Write so many bytes only."),
)
def cat(job: commands.Job, *, offset: int, size: int | None) -> None:
    """Write files to standard output."""
    commands.cat(job, offset, size)


@_command(
    1,
    click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to write one file to."),
    _folder,
    _hashed,
    click.option("--expect", default="", metavar="HEX", callback=_read_digest, help="What its SHA-256 must be."),
    _sums,
)
def get(  # noqa: PLR0913  (one for each option)
    job: commands.Job,
    *,
    output: Path | None,
    directory: Path,
    is_hashed: bool,
    expect: str,
    sums: dict[str, str] | None,
) -> None:
    """Fetch files, over several connections if they are large, and go on with what was fetched before.

    A file has its name once it is whole, and replaces one that was there.
    """
    if (output or expect) and len(job.names) > 1:
        message = "--output and --expect are for a single file"
        raise click.UsageError(message)
    commands.get(job, commands.Wanted(directory, output, is_hashed, expect, sums))


@_command(
    0,
    _folder,
    click.option("--force", "is_forced", is_flag=True, help="Fetch files of the same size, too."),
    _hashed,
    _sums,
)
def mirror(
    job: commands.Job, *, directory: Path, is_forced: bool, is_hashed: bool, sums: dict[str, str] | None
) -> None:
    """Fetch all files that are missing here, or have another size."""
    commands.mirror(job, commands.Wanted(directory, is_hashed=is_hashed, digests=sums), is_forced=is_forced)


@_command(0, _folder, _sums)
def verify(job: commands.Job, *, directory: Path, sums: dict[str, str] | None) -> None:
    """Compare the files of a server with those here, byte by byte, or with a list of digests."""
    commands.verify(job, commands.Wanted(directory, digests=sums))
