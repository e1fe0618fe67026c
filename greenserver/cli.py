"""The command line: options to a Server; the only printing and the only exit codes."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from greenserver import __version__
from greenserver.config.addresses import UNIX_PREFIX, describe
from greenserver.config.settings import ConfigurationError, Settings, parameters, read_file, settle

PROGRAM: Final = "greenserver"
FAILURE: Final = 1
USAGE_FAILURE: Final = 2

_ANY_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (where to reach a server that listens there)


def main(arguments: Sequence[str] | None = None, *, prepare: Callable[[str], object] = str) -> NoReturn:
    """Run the command line and exit: 0 after a stop, 1 if it could not serve, 2 for a wrong command line or file.

    `prepare` is told the engine before anything is imported that the engine may want patched.
    """
    given = tuple(sys.argv[1:] if arguments is None else arguments)
    try:
        serve.main(given, prog_name=PROGRAM, standalone_mode=False, obj=(given, prepare))
    except click.ClickException as error:
        hint = f" (see {PROGRAM} --help)" if isinstance(error, click.UsageError) else ""
        click.echo(f"{PROGRAM}: {_describe(error)}{hint}", err=True)
        sys.exit(USAGE_FAILURE if hint else FAILURE)
    except click.Abort:
        sys.exit(FAILURE)
    sys.exit(0)


def _load_file(context: click.Context, _parameter: click.Parameter, path: str | None) -> None:
    """Let a file fill in what neither the command line nor the environment says."""
    if path is not None:
        context.default_map = read_file(path)


@click.group(
    invoke_without_command=True,
    context_settings={
        "auto_envvar_prefix": PROGRAM.upper(),
        "help_option_names": ["-h", "--help"],
        "show_default": True,
        "max_content_width": 120,
    },
    subcommand_metavar="[deploy ...]",
    epilog="Every option can be given by environment too (GREENSERVER_PORT=2000), or in the TOML file of --config "
    "(port = 2000). The command line wins over the environment, and that over the file. "
    "SIGHUP reads all three again; SIGTERM lets the replies under way finish.",
)
@click.option(
    "-c",
    "--config",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_load_file,
    help="A TOML file of these options, by their names.",
)
@click.option("--check-config", is_flag=True, show_default=False, help="Say whether all is well, and end.")
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def serve(context: click.Context, /, *, check_config: bool, **values: Any) -> None:  # noqa: ANN401  (an option each)
    """Serve the files of a directory to HFTP clients."""
    if context.invoked_subcommand is not None:
        return
    settings = settle(values)
    try:
        if check_config:
            _check(settings)
        else:
            _serve(settings, *context.obj)
    except (OSError, RuntimeError, ValueError) as error:
        raise click.ClickException(str(error)) from error


serve.params[1:1] = parameters()  # after --config, before --check-config and --version


@serve.command(short_help="Print what runs it elsewhere.")
@click.argument("what", type=click.Choice(["systemd", "container"]))
def deploy(what: str) -> None:
    """Print a systemd unit or a Containerfile that runs greenserver well guarded."""
    from greenserver.service import deployment  # noqa: PLC0415  (not to serve)

    click.echo(deployment.render(what), nl=False)


def read(arguments: Sequence[str]) -> Settings:
    """Return what a command line, the environment and the file say now.

    Raises ConfigurationError if something in them is wrong.
    """
    try:
        with serve.make_context(PROGRAM, list(arguments)) as context:
            return settle({name: value for name, value in context.params.items() if name != "check_config"})
    except click.ClickException as error:
        raise ConfigurationError(_describe(error)) from error


def introduction(host: str, port: int, settings: Settings) -> str:
    """Return the line that says where a server listens, what it serves, and how to try it."""
    there = _ANY_HOST.get(host, host)
    if there.startswith(UNIX_PREFIX):
        client = f"nc -U {shlex.quote(there.removeprefix(UNIX_PREFIX))}"
    elif settings.tls_cert:
        client = f"openssl s_client -quiet -connect {describe(there, port)}"
    else:
        client = f"nc {there} {port}"
    return (
        f"{PROGRAM} {__version__} listens on {describe(host, port)} and serves {os.path.realpath(settings.directory)}; "
        rf"try: printf 'get_file_listing\r\nquit\r\n' | {client}"
    )


def write_port(path: str, port: int) -> None:
    """Write a port to a file such that nobody ever sees half of it.

    Raises OSError with a message for people.
    """
    import tempfile  # noqa: PLC0415  (few ask for it, and starting must be quick)

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


def _check(settings: Settings) -> None:
    from greenserver.service import process  # noqa: PLC0415  (what it imports must find the sockets patched, if it serves)

    process.check(settings)
    click.echo(f"{PROGRAM}: the configuration is good")


def _serve(settings: Settings, arguments: Sequence[str], prepare: Callable[[str], object]) -> None:

    def announce(host: str, port: int) -> None:
        if settings.port_file is not None:
            write_port(settings.port_file, port)
        click.echo(introduction(host, port, settings))

    def reread() -> Settings:
        return read(arguments)

    if settings.workers:
        from greenserver.service import workers  # noqa: PLC0415  (one process does without)

        workers.run(settings, announce, reread)
    else:
        prepare(settings.engine)
        from greenserver.service import process  # noqa: PLC0415  (what it imports must find the sockets patched)

        process.run(settings, announce, reread)


def _describe(error: click.ClickException) -> str:
    text = error.format_message()
    if isinstance(error, click.BadParameter) and error.ctx is not None and error.param is not None:
        name = error.param.name or ""
        if error.ctx.get_parameter_source(name) is click.core.ParameterSource.ENVIRONMENT:
            text += f" It was set by {PROGRAM.upper()}_{name.upper()}."
    return " ".join(text.split())
