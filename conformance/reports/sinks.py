"""Open the reports before a run starts, so that errors show early, and pass events to them."""

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

import click

from conformance.model.events import Event, RunEnd, Sink
from conformance.reports.ndjson import NdjsonReport

WRITTEN: Final = ("junit", "html")
"""Reports that need the whole stream: each is a function in a module of the same name in `conformance.reports`."""


@contextlib.contextmanager
def reports(ndjson: str | None, written: dict[str, str | None], *, is_verbose: bool) -> Iterator[Sink]:
    """Yield a sink for all requested reports; those of the whole stream are written at the end.

    The terminal report is imported here: rich takes 50 ms to import, and most commands do not need it.
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
    """Open a file for writing; raise ClickException with a one-line message."""
    try:
        return Path(path).open("w", encoding="utf-8")
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise click.ClickException(message) from error


def rendered(name: str, events: Sequence[Event]) -> str:
    """Render a report of the whole stream; its module is imported on demand."""
    text: str = getattr(importlib.import_module(f"conformance.reports.{name}"), name)(events)
    return text
