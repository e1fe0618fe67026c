"""asyncio streams: a coroutine for each client."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.broken_servers import late
from tests.broken_servers.commands import LINE_LIMIT_BYTES, Commands
from tests.broken_servers.style import DRAIN_SECONDS, Style

if TYPE_CHECKING:
    import asyncio
    import socket
else:
    asyncio = late.load("asyncio")


class Streams(Style):
    """Serve each client in a coroutine."""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.tasks: set[asyncio.Task[None]] = set()

    def serve(self, listener: socket.socket) -> None:
        """Run the event loop for ever."""
        asyncio.run(self.accept(listener))

    async def accept(self, listener: socket.socket) -> None:
        """Accept clients for ever."""
        server = await asyncio.start_server(
            self.attend, sock=listener, limit=LINE_LIMIT_BYTES, backlog=self.backlog, start_serving=False
        )
        await server.serve_forever()

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client to the end, and survive its disappearance."""
        try:
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await self.serve_client(reader, writer)
                await asyncio.wait_for(self.end(reader, writer), DRAIN_SECONDS)
        finally:
            writer.close()  # of a task that fails, asyncio closes the connection by itself only from Python 3.11 on

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer line after line."""
        while raw := await self.next_line(reader):
            if await self.answer(writer, raw):
                return

    async def next_line(self, reader: asyncio.StreamReader) -> bytes:
        """Return the next line with its end, or nothing at the end of the stream."""
        try:
            return await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return b""
        except asyncio.LimitOverrunError:
            return b"\0\r\n"  # malformed, whatever it was

    async def answer(self, writer: asyncio.StreamWriter, raw: bytes) -> bool:
        """Send the reply to one line; return whether to close the connection."""
        parts, is_over = self.commands.reply(raw)
        for part in parts:
            writer.write(part)
            await writer.drain()
        return is_over

    async def end(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """End the stream, and read on until the client ends it too."""
        writer.write_eof()
        while await reader.read(1 << 16):
            pass
