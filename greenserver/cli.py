"""The command line: parse options, start a server, print, and set the exit code."""

import contextlib
import dataclasses
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from greenserver import __version__
from greenserver.config.addresses import UNIX_PREFIX, describe, strip_brackets
from greenserver.config.config_file import read_file
from greenserver.config.settings import ConfigurationError, Settings, closest, parameters, settle, variable
from greenserver.io.standard_streams import give_up_output, print_line

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
        _complain(f"{_describe(error)}{hint}")
        sys.exit(USAGE_FAILURE if hint else FAILURE)
    except OSError as error:  # of the standard output: what else fails says so by itself
        give_up_output()
        _complain(f"cannot print: {error.strerror}")
        sys.exit(FAILURE)
    except click.Abort:
        sys.exit(FAILURE)
    sys.exit(0)


class _Program(click.Group):
    """The command line, which explains what a word that is no command was probably meant to be."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if self.get_command(ctx, word) is None:
            option = "--port " if word.isdecimal() else "--directory "
            meant = "".join(closest(word, self.commands, 0.7)) or option + shlex.quote(word)
            ctx.fail(f"unexpected argument {word!r}; did you mean {meant}?")
        return super().resolve_command(ctx, args)


def _load_file(context: click.Context, _parameter: click.Parameter, path: str | None) -> None:
    """Load a file as defaults for options that neither the command line nor the environment sets."""
    if path is not None:
        context.default_map = read_file(path)


@click.group(
    cls=_Program,
    invoke_without_command=True,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "show_default": True,
        "max_content_width": 120,
    },
    subcommand_metavar="[demo | deploy ...]",
    epilog="Every option can also be set in the environment (GREENSERVER_PORT=2000) or in the TOML file of --config "
    "(port = 2000). The command line overrides the environment, which overrides the file. "
    "BYTES may end in K, M or G (powers of 1024), as in --rate 10M. "
    "SIGHUP reloads all three; SIGTERM finishes the replies in progress, then exits.",
)
@click.option(
    "-c",
    "--config",
    metavar="FILE",
    envvar=variable("config"),
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
    if settings.umask is not None:
        os.umask(settings.umask)  # before a unix socket is made
    try:
        if check_config:
            _check(settings)
        else:
            _serve(settings, *context.obj)
    except (OSError, RuntimeError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if check_config:
        print_line(f"{PROGRAM}: the configuration is valid")


serve.params[1:1] = parameters()  # after --config, before --check-config and --version


@serve.command(short_help="Print a systemd unit, a configuration or a Containerfile.")
@click.argument("what", type=click.Choice(["systemd", "socket", "config", "container"]))
def deploy(what: str) -> None:
    """Print what runs greenserver in a sandbox: a systemd unit, its socket, its configuration, or a Containerfile."""
    from greenserver.service import deployment  # noqa: PLC0415  (not needed to serve)

    click.echo(deployment.render(what), nl=False)
    sys.stdout.flush()
    if what == "systemd" and (hidden := deployment.hidden_paths()):
        _complain(
            f"the service will not see {', '.join(hidden)} (ProtectHome, PrivateTmp); install greenserver elsewhere: "
            "python3 -m venv /opt/greenserver && /opt/greenserver/bin/pip install ."
        )


@serve.command(short_help="Serve sample files, fetch them, judge the server, open the report.")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Where to write the report to.")
@click.option("--no-browser", is_flag=True, show_default=False, help="Do not open the report in a browser.")
def demo(report: Path | None, *, no_browser: bool) -> None:
    """Serve sample files, fetch them with hftp, judge the server with conformance, and open the report.

    Without a display, it prints where the report is. All else that it makes is temporary.
    """
    from greenserver import demo as demonstration  # noqa: PLC0415  (not needed to serve)

    try:
        demonstration.run(report, is_browser_wanted=not no_browser)
    except (demonstration.DemoError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        _complain("interrupted")
        sys.exit(demonstration.INTERRUPTED)


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


def _check(settings: Settings) -> None:
    from greenserver.service import inspection, process, reload  # noqa: PLC0415  (import sockets, which must be patched first)

    process.check(settings)
    reload.configure_log(settings)
    is_root = os.geteuid() == 0  # only root can look at the directory as another user
    inspection.warn(inspection.inspect(settings if is_root else dataclasses.replace(settings, user=None, group=None)))


def _serve(settings: Settings, arguments: Sequence[str], prepare: Callable[[str], object]) -> None:
    from greenserver.service import inspection  # noqa: PLC0415  (not needed for --help)

    findings = inspection.inspect(settings)

    def announce(host: str, port: int) -> None:
        if settings.port_file is not None:
            from greenserver.service.port_file import write_port  # noqa: PLC0415  (rarely used, and the start must be fast)

            write_port(settings.port_file, port)
        if "%" in settings.address:  # the name of a socket has no IPv6 scope
            host = strip_brackets(settings.address)
        try:
            print_line(introduction(host, port, settings))
        except OSError:  # serve, even if the address cannot be printed
            give_up_output()
        inspection.warn(findings)

    def reread() -> Settings:
        return read(arguments)

    if settings.workers:
        from greenserver.service import workers  # noqa: PLC0415  (a single process does not need it)

        workers.run(settings, announce, reread)
    else:
        prepare(settings.engine)
        from greenserver.service import process  # noqa: PLC0415  (imports sockets, which must be patched first)

        process.run(settings, announce, reread)


def _complain(line: str) -> None:
    with contextlib.suppress(OSError):
        print_line(f"{PROGRAM}: {line}", to_errors=True)


def _describe(error: click.ClickException) -> str:
    text = error.format_message()
    if isinstance(error, click.BadParameter) and error.ctx is not None and error.param is not None:
        name = error.param.name or ""
        if error.ctx.get_parameter_source(name) is click.core.ParameterSource.ENVIRONMENT:
            text += f" It was set by {variable(name)}."
    return " ".join(text.split())
