"""Serve one connection: read commands, write replies, close.

The generator `Connection.steps` is the whole life of a connection. It yields before each read and before
each large write, even if the socket is ready, so that other connections get their turn and one fast client
cannot monopolize the server.
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
    """A connection to one client, from the handshake to the close.

    `client` names the client in the log; `handle` waits with `wait`. The connection owns the socket from
    here on: it makes it non-blocking, and closes it at the end.
    `limits` bounds time and memory, `limiter` counts connections, and `meter` receives the metrics.
    With `tls`, the connection is encrypted. With `proxy_from`, it must begin with a PROXY protocol header, sent by
    a peer in one of these networks (or on a unix socket); the header replaces the client's address.
    """

    may_block = True
    """Whether a file read may block the thread. An engine that serves several connections in a thread clears it."""

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
        self._idle = False  # waiting for a command, with every reply sent
        self._heard: bool | OSError | None = None  # what the fast path received, for `_hear`
        self._has_parted = False  # stopped while idle, and the sending side is shut down

    # --- Public interface ------------------------------------------------------------------------

    def handle(self) -> None:
        """Serve the client until the connection ends."""
        run_to_completion(self.steps(), self.socket, self.wait)

    def steps(self) -> Steps[None]:
        """Serve the client until the connection ends, one wait at a time."""
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
        r"""Receive one complete command, and return it without its line end.

        Return "" at EOF, and therefore ``"\r\n"`` for an empty command. Return a command that contains a bare
        LF up to and including that LF; no command follows it.

        Raise TimeoutError if the client sends nothing for too long, OSError if the connection breaks.
        """
        return run_to_completion(self._next_command(), self.socket, self.wait)

    def parser_command(self, command: str) -> Response:
        """Run one command and return its reply; every failure is a reply too."""
        return self._answer(self._store, command)

    @staticmethod
    def normalize_command(command: str) -> tuple[str, list[str]]:
        """Split a command into its name and its arguments: 'get_metadata a' -> ('get_metadata', ['a']).

        Raise CommandError(BAD_REQUEST) if the command contains anything but printable ASCII, is empty, or separates
        its elements by anything but exactly one space.
        """
        return split(command)

    # --- Starting and stopping -------------------------------------------------------------------

    def enter(self) -> bool:
        """Acquire a slot before the connection is served; return False if serving it only rejects it, at once."""
        self._slot.begin()
        return not self._slot.is_cut_short

    def abandon(self) -> None:
        """Close a connection whose `steps` never started."""
        self.socket.close()
        self._slot.end()

    def stop(self) -> None:
        """Close after the current reply; at once if the connection is idle.

        If idle, the first call shuts down sending, so that the client sees EOF; the next one (with TLS, the first)
        shuts down receiving.
        """
        self._going_on = False
        if not self._idle or has_input(self.socket):
            return
        is_parting = self._writer.channel is None and not self._has_parted
        self._has_parted = is_parting or self._has_parted
        with contextlib.suppress(OSError):  # SHUT_RD wakes the wait for the socket
            self.socket.shutdown(socket.SHUT_WR if is_parting else socket.SHUT_RD)

    def abort(self) -> None:
        """Close now, even in the middle of a reply."""
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
        """Receive more input. Return False at EOF or on shutdown."""
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
            if self._has_parted:  # the sending side is shut down: no reply can be sent
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
        """Run one command. Raise WouldBlockError if the store does."""
        try:
            return understand(self._dialect, command)(store)
        except CommandError as refusal:
            return Response(refusal.status)
        except WouldBlockError:
            raise
        except Exception as error:  # noqa: BLE001  (every failure gets a reply)
            self._access_log.failed(command, error)
            return Response(Status.INTERNAL_SERVER_ERROR)

    def _converse(self) -> Steps[None]:
        """Answer commands in order until the connection ends."""
        writer, access_log = self._writer, self._access_log
        files: Files = self._store if self.may_block else self._files
        fast_path = self._answer_at_once if writer.is_plain else None
        # No generator for a command that is already complete: pipelined commands arrive by the hundred.
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
        """Answer received commands as long as none has to wait; return whether to keep waiting for more.

        This is the fast path of the wait for a command. Most commands and replies are short, and resuming the
        generator for each would double the cost. On False, the generator continues where this stopped.
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
        """Stream a body, or buffer a small one; close it, and return its length in bytes."""
        writer = self._writer
        try:
            return (yield from (writer.stream if body.is_large else writer.buffer)(body, may_block=self.may_block))
        except BrokenOffError as cut:  # the status line is sent: closing early is the only way to signal the error
            self._access_log.cut(cut.position, cut.__cause__)
            self._going_on = False
            return cut.position
        finally:
            body.close()

    # --- Accepting and rejecting -----------------------------------------------------------------

    def _arrive(self) -> Steps[None]:
        """Read the PROXY header, do the TLS handshake, and acquire a slot."""
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
        """Reply INTERNAL_SERVER_ERROR; if even rejections are too many, at once and without TLS only."""
        self._going_on = False
        if not self._slot.is_cut_short:
            self._writer.replies += Status.INTERNAL_SERVER_ERROR.line
            return
        self._reader.is_at_end = True  # skips `linger`
        if self._tls is None:
            handshake.reject_plain_text(self.socket)
