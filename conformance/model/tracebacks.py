"""Find the error in what a server has printed: a traceback, a stack trace, a panic, the first error of a compiler."""

import re
from typing import Final

_TRACEBACK: Final = "Traceback (most recent call last):"
_JAVA: Final = re.compile(
    r"Exception in thread |Caused by: |(\w+\.)+\w*(Exception|Error)\b|Error: (Unable|Could not|LinkageError|A JNI) ?"
)
_CRASH: Final = re.compile(r"panic: |thread '.*' panicked at |terminate called |Segmentation fault|==\d+==ERROR: ")
_COMPILER: Final = re.compile(
    r"(^|\s)(fatal )?error(\[\w+\])?:|^npm (ERR!|error) (?!code|errno|A complete)|: \*\*\* ", re.IGNORECASE
)
_NODE: Final = re.compile(r"(Uncaught )?\w*Error\b.*: ")
_BEFORE: Final = 4
"""How many lines before an error are shown: Python and JavaScript print the line of the program first."""
_DISCONNECTED: Final = re.compile(
    r"ConnectionResetError|BrokenPipeError|ConnectionAbortedError|Connection reset|Broken pipe|ECONNRESET|EPIPE"
)
"""What the error of a client that leaves early is called, in Python, Java, C, Go and JavaScript."""


def error_line(output: str) -> str:
    """Return the line that names the error; empty if there is none.

    That is the last line of the last Python traceback, the first one of a Java stack trace, or the first error of a
    compiler.
    """
    lines = _lines(output)
    position = _error_position(lines)
    return lines[position].strip() if position is not None else ""


def decisive_line(output: str) -> str:
    """Return the line that best explains why a server exited: that of the error, or the last one; empty if none."""
    lines = _lines(output)
    return error_line(output) or (lines[-1].strip() if lines else "")


def excerpt(output: str, most: int) -> list[str]:
    """Return at most so many lines that show why a server exited.

    A Python traceback is read to its last line, and a Java stack trace from its first; of other output, the end counts.
    """
    lines = _lines(output)
    position = _error_position(lines)
    if position is None:
        return lines[-most:]
    if _TRACEBACK in lines[:position]:
        first = position - lines[:position][::-1].index(_TRACEBACK) - 1
        return lines[max(first, position + 1 - most) : position + 1]
    if not _JAVA.match(lines[position]):
        position = max(0, position - _BEFORE)
    return lines[position : position + most]


def is_disconnect(line: str) -> bool:
    """Return whether a line names the error of a client that has left."""
    return _DISCONNECTED.search(line) is not None


def _lines(output: str) -> list[str]:
    return [line.rstrip() for line in output.split("\n") if line.strip()]


def _error_position(lines: list[str]) -> int | None:
    if _TRACEBACK in lines:
        last = len(lines) - 1 - lines[::-1].index(_TRACEBACK)
        return next(
            (number for number in range(last + 1, len(lines)) if not lines[number].startswith(" ")), len(lines) - 1
        )
    for find in (_JAVA.match, _CRASH.match, _COMPILER.search, _NODE.match):
        if (found := next((number for number, line in enumerate(lines) if find(line)), None)) is not None:
            return found
    return None
