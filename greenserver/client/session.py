"""Ask a server, reconnect and retry, as steps without I/O that both clients perform."""

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from greenserver.client.errors import (
    ChangedError,
    ConnectionFailedError,
    DisconnectedError,
    HftpError,
    RefusedError,
    RemoteProtocolError,
    StalledError,
)
from greenserver.client.operations import Close, Open, Pause, Receive, Send, Steps
from greenserver.client.options import Options
from greenserver.protocol.client import (
    ClientConnection,
    Data,
    Done,
    Event,
    Help,
    ListFiles,
    Metadata,
    Names,
    Quit,
    Refused,
    Request,
    Size,
    Slice,
)
from greenserver.protocol.slice_decodings import BASE64, DECODERS, FORMS, PLAIN, RAW, UnknownDecoder
from greenserver.protocol.status import Status

Result = TypeVar("Result")

_FLOOR_BYTES_PER_SECOND: Final = 1024
"""What a server must send while it is waited for, measured over the timeout."""
_PROGRESS_BYTES: Final = 1 << 20
"""After so many received bytes the retries are counted anew."""
_BUSY_RETRIES: Final = 2
"""How often status 199 is retried: a server may have too many clients, or cannot read the file."""
_FIRST_DELAY_SECONDS: Final = 0.1
_LONGEST_DELAY_SECONDS: Final = 8.0
_FAREWELL_SECONDS: Final = 2.0

_LOST: Final = (OSError, DisconnectedError, StalledError)


class Session:
    """One connection at a time to a server, with what is known of the server. Its methods are steps (`operations`)."""

    def __init__(self, options: Options, form: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self.options = options
        self.form = form or options.form
        """The form of slices, "" until it is known."""
        self.bytes_received = 0
        self._clock = clock
        self._wire: ClientConnection | None = None
        self._was_open = False
        self._confirmed: tuple[str, int] | None = None  # the size of a file, on this connection
        self._failures = 0
        self._bytes_at_failure = 0
        self._waited_seconds = 0.0  # for what arrived since
        self._window_bytes = 0

    def size(self, name: str) -> Steps[int]:
        """Return the size of a file."""
        return self._retried(lambda: self._ask_size(name))

    def find_dialect(self) -> Steps[str]:
        """Return the dialect, as far as it shows without a slice: "" if it is older than 2026."""
        if self.options.dialect or self.form:
            return self.options.dialect or next(name for name, form in FORMS.items() if form == self.form)
        return "2026" if (yield from self._retried(self._knows_help)) else ""

    def names(self) -> Steps[None]:
        """Deliver the names of the listing."""
        count = self._failures = 0
        while True:
            try:
                yield from self._begin(ListFiles())
                while isinstance(event := (yield from self._next()), Names):
                    count += len(event.names)
                    if count > self.options.most_names:
                        self._wire = None
                        message = f"the listing has more than {self.options.most_names} names"
                        raise RemoteProtocolError(message)
                    yield event
            except (*_LOST, RefusedError) as error:  # noqa: PERF203  (for each connection)
                if count:  # the order may be another one next time
                    raise self._lost(error) from error
                yield from self._back_off(error)
            else:
                return

    def slice(self, name: str, start: int, end: int, size: int) -> Steps[None]:
        """Deliver bytes of a file that has `size` bytes, from a position up to another one."""
        position = start
        self._failures = 0
        is_beyond = False
        while position < end:
            try:
                if not self.is_idle or self._confirmed != (name, size):
                    yield from self._confirm(name, size)
                if not self.form:
                    self.form = yield from self.find_form(name)
                yield from self._begin(Slice(name, position, end - position, DECODERS[self.form]))
                while isinstance(event := (yield from self._next()), Data):
                    position += len(event.data)
                    yield event
            except RefusedError as error:  # noqa: PERF203  (for each connection)
                if self.form == RAW and error.status == Status.INVALID_ARGUMENTS_FOR_COMMAND:
                    self.form = BASE64
                elif error.status == Status.OFFSET_EXCEEDS_FILE_SIZE and not is_beyond:
                    is_beyond, self._confirmed = True, None  # the file may be shorter now
                else:
                    yield from self._back_off(error)
            except _LOST as error:
                yield from self._back_off(error)

    def leave(self) -> Steps[None]:
        """Say goodbye, if the connection is idle, and close it."""
        try:
            if self.is_idle and self._wire is not None:
                yield Send(self._wire.send(Quit()))
                yield from self._next(_FAREWELL_SECONDS)
        except (*_LOST, HftpError):
            pass  # it was only politeness
        self._wire = None
        yield Close()

    # --- Requests ------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether there is a connection on which no reply is missing."""
        return self._wire is not None and not self._is_awaiting

    @property
    def _is_awaiting(self) -> bool:
        return self._wire is not None and self._wire.awaited > 0

    def _begin(self, *requests: Request) -> Steps[None]:
        """Send requests, on a new connection unless there is one."""
        wire = self._wire
        if wire is None or wire.awaited:
            self._wire = None
            wire = ClientConnection()
            lines = [wire.send(request) for request in requests]  # ValueError comes before the connection
            yield Open()
            self._wire, self._was_open, self._confirmed = wire, True, None
        else:
            lines = [wire.send(request) for request in requests]
        self._waited_seconds, self._window_bytes = 0.0, 0
        yield Send(b"".join(lines))

    def _next(self, most_seconds: float = float("inf")) -> Steps[Event]:
        """Return the next event of a reply. Raise RefusedError for an error."""
        wire = self._wire
        if wire is None:
            message = "the connection is closed"
            raise DisconnectedError(message)
        try:
            while (event := wire.next_event()) is None:
                yield from self._receive(wire, min(most_seconds, self.options.timeout_seconds))
        except RemoteProtocolError:
            self._wire = None
            raise
        if isinstance(event, Refused):
            if event.is_fatal:
                self._wire = None
            raise RefusedError(event)
        return event

    def _receive(self, wire: ClientConnection, timeout_seconds: float) -> Steps[None]:
        """Receive something. Raise StalledError for a server that is too slow; a caller's pauses do not count."""
        while True:
            left = timeout_seconds - self._waited_seconds
            if left <= 0:
                if self._window_bytes < _FLOOR_BYTES_PER_SECOND * timeout_seconds:
                    self._wire = None
                    message = f"the server sent {self._window_bytes or 'nothing'} in {timeout_seconds:g} s"
                    raise StalledError(message.replace(" in", " bytes in") if self._window_bytes else message)
                left, self._waited_seconds, self._window_bytes = timeout_seconds, 0.0, 0
            began = self._clock()
            try:
                count = yield Receive(wire.get_buffer(), left)
            except TimeoutError:
                self._waited_seconds = timeout_seconds
                continue
            self._waited_seconds += self._clock() - began
            self._window_bytes += count
            self.bytes_received += count
            wire.received(count)
            return

    def _ask_size(self, name: str) -> Steps[int]:
        yield from self._begin(Metadata(name))
        event = yield from self._next()
        yield from self._next()
        size = event.size if isinstance(event, Size) else 0
        self._confirmed = (name, size)
        return size

    def _confirm(self, name: str, size: int) -> Steps[None]:
        """Raise ChangedError if a file has another size than it had."""
        now = yield from self._ask_size(name)
        if now != size:
            message = f"the file changed while it was fetched: it had {size} bytes and has {now}"
            raise ChangedError(message)

    def _knows_help(self) -> Steps[bool]:
        try:
            yield from self._begin(Help())
            while isinstance((yield from self._next()), Names):
                pass
        except (*_LOST, RefusedError, RemoteProtocolError):
            if not self._was_open:
                raise
            return False  # nor does a server that an unknown command ends
        return True

    def find_form(self, name: str) -> Steps[str]:
        """Return the form of slices of a server: by `help`, else by a slice of one byte."""
        if (yield from self._knows_help()):
            return RAW if self.options.is_raw_wanted else BASE64
        yield from self._begin(Slice(name, 0, 1, UnknownDecoder), Quit())
        form = ""
        try:
            while not (form and form != PLAIN):  # bytes alone are that if the reply to `quit` follows them
                event = yield from self._next()
                if form and isinstance(event, Done) and not self._is_awaiting:
                    break
                decoder = self._wire.decoder if self._wire else None
                if isinstance(decoder, UnknownDecoder) and decoder.is_finished:
                    form = decoder.form
        except (*_LOST, RefusedError):
            if not form:
                raise
        finally:
            self._wire = None  # the server closes it, or should
        return form

    # --- Retries -------------------------------------------------------------------------------------

    def _retried(self, steps: "Callable[[], Steps[Result]]") -> Steps[Result]:
        """Return the result of steps, which are taken again if the connection is lost."""
        self._failures = 0
        while True:
            try:
                return (yield from steps())
            except (*_LOST, RefusedError) as error:  # noqa: PERF203  (for each connection)
                yield from self._back_off(error)

    def _back_off(self, error: Exception) -> Steps[None]:
        """Close the connection and wait before the next attempt; raise if there is to be none."""
        most = self.options.retries
        if isinstance(error, RefusedError):
            if error.status != Status.INTERNAL_SERVER_ERROR:
                raise error
            most = min(most, _BUSY_RETRIES)
        self._wire = None
        yield Close()
        if self.bytes_received - self._bytes_at_failure >= _PROGRESS_BYTES:
            self._failures = 0
        self._bytes_at_failure = self.bytes_received
        if self._failures >= most or not self._was_open:
            raise error if isinstance(error, HftpError) and not self._failures else self._lost(error) from error
        delay = min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 4**self._failures)
        self._failures += 1
        yield Pause(delay * random.uniform(0.75, 1.25))  # noqa: S311  (clients that were cut together come apart)

    def _lost(self, error: Exception) -> HftpError:
        if isinstance(error, RefusedError):
            return error
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        attempts = f" ({self._failures} retries)" if self._failures else ""
        what = "the connection was lost" if self._was_open else "cannot connect"
        return ConnectionFailedError(f"{what}: {reason}{attempts}")
