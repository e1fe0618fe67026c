"""Write a report into a file that is whole at any time: the previous report stays until another replaces it."""

import contextlib
import os
import stat
import sys
from io import FileIO
from pathlib import Path
from typing import Final

import click

from conformance.fixtures.disk import FULL
from conformance.language import Message

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC


class ReportError(Exception):
    """A report cannot be written; the one-line message says why, and `is_full` whether the disk is full."""

    def __init__(self, message: str, *, is_full: bool = False) -> None:
        super().__init__(message)
        self.is_full = is_full


class FilledDiskError(ReportError):
    """A report cannot be written, because the server has filled the disk."""


class ReportFile:
    """A file for a report, opened before the run, so that errors show early; raises ClickException if it cannot be.

    A new file takes the place of the previous one with the first `write`. Where that is not possible (a device, a
    directory that cannot be written), the file itself is written, and emptied only then.
    """

    def __init__(self, path: str) -> None:
        self._name = path
        self._is_descriptor = Path(path).absolute().parts[1] in {"dev", "proc"}  # /dev/stdout, for example
        self._path = Path(path) if self._is_descriptor else Path(path).resolve()
        self._unfinished = self._path.with_name(f".{self._path.name}.unfinished-{os.getpid()}")
        self._has_begun = False
        self._is_apart = False
        self._pending = b""
        """What could not be written yet."""
        try:
            self._file = self._open()
        except OSError as error:
            message = Message("cannot write {path}: {strerror}", path=path, strerror=error.strerror)
            raise click.ClickException(message) from error

    def _open(self) -> FileIO:
        mode = None
        with contextlib.suppress(FileNotFoundError):
            mode = self._path.stat().st_mode
        if not self._is_descriptor and (mode is None or stat.S_ISREG(mode)):
            with contextlib.suppress(OSError):
                descriptor = os.open(self._unfinished, _NEW | os.O_EXCL | os.O_NOFOLLOW, 0o666)
                self._is_apart = True
                if mode is not None:
                    os.fchmod(descriptor, stat.S_IMODE(mode))
                return os.fdopen(descriptor, "wb", buffering=0)
        return os.fdopen(os.open(self._path, _NEW, 0o666), "wb", buffering=0)

    def begin(self) -> None:
        """Put the file into its place, empty; raise ReportError."""
        if self._has_begun:
            return
        self._has_begun = True
        try:
            if self._is_apart:
                self._unfinished.replace(self._path)
            elif stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                self._file.truncate(0)
        except OSError as error:
            raise self._error(error) from error

    def append(self, text: str) -> None:
        """Write text at once, or with the next attempt; raise ReportError.

        The previous report stays until something is written.
        """
        if not self._is_apart:
            self.begin()
        self._pending += text.encode()
        try:
            self._write_pending()
        except OSError as error:
            raise self._error(error) from error
        self.begin()

    def write(self, text: str) -> None:
        """Write the whole report, and only then replace the previous one; raise ReportError."""
        if not self._is_apart:
            self.append(text)
            return
        try:
            self._write_anew(text.encode())
        except OSError as error:
            raise self._error(error) from error
        self.begin()

    def close(self) -> None:
        """Close the file; if nothing was written, leave the previous one."""
        with contextlib.suppress(OSError, ReportError):  # the disk may have room again
            if self._pending:
                self._write_pending()
                self.begin()
        with contextlib.suppress(OSError):
            self._file.close()
        if self._is_apart and not self._has_begun:
            self._unfinished.unlink(missing_ok=True)

    def _write_pending(self) -> None:
        while self._pending:
            written = os.write(self._file.fileno(), self._pending)
            self._pending = self._pending[written:]

    def _write_anew(self, data: bytes) -> None:
        """Write from the beginning, also after an attempt that failed."""
        descriptor = self._file.fileno()
        os.ftruncate(descriptor, 0)
        at = 0
        while at < len(data):
            at += os.pwrite(descriptor, data[at:], at)

    def _error(self, error: OSError) -> ReportError:
        message = Message("cannot write {path}: {strerror}", path=self._name, strerror=error.strerror)
        return ReportError(message, is_full=error.errno in FULL)


def drop_output() -> None:
    """Have the interpreter's last flush of the standard output succeed; see the note on SIGPIPE in `signal`."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
