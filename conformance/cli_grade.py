"""`conformance grade`: grade recorded runs, and write what a course needs."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import click

from conformance.classroom.results_folder import read_class_file
from conformance.cli_language import Command
from conformance.grading.assessment import Assessment, assess
from conformance.grading.explanation import explain_grade, summary
from conformance.grading.gradescope import VISIBILITIES, gradescope
from conformance.grading.markdown import annotations, markdown
from conformance.grading.points import PointsMap, read_points
from conformance.grading.spreadsheet import csv_of, moodle
from conformance.language import Message, translated
from conformance.model.verdicts import Exit
from conformance.printable import printable
from conformance.reports.files import ReportFile
from conformance.tools.recordings import recordings_at

NAME: Final = "{name}"
"""In the name of a file for each server, stands for the server."""

TITLE: Final = Message("HFTP conformance")

_TABLES: Final[dict[str, tuple[Callable[[Sequence[Assessment]], str], str]]] = {
    "csv": (csv_of, "Write a table of grades, with the points of each requirement."),
    "moodle": (moodle, "Write Moodle's offline grading worksheet (CSV)."),
    "markdown": (markdown, "Write a summary in Markdown."),
}


def grade_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say how to grade, and what to write."""
    for name, (_, text) in reversed(_TABLES.items()):
        function = click.option(f"--{name}", type=click.Path(dir_okay=False), metavar="FILE", help=text)(function)
    function = click.option("--anonymous", is_flag=True, help="Leave all names out of the page.")(function)
    function = click.option(
        "--html", type=click.Path(dir_okay=False), metavar="FILE", help="Write a page of them all."
    )(function)
    return click.option(
        "--points", type=click.Path(path_type=Path), metavar="FILE", help="What each requirement is worth (TOML)."
    )(function)


@contextlib.contextmanager
def tables(
    paths: Mapping[str, str | None], title: str, *, is_anonymous: bool
) -> Iterator[Callable[[Sequence[Assessment]], None]]:
    """Open the files of the tables and the page that are wanted, and yield the function that writes them.

    Raises ClickException if one cannot be opened.
    """
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(closing(ReportFile(path))) for name, path in paths.items() if path}

        def write(found: Sequence[Assessment]) -> None:
            for name, file in files.items():
                file.write(_page(found, title, is_anonymous) if name == "html" else _TABLES[name][0](found))

        yield write


def _page(found: Sequence[Assessment], title: str, is_anonymous: bool) -> str:  # noqa: FBT001  (as it is passed on)
    from conformance.classroom.page import page  # noqa: PLC0415  (Jinja2 takes a while to import)

    return page(
        found, title=translated(TITLE) if is_anonymous else f"{translated(TITLE)}: {title}", is_anonymous=is_anonymous
    )


def write_file(path: str, text: str) -> None:
    """Write a whole file; raise ReportError, or ClickException if it cannot be opened."""
    with closing(ReportFile(path)) as file:
        file.write(text)


@click.command(cls=Command)
@click.argument("recordings", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="RUN...")
@grade_options
@click.option(
    "--gradescope",
    "results",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write Gradescope's results.json; {name} in FILE makes one for each run.",
)
@click.option("--visibility", type=click.Choice(VISIBILITIES), default="visible", help="When Gradescope shows it.")
@click.option("--annotations", "annotated", is_flag=True, help="Print GitHub's annotations instead of the grades.")
@click.option("--at-least", type=float, metavar="GRADE", help="Exit with 1 if a grade is lower.")
@click.option("-v", "--verbose", is_flag=True, help="Explain every line of the grades.")
def grade(  # noqa: PLR0913  (the options of a command)
    *,
    recordings: tuple[Path, ...],
    points: Path | None,
    results: str | None,
    visibility: str,
    annotated: bool,
    at_least: float | None,
    verbose: bool,
    anonymous: bool,
    **paths: str | None,
) -> int:
    """Grade recorded runs, or the folder of a class, by requirement, and explain each line.

    The exit status is 0; 1 if a grade is lower than --at-least; 3 if a run allows no grade: it was cut short, or the
    suite failed.
    """
    worth = read_points(points) if points is not None else PointsMap()
    found = [row for where in recordings for row in assessed(where, worth)]
    if results is not None and NAME not in results and len(found) > 1:
        message = Message(
            "--gradescope: there are {count} runs; put {name} into the name of the file", count=len(found)
        )
        raise click.UsageError(message)
    if annotated:
        click.echo(annotations(found), nl=False)
    else:
        _show(found, verbose=verbose)
    with tables(paths, recordings[0].name, is_anonymous=anonymous) as write:
        write(found)
    for row in found if results is not None else ():
        if row.grade.points is not None:
            write_file(str(results).replace(NAME, row.name), gradescope(row, visibility))
    return _status(found, at_least)


def assessed(where: Path, points: PointsMap) -> list[Assessment]:
    """Return the grades of a recording, or of all in a folder, with the names that the folder says."""
    known = read_class_file(where).targets if where.is_dir() else {}
    return [
        assess(known[name].name, path, points, known[name].person) if name in known else assess(name, path, points)
        for name, path in recordings_at(where).items()
    ]


def _show(found: Sequence[Assessment], *, verbose: bool) -> None:
    if len(found) == 1 or verbose:
        for row in found:
            click.echo(printable(f"{row.name}: {translated(row.outcome)}"))
            for line in explain_grade(row, everything=verbose):
                click.echo(printable(line))
    else:
        width = max(len(row.name) for row in found)
        for row in found:
            click.echo(printable(f"{row.name:<{width}}  {translated(row.outcome)}; {summary(row)}"))


def _status(found: Sequence[Assessment], at_least: float | None) -> Exit:
    points = [row.grade.points for row in found]
    if at_least is not None and any(number is not None and number < at_least for number in points):
        return Exit.NOT_CONFORMANT
    return Exit.INCOMPLETE if None in points else Exit.CONFORMANT
