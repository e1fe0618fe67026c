"""The commands about recorded runs: compare two of them, and verify that one is whole."""

from pathlib import Path

import click

from conformance.cli_grade import assessed, write_file
from conformance.cli_language import Command
from conformance.grading.comparison import compare, differences, in_short
from conformance.grading.points import PointsMap
from conformance.language import Message, gettext, translated
from conformance.model.verdicts import Exit
from conformance.printable import printable
from conformance.tools.verify import MEANING
from conformance.tools.verify import verify as verified


@click.command("compare", cls=Command)
@click.argument("before", type=click.Path(exists=True, path_type=Path), metavar="A")
@click.argument("after", type=click.Path(exists=True, path_type=Path), metavar="B")
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="Write this report.")
def compare_(*, before: Path, after: Path, html: str | None) -> int:
    """Compare two recorded runs, or the folders of two classes: what is better, worse or flaky in B.

    The exit status is 0 if nothing got worse, 1 if something did, 3 if a run was cut short, or they have nothing in
    common.
    """
    first, second = assessed(before, PointsMap()), assessed(after, PointsMap())
    if before.is_dir() != after.is_dir():
        message = Message("give two recorded runs, or two folders")
        raise click.UsageError(message)
    if not before.is_dir():
        pairs = [compare(str(after), first[0], second[0])]
    else:
        later = {row.name: row for row in second}
        pairs = [compare(row.name, row, later[row.name]) for row in first if row.name in later]
    for pair in pairs:
        for line in differences(pair):
            click.echo(printable(line))
    only: dict[str, list[str]] = {}
    if before.is_dir():
        names = {row.name for row in first}, {row.name for row in second}
        only = {str(before): sorted(names[0] - names[1]), str(after): sorted(names[1] - names[0])}
        for where, left in only.items():
            if left:
                click.echo(printable(gettext("only in {where}: {names}", where=where, names=", ".join(left))))
        click.echo(in_short(pairs))
    if html is not None:
        from conformance.grading.comparison_page import comparison_page  # noqa: PLC0415  (Jinja2 takes a while to import)

        write_file(html, comparison_page(before.name, after.name, pairs, only))
    if any(pair.worse for pair in pairs):
        return Exit.NOT_CONFORMANT
    return Exit.CONFORMANT if pairs and all(pair.is_whole for pair in pairs) else Exit.INCOMPLETE


@click.command(cls=Command)
@click.argument("recording", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="RUN.ndjson")
def verify(*, recording: Path) -> int:
    """Verify that a recorded run is whole: that no line was changed, removed, added or moved.

    The exit status is 0 if it is, 1 if it is not, 3 if its end is missing, or it was recorded without a chain. Whoever
    edits the file and computes the chain anew is not found out: to be sure, judge the server yourself.
    """
    found = verified(recording)
    click.echo(printable(f"{recording}: {translated(found.sentence)}"))
    if found.chain:
        click.echo(gettext("chain {chain}", chain=found.chain))
        click.echo(gettext(MEANING))
    return found.status
