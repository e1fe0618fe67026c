"""Open the reports before a run starts, so that errors show early, and pass events to them."""

import contextlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from conformance.language import Message
from conformance.model.activity import Activity
from conformance.model.events import Event, RunEnd
from conformance.reports.files import ReportError, ReportFile, drop_output
from conformance.reports.in_language import in_language
from conformance.reports.ndjson import Chain, line

if TYPE_CHECKING:
    from conformance.reports.terminal import TerminalReport

WRITTEN: Final = ("junit", "html")
"""Reports that need the whole stream: each is a function in a module of the same name in `conformance.reports`."""


class Reports:
    """A sink for the terminal and for report files; use `reports`."""

    def __init__(self, terminal: "TerminalReport", ndjson: ReportFile | None, written: dict[str, ReportFile]) -> None:
        self._terminal: TerminalReport | None = terminal
        self._ndjson = ndjson
        self._chain = Chain()
        self._written = written
        self._events: list[Event] = []
        self._is_over = True

    def __call__(self, event: Event) -> None:
        """Show and write an event; raise ReportError, or BrokenPipeError at a closed pipe if there are no files."""
        if self._ndjson is not None or self._written:
            self.write(event)
        if self._terminal is not None:
            try:
                self._terminal(in_language(event))
                if isinstance(event, RunEnd):
                    sys.stdout.flush()
            except BrokenPipeError:
                self._terminal = None
                if self._ndjson is None and not self._written:
                    raise
                drop_output()
            except OSError as error:
                message = Message("cannot write to the standard output: {strerror}", strerror=error.strerror)
                raise ReportError(message) from error

    def write(self, event: Event) -> None:
        """Write an event into the files only; raise ReportError."""
        if self._written:
            self._events.append(event)
        self._is_over = False
        if self._ndjson is not None:
            self._ndjson.append(self._chain.link(line(event)) + "\n")
        self._is_over = isinstance(event, RunEnd)
        if self._is_over:
            self._write_whole()

    def finish(self) -> None:
        """Write what there is of a run that has no end; raise ReportError."""
        if not self._is_over:
            self._write_whole()

    def open_terminal(self) -> None:
        """Begin the status line, if there is to be one."""
        if self._terminal is not None:
            self._terminal.open()

    def close_terminal(self) -> None:
        """End the status line."""
        if self._terminal is not None:
            with contextlib.suppress(OSError):
                self._terminal.close()

    def _write_whole(self) -> None:
        for name, file in self._written.items():
            file.write(rendered(name, self._events))


@contextlib.contextmanager
def reports(
    ndjson: str | None,
    written: dict[str, str | None],
    *,
    is_verbose: bool,
    shows_all: bool = False,
    activity: Activity | None = None,
) -> Iterator[Reports]:
    """Yield a sink for all requested reports; those of the whole stream are written at the end of a run.

    With an `activity`, a status line shows on a terminal what is waited for.
    The terminal report is imported here: rich takes 50 ms to import, and most commands do not need it.
    """
    from rich.console import Console  # noqa: PLC0415

    from conformance.reports.terminal import TerminalReport  # noqa: PLC0415

    class Piped(Console):
        """A console whose caller handles a closed pipe."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    with contextlib.ExitStack() as stack:

        def opened(path: str) -> ReportFile:
            file = ReportFile(path)
            stack.callback(file.close)
            return file

        sink = Reports(
            TerminalReport(Piped(highlight=False), is_verbose=is_verbose, shows_all=shows_all, activity=activity),
            opened(ndjson) if ndjson is not None else None,
            {name: opened(path) for name, path in written.items() if path is not None},
        )
        stack.callback(sink.close_terminal)
        sink.open_terminal()
        try:
            yield sink
        except BaseException:
            with contextlib.suppress(ReportError):
                sink.finish()
            raise
        sink.finish()


def rendered(name: str, events: Sequence[Event]) -> str:
    """Render a report of the whole stream; its module is imported on demand."""
    text: str = getattr(importlib.import_module(f"conformance.reports.{name}"), name)(map(in_language, events))
    return text
