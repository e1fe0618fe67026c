"""One client's conversation: the only reads and writes on its socket.

The whole life of a connection is the generator `Connection.steps`. Before each read, and before each
large write, it waits even if it need not: at these moments other clients get their turn, and a client
that keeps up cannot keep a server to itself.
"""

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from time import monotonic

from greenserver.arrival import Network, TurnedAwayError, introduce, linger, prepare, shake_hands, turn_back
from greenserver.cached import NotCachedError
from greenserver.commands import split
from greenserver.dialects import Dialect, understand
from greenserver.gate import Gate, Visit
from greenserver.limits import COALESCE_BYTES, DEFAULTS, TURN_BYTES, Limits
from greenserver.lines import LineBuffer
from greenserver.logs import report, shown
from greenserver.meter import SILENT, Meter
from greenserver.outbox import BrokenOffError, Outbox
from greenserver.pacing import TooSlowError
from greenserver.responses import Body, Response
from greenserver.status import Refusal, Status
from greenserver.store import Files, FileStore, ImpatientStore
from greenserver.tls import SecureChannel
from greenserver.waiting import FOREVER, NOTHING, READ, Steps, Wait, Waiter, exhaust, has_input, wait_blocking

_log = logging.getLogger(__name__)


class Connection:
    """A conversation with one client, from its first command to the close.

    `client` names the client in the log; `wait` is how `handle` lets time pass. The socket is the
    connection's from here on: it is made non-blocking, and closed at the end.

    `limits` is what the client is granted, `gate` counts it among the others, `meter` is told what happens.
    With `tls` all is said through TLS. With `proxy_from` a PROXY protocol header must come first, from a peer
    in one of these networks (or on a unix socket), and names the client anew.
    """

    may_block = True
    """Whether reading a file may hold the thread, since it serves nobody else; an engine says if not."""

    def __init__(  # noqa: PLR0913  (keyword-only settings, a default each)
        self,
        sock: socket.socket,
        store: FileStore,
        dialect: Dialect,
        *,
        client: str = "",
        wait: Waiter = wait_blocking,
        limits: Limits = DEFAULTS,
        meter: Meter = SILENT,
        gate: Gate | None = None,
        tls: ssl.SSLContext | None = None,
        proxy_from: Sequence[Network] = (),
    ) -> None:
        prepare(sock)
        self.socket = sock
        self.client = client
        self.wait = wait
        self._store = store
        self._files = ImpatientStore(store)
        self._dialect = dialect
        self._limits = limits
        self._meter = meter
        self._visit = Visit(gate)
        self._tls = tls
        self._proxy_from = proxy_from
        self._channel: SecureChannel | None = None
        self._recv: Callable[[int], bytes] = sock.recv
        self._outbox = Outbox(sock, limits)
        self._lines = LineBuffer(limits.line_bytes)
        self._line_since, self._line_bytes = 0.0, 0  # of the line under way; 0 between lines
        self._going_on = True
        self._ended_by_client = False
        self._has_early = False  # words that came along with a handshake: the socket will not tell of them
        self._idle = False  # waiting for a command, owing nothing
        self._has_parted = False  # told to stop when idle, and has told the client
        self._commands = 0

    # --- The public face -------------------------------------------------------------------------

    def handle(self) -> None:
        """Serve the client until the conversation ends."""
        exhaust(self.steps(), self.socket, self.wait)

    def steps(self) -> Steps[None]:
        """Serve the client until the conversation ends, one wait at a time."""
        started, outcome, limit = monotonic(), "closed", ""
        try:
            yield from self._arrive()
            yield from self._converse()
            if not self._ended_by_client:
                yield from linger(self.socket, self._limits.linger_seconds, self._channel)
        except TooSlowError as error:
            outcome, limit = "timed out", error.what
            self._meter.stalled(limit)
        except TurnedAwayError as error:
            self._visit.turn_away(error.kind, self.client, error)
        except OSError as error:
            outcome = error.strerror or str(error)
        except GeneratorExit:
            outcome = "ended by the server"
        finally:
            self.socket.close()
            if self._visit.is_welcome:
                self._report_end(outcome, limit, monotonic() - started)
            self._visit.end()

    def read_buffer(self) -> str:
        r"""Receive until one command is complete, and return it without its line end.

        Returns "" at the end of the stream, and for that reason ``"\r\n"`` for an empty command. A
        command broken by a LF of its own is returned up to that LF; nothing comes after it.

        Raises TimeoutError if the client says nothing for too long; OSError if the connection broke.
        """
        return exhaust(self._next_command(), self.socket, self.wait)

    def parser_command(self, command: str) -> Response:
        """Run one command and return its reply; whatever goes wrong is a reply too."""
        return self._answer(self._store, command)

    @staticmethod
    def normalize_command(command: str) -> tuple[str, list[str]]:
        """Split a command into its name and its arguments: 'get_metadata a' -> ('get_metadata', ['a']).

        Raises Refusal: BAD_REQUEST for what is not printable ASCII, elements not separated by exactly one
        space, and no element at all.
        """
        return split(command)

    # --- Being told to begin and to stop ---------------------------------------------------------

    def enter(self) -> bool:
        """Count the client from now on, rather than once it is served; return whether serving it takes any time."""
        self._visit.begin()
        return not self._visit.is_cut_short

    def abandon(self) -> None:
        """Close a connection that nobody has begun to serve."""
        self.socket.close()
        self._visit.end()

    def stop(self) -> None:
        """End the conversation after the reply under way; soon, if there is none.

        An idle client sees the end of our half of the stream; if it has not ended its own by the next call, it is cut.
        """
        self._going_on = False
        if not self._idle or has_input(self.socket):
            return
        is_parting = self._channel is None and not self._has_parted
        self._has_parted = is_parting or self._has_parted
        with contextlib.suppress(OSError):  # the second one wakes whoever waits for the socket
            self.socket.shutdown(socket.SHUT_WR if is_parting else socket.SHUT_RD)

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
            if not self._outbox.flush_at_once():
                yield from self._outbox.flush()
            if not (data := (yield from self._receive())):
                return ""
            self._lines.feed(data)
        self._line_since = 0.0
        return command

    def _receive(self) -> Steps[bytes]:
        """Return what the client says next; nothing at the end of the stream, or when told to stop."""
        granted = self._limits
        if self._lines.is_mid_line:
            if not self._line_since:
                self._line_since, self._line_bytes = monotonic(), 0
            extra_seconds = self._line_bytes / granted.line_floor if granted.line_floor else 0.0
            deadline, what = self._line_since + granted.line_seconds + extra_seconds, "line"
        else:
            deadline, what = monotonic() + granted.idle_seconds, "idle"
        while True:
            self._idle = True
            if not self._going_on:
                return b""
            if self._has_early:
                self._has_early = False
            elif not (yield Wait(READ, deadline)):
                raise TooSlowError(what)
            self._idle = False
            if self._has_parted:  # nothing could be replied
                return b""
            try:
                data = self._recv(TURN_BYTES)
            except BlockingIOError:
                continue
            self._ended_by_client = not data
            self._line_bytes += len(data)
            self._meter.received(len(data))
            return data

    # --- Replying --------------------------------------------------------------------------------

    def _answer(self, store: Files, command: str) -> Response:
        """Run one command; raises NotCachedError if the store does."""
        try:
            return understand(self._dialect, command)(store)
        except Refusal as refusal:
            return Response(refusal.status)
        except NotCachedError:
            raise
        except Exception as error:  # noqa: BLE001  (the client must be told, whatever it is)
            report(_log, logging.ERROR, "failed", client=self.client, command=shown(command), error=error)
            return Response(Status.INTERNAL_SERVER_ERROR)

    def _converse(self) -> Steps[None]:
        """Answer one command after the other until the conversation ends."""
        outbox = self._outbox
        files: Files = self._store if self.may_block else self._files
        is_told_of = self._meter is not SILENT or _log.isEnabledFor(logging.INFO)
        # What is complete is answered without a generator of its own: pipelined commands come by the hundred.
        while self._going_on and (command := self._complete_command() or (yield from self._next_command())):
            self._commands += 1
            begun = monotonic() if is_told_of else 0.0
            try:
                response = self._answer(files, command)
            except NotCachedError:
                yield Wait(NOTHING, FOREVER, self._files.work)
                response = self._answer(files, command)
            self._going_on = self._going_on and not response.closes
            outbox.replies += response.status.line
            outbox.replies += response.text
            sent = len(response.text)
            if response.body is not None:
                sent = yield from self._send_body(response.body)
            elif len(outbox.replies) > COALESCE_BYTES:
                yield from outbox.flush()
            if is_told_of:
                self._report_command(command, response.status, sent, monotonic() - begun)
        yield from outbox.flush()

    def _send_body(self, body: Body) -> Steps[int]:
        """Send a body, or gather it if it is small; close it, and return its length in bytes."""
        outbox = self._outbox
        try:
            return (yield from (outbox.pour if body.is_large else outbox.gather)(body, may_block=self.may_block))
        except BrokenOffError as cut:  # after the status line only a cut can tell the client
            report(_log, logging.ERROR, "cut", client=self.client, position=cut.position, error=cut.__cause__)
            self._going_on = False
            return cut.position
        finally:
            body.close()

    def _report_command(self, command: str, status: Status, sent: int, seconds: float) -> None:
        size = len(status.line) + sent
        self._meter.command(self._dialect.known_name(command), status, size, seconds)
        facts = {"client": self.client, "command": shown(command), "status": int(status), "bytes": size}
        report(_log, logging.INFO, "command", error=None, **facts, milliseconds=round(seconds * 1000, 3))

    # --- Beginning and ending --------------------------------------------------------------------

    def _arrive(self) -> Steps[None]:
        """Learn for whom a proxy speaks, agree on TLS, and see whether there is room."""
        self._visit.begin()
        if (self._proxy_from or self._tls is not None) and not self._visit.is_cut_short:
            deadline = monotonic() + self._limits.handshake_seconds
            early = b""
            if self._proxy_from:
                self.client, early = yield from introduce(self.socket, self.client, self._proxy_from, deadline)
            if self._tls is None:
                self._lines.feed(early)
            else:
                channel = self._channel = SecureChannel(self.socket, self._tls, early)
                self._recv = channel.recv
                self._outbox.use(channel)
                yield from shake_hands(channel, deadline)
                self._has_early = True
        if self._visit.is_let_in_as(self.client):
            self._meter.connected()
            report(_log, logging.INFO, "connected", client=self.client)
        else:
            self._refuse()

    def _refuse(self) -> None:
        """Say that there is no room; to those past all patience at once, and without TLS."""
        self._going_on = False
        if not self._visit.is_cut_short:
            self._outbox.replies += Status.INTERNAL_SERVER_ERROR.line
            return
        self._ended_by_client = True  # so that nothing is waited for
        if self._tls is None:
            turn_back(self.socket)

    def _report_end(self, outcome: str, limit: str, seconds: float) -> None:
        self._meter.disconnected(outcome, seconds)
        cause = {"outcome": outcome, **({"limit": limit} if limit else {})}
        facts = {"client": self.client, **cause, "commands": self._commands, "seconds": round(seconds, 3)}
        report(_log, logging.INFO, "disconnected", error=None, **facts)
