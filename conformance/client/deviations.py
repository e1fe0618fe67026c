"""Constant deviations of a server's replies, which the client expects once they are known."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Form(str, Enum):
    """How a reply differs; `Deviation.replies` maps each reply that differs to the details."""

    EXTRA = "extra"
    """Extra bytes after a complete reply."""
    STATUS_LINE = "status-line"
    """A status line that is not CODE SP TEXT; maps the line to its code."""
    CODE = "code"
    """A wrong code; maps the right one to the one that is sent."""
    BARE_LF = "bare-lf"
    """Lines that end in a bare LF: `status`, `listing`, `size` or `slice`."""
    SIZE = "size"
    """A size with bytes around its digits; maps `prefix` and `suffix`."""
    SLICE = "slice"
    """A slice in a form that is not the dialect's; maps to a name in `bodies.READERS`."""
    CLOSES = "closes"
    """The connection closes after a reply that must not close it."""
    STAYS_OPEN = "stays-open"
    """The connection stays open after `quit`, or after a fatal status (`fatal`)."""
    SILENT = "silent"
    """The connection closes after `quit` without a reply to it."""
    GREETING = "greeting"
    """Bytes that arrive before the first command is sent."""
    ECHO = "echo"
    """Each command line is echoed before its reply."""


@dataclass(frozen=True, eq=False)
class Deviation:
    """One way in which a server always differs from the protocol.

    A reply is named by its status code as text (`"203"`) or, if it is a success, by its command (`"get_slice"`; `"raw"`
    for a raw slice).
    """

    requirement: str
    """The id of the requirement that it breaks."""
    text: str
    """What the server does, for display."""
    form: Form
    replies: Mapping[str, bytes]


class Deviations:
    """The deviations that a client expects, immutable, indexed by form and reply."""

    def __init__(self, rows: Iterable[Deviation] = ()) -> None:
        self.rows = tuple(rows)
        self._found = {(row.form, reply): (how, row) for row in self.rows for reply, how in row.replies.items()}

    def find(self, form: Form, reply: str) -> tuple[bytes, Deviation] | None:
        """Return the details of how a reply differs in a form, and the deviation; None if it does not."""
        return self._found.get((form, reply))

    def without(self, row: Deviation) -> "Deviations":
        """Return a copy without one of them."""
        return Deviations(other for other in self.rows if other is not row)


NO_DEVIATIONS: Final = Deviations()
