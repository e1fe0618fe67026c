"""Run the protocol's commands: one function and one table row each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from greenserver.config import limits
from greenserver.protocol.names import require_name
from greenserver.protocol.responses import NUMBER_LINE, OK_NUMBER, Lines, Response, SliceBody
from greenserver.protocol.status import CommandError, Status
from greenserver.protocol.store import Files, FilesAtHand, Source

SliceForms = Mapping[str, Callable[[Source], SliceBody]]
"""Encodings of a slice, by the argument that selects them; the empty string is the default."""

ShortRequest = Callable[[FilesAtHand, float], bytes]
"""Returns a whole reply with status OK, from what a store has at hand at a time of `time.monotonic`, in seconds.

Raises any exception if it cannot.
"""


@dataclass(frozen=True)
class Language:
    """The parts of a dialect that commands need."""

    commands: Mapping[str, "Command"]
    slice_forms: SliceForms


@dataclass(frozen=True)
class Command:
    """A row of the table: a command's name, its number of arguments, and its function."""

    name: str
    arguments: range
    run: Callable[[Language, Sequence[str], Files], Response]
    short: Callable[[Sequence[str]], ShortRequest] | None = None
    """Makes a request for the fast path, if the command has short replies."""


def get_file_listing(_language: Language, _arguments: Sequence[str], store: Files) -> Response:
    """Reply with the names of the files that can be fetched."""
    return Response(Status.OK, body=Lines(store.listing()))


def get_metadata(_language: Language, arguments: Sequence[str], store: Files) -> Response:
    """Reply with a file's length in bytes."""
    (name,) = arguments
    require_name(name)
    try:
        return Response(Status.OK, NUMBER_LINE % store.size(name))
    except FileNotFoundError:
        raise CommandError(Status.FILE_NOT_FOUND) from None


def get_metadata_at_hand(arguments: Sequence[str]) -> ShortRequest:
    """Return a request that replies with a file's length in bytes, if it is at hand."""
    (name,) = arguments
    return lambda store, now: OK_NUMBER % store.size_at_hand(name, now)


def get_slice(language: Language, arguments: Sequence[str], store: Files) -> Response:
    """Reply with a part of a file."""
    name, offset, size, *form = arguments
    body = language.slice_forms.get(form[0] if form else "")
    if body is None:
        raise CommandError(Status.INVALID_ARGUMENTS_FOR_COMMAND)
    require_name(name)  # the syntax of every argument is checked before the file
    first, count = parse_number(offset), parse_number(size)
    try:
        return Response(Status.OK, body=body(store.slice(name, first, count)))
    except FileNotFoundError:
        raise CommandError(Status.FILE_NOT_FOUND) from None
    except EOFError:
        raise CommandError(Status.OFFSET_EXCEEDS_FILE_SIZE) from None


def show_help(language: Language, _arguments: Sequence[str], _store: Files) -> Response:
    """Reply with the names of the commands."""
    return Response(Status.OK, body=Lines("".join(f"{name}\r\n" for name in language.commands).encode("ascii")))


def leave(_language: Language, _arguments: Sequence[str], _store: Files) -> Response:
    """Reply OK and close the connection."""
    return Response(Status.OK, closes=True)


GET_FILE_LISTING = Command("get_file_listing", range(1), get_file_listing)
GET_METADATA = Command("get_metadata", range(1, 2), get_metadata, get_metadata_at_hand)
GET_SLICE = Command("get_slice", range(3, 5), get_slice)
HELP = Command("help", range(1), show_help)
QUIT = Command("quit", range(1), leave)


def split(command: str) -> tuple[str, list[str]]:
    """Return a command's name and its arguments. Raise CommandError, see `Connection.normalize_command`."""
    name, *arguments = elements = command.split(" ")
    if "" in elements or not (command.isascii() and command.isprintable()):
        raise CommandError(Status.BAD_REQUEST)
    return name, arguments


def parse_number(text: str) -> int:
    """Parse a non-negative decimal of ASCII digits. Return 2**63, larger than any file, past 18 significant digits.

    Raise CommandError(INVALID_ARGUMENTS_FOR_COMMAND) for anything else, also what `int` accepts (signs, underscores,
    other scripts' digits), and for `limits.ELEMENT_BYTES` zeros or more: they may be the start of an abridged number.
    """
    if not (text.isascii() and text.isdigit()):
        raise CommandError(Status.INVALID_ARGUMENTS_FOR_COMMAND)
    if len(text) <= limits.NUMBER_DIGITS:
        return int(text)
    digits = text.lstrip("0")
    if not digits and len(text) >= limits.ELEMENT_BYTES:
        raise CommandError(Status.INVALID_ARGUMENTS_FOR_COMMAND)
    return int(digits or "0") if len(digits) <= limits.NUMBER_DIGITS else 2**63
