"""`conformance watch`: judge a server again whenever one of its files changes."""

from pathlib import Path
from typing import Any

import click

from conformance.cli_language import Command
from conformance.cli_options import check_target, ended_by_signals, run_options
from conformance.config import Options
from conformance.language import Message
from conformance.printable import printable
from conformance.scenarios import catalogue
from conformance.tools.watch import Watch


@click.command(cls=Command)
@click.argument("address", metavar="[HOST:PORT]", default="")
@run_options(selects=True, without=("deep",))
def watch(**given: Any) -> int:  # noqa: ANN401  (fields of Options)
    """Judge the server that --serve starts, and again whenever a source file in --cwd (or here) changes.

    First what failed last time is judged, then everything; causes that are gone and new ones are shown. The exit
    status after Ctrl-C is that of the last run.
    """
    options = Options(**given)
    check_target(options)
    if not options.serve:
        message = Message("there is nothing to start again: pass --serve CMD")
        raise click.UsageError(message)
    watched = Watch(
        options,
        Path(options.cwd or ".").resolve(),
        catalogue(options.scenarios, options.catalogue),
        lambda line: click.echo(printable(line, keep="\n\t")),
    )
    with ended_by_signals():
        try:
            watched.run()
        except KeyboardInterrupt:
            click.echo()
    return watched.status
