"""One client's conversation: the only reads and writes on its socket.

The whole life of a connection is the generator `Connection.steps`. Before each read, and after each
large write, it waits even if it need not: at these moments other clients get their turn, and a client
that keeps up cannot keep a server to itself.
"""

import contextlib
import logging
import socket
from collections.abc import Generator
from itertools import count
from time import monotonic

from greenserver import limits
from greenserver.dialects import Dialect
from greenserver.lines import LineBuffer
from greenserver.logs import report, shown
from greenserver.responses import Body, Response
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
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, limits.UNSENT_BYTES)
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
            # What is complete is answered without a generator of its own: pipelined commands come by the hundred.
            while self._going_on and (command := self._complete_command() or (yield from self._next_command())):
                commands += 1
                begun = monotonic()
                response = self.parser_command(command)
                self._going_on = self._going_on and not response.closes
                self._replies += response.status.line
                if response.body.is_at_hand:
                    text = response.body.part(0)
                    self._replies += text
                    sent = len(text)
                else:
                    sent = yield from self._send_body(response.body)
                if len(self._replies) > limits.COALESCE_BYTES:
                    yield from self._send_replies()
                if _log.isEnabledFor(logging.INFO):
                    size = len(response.status.line) + sent
                    self._report_command(command, response.status, size, monotonic() - begun)
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

    def _complete_command(self) -> str:
        """Return the next command if it is there, as `read_buffer` does, or nothing."""
        line = self._lines.next_line()
        return "" if line is None else line.decode("latin-1") or "\r\n"

    def _next_command(self) -> Steps[str]:
        while not (command := self._complete_command()):
            if not self._flush():
                yield from self._send_replies()
            data = yield from self._receive()
            if not data:
                return ""
            self._lines.feed(data)
        return command

    def _receive(self) -> Steps[bytes]:
        """Return what the client says next; nothing at the end of the stream, or when told to stop."""
        deadline = monotonic() + limits.IDLE_SECONDS
        while True:
            self._idle = True
            if not self._going_on:
                return b""
            if not (yield Wait(READ, deadline)):
                raise TimeoutError
            self._idle = False
            try:
                data = self.socket.recv(limits.RECEIVE_BYTES)
            except BlockingIOError:
                continue
            self._ended_by_client = not data
            return data

    # --- Replying --------------------------------------------------------------------------------

    def _send_body(self, body: Body) -> Steps[int]:
        """Send a body part by part, small ones together, close it, and return its length in bytes.

        Nothing is held while the client takes its time: a part that could not be sent is made anew.
        """
        position = 0
        try:
            for number in count(1):
                try:
                    part = body.part(position)
                except Exception as error:  # noqa: BLE001  (after the status line only a cut can tell the client)
                    report(_log, logging.ERROR, "cut", client=self.client, position=position, error=error)
                    self._going_on = False
                    break
                if not part:
                    break
                if len(self._replies) + len(part) <= limits.COALESCE_BYTES:
                    self._replies += part
                    position += len(part)
                    if number <= limits.PARTS_AT_ONCE:
                        continue
                    self._flush()
                elif self._flush():
                    with contextlib.suppress(BlockingIOError):
                        position += self.socket.send(part)
                del part
                yield from _until(Wait(WRITE, monotonic() + limits.STALL_SECONDS))
        finally:
            body.close()
        return position

    def _send_replies(self) -> Steps[None]:
        """Send all replies that are gathered."""
        while not self._flush():
            yield from _until(Wait(WRITE, monotonic() + limits.STALL_SECONDS))

    def _flush(self) -> bool:
        """Send what the socket takes of the replies that are gathered, and tell whether that is all."""
        if self._replies:
            try:  # noqa: SIM105  (after each command: contextlib.suppress costs as much as a small send's Python)
                del self._replies[: self.socket.send(self._replies)]
            except BlockingIOError:
                pass
        return not self._replies

    def _report_command(self, command: str, status: Status, size: int, seconds: float) -> None:
        report(
            _log,
            logging.INFO,
            "command",
            client=self.client,
            command=shown(command),
            status=int(status),
            bytes=size,
            milliseconds=round(seconds * 1000, 3),
        )

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
