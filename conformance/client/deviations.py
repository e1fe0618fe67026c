"""Constant deviations of a server's replies: learned once, reported once, and expected by the client from then on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Form(str, Enum):
    """What is different about a reply; `Deviation.replies` maps the replies that differ to how they do."""

    EXTRA = "extra"
    """Bytes that follow the whole reply."""
    STATUS_LINE = "status-line"
    """A status line that is not CODE SP TEXT; maps that line to the code that it stands for."""
    CODE = "code"
    """Another code; maps the right one to the one that is sent."""
    BARE_LF = "bare-lf"
    """Lines that end in LF alone; of status lines, names, sizes or slices."""
    SIZE = "size"
    """A size with bytes around its digits; maps `prefix` and `suffix`."""
    SLICE = "slice"
    """A slice in another form than the dialect's; maps to a name in `bodies.READERS`."""
    CLOSES = "closes"
    """The connection closes after a reply after which it must go on."""
    STAYS_OPEN = "stays-open"
    """The connection stays open after `quit`, or after a fatal status (`fatal`)."""
    SILENT = "silent"
    """The connection closes after `quit` without a reply to it."""
    GREETING = "greeting"
    """Bytes that come before the first command is sent."""
    ECHO = "echo"
    """Each command line comes back before it is answered."""


@dataclass(frozen=True, eq=False)
class Deviation:
    """One thing that a server always does otherwise than the protocol says.

    A reply is named by its status code as text (`"203"`) or, if it is a success, by its command (`"get_slice"`; `"raw"`
    for a raw slice).
    """

    requirement: str
    """The id of the requirement that it breaks."""
    text: str
    """What the server does, for people."""
    form: Form
    replies: Mapping[str, bytes]


class Deviations:
    """The deviations that a client expects; immutable, found by form and reply."""

    def __init__(self, rows: Iterable[Deviation] = ()) -> None:
        self.rows = tuple(rows)
        self._found = {(row.form, reply): (how, row) for row in self.rows for reply, how in row.replies.items()}

    def __bool__(self) -> bool:
        return bool(self.rows)

    def find(self, form: Form, reply: str) -> tuple[bytes, Deviation] | None:
        """Return how a reply differs in a form, and the deviation that says so; None if it does not."""
        return self._found.get((form, reply))

    def without(self, row: Deviation) -> "Deviations":
        """Return all of them but one."""
        return Deviations(other for other in self.rows if other is not row)


NO_DEVIATIONS: Final = Deviations()
