"""One client's conversation: the only reads and writes on its socket.

The whole life of a connection is the generator `Connection.steps`. Before each read, and before each
large write, it waits even if it need not: at these moments other clients get their turn, and a client
that keeps up cannot keep a server to itself.
"""

import contextlib
import socket
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from greenserver.config.limits import COALESCE_BYTES, DEFAULTS, Limits
from greenserver.connection import handshake
from greenserver.connection.fast_path import FastPath
from greenserver.connection.flow_control import TooSlowError
from greenserver.connection.reader import Reader
from greenserver.connection.writer import BrokenOffError, Writer
from greenserver.files.page_cache import WouldBlockError
from greenserver.files.store import FileStore, NonBlockingStore
from greenserver.io.wait import FOREVER, NOTHING, READ, Steps, Wait, Waiter, has_input, run_to_completion, wait_blocking
from greenserver.net.limiter import ConnectionLimiter, Slot
from greenserver.protocol.commands import split
from greenserver.protocol.dialects import Dialect, understand
from greenserver.protocol.responses import Body, Response
from greenserver.protocol.status import CommandError, Status
from greenserver.protocol.store import Files
from greenserver.telemetry.access_log import AccessLog
from greenserver.telemetry.metrics import SILENT, Metrics

if TYPE_CHECKING:
    from ssl import SSLContext


class Connection:
    """A conversation with one client, from its first command to the close.

    `client` names the client in the log; `wait` is how `handle` lets time pass. The socket is the
    connection's from here on: it is made non-blocking, and closed at the end.

    `limits` is what the client is granted, `limiter` counts it among the others, `meter` is told what happens.
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
        meter: Metrics = SILENT,
        limiter: ConnectionLimiter | None = None,
        tls: "SSLContext | None" = None,
        proxy_from: Sequence[handshake.Network] = (),
    ) -> None:
        handshake.prepare(sock)
        self.socket = sock
        self.wait = wait
        self._store = store
        self._files = NonBlockingStore(store)
        self._dialect = dialect
        self._limits = limits
        self._slot = Slot(limiter)
        self._tls = tls
        self._proxy_from = proxy_from
        self._access_log = AccessLog(client, dialect.known_name, meter)
        self._reader = Reader(sock, limits, self._access_log)
        self._writer = Writer(sock, limits)
        self._fast_path = FastPath(dialect.short, store, self._access_log)
        self._going_on = True
        self._idle = False  # waiting for a command, owing nothing
        self._heard: bool | OSError | None = None  # by the reflex, for the conversation
        self._has_parted = False  # told to stop when idle, and has told the client

    # --- The public face -------------------------------------------------------------------------

    def handle(self) -> None:
        """Serve the client until the conversation ends."""
        run_to_completion(self.steps(), self.socket, self.wait)

    def steps(self) -> Steps[None]:
        """Serve the client until the conversation ends, one wait at a time."""
        outcome, limit = "closed", ""
        try:
            yield from self._arrive()
            yield from self._converse()
            if not self._reader.is_at_end:
                yield from handshake.linger(self.socket, self._limits.linger_seconds, self._writer.channel)
        except TooSlowError as error:
            outcome, limit = "timed out", error.what
            self._access_log.stalled(limit)
        except handshake.HandshakeError as error:
            self._slot.reject(error.kind, self._access_log.client, error)
        except OSError as error:
            outcome = error.strerror or str(error)
        except GeneratorExit:
            outcome = "ended by the server"
        finally:
            self.socket.close()
            if self._slot.is_welcome:
                self._access_log.disconnected(outcome, limit)
            self._slot.end()

    def read_buffer(self) -> str:
        r"""Receive until one command is complete, and return it without its line end.

        Returns "" at the end of the stream, and for that reason ``"\r\n"`` for an empty command. A
        command broken by a LF of its own is returned up to that LF; nothing comes after it.

        Raises TimeoutError if the client says nothing for too long; OSError if the connection broke.
        """
        return run_to_completion(self._next_command(), self.socket, self.wait)

    def parser_command(self, command: str) -> Response:
        """Run one command and return its reply; whatever goes wrong is a reply too."""
        return self._answer(self._store, command)

    @staticmethod
    def normalize_command(command: str) -> tuple[str, list[str]]:
        """Split a command into its name and its arguments: 'get_metadata a' -> ('get_metadata', ['a']).

        Raises CommandError: BAD_REQUEST for what is not printable ASCII, elements not separated by exactly one
        space, and no element at all.
        """
        return split(command)

    # --- Being told to begin and to stop ---------------------------------------------------------

    def enter(self) -> bool:
        """Count the client from now on, rather than once it is served; return whether serving it takes any time."""
        self._slot.begin()
        return not self._slot.is_cut_short

    def abandon(self) -> None:
        """Close a connection that nobody has begun to serve."""
        self.socket.close()
        self._slot.end()

    def stop(self) -> None:
        """End the conversation after the reply under way; soon, if there is none.

        An idle client sees the end of our half of the stream; if it has not ended its own by the next call, it is cut.
        """
        self._going_on = False
        if not self._idle or has_input(self.socket):
            return
        is_parting = self._writer.channel is None and not self._has_parted
        self._has_parted = is_parting or self._has_parted
        with contextlib.suppress(OSError):  # the second one wakes whoever waits for the socket
            self.socket.shutdown(socket.SHUT_WR if is_parting else socket.SHUT_RD)

    def abort(self) -> None:
        """End the conversation now, whatever is under way."""
        self._going_on = False
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    # --- Receiving -------------------------------------------------------------------------------

    def _next_command(self, fast_path: Callable[[Wait], bool] | None = None) -> Steps[str]:
        while not (command := self._reader.next_command()):
            if not self._writer.flush_at_once():
                yield from self._writer.flush()
            if not (yield from self._hear(fast_path)):
                return ""
        return command

    def _hear(self, fast_path: Callable[[Wait], bool] | None) -> Steps[bool]:
        """Let the client say more; return False at the end of the stream, or when told to stop."""
        reader = self._reader
        wait = Wait(READ, reader.deadline(), fast_path=fast_path)
        while True:
            self._idle = True
            if not self._going_on:
                return False
            if reader.has_early:
                reader.has_early = False
            elif not (yield wait):
                raise TooSlowError("line" if reader.lines.is_mid_line else "idle")
            self._idle = False
            if self._has_parted:  # nothing could be replied
                return False
            heard, self._heard = self._heard, None
            if isinstance(heard, OSError):
                raise heard
            if heard is not None:
                return heard
            with contextlib.suppress(BlockingIOError):
                return reader.take(reader.receive())

    # --- Replying --------------------------------------------------------------------------------

    def _answer(self, store: Files, command: str) -> Response:
        """Run one command; raises WouldBlockError if the store does."""
        try:
            return understand(self._dialect, command)(store)
        except CommandError as refusal:
            return Response(refusal.status)
        except WouldBlockError:
            raise
        except Exception as error:  # noqa: BLE001  (the client must be told, whatever it is)
            self._access_log.failed(command, error)
            return Response(Status.INTERNAL_SERVER_ERROR)

    def _converse(self) -> Steps[None]:
        """Answer one command after the other until the conversation ends."""
        writer, access_log = self._writer, self._access_log
        files: Files = self._store if self.may_block else self._files
        fast_path = self._answer_at_once if writer.is_plain else None
        # What is complete is answered without a generator of its own: pipelined commands come by the hundred.
        while self._going_on and (command := self._reader.next_command() or (yield from self._next_command(fast_path))):
            access_log.commands += 1
            begun = monotonic() if access_log.is_wanted else 0.0
            try:
                response = self._answer(files, command)
            except WouldBlockError:
                yield Wait(NOTHING, FOREVER, work=self._files.work)
                response = self._answer(files, command)
            self._going_on = self._going_on and not response.closes
            writer.replies += response.status.line
            writer.replies += response.text
            size = len(response.status.line) + len(response.text)
            if response.body is not None:
                size += yield from self._send_body(response.body)
            elif len(writer.replies) > COALESCE_BYTES:
                yield from writer.flush()
            if access_log.is_wanted:
                access_log.answered(command, response.status, size, monotonic() - begun)
        yield from writer.flush()

    def _answer_at_once(self, wait: Wait) -> bool:
        """Answer the commands that have come as long as that takes no waiting; return whether to wait for more.

        This is the conversation's reflex while it waits for commands: most are short, and so are their replies. To wake
        the conversation for each would cost as much as the rest of our work. It goes on where this stops.
        """
        self._idle = False
        if self._has_parted:
            return False
        reader = self._reader
        try:
            data = reader.receive()
            now = monotonic()
            self._heard = True
            if not reader.lines.is_mid_line and (reply := self._fast_path.reply_to_lone(data, now)):
                is_done = self._writer.send_at_once(reply)
                deadline = now + self._limits.idle_seconds
            else:
                self._heard = reader.take(data)
                is_done = (
                    self._heard
                    and self._fast_path.answer(reader.lines.complete, self._writer.replies, now)
                    and self._writer.flush_at_once()
                )
                deadline = reader.deadline()
        except BlockingIOError:
            return False
        except OSError as error:
            self._heard = error
            return False
        if not is_done:
            return False
        self._heard = None
        self._idle = True
        wait.deadline = deadline
        return self._going_on

    def _send_body(self, body: Body) -> Steps[int]:
        """Send a body, or gather it if it is small; close it, and return its length in bytes."""
        writer = self._writer
        try:
            return (yield from (writer.stream if body.is_large else writer.buffer)(body, may_block=self.may_block))
        except BrokenOffError as cut:  # after the status line only a cut can tell the client
            self._access_log.cut(cut.position, cut.__cause__)
            self._going_on = False
            return cut.position
        finally:
            body.close()

    # --- Beginning and ending --------------------------------------------------------------------

    def _arrive(self) -> Steps[None]:
        """Learn for whom a proxy speaks, agree on TLS, and see whether there is room."""
        access_log = self._access_log
        self._slot.begin()
        if (self._proxy_from or self._tls is not None) and not self._slot.is_cut_short:
            deadline = monotonic() + self._limits.handshake_seconds
            early = b""
            if self._proxy_from:
                introduction = handshake.read_proxy_header(self.socket, access_log.client, self._proxy_from, deadline)
                access_log.client, early = yield from introduction
            if self._tls is None:
                self._reader.lines.feed(early)
            else:
                channel = handshake.secure(self.socket, self._tls, early)
                self._writer.use(channel)
                yield from handshake.shake_hands(channel, deadline)
                self._reader.use(channel)
        if self._slot.is_let_in_as(access_log.client):
            access_log.connected()
        else:
            self._refuse()

    def _refuse(self) -> None:
        """Say that there is no room; to those past all patience at once, and without TLS."""
        self._going_on = False
        if not self._slot.is_cut_short:
            self._writer.replies += Status.INTERNAL_SERVER_ERROR.line
            return
        self._reader.is_at_end = True  # so that nothing is waited for
        if self._tls is None:
            handshake.reject_plain_text(self.socket)
