"""Status codes, and the status line of a reply."""

from dataclasses import dataclass
from typing import Final

from conformance.client.recording import escape

CODES: Final = {
    0: "OK",
    100: "BAD EOL",
    101: "BAD REQUEST",
    199: "INTERNAL SERVER ERROR",
    200: "NO SUCH COMMAND",
    201: "INVALID ARGUMENTS FOR COMMAND",
    202: "FILE NOT FOUND",
    203: "OFFSET EXCEEDS FILE SIZE",
}
FATAL: Final = range(100, 200)


@dataclass(frozen=True)
class Status:
    """A status line."""

    code: int
    line: bytes
    closes: bool = False
    """Whether this server closes after it where it must not: a known deviation."""

    @property
    def is_fatal(self) -> bool:
        """Whether the connection closes after it."""
        return self.code in FATAL or self.closes

    def __str__(self) -> str:
        return escape(self.line)
