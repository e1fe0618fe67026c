"""Mistakes that make a client wait: for the reply to a long line or to a bare LF, for the end of the stream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.broken_servers import late
from tests.broken_servers.bug import plant
from tests.broken_servers.commands import LINE_LIMIT_BYTES
from tests.broken_servers.style_loop import Client, Loop
from tests.broken_servers.style_streams import Streams
from tests.broken_servers.style_threads import Threads

if TYPE_CHECKING:
    import asyncio
    import socket
else:
    asyncio = late.load("asyncio")

SECONDS_PER_SQUARE_BYTE = 3.6e-13
"""Ten seconds for a line of 5 MiB, and nothing to speak of for one of 64 KiB."""


def search_again(before: int, more: int) -> None:
    """Take as long as it takes to search a buffer from its start after every few bytes."""
    time.sleep(((before + more) ** 2 - before**2) * SECONDS_PER_SQUARE_BYTE)


@plant("slow-on-long-lines", "HFTP-9.3")
class SlowOnLongLines(Threads):
    """64 bytes are received at a time and the buffer is searched from its start, so 5 MiB take ten seconds."""

    def serve_client(self, sock: socket.socket) -> None:
        """Search all that has come whenever more has come."""
        buffer = b""
        while data := sock.recv(self.receive_bytes):
            search_again(len(buffer), len(data))
            buffer += data
            while line_and_rest := self.cut(buffer):
                line, buffer = line_and_rest
                if self.answer(sock, line):
                    return
            if len(buffer) > LINE_LIMIT_BYTES:
                self.refuse_endless_line(sock)
                return


@plant("slow-on-long-lines-loop", "HFTP-9.3")
class SlowOnLongLinesLoop(Loop):
    """The buffer is searched from its start after every few bytes, and meanwhile no other client is served."""

    def read(self, client: Client) -> None:
        """Search all that has come whenever more has come."""
        data = client.sock.recv(self.receive_bytes)
        search_again(len(client.received), len(data))
        client.received += data
        client.has_ended = not data
        self.write(client)


BEFORE_2026 = ("2019", "2018", "2016")


@plant("lone-lf-waits-loop", "HFTP-1.3", dialects=BEFORE_2026)
class LoneLfWaitsLoop(Loop):
    """The loop looks for CR LF, so a bare LF gets its 100 only when a CR LF follows."""

    def take_line(self, client: Client) -> bytes:
        """Cut at CR LF, then look for a LF."""
        line, end, rest = bytes(client.received).partition(b"\r\n")
        if not end:
            return super().take_line(client) if len(client.received) > LINE_LIMIT_BYTES else b""
        client.received[:] = rest
        return line + end if b"\n" not in line else b"\n"


@plant("lone-lf-waits-streams", "HFTP-1.3", dialects=BEFORE_2026)
class LoneLfWaitsStreams(Streams):
    r"""readuntil(b"\r\n") waits for CR LF, so a bare LF gets its 100 only when one follows."""

    async def next_line(self, reader: asyncio.StreamReader) -> bytes:
        """Read up to CR LF, then look for a LF."""
        try:
            raw = await reader.readuntil(b"\r\n")
        except asyncio.IncompleteReadError:
            return b""
        except asyncio.LimitOverrunError:
            return b"\0\r\n"  # malformed, whatever it was
        return raw if b"\n" not in raw[:-2] else b"\n"


@plant("half-close-stays-open", "HFTP-1.14")
class HalfCloseStaysOpen(Streams):
    """A client that ends its half of the stream gets its replies, and then the server forgets to close."""

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer line after line; wait for ever after the last."""
        while raw := await self.next_line(reader):
            if await self.answer(writer, raw):
                return
        await asyncio.Event().wait()


@plant("half-close-stays-open-loop", "HFTP-1.14")
class HalfCloseStaysOpenLoop(Loop):
    """At the end of a client's stream the loop stops watching the socket, but does not close it."""

    def finish(self, client: Client) -> None:
        """Close what `quit` or an error has ended, and leave all else open."""
        if client.is_over:
            super().finish(client)
            return
        self.selector.unregister(client.sock)
        self.forgotten = [*getattr(self, "forgotten", []), client]
