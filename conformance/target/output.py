"""What a server prints, kept in a file that has no name: a pipe would have to be read."""

import os
import re
import tempfile
from typing import Final

OUTPUT_BYTES: Final = 4096
"""How much of the end of a server's output a report has."""
_MOST_BYTES: Final = 1 << 16
"""How much of the output of a failed start is searched for the reason."""
_LONGEST_QUOTE: Final = 300
_JAVA: Final = re.compile(r"Exception in thread |Caused by: |Error: (Unable|Could not|LinkageError|A JNI) ?")
_ERROR: Final = re.compile(
    r"(^|\s)(fatal )?error(\[\w+\])?:|^npm (ERR!|error) (?!code|errno|A complete)|: \*\*\* ", re.IGNORECASE
)
_NODE: Final = re.compile(r"(Uncaught )?\w*Error\b.*: ")
_TRACEBACK: Final = "Traceback (most recent call last):"


class ServerOutput:
    """The output of a server, and of all its starts."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="hftp-server-output-")  # noqa: SIM115  (close() closes it)
        self._start = 0

    def fileno(self) -> int:
        """Return the descriptor that servers write to."""
        return self._file.fileno()

    def mark_start(self) -> None:
        """Note that what is printed from now on belongs to a new start."""
        self._start = self._size()

    def end(self) -> str:
        """Return the end of what all starts have printed."""
        return self._read(0, OUTPUT_BYTES)

    def of_this_start(self) -> str:
        """Return the end of what the present start has printed."""
        return self._read(self._start, _MOST_BYTES)

    def close(self) -> None:
        """Forget it all."""
        self._file.close()

    def _size(self) -> int:
        return os.fstat(self.fileno()).st_size

    def _read(self, start: int, most_bytes: int) -> str:
        size = self._size()
        start = max(start, size - most_bytes)
        return os.pread(self.fileno(), size - start, start).decode("utf-8", "replace")


def decisive_line(output: str) -> str:
    """Return the line of a server's output that says best why it ended; empty where there is no output.

    Of a Python traceback that is the last line, of a Java one the first, of compilers the first that says `error:`, and
    of anything else the last.
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
    """Return a line as a message quotes it: without control characters, and not too long."""
    return one_line(line.strip())[:_LONGEST_QUOTE]


def one_line(text: str) -> str:
    """Return a text with spaces in place of line ends and control characters."""
    return "".join(character if character.isprintable() else " " for character in text)
