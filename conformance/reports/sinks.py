"""Opens the reports of a run before it begins, so that what cannot be written is told at once; and feeds them."""

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

import click

from conformance.model.events import Event, RunEnd, Sink
from conformance.reports.ndjson import NdjsonReport

WRITTEN: Final = ("junit", "html")
"""The reports that are written from the whole stream: a module and a function of that name in `conformance.reports`."""


@contextlib.contextmanager
def reports(ndjson: str | None, written: dict[str, str | None], *, is_verbose: bool) -> Iterator[Sink]:
    """Give a sink for all reports that were asked for; those of the whole stream are written in the end.

    What prints is only imported here: that takes 50 ms, and most commands print nothing with it.
    """
    from rich.console import Console  # noqa: PLC0415

    from conformance.reports.terminal import TerminalReport  # noqa: PLC0415

    wanted = {name: path for name, path in written.items() if path is not None}
    events: list[Event] = []
    with contextlib.ExitStack() as stack:
        terminal = TerminalReport(Console(highlight=False), is_verbose=is_verbose)
        stack.callback(terminal.close)
        sinks: list[Sink] = [terminal]
        if wanted:
            sinks.append(events.append)
        if ndjson is not None:
            sinks.append(NdjsonReport(stack.enter_context(writable(ndjson))))
        files = {name: stack.enter_context(writable(path)) for name, path in wanted.items()}

        def sink(event: Event) -> None:
            for take in sinks:
                take(event)
            if isinstance(event, RunEnd):
                for name, file in files.items():
                    file.write(rendered(name, events))
                    file.flush()

        yield sink


def writable(path: str) -> TextIO:
    """Return a file that is open for writing; raise ClickException, in one line."""
    try:
        return Path(path).open("w", encoding="utf-8")
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise click.ClickException(message) from error


def rendered(name: str, events: Sequence[Event]) -> str:
    """Return a report of the whole stream; its module is only loaded when it is wanted."""
    text: str = getattr(importlib.import_module(f"conformance.reports.{name}"), name)(events)
    return text
