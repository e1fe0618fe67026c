"""Fetch one file, or resume its download, into a partial file: what both clients do between their requests."""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from greenserver.client.errors import ChangedError, DifferentError, HftpError, LocalError
from greenserver.client.partial_file import PartialFile
from greenserver.client.plan import Part, Plan, part_bytes

if TYPE_CHECKING:
    from typing_extensions import Self

_TAIL_BYTES: Final = 64 * 1024
"""What is fetched again, and compared, before the rest of a file is: it may have changed since."""
HELPED_BYTES: Final = 8 << 20
"""From this size on further connections are worth while."""
PATIENCE_SECONDS: Final = 0.5
"""How long a further connection that has had no reply at all is waited for at the end: a server may serve one client
at a time."""


class Downloaded(NamedTuple):
    """A file that was fetched."""

    name: str
    path: Path
    size: int
    fetched_bytes: int
    """How much of it was fetched now; the rest was there."""
    seconds: float
    sha256: str | None


class Transfer:
    """A file that is being fetched; leave it by `conclude`, or what is there is kept for the next attempt."""

    def __init__(
        self, name: str, path: Path, size: int, connections: int, on_progress: Callable[[int, int], None] | None
    ) -> None:
        self.name = name
        self.size = size
        self._path = path
        self._connections = connections
        self._began = time.monotonic()
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._fetched_bytes = 0
        self._file = PartialFile(path, size)
        self._is_concluded = False
        self._make_plan()

    def _make_plan(self) -> None:
        self.plan = Plan(self.size, self._file.done, part_bytes(self.size, self._connections))
        self._done_bytes = self.plan.done_bytes

    def __enter__(self) -> "Self":
        self._file.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Keep what is there for the next attempt, unless the transfer was concluded."""
        with self._file:
            if self._is_concluded:
                return
            if done := self.plan.done:
                with contextlib.suppress(LocalError):
                    self._file.save(done, is_final=True)
            else:
                self._file.discard()

    @property
    def helpers(self) -> int:
        """How many further connections are to be made."""
        if self.size - self._done_bytes < HELPED_BYTES:
            return 0
        return min(self._connections, self.plan.parts) - 1

    def tail(self) -> tuple[int, int] | None:
        """Return which range to fetch for `check_tail`; None if nothing is there."""
        if not self._file.done:
            return None
        start, end = self._file.done[-1]
        return max(start, end - _TAIL_BYTES), end

    def check_tail(self, data: bytes, start: int) -> None:
        """Begin anew if the server's file is not the one that is there in part."""
        if data != self._file.read(start, start + len(data)):
            self._file.forget()
            self._make_plan()

    def receive(self, part: Part, data: bytes | memoryview) -> None:
        """Write what was received. Raise LocalError, or what another connection has failed with."""
        if self.plan.failure is not None:
            raise self.plan.failure
        self._file.write(data, part.position)
        self.plan.advance(part, len(data))
        with self._lock:
            self._fetched_bytes += len(data)
            self._done_bytes += len(data)
            done_bytes = self._done_bytes
        if self._on_progress is not None:
            self._on_progress(done_bytes, self.size)

    def end_part(self, part: Part) -> None:
        """Give a part back, whole or not, and record what is there."""
        self.plan.give_back(part)
        if self.size > HELPED_BYTES:
            with self._lock, contextlib.suppress(LocalError):  # the next write will say so
                self._file.save(self.plan.done)

    def conclude(self, size_now: int, sha256: str | None) -> Downloaded:
        """Give the file its name, if all that was asked for is true. Raise HftpError."""
        try:
            if size_now != self.size:
                message = f"the file changed while it was fetched: it had {self.size} bytes and has {size_now}"
                raise ChangedError(message)
            digest = None if sha256 is None else self._file.sha256()
            if sha256 and digest != sha256.lower():
                message = f"the SHA-256 is {digest} instead of {sha256.lower()}; the file is not kept"
                raise DifferentError(message)
            self._file.finish()
        except HftpError as error:
            if not isinstance(error, LocalError):
                self._file.discard()
                self._is_concluded = True
            raise
        self._is_concluded = True
        seconds = time.monotonic() - self._began
        return Downloaded(self.name, self._path, self.size, self._fetched_bytes, seconds, digest)
