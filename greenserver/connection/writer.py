"""Send to a client: coalesce replies into few writes, and stream large bodies in chunks."""

import socket
from collections import deque
from typing import TYPE_CHECKING, Final

from greenserver.config.limits import CHUNK_BYTES, COALESCE_BYTES, POOLED_BUFFERS, SHARED_CHUNK_BYTES, Limits
from greenserver.connection.flow_control import StallDetector, TokenBucket
from greenserver.files.file_slice import WouldBlockError
from greenserver.io.wait import KEEP_WAITING, LATE, NOTHING, READY, WRITE, Job, Steps, Wait
from greenserver.protocol.responses import Body, Data, new_buffer

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenserver.connection.tls import SecureChannel


_pooled_buffers: Final[deque[memoryview]] = deque(maxlen=POOLED_BUFFERS)


class _LastServed:
    """Which writer read a chunk of a large body last."""

    __slots__ = ("writer",)

    def __init__(self) -> None:
        self.writer: Writer | None = None


_last_served: Final = _LastServed()
"""Of all connections of this process."""


class _PooledBuffer:
    """Lends a read buffer from a pool; threads that read at the same time get one each.

    Allocating a buffer for each read would return its memory to the system each time, and the page faults would cost
    three times as much as the encoding.
    """

    __slots__ = ("_buffer",)

    def __enter__(self) -> memoryview:
        try:
            self._buffer = _pooled_buffers.pop()
        except IndexError:
            self._buffer = new_buffer()
        return self._buffer

    def __exit__(self, *_: object) -> None:
        _pooled_buffers.append(self._buffer)


class BrokenOffError(Exception):
    """Reading a body failed after `Writer.streamed` bytes of it were sent or buffered."""


class Writer:
    """Sends the replies of one connection.

    All steps raise TooSlowError if the client reads too little for too long, OSError if the connection breaks.
    """

    __slots__ = (
        "_bucket",
        "_chunk_bytes",
        "_granted",
        "_progress",
        "_send",
        "_socket",
        "channel",
        "is_plain",
        "replies",
        "streamed",
    )

    def __init__(self, sock: socket.socket, granted: Limits) -> None:
        self.replies = bytearray()
        """Buffered, not yet sent."""
        self.streamed = 0
        """Bytes of the last large body that were sent or buffered."""
        self._socket = sock
        self._granted = granted
        self.channel: SecureChannel | None = None
        self._send: Callable[[Data], int] = sock.send
        self._bucket = TokenBucket(granted.rate) if granted.rate else None
        self.is_plain = self._bucket is None
        """Whether data goes to the socket directly: neither rate-limited nor through TLS."""
        self._chunk_bytes = CHUNK_BYTES if self._bucket is None else self._bucket.piece_bytes
        self._progress: StallDetector | None = None

    def use(self, channel: "SecureChannel") -> None:
        """Send through TLS from now on."""
        self.channel = channel
        self.is_plain = False
        self._send = channel.send

    def send_at_once(self, reply: bytes) -> bool:
        """Send a reply while none is buffered, without waiting; buffer the rest, and return whether none is left."""
        try:
            sent = self._send(reply)
        except BlockingIOError:
            sent = 0
        if sent < len(reply):
            self.replies += reply[sent:]
            return False
        return True

    def flush_at_once(self) -> bool:
        """Send buffered replies without waiting, and return whether none is left."""
        replies = self.replies
        if replies and self.is_plain:
            try:
                sent = self._send(replies)
            except BlockingIOError:
                return False
            del replies[:sent]
        return not replies

    def flush(self) -> Steps[None]:
        """Send all buffered replies."""
        replies, bucket, progress = self.replies, self._bucket, None
        while replies or (self.channel is not None and not self.channel.flush()):
            if bucket is not None and (moment := bucket.next_send_at()):
                yield Wait(NOTHING, moment)
            try:
                sent = self._send(replies if bucket is None else replies[: bucket.piece_bytes])
            except BlockingIOError:
                sent = 0
            del replies[:sent]
            if bucket is not None:
                bucket.spend(sent)
            if progress is not None and sent:
                progress.writes(sent)
            if replies or not sent:
                progress = progress or self._watch()
                while not (yield Wait(WRITE, progress.deadline)):
                    progress.look()

    def stream(self, body: Body, *, may_block: bool) -> Steps[None]:
        """Send the buffered replies and a large body. Raise BrokenOffError.

        Each chunk is read when the socket is writable, so that a stalled client costs no memory.
        """
        progress = self._watch()
        flow = _Flow(self, body, progress, may_block=may_block)
        wait = Wait(WRITE, progress.deadline, fast_path=flow.go_on if self._bucket is None else None)
        while not flow.is_complete:
            if self._bucket is not None:
                yield from self._pause(self._bucket, progress)
            wait.deadline = progress.deadline
            outcome = yield wait
            if outcome is LATE:
                progress.look()
            elif isinstance(outcome, Exception):
                try:
                    raise outcome
                finally:
                    del outcome  # no reference cycle of an exception and this frame: it would keep the chunk alive
            elif not flow.send_part():
                chunk = yield from self._chunk_from_disk(body)
                progress.goes_on()
                flow.send(chunk)
                del chunk  # a suspended generator would keep it alive: 256 KiB for each stalled client

    def share(self) -> int:
        """Return the size of the next read in bytes: smaller if another client was served since, for fairness."""
        is_alone, _last_served.writer = _last_served.writer is self, self
        return self._chunk_bytes if is_alone else min(self._chunk_bytes, SHARED_CHUNK_BYTES)

    def send_with_replies(self, chunk: Data, progress: StallDetector) -> int:
        """Send the replies and as much of a chunk as possible; return how much of the chunk was sent or buffered."""
        replies = self.replies
        if self._bucket is None and len(replies) + len(chunk) <= COALESCE_BYTES:  # the first or last chunk of a body
            replies += chunk
            return len(chunk)
        if replies:
            chunk = replies + chunk
        if self._bucket is not None:
            chunk = chunk[: self._bucket.piece_bytes]
        try:
            sent = self._send(chunk)
        except BlockingIOError:
            return 0
        progress.writes(sent)
        if self._bucket is not None:
            self._bucket.spend(sent)
        if not replies:
            return sent
        of_part = max(0, sent - len(replies))
        del replies[:sent]
        return of_part

    def _chunk_from_disk(self, body: Body) -> Steps[Data]:
        work = Job(lambda: body.chunk(self.streamed, new_buffer()[: self._chunk_bytes]))
        yield Wait.for_job(work)
        try:
            return work.result()
        except Exception as error:
            raise BrokenOffError from error

    @staticmethod
    def _pause(bucket: TokenBucket, progress: StallDetector) -> Steps[None]:
        """Wait until the rate allows the next piece."""
        if moment := bucket.next_send_at():
            yield Wait(NOTHING, moment)
            progress.goes_on()

    def _watch(self) -> StallDetector:
        """Return the stall detector, with a new window."""
        if self._progress is None:
            self._progress = StallDetector(self._socket, self._granted)
        self._progress.begin()
        return self._progress


class _Flow:
    """The transfer of one large body: how it continues from `Writer.streamed`, and whether it is complete."""

    __slots__ = ("_body", "_may_block", "_progress", "_writer", "is_complete")

    def __init__(self, writer: Writer, body: Body, progress: StallDetector, *, may_block: bool) -> None:
        self._writer = writer
        self._body = body
        self._progress = progress
        self._may_block = may_block
        self.is_complete = False
        writer.streamed = 0

    def go_on(self, wait: Wait) -> object:
        """Send a chunk, and keep waiting; hand on an exception, and leave to the generator what it must do itself.

        This is the fast path of waiting for a writable socket: resuming the generator costs as much as encoding one.
        """
        try:
            is_in_memory = self.send_part()
        except (OSError, MemoryError) as error:
            return error.with_traceback(None)  # its frames hold a chunk
        except Exception as error:  # noqa: BLE001  (the generator raises it)
            return error
        wait.deadline = self._progress.deadline
        return KEEP_WAITING if is_in_memory and not self.is_complete else READY

    def send_part(self) -> bool:
        """Send a chunk, and return whether it was in memory. Raise BrokenOffError."""
        writer = self._writer
        with _PooledBuffer() as buffer:
            chunk = _chunk_in_memory(self._body, writer.streamed, buffer[: writer.share()], may_block=self._may_block)
            if chunk is None:
                return False
            self.send(chunk)
        return True

    def send(self, chunk: Data) -> None:
        """Send as much of a chunk as possible; an empty chunk is the end of the body."""
        if chunk:
            self._writer.streamed += self._writer.send_with_replies(chunk, self._progress)
        else:
            self.is_complete = True


def _chunk_in_memory(body: Body, position: int, buffer: memoryview, *, may_block: bool) -> Data | None:
    """Return a chunk of a body, or None if reading it would block. Raise BrokenOffError."""
    try:
        return body.chunk(position, buffer, may_block=may_block)
    except WouldBlockError:
        return None
    except Exception as error:
        raise BrokenOffError from error
