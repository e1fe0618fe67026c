"""Print what the commands find: for people, or a JSON object a line; each error is one line."""

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Final

from greenserver.client.errors import Exit, HftpError, LocalError, exit_status
from greenserver.config.limits import NAME_BYTES
from greenserver.io.standard_streams import print_line

PROGRAM: Final = "hftp"
_SHOWN_CHARACTERS: Final = 60
"""Of a name that is longer than any file's."""
_MOST_ERRORS: Final = 10
"""How many errors of one exit status are printed one by one."""


class Output:
    """Prints results and errors, and remembers how the command is to exit."""

    def __init__(self, *, is_json: bool = False, is_quiet: bool = False) -> None:
        self.is_json = is_json
        self.is_quiet = is_quiet
        self.exit = Exit.DONE
        self._errors: dict[Exit, int] = {}

    def result(self, text: str, **fields: object) -> None:
        """Print a result: the text, or the fields as JSON. Raise LocalError if standard output takes nothing."""
        with explaining_output():
            sys.stdout.write(f"{json.dumps(fields) if self.is_json else shown(text)}\n")

    def names(self, names: list[str]) -> None:
        """Print a part of a listing."""
        if self.is_json:
            lines = [json.dumps({"name": name}) for name in names]
        else:
            text = "".join(names)
            lines = names if text.isascii() and text.isprintable() else [*map(shown, names)]
        with explaining_output():
            sys.stdout.write("\n".join(lines) + "\n")

    def note(self, text: str, **fields: object) -> None:
        """Print a result that is only for those who want to know."""
        if self.is_json or not self.is_quiet:
            self.result(text, **fields)

    def error(self, error: HftpError, name: str | None = None) -> None:
        """Print an error, of one file if it has a name. The first one decides how the command exits."""
        status = exit_status(error)
        self.exit = self.exit or status
        count = self._errors[status] = self._errors.get(status, 0) + 1
        if self.is_json:
            where = {} if name is None else {"name": name}
            with contextlib.suppress(LocalError):  # standard output may be what failed
                self.result("", **where, error=str(error), exit=int(status))
        if count <= _MOST_ERRORS:
            cut = name if name is None or len(name) <= NAME_BYTES else f"{name[:_SHOWN_CHARACTERS]}..."
            complain(str(error) if name is None else f"{cut}: {error}")

    def flush(self) -> None:
        """Write what is buffered, and how many errors were not printed. Raise LocalError."""
        for count in self._errors.values():
            if count > _MOST_ERRORS:
                complain(f"{count - _MOST_ERRORS} more errors like these")
        self._errors.clear()
        with explaining_output():
            sys.stdout.flush()


def complain(line: str) -> None:
    """Print a line on standard error, if that is possible."""
    with contextlib.suppress(OSError):
        print_line(f"{PROGRAM}: {line}", to_errors=True)


@contextlib.contextmanager
def explaining_output() -> Iterator[None]:
    """Raise LocalError for an error of standard output."""
    try:
        yield
    except OSError as error:
        message = f"cannot write to standard output: {error.strerror}"
        raise LocalError(message) from error


def shown(text: str) -> str:
    r"""Return text that does nothing to a terminal, and stays on its line.

    >>> shown("a\x1b[2Jb\nc")
    'a\\x1b[2Jb\\nc'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
