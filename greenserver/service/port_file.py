"""Write the port to the file of --port-file, of whatever kind it is."""

import errno
import os
import stat
import tempfile
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from greenserver.config import limits

_LOOK_SECONDS: Final = 0.02


def write_port(path: str, port: int) -> None:
    """Write a port to a file.

    A regular file is replaced atomically: a reader sees the old content or the new, never a part. Symbolic links,
    FIFOs, devices and /dev/fd/N are written to. A FIFO may get its reader within `PORT_FILE_SECONDS`.

    Raise OSError with a readable message.
    """
    target = Path(path)
    content = f"{port}\n".encode("ascii")
    try:
        if _is_replaceable(target):
            _replace(target, content)
        else:
            _write(target, content)
    except OSError as error:
        message = f"cannot write the port to {path}: {error.strerror}"
        raise OSError(message) from error


def _is_replaceable(target: Path) -> bool:
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)  # to replace a directory fails, and says why


def _replace(target: Path, content: bytes) -> None:
    descriptor, draft = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(draft).chmod(0o644)
        Path(draft).replace(target)
    except BaseException:
        Path(draft).unlink()
        raise


def _write(target: Path, content: bytes) -> None:
    # O_NONBLOCK: do not wait for ever for the reader of a FIFO. O_NOCTTY: do not acquire a controlling terminal.
    flags = os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    if not target.exists():  # a link to a file that is not there yet
        flags |= os.O_CREAT
    last = monotonic() + limits.PORT_FILE_SECONDS
    while (descriptor := _open(target, flags)) < 0:
        if monotonic() >= last:
            raise OSError(errno.ENXIO, "nobody reads this FIFO")
        sleep(_LOOK_SECONDS)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _open(target: Path, flags: int) -> int:
    """Return a descriptor; -1 for a FIFO without a reader (fifo(7): ENXIO)."""
    try:
        return os.open(target, flags, 0o644)
    except OSError as error:
        if error.errno == errno.ENXIO and target.is_fifo():
            return -1
        raise
