"""`conformance class`: judge many servers side by side, and grade them."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from conformance.classroom.judging import in_turn, judge_all
from conformance.classroom.machine import without_networks, without_sandbox
from conformance.classroom.overview import overview
from conformance.classroom.pool import LOCAL, Pool, open_pool
from conformance.classroom.progress import Progress
from conformance.classroom.results_folder import ResultsFolder
from conformance.classroom.submissions import Start
from conformance.classroom.target_run import Settings, TargetRun
from conformance.classroom.targets import Target, by_file_name, read_targets
from conformance.cli_explore import can_explore
from conformance.cli_grade import grade_options, tables
from conformance.cli_language import Command
from conformance.cli_options import OPTIONS_OF_RUN, ended_by_signals
from conformance.client.address import parse_address
from conformance.config import Options
from conformance.grading.assessment import Assessment, assess
from conformance.grading.points import PointsMap, read_points
from conformance.language import gettext, ngettext, translated
from conformance.model.verdicts import Exit
from conformance.printable import printable
from conformance.runner.selection import check_patterns
from conformance.scenarios import catalogue
from conformance.spec.catalogues import NEWEST
from conformance.spec.dialects import DIALECTS
from conformance.target.sandbox.sandbox import AUTO, MODES, OFF

DEEP_SECONDS: Final = 2
MAX_SECONDS: Final = 600
"""How long a run of a class may take; a run of its own may take longer."""
_SHARED_OPTIONS: Final = (
    "sandbox-read",
    "test",
    "skip",
    "seed",
    "size",
    "clients",
    "timeout-scale",
    "fail-on",
    "catalogue",
    "scenarios",
)
"""Options of `conformance run` that apply to all targets."""
_GRAVITY: Final = (Exit.SUITE_FAULT, Exit.NOT_CONFORMANT, Exit.INCOMPLETE, Exit.CONFORMANT)


def _class_options(function: Callable[..., int]) -> Callable[..., int]:
    for name in reversed(_SHARED_OPTIONS):
        function = OPTIONS_OF_RUN[name](function)
    return function


@click.command("class", cls=Command)
@click.pass_context
@click.argument("targets", type=click.Path(exists=True, path_type=Path), metavar="TARGETS")
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Write into DIR.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    show_default="one a processor",
    help="Targets to judge at a time.",
)
@click.option(
    "--on",
    default=LOCAL,
    metavar="WHERE",
    help="Judge on this machine (local), or on a Dask cluster: dask://HOST:PORT.",
)
@click.option("--serve", default="", metavar="CMD", show_default=False, help="Start each submission with this command.")
@click.option(
    "--build",
    default="",
    metavar="CMD",
    show_default=False,
    help="Build each submission with this command, in a shell.",
)
@click.option(
    "--address",
    default="",
    metavar="HOST:PORT",
    show_default=False,
    help="Where each submission listens, if that is wired in.",
)
@click.option(
    "--directory",
    default="",
    metavar="DIR",
    show_default=False,
    help="What each submission serves, if that is wired in.",
)
@click.option("--sandbox", default=AUTO, type=click.Choice(MODES), help="Confine the servers that are started.")
@click.option("--dialect", default=DIALECTS[0], type=click.Choice(("auto", *DIALECTS)), help="The dialect to judge by.")
@click.option("--max-seconds", default=MAX_SECONDS, type=click.IntRange(1), metavar="N", help="Time for each run.")
@click.option("--build-seconds", default=120, type=click.IntRange(1), metavar="N", help="Time for each build.")
@click.option(
    "--deep",
    default=DEEP_SECONDS,
    type=click.IntRange(0),
    metavar="SECONDS",
    help="Explore each server that passes for so long (0: not). What that finds is shown, and counts for no points.",
)
@click.option("--fresh", is_flag=True, help="Judge all targets again, those that are done, too.")
@_class_options
@grade_options
def class_(  # noqa: PLR0913  (the options of a command)
    ctx: click.Context,
    *,
    targets: Path,
    out: Path | None,
    jobs: int | None,
    on: str,
    serve: str,
    build: str,
    address: str,
    directory: str,
    sandbox: str,
    dialect: str,
    max_seconds: int,
    build_seconds: int,
    deep: int,
    fresh: bool,
    points: Path | None,
    csv: str | None,
    moodle: str | None,
    markdown: str | None,
    html: str | None,
    anonymous: bool,
    **given: Any,  # noqa: ANN401  (fields of Options)
) -> int:
    """Judge many servers side by side, and grade them.

    TARGETS is a TOML or CSV file, or a folder with a folder for each submission. What was judged before is not judged
    again, unless the submission or the options have changed: a run that was interrupted goes on.

    The exit status is 0 if all servers are conformant; 1 if one is not, or does not build or start; 2 for a usage
    error; 3 if the class was interrupted, or nothing failed but some scenarios could not run; 4 if the suite itself
    failed for a target.
    """
    if address:
        parse_address(address)
    worth = read_points(points) if points is not None else PointsMap()
    named = by_file_name(read_targets(targets, Start(serve, build, address, directory)))
    own_worth = {name: read_points(Path(row.points)) if row.points else worth for name, row in named.items()}
    given["scenarios"] = tuple(str(Path(file).resolve()) for file in given["scenarios"])
    given["sandbox_read"] = tuple(str(Path(path).resolve()) for path in given["sandbox_read"])
    check_patterns(catalogue(given["scenarios"], given["catalogue"]), (*given["select"], *given["skip"]))
    folder = ResultsFolder((out or Path(f"{targets.resolve().stem}-conformance")).absolute())
    if folder.seed is not None and not fresh and ctx.get_parameter_source("seed") is ParameterSource.DEFAULT:
        given["seed"] = folder.seed
    found: dict[str, Assessment] = {}
    is_given = ctx.get_parameter_source("deep") is not ParameterSource.DEFAULT
    given["deep"] = deep if is_given else _deep_seconds(given["catalogue"])

    def assessed(name: str) -> Assessment:
        row = named[name]
        found[name] = assess(row.name, folder.recording(name), own_worth[name], row.person)
        return found[name]

    paths = {"csv": csv, "moodle": moodle, "markdown": markdown, "html": html}
    with (
        open_pool(on, jobs or 0, str(folder.path)) as pool,
        tables(paths, targets.resolve().stem, is_anonymous=anonymous) as write,
    ):
        unconfined = ""
        if ctx.get_parameter_source("sandbox") is ParameterSource.DEFAULT:
            unconfined = without_sandbox(pool, given["clients"], given["sandbox_read"])
            sandbox = OFF if unconfined else sandbox
        networks = without_networks(pool) if any(row.wired_port for row in named.values()) else ""
        options = Options(dialect=dialect, sandbox=sandbox, max_seconds=max_seconds, **given)
        settings = Settings(options, build_seconds, has_networks=not networks)
        left = folder.begin(named, settings, afresh=fresh)
        runs = {TargetRun(row, folder.recording(name), settings): name for name, row in left.items()}
        for name in named.keys() - left.keys():
            assessed(name)

        def done(run: TargetRun) -> Assessment:
            folder.add(runs[run], run.target)
            return assessed(runs[run])

        with ended_by_signals():
            first = _introduction(named, left, folder, settings, pool)
            introduction = [first, *in_turn(list(runs), networks), *([unconfined] if unconfined else [])]
            is_interrupted = not _judge(pool, folder, list(runs), introduction, done)
        rows = [found[name] for name in named if name in found]
        write(rows)
    for line in overview(rows) if rows else ():
        click.echo(printable(line))
    if is_interrupted:
        said = gettext(
            "interrupted: {count} of {total} are judged; the same command judges the others",
            count=len(rows),
            total=len(named),
        )
        click.echo(printable(said))
        return Exit.INCOMPLETE
    return next(status for status in _GRAVITY if status in {_counted(row.exit) for row in rows})


def _deep_seconds(catalogue_name: str) -> int:
    """Return how long servers are explored by default: not where Hypothesis is missing, nor by a frozen catalogue."""
    return DEEP_SECONDS if can_explore() and catalogue_name == NEWEST else 0


def _judge(
    pool: Pool,
    folder: ResultsFolder,
    runs: list[TargetRun],
    introduction: list[str],
    done: Callable[[TargetRun], Assessment],
) -> bool:
    """Judge the targets, and show each that is done; return False if that was interrupted."""
    from rich.console import Console  # noqa: PLC0415  (it takes 50 ms to import)

    from conformance.classroom.live_table import LiveTable  # noqa: PLC0415

    console = Console(highlight=False)
    for line in introduction:
        console.print(printable(translated(line)), markup=False, soft_wrap=True)
    try:
        with (
            LiveTable(console, runs, Progress(folder.path, runs).look) as table,
            contextlib.closing(judge_all(pool, folder.path, runs)) as judged,
        ):
            for run in judged:
                table.show(done(run))
                run.is_shown = True
    except KeyboardInterrupt:
        for run in runs:
            if run.recording.exists() and not run.is_shown:
                done(run)  # it had ended, and was not shown yet
        return False
    return True


def _introduction(
    named: Mapping[str, Target], left: Mapping[str, Target], folder: ResultsFolder, settings: Settings, pool: Pool
) -> str:
    """Return what is about to happen, in a line."""
    options = settings.options
    facts = [ngettext("{count} target", "{count} targets", len(named))]
    if len(left) < len(named):
        facts.append(gettext("{count} judged before", count=len(named) - len(left)))
    dialects = ", ".join(sorted({row.dialect or options.dialect for row in named.values()}))
    how = gettext(
        "{where}; dialect {dialects}; seed {seed}; recordings in {folder}",
        where=pool.about,
        dialects=dialects,
        seed=options.seed,
        folder=folder.path,
    )
    return f"{', '.join(facts)}; {how}"


def _counted(status: Exit) -> Exit:
    """Return how a target counts: one that does not build or start is not conformant."""
    return Exit.NOT_CONFORMANT if status is Exit.USAGE else status
