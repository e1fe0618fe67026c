"""Coloured text for the terminal, harmless whatever a server has sent, and how high it is there."""

from collections.abc import Iterable, Iterator
from typing import Final

from rich.text import Text

from conformance.language import gettext
from conformance.model.events import Result
from conformance.model.verdicts import MEANINGS, Exit
from conformance.printable import printable
from conformance.reports.in_language import verdict_name
from conformance.reports.text import full_rows

SEVERITIES: Final = {"security": "bold red", "data loss": "red", "wrong answer": "yellow", "style": "cyan"}
OUTCOMES: Final = {
    Exit.CONFORMANT: "bold green",
    Exit.NOT_CONFORMANT: "bold red",
    Exit.INCOMPLETE: "bold yellow",
    Exit.SUITE_FAULT: "bold white on red",
    Exit.USAGE: "bold red",
}


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return printable text; a part is a text, or a text and its style."""
    return Text.assemble(
        *(printable(part) if isinstance(part, str) else (printable(part[0]), part[1]) for part in parts)
    )


def height(lines: Iterable[Text], columns: int) -> int:
    """Return how many rows lines take on a terminal."""
    return sum(max(1, -(-line.cell_len // columns)) for line in lines)


def failure_in_full(result: Result, *, with_output: bool = False) -> Iterator[Text]:
    """Yield a failure: the requirement, what was sent, expected and got, what was printed, and how to see it again."""
    head = (verdict_name(result.verdict).upper(), MEANINGS[result.verdict].style)
    yield styled(head, f" {result.scenario}: ", (result.title, "bold"))
    for name, value in full_rows(result, with_output=with_output):
        yield styled((f"  {gettext(name) if name else name:<9} ", "dim"), value)
