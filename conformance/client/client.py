"""An HFTP client that reads the replies of a dialect, as strictly as the protocol defines them."""

import re
from dataclasses import dataclass
from typing import Final

from conformance.client.bodies import READERS
from conformance.client.command_connection import CommandConnection, names_its_command
from conformance.client.expectations import AFTER_FATAL, AFTER_QUIT, OUT_OF_STEP
from conformance.client.recording import escape
from conformance.client.status import CODES, FATAL, Status
from conformance.failures import Failure, Kind
from conformance.fixtures.content import Content
from conformance.fixtures.words import Words
from conformance.language import Message

LISTED_NAMES: Final = 200_000
"""The longest listing to read; the largest that the suite creates has 10,000 names."""
LISTED_BYTES: Final = 32 << 20
"""The largest listing to read, in bytes of its names; the largest that the suite creates has 0.2 MiB."""
CLOSING_SECONDS: Final = 0.3
"""How long a client waits for EOF after quit, which shows that the server has released it."""
_SIZE: Final = re.compile(rb"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Slice:
    """A slice: its first 64 KiB, and how many lines or fragments it came in."""

    data: bytes
    lines: int


class Client(CommandConnection):
    """A connection that reads whole replies; `dialect` decides the form of a slice.

    `words` has the unknown command of the run.
    """

    dialect: str = "2026"
    words: Words = Words()

    # --- Bodies of replies -----------------------------------------------------------------------

    @names_its_command
    def listing(self) -> list[bytes]:
        """Read names, one per line, up to the empty line."""
        names: list[bytes] = []
        size = 0
        while line := self._read_line_of("listing", Message("a name, or the empty line that ends the listing")):
            names.append(line)
            size += len(line)
            if len(names) > LISTED_NAMES or size > LISTED_BYTES:
                got = (
                    Message("more than {count} names", count=LISTED_NAMES)
                    if size <= LISTED_BYTES
                    else Message("more than {most} bytes", most=LISTED_BYTES)
                )
                raise Failure(Kind.TOO_MUCH, Message("the end of the listing"), got)
        self._end_reply()
        return names

    @names_its_command
    def size(self) -> int:
        """Read a size on a line of its own."""
        expected = Message("a size: decimal digits on a line of their own")
        line = self._read_line_of("size", expected)
        if not _SIZE.fullmatch(line):
            raise Failure(Kind.MALFORMED, expected, escape(line))
        self._end_reply()
        return int(line)

    @names_its_command
    def slice(self, content: Content | None, offset: int, size: int, form: str = "") -> Slice:
        """Read a slice in the dialect's form (`form` is the fourth argument), and compare its bytes with a file's.

        Without content, only check form and length. Raises Failure: malformed, body.
        """
        lines = 0
        kept = bytearray()
        position = offset
        for piece, ended in READERS[self._slice_form(form)](self, size):
            lines += ended
            if content is not None:
                _compare(content, position, piece)
            position += len(piece)
            kept += piece[: (1 << 16) - len(kept)]
        if position != offset + size:
            raise Failure(
                Kind.BODY, Message("{size} bytes", size=size), Message("{size} bytes", size=position - offset)
            )
        self._end_reply()
        return Slice(bytes(kept), lines)

    # --- Check that nothing else was sent --------------------------------------------------------

    def in_step(self) -> Status:
        """Require that replies are in step: the next command gets the next reply.

        After a fatal status, require the end of the stream instead. Returns the status line.
        """
        if self.latest is not None and self.latest.is_fatal:
            self.read_end(AFTER_FATAL)
            self.close()
            return self.latest
        self.send_line(self.words.unknown)
        latest = self.status(200, 201, 202, cause=OUT_OF_STEP)
        self.finish()
        return latest

    def finish(self) -> None:
        """Send quit, require its reply and EOF with nothing in between, and close."""
        self.send_line("quit")
        self.leave()

    def leave(self) -> None:
        """Require the reply to quit and EOF, and close."""
        self.status(0)
        self.read_end(AFTER_QUIT)
        self.close()  # a server that lingers would still count this client

    def quit_and_close(self) -> None:
        """Send quit, wait up to 0.3 s for EOF if the server replies at all, and close."""
        if self.send_quit():
            self.timeout_seconds = min(self.timeout_seconds, CLOSING_SECONDS)
            self.collect(lambda _data: False, seconds=CLOSING_SECONDS)
        self.close()

    # --- What servers with known deviations do otherwise, see tolerant.py ------------------------

    def _read_line_of(self, part: str, expected: str) -> bytes:
        """Read a line of a part of a reply, `listing` or `size`; raise Failure."""
        del part
        return self.read_line(expected)

    def _slice_form(self, form: str) -> str:
        """Return the name of the form of a slice in `bodies.READERS`."""
        return form or self.dialect

    def _end_reply(self) -> None:
        """Note that the current reply has been read."""


def fetch(client: Client, name: bytes, offset: int, size: int, content: Content | None = None) -> Slice:
    """Request a slice, require status 0, and read it."""
    client.send_line(b"get_slice %b %d %d" % (name, offset, size))
    client.status(0)
    return client.slice(content, offset, size)


def _compare(content: Content, position: int, piece: bytes) -> None:
    wanted = content.read(position, len(piece))
    if wanted == piece:
        return
    at = next((i for i, (a, b) in enumerate(zip(wanted, piece, strict=False)) if a != b), min(len(wanted), len(piece)))
    raise Failure(
        Kind.BODY,
        Message(
            "at offset {offset} of the file: {wanted}",
            offset=position + at,
            wanted=escape(wanted[at : at + 16]) or Message("its end"),
        ),
        escape(piece[at : at + 16]),
    )


__all__ = [
    "CLOSING_SECONDS",
    "CODES",
    "FATAL",
    "OUT_OF_STEP",
    "Client",
    "Slice",
    "Status",
    "fetch",
]
