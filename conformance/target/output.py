"""Keep a server's output in an unnamed file (a pipe would need a reader), and find the line with the error."""

import os
import re
import tempfile
from typing import Final

OUTPUT_BYTES: Final = 4096
"""How many bytes of the tail of a server's output a report includes."""
_MOST_BYTES: Final = 1 << 16
"""How many bytes of the output of a failed start are searched for the reason."""
_LONGEST_QUOTE: Final = 300
_JAVA: Final = re.compile(r"Exception in thread |Caused by: |Error: (Unable|Could not|LinkageError|A JNI) ?")
_ERROR: Final = re.compile(
    r"(^|\s)(fatal )?error(\[\w+\])?:|^npm (ERR!|error) (?!code|errno|A complete)|: \*\*\* ", re.IGNORECASE
)
_NODE: Final = re.compile(r"(Uncaught )?\w*Error\b.*: ")
_TRACEBACK: Final = "Traceback (most recent call last):"


class ServerOutput:
    """The output of a server, over all its starts."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="hftp-server-output-")  # noqa: SIM115  (close() closes it)
        self._start = 0

    def fileno(self) -> int:
        """Return the descriptor that servers write to."""
        return self._file.fileno()

    def mark_start(self) -> None:
        """Mark the beginning of the output of a new start."""
        self._start = self._size()

    def end(self) -> str:
        """Return the tail of the output of all starts."""
        return self._read(0, OUTPUT_BYTES)

    def of_this_start(self) -> str:
        """Return the tail of the output of the current start."""
        return self._read(self._start, _MOST_BYTES)

    def close(self) -> None:
        """Close the file, which deletes the output."""
        self._file.close()

    def _size(self) -> int:
        return os.fstat(self.fileno()).st_size

    def _read(self, start: int, most_bytes: int) -> str:
        size = self._size()
        start = max(start, size - most_bytes)
        return os.pread(self.fileno(), size - start, start).decode("utf-8", "replace")


def decisive_line(output: str) -> str:
    """Return the line of a server's output that best explains why it exited; empty if there is no output.

    That is the last line of a Python traceback, the first of a Java one, the first `error:` line of a compiler, and
    otherwise the last line.
    """
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    if _TRACEBACK in lines:
        last = len(lines) - 1 - lines[::-1].index(_TRACEBACK)
        return next((line for line in lines[last + 1 :] if not line.startswith(" ")), lines[-1])
    for pattern in (_JAVA, _ERROR, _NODE):
        find = pattern.search if pattern is _ERROR else pattern.match
        if found := next((line for line in lines if find(line)), None):
            return found.strip()
    return lines[-1].strip() if lines else ""


def quote(line: str) -> str:
    """Return a line to quote in a message: without control characters, truncated to 300."""
    return one_line(line.strip())[:_LONGEST_QUOTE]


def one_line(text: str) -> str:
    """Replace line ends and control characters with spaces."""
    return "".join(character if character.isprintable() else " " for character in text)
