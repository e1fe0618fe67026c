"""The command line: parse options, start a server, print, and set the exit code."""

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

_ANY_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (the address that reaches such a listener)


def main(arguments: Sequence[str] | None = None, *, prepare: Callable[[str], object] = str) -> NoReturn:
    """Run the command line and exit: 0 after a stop, 1 if serving failed, 2 for a wrong command line or file.

    `prepare` is called with the engine's name before any module is imported that the engine may need patched.
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
    """Load a file as defaults for options that neither the command line nor the environment sets."""
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
    epilog="Every option can also be set in the environment (GREENSERVER_PORT=2000) or in the TOML file of --config "
    "(port = 2000). The command line overrides the environment, which overrides the file. "
    "SIGHUP reloads all three; SIGTERM finishes the replies in progress, then exits.",
)
@click.option(
    "-c",
    "--config",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_load_file,
    help="Read options from a TOML file, by name.",
)
@click.option("--check-config", is_flag=True, show_default=False, help="Check the configuration and exit.")
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def serve(context: click.Context, /, *, check_config: bool, **values: Any) -> None:  # noqa: ANN401  (one value per option)
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


@serve.command(short_help="Print a systemd unit or a Containerfile.")
@click.argument("what", type=click.Choice(["systemd", "container"]))
def deploy(what: str) -> None:
    """Print a systemd unit or a Containerfile that runs greenserver in a sandbox."""
    from greenserver.service import deployment  # noqa: PLC0415  (not needed to serve)

    click.echo(deployment.render(what), nl=False)


def read(arguments: Sequence[str]) -> Settings:
    """Return the settings from a command line, the environment and the file, read now.

    Raise ConfigurationError if a setting is wrong.
    """
    try:
        with serve.make_context(PROGRAM, list(arguments)) as context:
            return settle({name: value for name, value in context.params.items() if name != "check_config"})
    except click.ClickException as error:
        raise ConfigurationError(_describe(error)) from error


def introduction(host: str, port: int, settings: Settings) -> str:
    """Return the startup line: where the server listens, what it serves, and a command to try."""
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
    """Write a port to a file atomically: a reader sees the old content or the new, never a part.

    Raise OSError with a readable message.
    """
    import tempfile  # noqa: PLC0415  (rarely used, and the start must be fast)

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
    from greenserver.service import process  # noqa: PLC0415  (imports sockets, which must be patched first)

    process.check(settings)
    click.echo(f"{PROGRAM}: the configuration is valid")


def _serve(settings: Settings, arguments: Sequence[str], prepare: Callable[[str], object]) -> None:

    def announce(host: str, port: int) -> None:
        if settings.port_file is not None:
            write_port(settings.port_file, port)
        click.echo(introduction(host, port, settings))

    def reread() -> Settings:
        return read(arguments)

    if settings.workers:
        from greenserver.service import workers  # noqa: PLC0415  (a single process does not need it)

        workers.run(settings, announce, reread)
    else:
        prepare(settings.engine)
        from greenserver.service import process  # noqa: PLC0415  (imports sockets, which must be patched first)

        process.run(settings, announce, reread)


def _describe(error: click.ClickException) -> str:
    text = error.format_message()
    if isinstance(error, click.BadParameter) and error.ctx is not None and error.param is not None:
        name = error.param.name or ""
        if error.ctx.get_parameter_source(name) is click.core.ParameterSource.ENVIRONMENT:
            text += f" It was set by {PROGRAM.upper()}_{name.upper()}."
    return " ".join(text.split())
