"""Answer command lines from a store: at once where possible, otherwise with waits for the disk and the client."""

from time import monotonic
from typing import Final, NamedTuple

from greenserver.config.limits import COALESCE_BYTES
from greenserver.connection.reader import Reader
from greenserver.connection.serving_config import ServingConfig
from greenserver.connection.writer import BrokenOffError, Writer
from greenserver.files.needs_disk import FoundFiles, NeedsDiskError
from greenserver.io.wait import KEEP_WAITING, Job, Steps, Wait
from greenserver.protocol.commands import Reply, status_of
from greenserver.protocol.parser import Request
from greenserver.protocol.responses import Body, Response
from greenserver.protocol.status import OK, Status
from greenserver.protocol.store import Files
from greenserver.telemetry.access_log import AccessLog

RESUME: Final = object()
"""What the fast path hands on if replies are unsent, lines are left, or the client has sent EOF."""


class Unfinished(NamedTuple):
    """A request that cannot be answered at once, and what there is of its reply."""

    request: Request
    began: float
    reply: Reply
    job: Job[object] | None = None
    """Finds the answer, if it is not in memory; then the reply is not known yet."""


class Responder:
    """Answers the command lines of one connection.

    Unless it `may_block`, it never waits for a disk itself.
    """

    __slots__ = (
        *("_access_log", "_files", "_idle_seconds", "_is_wanted", "_lines", "_may_block"),
        *("_reader", "_replies", "_requests", "_writer"),
    )

    def __init__(
        self, config: ServingConfig, reader: Reader, writer: Writer, access_log: AccessLog, *, may_block: bool
    ) -> None:
        self._files: Files = config.store if may_block else config.store.in_memory
        self._requests = config.dialect.requests
        self._reader, self._lines = reader, reader.lines.complete
        self._writer, self._replies = writer, writer.replies
        self._access_log, self._is_wanted = access_log, access_log.is_wanted
        self._idle_seconds = config.limits.idle_seconds
        self._may_block = may_block

    def receive_and_answer(self, wait: Wait) -> object:  # noqa: C901, PLR0911  (one function: calls take time)
        """Receive, and answer what can be answered at once; keep waiting for more, or hand on the rest.

        This is the fast path of the wait for commands. Most commands and replies are short, and resuming the
        generator for each would double the cost.
        """
        reader = self._reader
        try:
            data = reader.receive()
            now = monotonic()
            request = self._requests.with_end.get(data)
            if request is not None and reader.lines.is_at_start and not self._is_wanted:
                # One line that was parsed before, as it mostly is: neither the line nor the reply is buffered.
                if now >= self._files.stale_at:
                    self._files.refresh(now)
                try:
                    reply = request.run(self._files)
                except Exception:  # noqa: BLE001  (dealt with below, as for any line)
                    self._lines.append(request.line)
                else:
                    if isinstance(reply, Response):
                        return Unfinished(request, now, reply)
                    wait.deadline = now + self._idle_seconds
                    return KEEP_WAITING if self._writer.send_at_once(reply) else RESUME
            elif not reader.feed(data):
                return RESUME
            unfinished = self.answer_lines()
            if unfinished is not None:
                return unfinished
            if not self._writer.flush_at_once() or self._lines:
                return RESUME
            wait.deadline = reader.deadline()
        except BlockingIOError:
            pass
        except Exception as error:  # noqa: BLE001  (the generator raises it)
            return error
        return KEEP_WAITING

    def answer_lines(self) -> Unfinished | None:
        """Answer complete lines in order, up to the first that has to wait, and buffer the replies.

        Lines are left if the buffered replies grow too large.
        """
        files, requests, lines, replies = self._files, self._requests, self._lines, self._replies
        is_wanted = self._is_wanted
        now = monotonic()
        if now >= files.stale_at:
            files.refresh(now)
        while lines and len(replies) <= COALESCE_BYTES:
            request = requests[lines.pop()]
            began = monotonic() if is_wanted else 0.0
            try:
                reply = request.run(files)
            except NeedsDiskError as error:
                return Unfinished(request, began, b"", error.job)
            except Exception as error:  # noqa: BLE001  (every failure gets a reply)
                reply = self._error_reply(request, error)
            if isinstance(reply, bytes):
                status = OK
            elif reply.closes or reply.body is not None:
                return Unfinished(request, began, reply)
            else:
                status, reply = reply.status, reply.status.line
            replies += reply
            if is_wanted:
                self._access_log.answered(request, status, len(reply), monotonic() - began)
        return None

    def finish(self, unfinished: Unfinished) -> Steps[bool]:
        """Answer a request that has to wait for a disk or for the client, or that ends the connection.

        Return whether the connection goes on.
        """
        request, began, reply, job = unfinished
        writer, status, goes_on = self._writer, OK, True
        if job is not None:
            if not writer.flush_at_once():
                yield from writer.flush()
            yield Wait.for_job(job)
            reply = self.run(request, FoundFiles(job))
        if isinstance(reply, bytes):
            size = len(reply)
            writer.replies += reply
        else:
            status, size, goes_on = reply.status, len(reply.status.line), not reply.closes
            writer.replies += status.line
            if reply.body is not None:
                is_sent = yield from self._stream(reply.body, request, began)
                return is_sent and goes_on
        if self._is_wanted:
            self._access_log.answered(request, status, size, monotonic() - began)
        return goes_on

    def _stream(self, body: Body, request: Request, began: float) -> Steps[bool]:
        """Send a body, and close it. Return whether all of it was sent; log the request in any case."""
        writer, is_sent = self._writer, False
        try:
            yield from writer.stream(body, may_block=self._may_block)
            is_sent = True
        except BrokenOffError as cut:  # the status line is sent: closing early is the only way to signal the error
            self._access_log.cut(writer.streamed, cut.__cause__)
        finally:
            body.close()
            if self._is_wanted:
                size, seconds = len(OK.line) + writer.streamed, monotonic() - began
                self._access_log.answered(request, OK, size, seconds, is_complete=is_sent)
        return is_sent

    def run(self, request: Request, files: Files) -> Reply:
        """Run a request that does not have to wait; every failure is a reply too."""
        try:
            return request.run(files)
        except Exception as error:  # noqa: BLE001  (as the docstring says)
            return self._error_reply(request, error)

    def _error_reply(self, request: Request, error: Exception) -> Response:
        status = status_of(error)
        if status is Status.INTERNAL_SERVER_ERROR:
            self._access_log.failed(request.line, error)
        return Response(status)
