"""One client's conversation: the only reads and writes on its socket.

The whole life of a connection is the generator `Connection.steps`. Before each read, and before each
large write, it waits even if it need not: at these moments other clients get their turn, and a client
that keeps up cannot keep a server to itself.
"""

import contextlib
import logging
import socket
from collections.abc import Generator
from time import monotonic

from greenserver import limits
from greenserver.dialects import Dialect
from greenserver.lines import LineBuffer
from greenserver.logs import report, shown
from greenserver.responses import Response
from greenserver.status import Refusal, Status
from greenserver.store import FileStore
from greenserver.waiting import READ, WRITE, Steps, Wait, Waiter, exhaust, wait_blocking

_log = logging.getLogger(__name__)


class Connection:
    """A conversation with one client, from its first command to the close.

    `client` names the client in the log; `wait` is how `handle` lets time pass. The socket is the
    connection's from here on: it is made non-blocking, and closed at the end.
    """

    def __init__(
        self,
        sock: socket.socket,
        store: FileStore,
        dialect: Dialect,
        *,
        client: str = "",
        wait: Waiter = wait_blocking,
    ) -> None:
        sock.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self.client = client
        self.wait = wait
        self._store = store
        self._dialect = dialect
        self._lines = LineBuffer()
        self._replies = bytearray()  # gathered, not yet sent
        self._going_on = True
        self._ended_by_client = False
        self._idle = False  # waiting for a command, owing nothing

    # --- The public face -------------------------------------------------------------------------

    def handle(self) -> None:
        """Serve the client until the conversation ends."""
        exhaust(self.steps(), self.socket, self.wait)

    def steps(self) -> Steps[None]:
        """Serve the client until the conversation ends, one wait at a time."""
        report(_log, logging.INFO, "connected", client=self.client)
        started, commands, outcome = monotonic(), 0, "closed"
        try:
            while self._going_on and (command := (yield from self._next_command())):
                commands += 1
                yield from self._reply(command)
            yield from self._send_replies()
            yield from self._linger()
        except TimeoutError:
            outcome = "timed out"
        except OSError as error:
            outcome = error.strerror or str(error)
        except GeneratorExit:
            outcome = "ended by the server"
        finally:
            self.socket.close()
            report(
                _log,
                logging.INFO,
                "disconnected",
                client=self.client,
                outcome=outcome,
                commands=commands,
                seconds=round(monotonic() - started, 3),
            )

    def read_buffer(self) -> str:
        r"""Receive until one command is complete, and return it without its line end.

        Returns "" at the end of the stream, and for that reason ``"\r\n"`` for an empty command. A
        command broken by a LF of its own is returned up to that LF; nothing comes after it.

        Raises TimeoutError if the client says nothing for too long; OSError if the connection broke.
        """
        return exhaust(self._next_command(), self.socket, self.wait)

    def parser_command(self, command: str) -> Response:
        """Run one command and return its reply; whatever goes wrong is a reply too."""
        line = command.removesuffix("\r\n")
        if "\n" in line:
            return Response(Status.BAD_EOL)
        try:
            return self._dialect.answer(self._store, *self.normalize_command(line))
        except Refusal as refusal:
            return Response(refusal.status)
        except Exception as error:  # noqa: BLE001  (the client must be told, whatever it is)
            report(_log, logging.ERROR, "failed", client=self.client, command=shown(command), error=error)
            return Response(Status.INTERNAL_SERVER_ERROR)

    @staticmethod
    def normalize_command(command: str) -> tuple[str, list[str]]:
        """Split a command into its name and its arguments: 'get_metadata a' -> ('get_metadata', ['a']).

        Raises Refusal: BAD_REQUEST for what is not printable ASCII, elements not separated by exactly one
        space, and no element at all.
        """
        name, *arguments = elements = command.split(" ")
        if "" in elements or not (command.isascii() and command.isprintable()):
            raise Refusal(Status.BAD_REQUEST)
        return name, arguments

    # --- Being told to stop ----------------------------------------------------------------------

    def stop(self) -> None:
        """End the conversation after the reply under way; at once if there is none."""
        self._going_on = False
        if self._idle:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RD)  # wakes whoever waits for the socket

    def abort(self) -> None:
        """End the conversation now, whatever is under way."""
        self._going_on = False
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    # --- Receiving -------------------------------------------------------------------------------

    def _next_command(self) -> Steps[str]:
        while (line := self._lines.next_line()) is None:
            yield from self._send_replies()
            data = yield from self._receive()
            if not data:
                return ""
            self._lines.feed(data)
        return line.decode("latin-1") or "\r\n"

    def _receive(self) -> Steps[bytes]:
        """Return what the client says next; nothing at the end of the stream, or when told to stop."""
        deadline = monotonic() + limits.IDLE_SECONDS
        while True:
            self._idle = True
            if not self._going_on:
                return b""
            yield from _until(Wait(READ, deadline))
            self._idle = False
            try:
                data = self.socket.recv(limits.RECEIVE_BYTES)
            except BlockingIOError:
                continue
            self._ended_by_client = not data
            return data

    # --- Replying --------------------------------------------------------------------------------

    def _reply(self, command: str) -> Steps[None]:
        started = monotonic()
        response = self.parser_command(command)
        self._going_on = self._going_on and not response.closes
        head = response.status.line
        self._replies += head
        sent = 0
        try:
            sent = yield from self._send_body(response)
        finally:
            response.body.close()
        report(
            _log,
            logging.INFO,
            "command",
            client=self.client,
            command=shown(command),
            status=int(response.status),
            bytes=len(head) + sent,
            milliseconds=round((monotonic() - started) * 1000, 3),
        )

    def _send_body(self, response: Response) -> Steps[int]:
        """Send a body part by part, small ones together, and return its length in bytes."""
        position = 0
        while True:
            try:
                part = response.body.part(position)
            except Exception as error:  # noqa: BLE001  (after the status line only a cut can tell the client)
                report(_log, logging.ERROR, "cut", client=self.client, position=position, error=error)
                self._going_on = False
                return position
            if not part:
                return position
            if len(self._replies) + len(part) <= limits.COALESCE_BYTES:
                self._replies += part
                position += len(part)
                continue
            yield from self._send_replies()
            yield from _until(Wait(WRITE, monotonic() + limits.STALL_SECONDS))
            with contextlib.suppress(BlockingIOError):
                position += self.socket.send(part)

    def _send_replies(self) -> Steps[None]:
        """Send all replies that are gathered."""
        while self._replies:
            with contextlib.suppress(BlockingIOError):
                del self._replies[: self.socket.send(self._replies)]
            if self._replies:
                yield from _until(Wait(WRITE, monotonic() + limits.STALL_SECONDS))

    # --- Ending ----------------------------------------------------------------------------------

    def _linger(self) -> Steps[None]:
        """End our half of the stream, then drop input until the client ends its own.

        Closing with unread input would send a reset, which can destroy the last reply on its way.
        """
        if self._ended_by_client:
            return
        self.socket.shutdown(socket.SHUT_WR)
        last = monotonic() + limits.LINGER_SECONDS
        while (yield Wait(READ, min(last, monotonic() + limits.LINGER_QUIET_SECONDS))):
            with contextlib.suppress(BlockingIOError):
                if not self.socket.recv(limits.RECEIVE_BYTES) or monotonic() > last:
                    return


def _until(wait: Wait) -> Generator[Wait, bool, None]:
    """Wait; raise TimeoutError past the deadline."""
    if not (yield wait):
        raise TimeoutError
