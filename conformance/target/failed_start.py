"""Explain in one line why a server did not start, or does not listen."""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from conformance.client.address import Address
from conformance.failures import UsageError
from conformance.language import Message, cleaned
from conformance.model.tracebacks import decisive_line, excerpt
from conformance.target.output import one_line, quote
from conformance.target.sockets import Listener
from conformance.target.start_errors import ADDRESS_IN_USE, COMMAND_LINE_REFUSED, START_ERRORS, StartError

_LAST_LINES: Final = 200
"""How many lines of the output are searched for an error outside the decisive line."""
_SHOWN_LINES: Final = 16
_SHOWN_CHARACTERS: Final = 300
_SIGNAL_STATUS: Final = 256
"""A guard exits with 256 - SIGNAL for a server that a signal has killed."""
_EXCEPTION: Final = re.compile(r"Exception in thread |Caused by: |[\w.]+(Error|Exception)\b")
_SIGNALS: Final = frozenset(int(number) for number in signal.Signals)


class ServerStartError(UsageError):
    """The server cannot be started; the message says why, in one line.

    `output` has lines that the server printed, if these say more.
    """

    def __init__(self, message: str, output: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.output = tuple(output)


class AddressInUseError(ServerStartError):
    """The server could not bind its address: it is in use."""


@dataclass(frozen=True)
class FailedStart:
    """A server that was started, but does not listen."""

    command: str
    """As the user wrote it."""
    words: list[str]
    """The command's arguments, with {port}, {dir} and {host} filled in."""
    directory: Path
    """Where it was started."""
    address: Address
    output: str
    """Its output since this start."""
    status: int | None = None
    """Its exit status; None while it runs."""
    holder: str = ""
    """The process that listens at the address."""

    @property
    def is_address_in_use(self) -> bool:
        """Whether the server exited because its address was in use."""
        return self._found is not None and self._found[0] is ADDRESS_IN_USE

    def explain(self) -> Message:
        """Explain in one line why the server exited, and what to do."""
        if self._found is not None:
            row, match, line = self._found
            why = cleaned(row.explain(self, match), one_line)
            if not row.is_quoted:
                return why
            return Message("{why} (it printed: {line})", why=why, line=quote(line))
        line = decisive_line(self.output)
        what = quote(line) if line else Message("it printed nothing and {exit}", exit=self._exit())
        return Message("the server ended before it accepted a connection: {what}", what=what)

    def explain_silence(self, other: Listener | None, *, takes_port: bool) -> Message:
        """Explain in one line that the server runs without listening on its address, but perhaps on `other`."""
        if other is not None:
            why = self._why_elsewhere(other, takes_port=takes_port)
            return Message(
                "the server does not listen on {address}; it listens on {other} instead: {why}",
                address=self.address,
                other=other,
                why=why,
            )
        what = Message("the server does not listen on {address}", address=self.address)
        if self.holder:
            what = Message("{what}, where {holder} listens", what=what, holder=self.holder)
        if self._found is not None:
            return Message("{what}: {why}", what=what, why=self.explain())
        if line := decisive_line(self.output):
            return Message("{what}; it printed: {line}", what=what, line=quote(line))
        return Message("{what}; it printed nothing", what=what)

    def excerpt(self) -> list[str]:
        """Return the lines of its output that show why, where they say more than the explanation."""
        lines = [] if self._found is not None else excerpt(self.output, _SHOWN_LINES)
        return [line[:_SHOWN_CHARACTERS] for line in lines] if len(lines) > 1 else []

    def _why_elsewhere(self, other: Listener, *, takes_port: bool) -> Message:
        if other.port == self.address.port:
            return Message(
                "give {other} as the address, or let it listen on {host}", other=other, host=self.address.host
            )
        if takes_port:
            return Message("does it ignore {port}?")
        return Message("give {other} as the address, or {port} to the command", other=other)

    def _exit(self) -> Message:
        if self.status is None:
            return Message("runs")
        if self.status == 0:
            return Message("exited with status 0 (a server has to stay in the foreground)")
        if _SIGNAL_STATUS - self.status in _SIGNALS:
            return Message("was ended by {name}", name=signal.Signals(_SIGNAL_STATUS - self.status).name)
        return Message("exited with status {status}", status=self.status)

    @cached_property
    def _found(self) -> "tuple[StartError, re.Match[str], str] | None":
        """The first row that matches the decisive line, or else the last line that any row matches.

        A usage text before an exception is not the reason why the server exited.
        """
        decisive = decisive_line(self.output)
        lines = [line for line in self.output.splitlines() if line.strip()][-_LAST_LINES:]
        for line in [decisive, *reversed(lines)]:
            for row in START_ERRORS:
                if row is COMMAND_LINE_REFUSED and line != decisive and _EXCEPTION.match(decisive):
                    continue
                if match := row.pattern.search(line):
                    return row, match, line
        return None
