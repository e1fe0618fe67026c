"""The synchronous client: performs the steps of a session on a blocking socket."""

import contextlib
import select
import socket
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from greenserver.client.address import Address, parse_address
from greenserver.client.dial import dial
from greenserver.client.errors import DisconnectedError
from greenserver.client.operations import Close, Delivery, Open, Operation, Pause, Receive, Result, Send, Steps, advance
from greenserver.client.options import Options
from greenserver.client.session import Session
from greenserver.protocol.client import Data, Names

if TYPE_CHECKING:
    from typing_extensions import Self

    from greenserver.client.transfer import Downloaded

_DEFAULTS = Options()


class Client:
    """A client of one server, with one connection that is made when it is needed. Not for several threads at once.

    All methods raise HftpError: `greenserver.client.errors` lists the kinds.
    """

    def __init__(self, address: str | Address, options: Options = _DEFAULTS, *, form: str = "") -> None:
        self.address = parse_address(address) if isinstance(address, str) else address
        self.options = options
        self.session = Session(options, form)
        self._socket: socket.socket | None = None
        self._is_aborted = False

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def dialect(self) -> str:
        """Return the server's dialect, as far as it shows without fetching something; "" if it is older than 2026."""
        return self._call(self.session.find_dialect())

    def size(self, name: str) -> int:
        """Return the size of a file in bytes."""
        return self._call(self.session.size(name))

    def names(self) -> Iterator[str]:
        """Yield the names of the listing. They are what the server sent, which may be anything."""
        for names in self.name_batches():
            yield from (name.decode("utf-8", "surrogateescape") for name in names)

    def name_batches(self) -> Iterator[list[bytes]]:
        """Yield the names as they arrive, as bytes."""
        for event in self._perform(self.session.names()):
            if isinstance(event, Names):
                yield event.names

    def stream(self, name: str, offset: int = 0, size: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a file, or of a part of it, as they arrive."""
        whole = self.size(name)
        end = whole if size is None else offset + size
        for data in self.views(name, offset, end, whole):
            yield bytes(data)

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        """Return a file, or a part of it."""
        return b"".join(self.stream(name, offset, size))

    def download(
        self,
        name: str,
        path: Path | str,
        *,
        sha256: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> "Downloaded":
        """Fetch a file, over several connections if it is large, and give it its name when it is whole.

        A download that was interrupted is resumed.

        `sha256` is what its digest must be, in hexadecimal digits; "" to have it computed only. `on_progress` is called
        with the bytes that are there and the size, by any thread.
        """
        from greenserver.client.download import download  # noqa: PLC0415  (it needs this module)

        return download(self, name, Path(path), sha256, on_progress)

    def close(self) -> None:
        """Say goodbye and close the connection."""
        self._call(self.session.leave())

    @property
    def is_idle(self) -> bool:
        """Whether there is a connection, on which no reply is missing, and which the server has not closed."""
        if self._socket is None or not self.session.is_idle:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)  # nothing is to be read, the end of the stream least of all

    def abandon(self) -> None:
        """Close the connection without a word, for good: it takes no time, and a parent process keeps its copy."""
        self._do(Close())

    # --- For downloads -------------------------------------------------------------------------------

    def views(self, name: str, start: int, end: int, size: int) -> Iterator[bytes | memoryview]:
        """Yield the bytes of a part of a file of this size; each is valid until the next one."""
        for event in self._perform(self.session.slice(name, start, end, size)):
            if isinstance(event, Data):
                yield event.data

    def helper(self) -> "Client":
        """Return another client of the same server that does not retry."""
        once = Options(**{**vars(self.options), "retries": 0})
        return Client(self.address, once, form=self.session.form)

    def abort(self) -> None:
        """Make whatever another thread does with this client fail at once."""
        self._is_aborted = True
        if (sock := self._socket) is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    # --- Steps ---------------------------------------------------------------------------------------

    def _call(self, steps: Steps[Result]) -> Result:
        deliveries = self._perform(steps)
        while True:
            try:
                next(deliveries)
            except StopIteration as stop:  # noqa: PERF203  (at the end)
                return stop.value  # type: ignore[no-any-return]

    def _perform(self, steps: Steps[Result]) -> Generator[Delivery, None, Result]:
        """Perform operations, and yield what is delivered; return the result."""
        answer: int | None = None
        failure: Exception | None = None
        while True:
            try:
                step = advance(steps, answer, failure)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            answer, failure = 0, None
            if isinstance(step, (Data, Names)):
                yield step
                continue
            try:
                answer = self._do(step)
            except Exception as error:  # noqa: BLE001  (the steps decide about it)
                failure = error

    def _do(self, operation: Operation) -> int:
        sock = self._socket
        if isinstance(operation, Receive) and sock is not None:
            sock.settimeout(operation.seconds)
            return sock.recv_into(operation.buffer)
        if isinstance(operation, Send) and sock is not None:
            sock.settimeout(self.options.timeout_seconds)
            sock.sendall(operation.data)
        elif isinstance(operation, Pause):
            time.sleep(operation.seconds)
        elif isinstance(operation, (Open, Close)):
            self._socket = None
            if sock is not None:
                sock.close()
            if isinstance(operation, Open):
                self._socket = dial(self.address, self.options)
                if self._is_aborted:
                    message = "the client was told to stop"
                    raise DisconnectedError(message)
        return 0
