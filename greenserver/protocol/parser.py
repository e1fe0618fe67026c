"""Parse a command line into a request, and cache the requests that clients repeat."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from greenserver.config.limits import KNOWN_COMMANDS, KNOWN_LINE_BYTES
from greenserver.protocol.commands import Command, Language, Reply, Run, Target, split
from greenserver.protocol.responses import EOL
from greenserver.protocol.slice_encodings import SliceForm
from greenserver.protocol.status import CommandError, Status
from greenserver.protocol.store import Files


class Request(NamedTuple):
    """A parsed command line."""

    line: bytes
    """As received, without CR LF."""
    command: str
    """The command's name; "" if the dialect has no such command."""
    run: Run
    """Answers the request. For a line with an error it raises CommandError."""
    target: Target | None = None
    """The file that it names; None if it names none, or has an error."""


class Dialect:
    """The commands and slice encodings of one version of the protocol, named by its year."""

    def __init__(self, name: str, commands: Sequence[Command], slice_forms: Mapping[str, SliceForm]) -> None:
        self.name = name
        self._language = Language({command.name: command for command in commands}, slice_forms)
        self.requests = Requests(self)

    def parse(self, line: bytes) -> Request:
        """Parse a command line, as `LineBuffer` returns it, into a request."""
        text, name = line.decode("latin-1"), ""
        try:
            if "\n" in text:
                raise CommandError(Status.BAD_EOL)  # noqa: TRY301  (one place turns errors into requests)
            name, arguments = split(text)
            command = self._language.commands.get(name)
            if command is None:
                name = ""
                raise CommandError(Status.NO_SUCH_COMMAND)  # noqa: TRY301  (as above)
            if len(arguments) not in command.arguments:
                raise CommandError(Status.INVALID_ARGUMENTS_FOR_COMMAND)  # noqa: TRY301  (as above)
            return Request(line, name, *command.parse(self._language, arguments))
        except CommandError as error:
            return Request(line, name, _Failure(error.status))


class _Failure:
    """Answers a request with an error."""

    __slots__ = ("_status",)

    def __init__(self, status: Status) -> None:
        self._status = status

    def __call__(self, _files: Files) -> Reply:
        raise CommandError(self._status)


class Requests(dict[bytes, Request]):
    """The requests of a dialect by line. A bounded cache: clients repeat requests, but for those with errors."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self._dialect = dialect
        self.with_end: dict[bytes, Request] = {}
        """The cached ones, by the line with its CR LF."""

    def __missing__(self, line: bytes) -> Request:
        request = self._dialect.parse(line)
        if len(line) <= KNOWN_LINE_BYTES and type(request.run) is not _Failure:
            if len(self) >= KNOWN_COMMANDS:
                self.clear()
                self.with_end.clear()
            self[line] = self.with_end[line + EOL] = request
        return request
