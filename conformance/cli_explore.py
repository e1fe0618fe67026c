"""`conformance explore`: make up conversations, and have the model of the protocol judge them."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from conformance.cli_language import Command
from conformance.cli_options import (
    OPTIONS_OF_RUN,
    check_target,
    detail_options,
    ended_by_signals,
    file_options,
    run_options,
)
from conformance.config import Options
from conformance.language import Message, translated
from conformance.model.activity import Activity
from conformance.printable import printable
from conformance.reports.sinks import reports
from conformance.runner.results import unstarted
from conformance.scenarios import catalogue
from conformance.target.environment import Environment
from conformance.target.managed_server import ServerStartError

if TYPE_CHECKING:
    from conformance.explorer.deep import DeepRun

SECONDS: Final = 60.0
_MOST_SECONDS: Final = 86_400
_MISSING: Final = Message("explore needs Hypothesis: pip install hypothesis")


def _is_missing(error: ImportError) -> bool:
    """Return whether it is Hypothesis that cannot be imported."""
    return (error.name or "").partition(".")[0] == "hypothesis"


def deep_run(options: Options) -> "DeepRun | None":
    """Return what explores the server at the end of a run, if the options want that; raise ClickException."""
    if not options.deep:
        return None
    try:
        from conformance.explorer.deep import DeepRun  # noqa: PLC0415  (Hypothesis is an extra)
    except ImportError as error:
        if not _is_missing(error):
            raise
        raise click.ClickException(_MISSING) from error
    return DeepRun(options)


def can_explore() -> bool:
    """Return whether Hypothesis is installed."""
    return importlib.util.find_spec("hypothesis") is not None


@click.command(cls=Command)
@click.argument("address", metavar="[HOST:PORT]", default="")
@run_options(selects=False)
@click.option(
    "--seconds", default=SECONDS, type=click.FloatRange(0.5, _MOST_SECONDS), metavar="N", help="Explore so long."
)
@click.option(
    "--save", default="", show_default=False, metavar="FILE.py", help="Write what is found into a file of scenarios."
)
@click.option(
    "--database",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    show_default="in the user's cache directory",
    help="Begin with what earlier explorations of this server have found, and keep what this one finds.",
)
@click.option("--no-database", is_flag=True, help="Begin with nothing, and keep nothing.")
@OPTIONS_OF_RUN["fail-on"]
@detail_options
@file_options
def explore(  # noqa: PLR0913  (the options of the command)
    *,
    seconds: float,
    save: str,
    database: Path | None,
    no_database: bool,
    verbose: bool,
    shows_all: bool,
    ndjson: str | None,
    junit: str | None,
    html: str | None,
    **given: Any,  # noqa: ANN401  (fields of Options)
) -> int:
    """Make up conversations for a while, and report those whose replies the model of the protocol does not allow.

    What is found is shrunk to the smallest conversation that shows it, and confirmed on a server that was started anew.
    The exit status is that of a run.
    """
    try:
        from conformance.explorer.database import database_of  # noqa: PLC0415
        from conformance.explorer.explore import Explore  # noqa: PLC0415  (Hypothesis is an extra)
    except ImportError as error:
        if not _is_missing(error):
            raise
        raise click.ClickException(_MISSING) from error
    options = Options(**given)
    check_target(options)
    if save and not Path(save).absolute().parent.is_dir():
        message = Message("--save {file}: there is no such folder", file=save)
        raise click.UsageError(message)
    kept = None if no_database else database_of(options, database)
    if database is not None and kept is not None:
        kept.require()
    activity, written = Activity(), {"junit": junit, "html": html}
    details = {"is_verbose": verbose, "shows_all": shows_all}
    with reports(ndjson, written, **details, activity=activity) as sink, ended_by_signals():
        try:
            with Environment(options, activity=activity) as environment:
                exploring = Explore(options, catalogue(options.scenarios), sink, seconds, file=save, database=kept)
                end = exploring.run(environment)
        except ServerStartError as error:
            for event in unstarted(options, str(error), error.output):
                sink.write(event)
            raise
    if exploring.account:
        click.echo(printable(translated(exploring.account)))
    return end.exit
