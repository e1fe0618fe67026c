"""Define what can go wrong beyond the protocol, and the exit status of each."""

from enum import IntEnum
from typing import Final

from greenserver.protocol.client import Refused
from greenserver.protocol.errors import DisconnectedError, HftpError, RemoteProtocolError
from greenserver.protocol.status import Status

__all__ = [
    "AddressError",
    "ChangedError",
    "ConnectionFailedError",
    "DifferentError",
    "DisconnectedError",
    "Exit",
    "HftpError",
    "LocalError",
    "RefusedError",
    "RemoteProtocolError",
    "StalledError",
    "exit_status",
]


class Exit(IntEnum):
    """The exit statuses of `hftp`."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    MALFORMED = 4
    DIFFERENT = 5
    LOCAL = 6
    INTERRUPTED = 130


class AddressError(HftpError, ValueError):
    """An address, or an option that belongs to one, is wrong."""


class RefusedError(HftpError):
    """The server replied with an error status."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"the server replied {refused}")
        self.status = refused.status
        self.is_fatal = refused.is_fatal

    @property
    def is_not_found(self) -> bool:
        """Whether there is no such file."""
        return self.status == Status.FILE_NOT_FOUND


class ConnectionFailedError(HftpError):
    """No connection can be made, or it was lost and all retries failed, too."""


class StalledError(HftpError):
    """The server sends nothing, or next to nothing."""


class ChangedError(HftpError):
    """The file has changed on the server while it was fetched."""


class DifferentError(HftpError):
    """Content is not what it was expected to be."""


class LocalError(HftpError):
    """A local file cannot be read or written."""


_STATUSES: Final[tuple[tuple[type[HftpError], Exit], ...]] = (
    (RefusedError, Exit.REFUSED),
    (AddressError, Exit.USAGE),
    (ConnectionFailedError, Exit.UNREACHABLE),
    (StalledError, Exit.UNREACHABLE),
    (DisconnectedError, Exit.UNREACHABLE),
    (ChangedError, Exit.DIFFERENT),
    (DifferentError, Exit.DIFFERENT),
    (LocalError, Exit.LOCAL),
)


def exit_status(error: HftpError) -> Exit:
    """Return the exit status for an error.

    >>> exit_status(ChangedError("it has changed"))
    <Exit.DIFFERENT: 5>
    """
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), Exit.MALFORMED)
