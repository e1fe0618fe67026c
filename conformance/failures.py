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
        Kind.REFUSED: "nothing accepts connections at this address any more",
        Kind.TIMEOUT: "",
        Kind.CLOSED: "the connection is closed before the reply is complete, for example by an exception",
        Kind.RESET: "the connection is reset before the reply is complete, for example by a close with unread input",
        Kind.STATUS: "",
        Kind.MALFORMED: "",
        Kind.BODY: "",
        Kind.OPEN: "the connection stays open where the server has to close it",
        Kind.EXTRA: "the server sends more than the reply",
        Kind.TOO_MUCH: "",
        Kind.GONE: "the server serves nobody after this scenario: its process has ended, or hangs",
    }
)
"""What is true whenever a failure of this kind occurs; empty if that is no more than the failure itself says."""


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
