"""A client that tolerates the known deviations of a server, and records which ones it saw."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from conformance.client.client import Client
from conformance.client.command_connection import KEPT_BYTES, STATUS_LINE, CommandConnection
from conformance.client.connection import END_OF_STREAM
from conformance.client.deviations import Deviation, Deviations, Form
from conformance.client.expectations import AFTER_QUIT, malformed
from conformance.client.status import CODES, FATAL, Status
from conformance.failures import Failure, Incomplete, Kind

QUIET_SECONDS: Final = 0.1
"""How long a server that stays open where it has to close must stay silent."""
SILENT_QUIT: Final = b"0 OK"
"""Replaces the reply of a server that is known to close after quit without one."""


class TolerantClient(Client):
    """A client of a server with known deviations; those that make a difference are added to `tolerated`."""

    _due: tuple[bytes, Deviation] | None = None  # the extra bytes that are known to follow the last reply
    _reply: str = ""  # the name of the current reply

    def __init__(
        self,
        deviations: Deviations,
        tolerated: set[Deviation],
        *arguments: Any,  # noqa: ANN401  (those of Connection)
        **more: Any,  # noqa: ANN401
    ) -> None:
        self._deviations = deviations
        self._tolerated = tolerated
        super().__init__(*arguments, **more)

    # --- Replies ---------------------------------------------------------------------------------

    def _read_status(self, codes: Sequence[int], expected: str) -> Status:
        """Read a status line, and return it with the code that the server means."""
        if self.latest is not None and self.latest.closes:
            self._resend()
        if 0 in (codes or CODES) and self._ends_silently(expected):
            self._reply = "quit"
            return Status(0, SILENT_QUIT)
        self._skip_due()
        line = self._read_first_line(expected)
        code = self._code(line, expected)
        meant = code if code in (codes or CODES) else self._meant(code, codes)
        reply = self._name_reply(code)
        closes = self._find(Form.CLOSES, reply) is not None or (meant not in {None, code} and code in FATAL)
        if meant is not None and (code or reply == "quit"):
            self._end_reply()
        return Status(code if meant is None else meant, line, closes=closes)

    def status_line(self, expected: str) -> bytes:
        """Read the first line of a reply verbatim, with known deviations undone; raise Failure."""
        self._replies += 1
        if self._ends_silently(expected):
            return SILENT_QUIT
        line = self._read_first_line(expected)
        known = self._find(Form.STATUS_LINE, line.decode("latin-1"))
        return line if known is None else known + b" " + line

    def line(self, expected: str) -> bytes:
        """Read a line of the current reply."""
        if self._reply != "get_metadata":
            return self.read_line(expected)
        line = self._read_line_of("size", expected)
        self._end_reply()
        return line

    def _read_first_line(self, expected: str) -> bytes:
        """Skip a greeting and an echo, and read the line that follows."""
        if self._replies == 1 and (greeting := self._deviations.find(Form.GREETING, "connect")):
            self._skip(*greeting)
        if echo := self._deviations.find(Form.ECHO, "line"):
            sent = self._lines[self._replies - 1] if self._replies <= len(self._lines) else self._begun
            if self._drop_line(lambda line: _is_echo(line, sent), KEPT_BYTES):
                self._tolerated.add(echo[1])
        return self._read_line_of("status", expected)

    def _code(self, line: bytes, expected: str) -> int:
        """Return the code of a status line, also of one whose form is a known deviation; raise Failure."""
        if (found := STATUS_LINE.fullmatch(line)) is not None:
            return int(found[1][:9])
        if (known := self._find(Form.STATUS_LINE, line.decode("latin-1"))) is not None:
            return int(known)
        raise malformed(line, expected)

    def _meant(self, code: int, codes: Sequence[int]) -> int | None:
        """Return the code among `codes` that this server is known to replace by `code`; None if there is none."""
        for wanted in codes:
            known = self._deviations.find(Form.CODE, str(wanted))
            if known and int(known[0]) == code:
                self._tolerated.add(known[1])
                return wanted
        return None

    def _name_reply(self, code: int) -> str:
        """Return the name of the reply that begins with a code, as in `Deviation.replies`."""
        command = self._lines[self._replies - 1] if self._replies <= len(self._lines) else b""
        name, _, arguments = command.partition(b" ")
        self._reply = str(code) if code else "raw" if arguments.endswith(b" raw") else name.decode("latin-1")
        return self._reply

    def _read_line_of(self, part: str, expected: str) -> bytes:
        """Read a line of a part of a reply; a bare LF, and bytes around a size, are dropped if that is known."""
        known = self._deviations.find(Form.BARE_LF, part)
        line = self.read_line(expected, allow_bare_lf=known is not None)
        if known and self.is_line_bare:
            self._tolerated.add(known[1])
        if part == "size":
            for around, remove in (("prefix", bytes.removeprefix), ("suffix", bytes.removesuffix)):
                known = self._deviations.find(Form.SIZE, around)
                if known and known[0] and remove(line, known[0]) != line:
                    self._tolerated.add(known[1])
                    line = remove(line, known[0])
        return line

    def read_until_line_end(self, expected: str, *, allow_bare_lf: bool = False) -> Iterator[bytes]:
        """Yield a line of any length in pieces; a bare LF is tolerated if it is a known deviation."""
        known = self._deviations.find(Form.BARE_LF, "slice")
        yield from super().read_until_line_end(expected, allow_bare_lf=allow_bare_lf or known is not None)
        if known and self.is_line_bare:
            self._tolerated.add(known[1])

    def _slice_form(self, form: str) -> str:
        known = self._find(Form.SLICE, "raw" if form else "get_slice")
        return super()._slice_form(form) if known is None else known.decode()

    def _end_reply(self) -> None:
        self._due = self._deviations.find(Form.EXTRA, self._reply)

    # --- The end of the connection ---------------------------------------------------------------

    def read_end(self, expected: str = END_OF_STREAM, *, quiet_seconds: float = QUIET_SECONDS) -> None:
        """Require that the server closes without sending more, known deviations aside; raise Failure.

        A server that is known to stay open only has to stay silent for `quiet_seconds`.
        """
        self._skip_due()
        stays = self._reply if self._reply == "quit" else "fatal" if self.latest and self.latest.code in FATAL else ""
        known = self._deviations.find(Form.STAYS_OPEN, stays)
        if known and self.is_quiet(quiet_seconds):
            self._tolerated.add(known[1])
            return
        super().read_end(expected)

    def leave(self) -> None:
        """Require the reply to quit and EOF, or at least no more bytes, and close."""
        self.status(0)
        self.read_end(AFTER_QUIT, quiet_seconds=0.0)
        self.close()

    def send_quit(self) -> bool:
        """Send quit unrecorded; return whether the server is expected to close."""
        return super().send_quit() and not self._deviations.find(Form.STAYS_OPEN, "quit")

    def _ends_silently(self, expected: str) -> bool:
        """Return whether the server closes after quit without a reply, as a known deviation.

        Raise Failure if it does neither in time: what it does later is not the fault that is known.
        """
        known = self._deviations.find(Form.SILENT, "quit")
        if known is None or self._replies > len(self._lines) or self._lines[self._replies - 1] != b"quit":
            return False
        self._skip_due()
        if not self._received:
            self._receive(expected, Kind.TIMEOUT)
        if not self._ending or self._received:
            return False
        self._tolerated.add(known[1])
        return True

    def _resend(self) -> None:
        """Reconnect to a server that closes where it must not, and resend the commands without a reply."""
        left = self._lines[self._replies - 1 :]
        if any(len(line) == KEPT_BYTES for line in left):
            return  # truncated, so it cannot be resent
        has_left = self.has_left
        self._socket.close()
        self._connect()
        self.latest = None
        super(CommandConnection, self).send(b"".join(line + b"\r\n" for line in left))
        if has_left:
            self.half_close()

    # --- Bytes that are known to be there --------------------------------------------------------

    def _find(self, form: Form, reply: str) -> bytes | None:
        """Return the details of how a reply differs in a form, and note the deviation; None if it does not."""
        known = self._deviations.find(form, reply)
        if known is None:
            return None
        self._tolerated.add(known[1])
        return known[0]

    def _skip_due(self) -> None:
        """Skip the extra bytes that are known to follow the previous reply, if they are there."""
        if self._due is not None:
            (data, deviation), self._due = self._due, None
            self._skip(data, deviation)

    def _skip(self, data: bytes, deviation: Deviation) -> None:
        """Drop the bytes of a deviation, if they are next in the stream."""
        if self._drop(data):
            self._tolerated.add(deviation)

    def _drop(self, data: bytes) -> bool:
        """Drop bytes if they are next in the stream; return whether they were. Waits for enough bytes to decide."""
        with contextlib.suppress(Failure, Incomplete):
            while len(self._received) < len(data) and data.startswith(bytes(self._received)):
                if not self._receive("", Kind.OPEN):
                    break
        is_there = self._received.startswith(data)
        if is_there:
            del self._received[: len(data)]
        return is_there

    def _drop_line(self, is_it: Callable[[bytes], bool], most: int) -> bool:
        """Drop the next line if `is_it` accepts its text without CR LF; return whether it was dropped.

        Waits for its end; a line of more than `most` bytes is never dropped.
        """
        with contextlib.suppress(Failure, Incomplete):
            while b"\n" not in self._received and len(self._received) <= most:
                if not self._receive("", Kind.OPEN):
                    break
        line, end, _ = bytes(self._received[: most + 2]).partition(b"\r\n")
        if not end or not is_it(line):
            return False
        del self._received[: len(line) + len(end)]
        return True


def _is_echo(line: bytes, sent: bytes) -> bool:
    """Return whether a line equals or begins a sent line, with or without surrounding whitespace."""
    if not line:
        return not sent or sent[:1].isspace()
    return sent.startswith(line) or sent.strip().startswith(line)
