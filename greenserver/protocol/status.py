"""The protocol's status codes, and the one exception that carries a status to the client."""

from enum import IntEnum


class Status(IntEnum):
    """A reply's status code; its name is the text beside it."""

    OK = 0
    BAD_EOL = 100
    BAD_REQUEST = 101
    INTERNAL_SERVER_ERROR = 199
    NO_SUCH_COMMAND = 200
    INVALID_ARGUMENTS_FOR_COMMAND = 201
    FILE_NOT_FOUND = 202
    OFFSET_EXCEEDS_FILE_SIZE = 203

    line: bytes
    """The status line on the wire, line end included."""

    is_fatal: bool
    """Whether the server closes the connection after it."""

    def __init__(self, code: int) -> None:
        self.line = f"{code} {self.name.replace('_', ' ')}\r\n".encode("ascii")
        self.is_fatal = 100 <= code < 200  # noqa: PLR2004  (the protocol's range of fatal codes)


class CommandError(Exception):
    """Says that a command cannot be done, and with which status the client learns it."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status = status
