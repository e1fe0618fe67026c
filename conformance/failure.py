"""How a scenario ends other than well: one exception a way, each with what a report needs to explain it."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final


class Kind(str, Enum):
    """The ways in which a server fails to do what was expected."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    RESET = "reset"
    STATUS = "status"
    MALFORMED = "malformed"
    BODY = "body"
    OPEN = "open"
    EXTRA = "extra"
    TOO_MUCH = "too-much"
    GONE = "gone"


CAUSES: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        Kind.REFUSED: "nothing accepts connections there: the server has died, or listens elsewhere",
        Kind.TIMEOUT: "the server waits for something that never comes, or dropped the command without an answer",
        Kind.CLOSED: "the server closed without an answer: an exception ended the client's thread, or the process",
        Kind.RESET: "the server closed with input unread, so the kernel sent RST and the reply was lost; or it died",
        Kind.STATUS: "the server took another branch for this command than the protocol has",
        Kind.MALFORMED: "the reply does not have the protocol's form",
        Kind.BODY: "the status is right, and what follows it is wrong",
        Kind.OPEN: "the server goes on where it has to close",
        Kind.EXTRA: "the server said more than one reply to one command, or executed what it must not",
        Kind.TOO_MUCH: "the server sends without end",
        Kind.GONE: "the scenario ended the server's process, or left it in a state in which it serves nobody",
    }
)
"""What is likely wrong, by the kind of failure; a scenario may know better."""


class Failure(Exception):  # noqa: N818  (not an error of this program's: the server did something else)
    """The server did not do what was expected.

    `expected` and `got` are for people; `cause` overrides what is likely wrong. `asked` is the command that got this
    reply, if it was not the last one that was sent.
    """

    asked: str = ""

    def __init__(self, kind: Kind, expected: str, got: str, cause: str = "") -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.kind = kind
        self.expected = expected
        self.got = got
        self.cause = cause


class Incomplete(Exception):  # noqa: N818
    """The scenario cannot be played here; the text says what it lacks."""


class Unsupported(Exception):  # noqa: N818
    """The server does not offer what the scenario is about, and need not; the text says what."""
