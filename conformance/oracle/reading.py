"""Read what a server sends piece by piece: a coroutine takes lines and bytes, and yields while it needs more."""

from collections.abc import Generator
from typing import Final, NamedTuple

from conformance.failures import Kind
from conformance.language import Message

LINE_BYTES: Final = 1 << 16
"""The longest line that is read whole."""
Steps = Generator[None, None, None]
_SHOWN_BYTES: Final = 60


class Violation(NamedTuple):
    """What a server did that the model does not allow."""

    requirement: str
    level: str
    kind: Kind
    expected: str
    got: str
    asked: bytes = b""
    """The line that was answered so; empty if it was none."""


class BrokenRule(Exception):  # noqa: N818  (a verdict, not an error of this program)
    """A reply breaks a requirement."""

    def __init__(self, kind: Kind, requirement: str, expected: str, got: str) -> None:
        super().__init__(requirement)
        self.requirement = requirement
        self.kind = kind
        self.expected = expected
        self.got = got


class NotJudgedError(Exception):
    """The model does not know how a reply goes on."""


class Reader:
    """The bytes that were received and are not read yet."""

    def __init__(self) -> None:
        self.buffer = bytearray()

    def line(self, requirement: str, expected: str) -> Generator[None, None, bytes]:
        """Return the next line, without its CR LF; raise BrokenRule if it ends otherwise, or is too long."""
        looked = 0
        while (end := self.buffer.find(b"\n", looked)) < 0:
            looked = len(self.buffer)
            if looked > LINE_BYTES:
                raise BrokenRule(Kind.TOO_MUCH, requirement, expected, shown(bytes(self.buffer)))
            yield
        line = bytes(self.buffer[: end + 1])
        del self.buffer[: end + 1]
        if not line.endswith(b"\r\n"):
            raise BrokenRule(
                Kind.MALFORMED,
                requirement,
                Message("{expected}, ended by CR LF", expected=expected),
                Message("{line}, ended by a bare LF", line=shown(line)),
            )
        return line[:-2]

    def some(self, most: int) -> Generator[None, None, bytes]:
        """Return the next bytes, at least one and at most so many."""
        while not self.buffer:
            yield
        piece = bytes(self.buffer[:most])
        del self.buffer[:most]
        return piece

    def until_lf(self) -> Generator[None, None, tuple[bytes, bool]]:
        """Return the next part of a line of any length, and whether its LF, which is in the part, ends it."""
        while not self.buffer:
            yield
        end = self.buffer.find(b"\n") + 1
        piece = bytes(self.buffer[: end or len(self.buffer)])
        del self.buffer[: len(piece)]
        return piece, bool(end)


def shown(data: bytes) -> str:
    """Return bytes as a report shows them."""
    text = data[:_SHOWN_BYTES].decode("latin-1").encode("unicode_escape").decode()
    if not data:
        return Message("an empty line")
    return text if len(data) <= _SHOWN_BYTES else f"{text}... ({len(data)} bytes)"
