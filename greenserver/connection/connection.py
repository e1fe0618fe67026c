"""Serve one connection: read commands, write replies, close.

The generator `Connection.steps` is the whole life of a connection. It yields before each read and before
each large write, even if the socket is ready, so that other connections get their turn and one fast client
cannot monopolize the server.
"""

import contextlib
import socket
from time import monotonic
from typing import Final

from greenserver.config import limits
from greenserver.connection import handshake
from greenserver.connection.flow_control import TooSlowError
from greenserver.connection.reader import Reader
from greenserver.connection.responder import Responder, Unfinished
from greenserver.connection.serving_config import DrainingError, ServingConfig
from greenserver.connection.state import BUSY, CLOSED, CLOSING, HANDSHAKE, IDLE, State, transition
from greenserver.connection.writer import Writer
from greenserver.io.wait import (
    LATE,
    READ,
    READY,
    FastPath,
    Steps,
    Wait,
    Waiter,
    run_to_completion,
    wait_blocking,
)
from greenserver.net.connection_limiter import Admission
from greenserver.protocol.commands import split
from greenserver.protocol.responses import Response
from greenserver.protocol.status import OK, Status
from greenserver.telemetry.access_log import AccessLog
from greenserver.telemetry.shortage import OUT_OF_MEMORY, is_shortage

INTERNAL_ERROR: Final = "internal error"


class Connection:
    """A connection to one client, from the handshake to the close.

    `client` names the client in the log. The connection owns the socket from here on: it makes it non-blocking, and
    closes it at the end. It is a member of its configuration's group.
    Unless it `may_block`, it never waits for a disk itself: its thread serves other connections, too.

    Raise DrainingError if the group is draining, OSError if the client has disconnected already.
    """

    def __init__(self, sock: socket.socket, config: ServingConfig, client: str = "", *, may_block: bool = True) -> None:
        handshake.prepare(sock)
        self.socket = sock
        self.wait: Waiter = wait_blocking
        """How `handle` and `read_buffer` wait."""
        self.config = config
        self.state = HANDSHAKE
        self._access_log = AccessLog(
            client,
            config.metrics,
            content=config.access_log,
            limiter=config.line_limiter,
            rate=config.limits.log_rate,
        )
        self._reader = Reader(sock, config.limits, self._access_log)
        self._writer = Writer(sock, config.limits)
        self._responder = Responder(config, self._reader, self._writer, self._access_log, may_block=may_block)
        self._accepted_at = monotonic()
        self._is_ending = False  # asked to end, and answering the last commands
        self._slot = config.limiter.acquire(config.limits)
        self.is_dropped = self._slot.admission is Admission.DROPPED
        """Whether serving the connection only rejects it, at once."""
        try:
            config.group.join()
        except DrainingError:
            self._slot.release()
            raise

    def handle(self) -> None:
        """Serve the client until the connection ends. Raise nothing."""
        try:
            run_to_completion(self.steps(), self.socket, self.wait)
        except Exception as error:  # noqa: BLE001  (of the wait; ends this connection, and no other)
            self.fail(error)

    def reject(self, reason: str) -> None:
        """Tell the client that the server has no room for it, and close; for an engine that cannot serve it.

        This takes at most `LINGER_QUIET_SECONDS`, if the client does not close.
        """
        try:
            self.config.limiter.report_no_resources(self._access_log.client, reason)
            if self.config.tls is None:
                handshake.reject_plain_text(self.socket)
            run_to_completion(handshake.linger(self.socket, limits.LINGER_QUIET_SECONDS), self.socket, self.wait)
        except Exception as error:  # noqa: BLE001  (as in `handle`)
            self.fail(error)
        finally:
            self.abandon()

    def steps(self) -> Steps[None]:
        """Serve the client until the connection ends, one wait at a time. Raise nothing."""
        outcome, limit = "ended by the server", ""
        try:
            outcome, limit = yield from self._live()
        except GeneratorExit:
            pass
        except Exception as error:  # noqa: BLE001  (ends this connection, and no other)
            outcome = OUT_OF_MEMORY if is_shortage(error) else INTERNAL_ERROR
            self._access_log.crashed(error)
            error.__traceback__ = None  # its frames, or their callers, refer to it in turn: all would be kept
        finally:
            self.abandon(outcome, limit)

    def fail(self, error: Exception) -> None:
        """End the connection because of an unexpected exception of its engine."""
        self._access_log.crashed(error)
        self.abandon(OUT_OF_MEMORY if is_shortage(error) else INTERNAL_ERROR)

    def read_buffer(self) -> str:
        r"""Receive one complete command, and return it without its line end.

        Return "" at EOF, and therefore ``"\r\n"`` for an empty command. Return a command that contains a bare
        LF up to and including that LF; no command follows it.

        Raise TimeoutError if the client sends nothing for too long, OSError if the connection breaks.
        """
        lines = self._reader.lines
        while (line := lines.next_line()) is None:
            if not run_to_completion(self._receive(), self.socket, self.wait):
                return ""
        return line.decode("latin-1") or "\r\n"

    def parser_command(self, command: str) -> Response:
        """Run one command and return its reply; every failure is a reply too."""
        request = self.config.dialect.parse(command.removesuffix("\r\n").encode())
        reply = self._responder.run(request, self.config.store)
        return Response(OK, reply.removeprefix(OK.line)) if isinstance(reply, bytes) else reply

    @staticmethod
    def normalize_command(command: str) -> tuple[str, list[str]]:
        """Split a command into its name and its arguments: 'get_metadata a' -> ('get_metadata', ['a']).

        Raise CommandError(BAD_REQUEST) if the command contains anything but printable ASCII, is empty, or separates
        its elements by anything but exactly one space.
        """
        return split(command)

    def abort(self) -> None:
        """Close now, even in the middle of a reply. Any thread may call it."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def abandon(self, outcome: str = "ended by the server", limit: str = "") -> None:
        """Close the socket, and give back what the connection holds; do nothing if that has been done."""
        if self.state is CLOSED:
            return
        was_served = self.state is not HANDSHAKE and self._slot.admission is Admission.ACCEPTED
        self._become(CLOSED)
        self.wait = wait_blocking  # one of an engine refers to the connection
        self._reader.close()
        try:
            self.socket.close()
            if was_served:
                self._access_log.disconnected(outcome, limit, len(self._writer.replies))
        except Exception as error:  # noqa: BLE001  (as in `steps`)
            self._access_log.crashed(error)
        finally:
            self._slot.release()
            self.config.group.leave()

    def _live(self) -> Steps[tuple[str, str]]:
        """Serve the client, and return how the connection ended and, if a limit was the cause, which."""
        try:
            yield from self._shake_hands()
            if self.state is BUSY:
                yield from self._serve()
            yield from self._close()
        except TooSlowError as error:
            self._access_log.stalled(error.what)
            if self._writer.channel is not None:
                self._writer.channel.send_close_notify()
            return "timed out", error.what
        except handshake.HandshakeError as error:
            if not self.config.limiter.count_failed_handshake(error.kind, self._access_log.client, error):
                self._access_log.rejected(error.kind, str(error))
        except OSError as error:
            if is_shortage(error):
                raise
            error.__traceback__ = None  # as in `steps`
            return error.strerror or str(error), ""
        return "closed", ""

    def _shake_hands(self) -> Steps[None]:
        """Read the PROXY header and do the TLS handshake, if there are any; then accept or reject the client."""
        config, access_log = self.config, self._access_log
        if (config.proxy_from or config.tls is not None) and not self.is_dropped:
            client, early, channel = yield from handshake.establish(self.socket, access_log.client, config)
            access_log.identify(client, {} if channel is None else channel.facts())
            if channel is not None:
                self._writer.use(channel)
                self._reader.use(channel)
            elif early:
                self._reader.feed(early)
        self._slot.acquire_client(access_log.client)
        if self._slot.admission is Admission.ACCEPTED:
            access_log.connected()
            self._become(BUSY)
        elif not self.is_dropped:
            self._writer.replies += Status.INTERNAL_SERVER_ERROR.line
            self._become(CLOSING)
        elif config.tls is None:
            handshake.reject_plain_text(self.socket)

    def _serve(self) -> Steps[None]:
        """Answer requests in order, until the client, a reply or the server ends the connection."""
        writer, responder, lines = self._writer, self._responder, self._reader.lines
        fast_path = responder.receive_and_answer if writer.is_plain else None
        while True:
            unfinished = responder.answer_lines()
            if unfinished is None:
                if not writer.flush_at_once():
                    yield from writer.flush()
                if lines.complete:
                    continue
                outcome = yield from self._wait_for_more(fast_path)
                if not outcome:
                    return
                if not isinstance(outcome, Unfinished):
                    continue
                unfinished = outcome
            if not (yield from responder.finish(unfinished)) or self.config.group.is_draining:
                return

    def _wait_for_more(self, fast_path: FastPath | None) -> Steps[object]:
        """Wait for input, and return as `_receive` does. When asked to end, do so once, as `_receive_last` does."""
        if self._reader.is_at_end or self._is_ending:
            return False
        if self.config.group.is_draining:
            return (yield from self._receive_last())
        self._become(IDLE)
        outcome = yield from self._receive(fast_path)
        if outcome:
            self._become(BUSY)
        return outcome

    def _receive(self, fast_path: FastPath | None = None) -> Steps[object]:
        """Receive more input. Return an unfinished request of the fast path, or whether the connection goes on."""
        reader = self._reader
        wait = Wait(READ, reader.deadline(), fast_path=fast_path, ends_on_drain=True)
        while True:
            outcome = yield wait
            if outcome is LATE:
                raise TooSlowError("idle" if reader.lines.is_at_start else "line")
            if isinstance(outcome, Exception):
                try:
                    raise outcome
                finally:
                    del outcome  # no reference cycle of an exception and this frame
            if outcome is not READY:
                return outcome if isinstance(outcome, Unfinished) else not reader.is_at_end
            if self.config.group.is_draining:
                return (yield from self._receive_last())
            if self._receive_now() or reader.is_at_end:
                return not reader.is_at_end

    def _receive_last(self) -> Steps[bool]:
        """Receive what has come already, or from a client that has just connected, its first command.

        Return whether there is anything.
        """
        self._is_ending = True
        deadline = self._accepted_at + limits.LINGER_QUIET_SECONDS
        while not (has_come := self._receive_now()) and not self._reader.has_received and monotonic() < deadline:
            yield Wait(READ, deadline)
        return has_come

    def _receive_now(self) -> bool:
        """Receive without waiting; return False if there is nothing, or at EOF."""
        with contextlib.suppress(BlockingIOError):
            return self._reader.feed(self._reader.receive())
        return False

    def _close(self) -> Steps[None]:
        """Send what is buffered, and wait for the client to close, so that the last reply is not lost."""
        if self.is_dropped:
            return
        if self.state is not CLOSING:
            self._become(CLOSING)
        yield from self._writer.flush()
        if self._writer.channel is not None:
            self._writer.channel.send_close_notify()
            yield from self._writer.flush()
        if not self._reader.is_at_end:
            yield from handshake.linger(self.socket, self.config.limits.linger_seconds)

    def _become(self, state: State) -> None:
        self.state = transition(self.state, state)
