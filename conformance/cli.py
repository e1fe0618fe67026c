"""The command line of the suite: parse options, run, write reports, and exit with a status."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final, NoReturn

import click

from conformance import __version__
from conformance.cli_errors import Commands, ended
from conformance.cli_explore import deep_run
from conformance.cli_language import spoken
from conformance.cli_options import (
    OPTIONS_OF_RUN,
    check_target,
    detail_options,
    ended_by_signals,
    file_options,
    run_options,
)
from conformance.client.address import check_proxy, dial, parse_address
from conformance.config import PROGRAM, Options
from conformance.diagnosis.diagnose import with_diagnosis
from conformance.fixtures.local_fixtures import write_for_others
from conformance.language import Message, gettext, translated
from conformance.model.activity import Activity
from conformance.model.events import RunEnd
from conformance.model.verdicts import Exit
from conformance.printable import printable, printable_lines
from conformance.reports.files import FilledDiskError, ReportError, ReportFile
from conformance.reports.sinks import rendered, reports
from conformance.runner.results import unstarted
from conformance.runner.runner import SMOKE_TEST, Runner
from conformance.runner.selection import check_patterns, matches
from conformance.runner.timeouts import timeout_seconds
from conformance.scenarios import catalogue
from conformance.spec.dialects import DIALECTS
from conformance.spec.reader import specification
from conformance.target.environment import Environment
from conformance.target.managed_server import ServerStartError
from conformance.tools.explain import explained
from conformance.tools.live_view import PAUSE_SECONDS, LiveView
from conformance.tools.recordings import events_of
from conformance.tools.replay import find_result, replay
from conformance.tools.try_scenario import find_scenario, try_scenario

REPLAY_SECONDS: Final = 120.0


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, and exit with the run's status, or with another one and a one-line message on an error."""
    with spoken(commands, sys.argv[1:] if arguments is None else arguments):
        ended(lambda: commands.main(arguments, prog_name=PROGRAM, standalone_mode=False))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def commands() -> None:
    """Test the conformance of any HFTP server, in any language, at any address.

    The exit status is 0 if the server is conformant, 1 if it is not, 2 for a usage error, 3 if nothing failed but some
    scenarios could not run, 4 if the suite itself failed.
    """


commands.modules = {
    "class": "conformance.cli_class:class_",
    "compare": "conformance.cli_runs:compare_",
    "deploy": "conformance.cli_deploy:deploy",
    "explore": "conformance.cli_explore:explore",
    "grade": "conformance.cli_grade:grade",
    "verify": "conformance.cli_runs:verify",
    "watch": "conformance.cli_watch:watch",
}


@commands.command()
@click.argument("address", metavar="[HOST:PORT]", default="")
@run_options(selects=True)
@detail_options
@file_options
def run(
    *,
    verbose: bool,
    shows_all: bool,
    ndjson: str | None,
    junit: str | None,
    html: str | None,
    **given: Any,  # noqa: ANN401  (fields of Options)
) -> int:
    """Test the server at HOST:PORT, [V6]:PORT or unix:PATH, or the one that --serve starts."""
    options = Options(**given)
    check_target(options)
    exploring = deep_run(options)
    activity, written = Activity(), {"junit": junit, "html": html}
    details = {"is_verbose": verbose, "shows_all": shows_all}
    with reports(ndjson, written, **details, activity=activity) as sink, ended_by_signals():
        environment = Environment(options, activity=activity)
        try:
            with (  # the server starts while the catalogue is loaded
                environment,
                Runner(
                    options, catalogue(options.scenarios, options.catalogue), sink, environment, exploring
                ) as runner,
            ):
                end = runner.run()
        except ReportError as error:
            if error.is_full and environment.findings.filled:
                message = Message("{error}; {reason}", error=error, reason=environment.findings.filled)
                raise FilledDiskError(message) from error
            raise
        except ServerStartError as error:
            for event in unstarted(options, str(error), error.output):
                sink.write(event)
            raise
    if exploring is not None and exploring.account:
        click.echo(printable(translated(exploring.account)))
    return end.exit


@commands.command("try")
@click.argument("identifier", metavar="ID")
@click.argument("address", metavar="[HOST:PORT]", default="")
@run_options(selects=False)
@click.option(
    "--pause",
    default=PAUSE_SECONDS,
    metavar="SECONDS",
    type=click.FloatRange(0, 5),
    help="Wait so long before sending.",
)
def try_(*, identifier: str, pause: float, **given: Any) -> int:  # noqa: ANN401  (fields of Options)
    """Play one scenario slowly, show what happens, and leave the server that --serve starts running until Ctrl-C."""
    options = Options(**given)
    check_target(options)
    scenarios = catalogue(options.scenarios)
    scenario = find_scenario(scenarios, identifier)
    view = LiveView(lambda line: click.echo(printable(translated(line), keep="\t")), pause)
    with ended_by_signals():
        return try_scenario(options, Environment(options), scenario, scenarios[SMOKE_TEST], view)


@commands.command("list")
@click.option("-t", "--test", "select", multiple=True, metavar="PATTERN", help="List only matching scenarios.")
@click.option("--dialect", default=DIALECTS[0], type=click.Choice(DIALECTS), help="Show the levels of this dialect.")
@click.option("--requirements", is_flag=True, help="List requirements instead of scenarios.")
@OPTIONS_OF_RUN["scenarios"]
def list_(*, select: tuple[str, ...], dialect: str, requirements: bool, scenarios: tuple[str, ...]) -> int:
    """List the scenarios, by chapter."""
    found = catalogue(scenarios)
    if requirements:
        for rule in specification():
            click.echo(f"{rule.id:<10} {rule.levels[dialect]:<6} {rule.chapter}.{rule.slug}: {gettext(rule.text)}")
        return Exit.CONFORMANT
    check_patterns(found, select)
    chosen = [row for row in found if not select or any(matches(row, pattern, dialect) for pattern in select)]
    width = max(len(row.id) for row in chosen)
    for row in chosen:
        title = Message(row.title)
        if not row.applies_to(dialect):
            title = Message("{title} (not in {dialect})", title=title, dialect=dialect)
        level = row.levels[dialect]
        click.echo(printable(f"{row.id:<{width}} {row.requirement:<10} {level:<6} {translated(title)}"))
    return Exit.CONFORMANT


@commands.command()
@click.argument("identifier", metavar="ID")
@OPTIONS_OF_RUN["scenarios"]
def explain(*, identifier: str, scenarios: tuple[str, ...]) -> int:
    """Explain a scenario, a requirement and how it is tested, a cause of failures and how to mend it, or a word."""
    click.echo(printable_lines(explained(identifier, catalogue(scenarios))))
    return Exit.CONFORMANT


@commands.group()
def fixtures() -> None:
    """Create the files for a server to serve."""


@fixtures.command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@OPTIONS_OF_RUN["seed"]
@OPTIONS_OF_RUN["size"]
def write(*, directory: Path, seed: int, large_bytes: int) -> int:
    """Write the files into DIR, for a server elsewhere; runs with the same --seed recognise them."""
    names = write_for_others(directory, seed, large_bytes)
    said = gettext(
        "{directory}: {count} files; judge the server that serves them with --seed {seed}",
        directory=directory,
        count=len(names),
        seed=seed,
    )
    click.echo(printable(said))
    return Exit.CONFORMANT


@commands.command("replay")
@click.argument("recording", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="RUN.ndjson")
@click.argument("identifier", metavar="ID")
@click.argument("address", metavar="[HOST:PORT]", default="")
@OPTIONS_OF_RUN["proxy"]
@OPTIONS_OF_RUN["timeout-scale"]
def replay_(*, recording: Path, identifier: str, address: str, proxy: str, timeout_scale: float) -> int:
    """Replay the bytes of a recorded scenario, to the same address or another."""
    start, result = find_result(events_of(recording), identifier)
    where = parse_address(address or (start.target if start else ""))
    through = check_proxy(proxy) if proxy else ""
    replay(
        result.transcript,
        lambda seconds, buffer: dial(where, seconds, through, buffer),
        timeout_seconds(0.0, timeout_scale),
        lambda text: click.echo(printable(translated(text))),
        deadline=monotonic() + REPLAY_SECONDS * timeout_scale,
    )
    return Exit.CONFORMANT


@commands.command()
@click.argument("recordings", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@detail_options
@file_options
def report(  # noqa: PLR0913  (the options of the command)
    *,
    recordings: tuple[Path, ...],
    verbose: bool,
    shows_all: bool,
    ndjson: str | None,
    junit: str | None,
    html: str | None,
) -> int:
    """Recreate the reports of recorded runs; exit with the most serious of their statuses."""
    events = [event for recording in recordings for event in with_diagnosis(events_of(recording))]
    statuses = {Exit(event.exit) for event in events if isinstance(event, RunEnd)}
    with reports(ndjson, {}, is_verbose=verbose, shows_all=shows_all) as sink:
        for event in events:
            sink(event)
    for name, path in (("junit", junit), ("html", html)):
        if path is not None:
            with contextlib.closing(ReportFile(path)) as file:
                file.write(rendered(name, events))
    gravity = (Exit.SUITE_FAULT, Exit.NOT_CONFORMANT, Exit.USAGE, Exit.CONFORMANT)
    return next((status for status in gravity if status in statuses), Exit.INCOMPLETE)
