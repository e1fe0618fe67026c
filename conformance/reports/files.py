"""Write a report into a file that is whole at any time: the previous report stays until another replaces it."""

import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import Final, TextIO

import click

from conformance.language import Message

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC


class ReportError(Exception):
    """A report cannot be written; the one-line message says why."""


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
        try:
            self._file = self._open()
        except OSError as error:
            message = Message("cannot write {path}: {strerror}", path=path, strerror=error.strerror)
            raise click.ClickException(message) from error

    def _open(self) -> TextIO:
        mode = None
        with contextlib.suppress(FileNotFoundError):
            mode = self._path.stat().st_mode
        if not self._is_descriptor and (mode is None or stat.S_ISREG(mode)):
            with contextlib.suppress(OSError):
                descriptor = os.open(self._unfinished, _NEW | os.O_EXCL | os.O_NOFOLLOW, 0o666)
                self._is_apart = True
                if mode is not None:
                    os.fchmod(descriptor, stat.S_IMODE(mode))
                return os.fdopen(descriptor, "w", encoding="utf-8")
        return os.fdopen(os.open(self._path, _NEW, 0o666), "w", encoding="utf-8")

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
        """Write text at once; raise ReportError."""
        self.begin()
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            raise self._error(error) from error

    def write(self, text: str) -> None:
        """Write the whole report, and only then replace the previous one; raise ReportError."""
        if not self._is_apart:
            self.append(text)
            return
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            raise self._error(error) from error
        self.begin()

    def close(self) -> None:
        """Close the file; if nothing was written, leave the previous one."""
        with contextlib.suppress(OSError):  # what could not be written is written again
            self._file.close()
        if self._is_apart and not self._has_begun:
            self._unfinished.unlink(missing_ok=True)

    def _error(self, error: OSError) -> ReportError:
        return ReportError(f"cannot write {self._name}: {error.strerror}")


def drop_output() -> None:
    """Have the interpreter's last flush of the standard output succeed; see the note on SIGPIPE in `signal`."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
