"""Exceptions: those that end a scenario without a pass, with what a report needs, and errors of usage."""

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Final

from conformance.language import Message


class UsageError(Exception):
    """The suite is not used as it can be; the message says what to do, in one line. The exit status is 2."""

    output: Sequence[str] = ()
    """Lines that the server printed, if these say more."""


class Kind(str, Enum):
    """How a server differs from what a scenario expects."""

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
    GROWTH = "growth"


CAUSES: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        Kind.REFUSED: Message("nothing accepts connections at this address any more"),
        Kind.TIMEOUT: "",
        Kind.CLOSED: Message("the connection is closed before the reply is complete, for example by an exception"),
        Kind.RESET: Message(
            "the connection is reset before the reply is complete, for example by a close with unread input"
        ),
        Kind.STATUS: "",
        Kind.MALFORMED: "",
        Kind.BODY: "",
        Kind.OPEN: Message("the connection stays open where the server has to close it"),
        Kind.EXTRA: Message("the server sends more than the reply"),
        Kind.TOO_MUCH: "",
        Kind.GONE: Message("the server serves no client after this scenario: its process has exited, or hangs"),
        Kind.GROWTH: "",
    }
)
"""The cause that every failure of a kind has; empty where the failure says it all."""


class Failure(Exception):  # noqa: N818  (an expectation that the server did not meet, not an error of this program)
    """The server did not do what was expected.

    `expected` and `got` are for display; `cause` replaces the likely cause. `asked` is the command that got this reply,
    if it is not the last one that was sent.
    """

    asked: str = ""

    def __init__(self, kind: Kind, expected: str, got: str, cause: str = "") -> None:
        super().__init__(Message("expected {expected}, got {got}", expected=expected, got=got))
        self.kind = kind
        self.expected = expected
        self.got = got
        self.cause = cause

    def about(self, asked: str) -> "Failure":
        """Return it with the command that got this reply, where others were sent after it."""
        self.asked = asked
        return self

    def detached(self) -> "Failure":
        """Return it without its traceback and context: these keep frames alive, and all that the callers hold."""
        self.__context__ = None
        return self.with_traceback(None)


class Incomplete(Exception):  # noqa: N818
    """The scenario cannot run here; the message says what is missing."""


class Unsupported(Exception):  # noqa: N818
    """The server lacks an optional feature that the scenario tests; the message names it."""
