"""Mistakes with a connection: sending, ending, waiting."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

from tests.broken_servers import late
from tests.broken_servers.bug import plant
from tests.broken_servers.commands import Commands, Parts
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Client, Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_streams import Streams
from tests.broken_servers.style_threads import Threads

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = late.load("asyncio")


@plant("send-without-all", "HFTP-6.12")
class SendWithoutAll(Threads):
    """send() is called once for each piece, and what the kernel does not take is lost."""

    buffer_bytes = 4096
    """Of the kernel, for what is sent: less than a piece, so that not even the fastest client hides the loss."""

    def serve_client(self, sock: socket.socket) -> None:
        """Keep the kernel's buffer small."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.buffer_bytes)
        super().serve_client(sock)

    def send(self, sock: socket.socket, part: bytes) -> None:
        """Send some of it."""
        sock.send(part, socket.MSG_DONTWAIT)


@plant("slow-reader-dropped", "HFTP-6.12", style=Lines)
class SlowReaderDropped(Lines):
    """A client that does not read for 50 ms is dropped in the middle of its reply."""

    def send(self, sock: socket.socket, part: bytes) -> None:
        """Time out soon."""
        sock.settimeout(0.05)
        try:
            sock.sendall(part)
        except TimeoutError:
            raise ConnectionAbortedError from None
        sock.settimeout(None)


@plant("reply-lost-by-reset", "HFTP-2.9")
class ReplyLostByReset(Threads):
    """The socket is closed right after a fatal reply, with input unread: the reset overtakes the reply.

    Across a network the reply is still under way; on loopback a cork keeps it back as long.
    """

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Keep the last reply in the kernel's queue."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        is_over = super().answer(sock, raw)
        if not is_over:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        return is_over

    def end(self, sock: socket.socket) -> None:
        """Close at once: a reset if there is input, an ordinary end if there is none."""


@plant("close-discards-the-reply", "HFTP-3.6", style=Lines)
class CloseDiscards(Lines):
    """SO_LINGER is set to zero seconds, so closing throws away what the client has not yet received."""

    def end(self, sock: socket.socket) -> None:
        """Reset the connection."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@plant("half-close-loses-the-reply", "HFTP-1.14", style=Loop)
class HalfCloseLoses(Loop):
    """The end of the client's stream is taken for its disappearance, and what was received is not answered."""

    def read(self, client: Client) -> None:
        """Read until there is nothing more, and look at it only then."""
        time.sleep(0.002)  # what else this loop does before it comes round
        while True:
            try:
                data = client.sock.recv(self.receive_bytes)
            except BlockingIOError:
                break
            if not data:
                raise ConnectionResetError
            client.received += data
        self.write(client)


@plant("answers-at-half-close", "HFTP-1.6", style=Forks)
class AnswersAtHalfClose(Forks):
    """Everything is read until the client ends its stream, and only then is it answered."""

    def serve_client(self, sock: socket.socket) -> None:
        """Read all, then answer."""
        text = b"".join(iter(lambda: sock.recv(self.receive_bytes), b""))
        for match in self.LINE.finditer(text):
            if self.answer(sock, match[0]):
                return


@plant("flush-forgotten", "HFTP-1.6", style=Lines)
class FlushForgotten(Lines):
    """Replies are written to a buffered file that is flushed when the connection is closed."""

    def serve_client(self, sock: socket.socket) -> None:
        """Keep what is sent."""
        self.buffers: dict[socket.socket, bytearray] = getattr(self, "buffers", {})
        self.buffers[sock] = bytearray()
        try:
            super().serve_client(sock)
        finally:
            sock.sendall(self.buffers.pop(sock))

    def send(self, sock: socket.socket, part: bytes) -> None:
        """Send what exceeds the buffer."""
        self.buffers[sock] += part
        if len(self.buffers[sock]) > 8192:
            sock.sendall(self.buffers[sock])
            self.buffers[sock].clear()


@plant("slow-typist-dropped", "HFTP-1.1")
class SlowTypistDropped(Threads):
    """A command has to arrive within half a millisecond of its first byte."""

    def serve_client(self, sock: socket.socket) -> None:
        """Time out soon in the middle of a line."""
        buffer = b""
        try:
            while data := sock.recv(self.receive_bytes):
                buffer += data
                while line_and_rest := self.cut(buffer):
                    line, buffer = line_and_rest
                    sock.settimeout(None)
                    if self.answer(sock, line):
                        return
                sock.settimeout(0.0005 if buffer and len(buffer) < 4096 else None)
        except TimeoutError:
            return


@plant("one-command-a-connection", "HFTP-2.8", style=Sequential)
class OneCommand(Sequential):
    """The connection is closed after the first reply, as in HTTP/1.0."""

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Be over at once."""
        super().answer(sock, raw)
        return True


@plant("replies-out-of-order", "HFTP-1.6", style=Streams)
class OutOfOrder(Streams):
    """Each command runs in a task of its own, and the replies come as the tasks finish."""

    async def answer(self, writer: asyncio.StreamWriter, raw: bytes) -> bool:
        """Answer in the background; only what closes the connection is waited for."""
        parts, is_over = self.commands.reply(raw)
        task = asyncio.ensure_future(self.send_later(writer, b"".join(parts), raw))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        if is_over:
            await task
        return is_over

    async def send_later(self, writer: asyncio.StreamWriter, reply: bytes, raw: bytes) -> None:
        """Send a reply when its file would have been read."""
        if raw.startswith((b"get_slice", b"get_file_listing")):
            await asyncio.sleep(0.02)
        writer.write(reply)


@plant("pipeline-limited", "HFTP-1.6", style=Loop)
class PipelineLimited(Loop):
    """At most eight commands that arrive together are answered; the others wait for the next packet."""

    def read(self, client: Client) -> None:
        """Count anew."""
        self.allowed = 8
        super().read(client)

    def take_line(self, client: Client) -> bytes:
        """Take a line while the count allows it."""
        self.allowed -= 1
        return super().take_line(client) if self.allowed >= 0 else b""


@plant("pipeline-cut-at-1024", "HFTP-1.6", style=Forks)
class ManyCommandsLost(Forks):
    """The receive buffer is 1,024 bytes, and what does not fit is read and dropped."""

    def serve_client(self, sock: socket.socket) -> None:
        """Drop what exceeds the buffer."""
        buffer = b""
        while data := sock.recv(self.receive_bytes):
            buffer = (buffer + data)[:1024] if b"\n" in data[:1024] else buffer + data
            end = 0
            for match in self.LINE.finditer(buffer):
                end = match.end()
                if self.answer(sock, match[0]):
                    return
            buffer = buffer[end:]


@plant("quit-waits-for-the-client", "HFTP-3.6", style=Forks)
class QuitWaits(Forks):
    """After `quit` the server waits for the client to close first."""

    def end(self, sock: socket.socket) -> None:
        """Wait for the other side."""
        while sock.recv(1 << 16):
            pass


@plant("reset-kills-the-process", "HFTP-10.5", style=Sequential)
class ResetKills(Sequential):
    """A reset by the client is a ConnectionResetError that ends the whole server."""

    def attend(self, sock: socket.socket) -> None:
        """Catch nothing."""
        with sock:
            self.serve_client(sock)
            with contextlib.suppress(OSError):
                self.end(sock)


@plant("reset-kills-the-loop", "HFTP-10.5", style=Loop)
class ResetKillsLoop(Loop):
    """A client that disappears while it is sent to raises an exception in the loop, and nobody is served any more."""

    def read(self, client: Client) -> None:
        """Read as usual."""
        time.sleep(0.002)  # what else this loop does before it comes round
        super().read(client)

    def step(self, client: Client) -> None:
        """Catch what every client causes, and no more."""
        try:
            super().step(client)
        finally:
            if client.sock.fileno() < 0 and (client.outgoing or not client.drain_until):
                raise ConnectionResetError


@plant("lock-kept-after-reset", "HFTP-6.13")
class LockKept(Threads):
    """A lock is taken around each reply without `with`; a client that disappears keeps it for ever."""

    lock = threading.Lock()

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Lock by hand."""
        parts, is_over = self.commands.reply(raw)
        whole = b"".join(parts)
        self.lock.acquire()
        self.send(sock, whole)
        self.lock.release()
        return is_over


@plant("end-of-stream-not-seen", "HFTP-1.14")
class EndNotSeen(Threads):
    """recv returns nothing at the end of the stream, and the loop goes on receiving nothing."""

    def serve_client(self, sock: socket.socket) -> None:
        """Go on; the pause is what a busy machine makes of it."""
        super().serve_client(sock)
        while sock.recv(1) == b"" and self.is_connected(sock):
            time.sleep(0.05)

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Leave by another way when the connection is to be closed."""
        if super().answer(sock, raw):
            self.end(sock)
            raise ConnectionAbortedError
        return False

    def is_connected(self, sock: socket.socket) -> bool:
        """Tell whether the client is still there at all."""
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO) == 8  # CLOSE_WAIT


@plant("help-half-written", "HFTP-3.9", dialects=("2019", "2018", "2016"))
class HelpHalfWritten(Commands):
    """The table knows help, which an earlier dialect need not have, but its function does not exist yet."""

    def run(self, name: bytes, arguments: list[bytes]) -> Parts:
        """Fail for help."""
        if name == b"help":
            raise NotImplementedError
        return super().run(name, arguments)
