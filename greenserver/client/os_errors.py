"""Say what goes wrong by the errors that Python has for files."""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Final

from greenserver.client.errors import (
    AddressError,
    ChangedError,
    ConnectionFailedError,
    DisconnectedError,
    HftpError,
    LocalError,
    RefusedError,
    StalledError,
)
from greenserver.protocol.status import Status

_KINDS: Final[tuple[tuple[type[HftpError], type[OSError], int], ...]] = (
    (ChangedError, OSError, errno.ESTALE),
    (ConnectionFailedError, ConnectionError, errno.ENOTCONN),
    (DisconnectedError, ConnectionError, errno.ENOTCONN),
    (StalledError, TimeoutError, errno.ETIMEDOUT),
    (LocalError, OSError, errno.EIO),
)
_NO_SUCH_FILE: Final = frozenset({Status.FILE_NOT_FOUND, Status.INVALID_ARGUMENTS_FOR_COMMAND})
"""The second one is the answer to names that no file of this server can have."""


@contextlib.contextmanager
def as_os_errors(path: str) -> Iterator[None]:
    """Turn each HftpError into an OSError about this path; a wrong address stays a ValueError."""
    try:
        yield
    except AddressError:
        raise
    except HftpError as error:
        raise os_error(error, path) from error
    except ValueError as error:  # of a request that cannot contain the name
        raise missing(path) from error


def os_error(error: HftpError, path: str) -> OSError:
    """Return the OSError for an error.

    >>> os_error(StalledError("the server sent nothing in 30 s"), "localhost:19500/hello.txt")
    TimeoutError(110, 'the server sent nothing in 30 s')
    """
    if isinstance(error, RefusedError):
        if error.status in _NO_SUCH_FILE:
            return missing(path)
        return OSError(errno.EIO, str(error), path)
    cause = error.__cause__
    if isinstance(error, LocalError) and isinstance(cause, OSError) and cause.errno:
        return OSError(cause.errno, str(error))  # of a local file, which the text names
    for kind, os_kind, number in _KINDS:
        if isinstance(error, kind):
            return os_kind(number, str(error), path)
    return OSError(errno.EPROTO, str(error), path)


def missing(path: str) -> FileNotFoundError:
    """Return the error for a file that is not there."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def is_a_directory(path: str) -> IsADirectoryError:
    """Return the error for a directory that is read as a file."""
    return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)


def read_only(path: object) -> PermissionError:
    """Return the error for what would write."""
    return PermissionError(errno.EACCES, "HFTP only reads", str(path))
