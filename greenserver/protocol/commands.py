"""Define the protocol's commands: one function and one table row each, which `dialects` adds to those that have it.

The function checks the syntax of all arguments, and returns what is left to do, a function of a file store, and the
file that it is about.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from greenserver.config import limits
from greenserver.protocol.responses import EOL, OK_NUMBER, Lines, Response
from greenserver.protocol.slice_encodings import SliceForm
from greenserver.protocol.status import OK, OK_LINE, CommandError, Status
from greenserver.protocol.store import Files, Text

Reply: TypeAlias = bytes | Response
"""The bytes of a short reply with status OK, or a response."""

Run: TypeAlias = Callable[[Files], Reply]
"""Answers a request from a file store.

Raises what the store raises, see `status_of`, or WouldBlockError if the store does not wait for a disk.
"""


class Target(NamedTuple):
    """The file that a request names and, if it asks for a part of it, which."""

    file: str
    offset: int | None = None
    size: int | None = None


class Parsed(NamedTuple):
    """What the arguments of a command mean."""

    run: Run
    target: Target | None = None


_NAME: Final = re.compile(f"[{limits.NAME_CHARACTERS}]+", re.ASCII)


@dataclass(frozen=True)
class Language:
    """The parts of a dialect that commands need."""

    commands: Mapping[str, "Command"]
    slice_forms: Mapping[str, SliceForm]
    """By the argument that selects it; the empty string is the default."""


@dataclass(frozen=True)
class Command:
    """A row of the table: a command's name, its number of arguments, and the function that parses them.

    The function raises CommandError(INVALID_ARGUMENTS_FOR_COMMAND).
    """

    name: str
    arguments: range
    parse: Callable[[Language, Sequence[str]], Parsed]


def get_file_listing(_language: Language, _arguments: Sequence[str]) -> Parsed:
    """Reply with the names of the files that can be fetched."""
    return Parsed(lambda files: _listing(files.listing()))


def get_metadata(_language: Language, arguments: Sequence[str]) -> Parsed:
    """Reply with a file's length in bytes."""
    name = parse_name(arguments[0])
    return Parsed(lambda files: OK_NUMBER % files.size(name), Target(name))


def get_slice(language: Language, arguments: Sequence[str]) -> Parsed:
    """Reply with a part of a file."""
    form = language.slice_forms.get("".join(arguments[3:]))
    if form is None:
        raise CommandError(Status.INVALID_ARGUMENTS_FOR_COMMAND)
    name, offset, size = parse_name(arguments[0]), parse_number(arguments[1]), parse_number(arguments[2])
    target = Target(name, offset, size)
    if size <= limits.SMALL_SLICE_BYTES:
        return Parsed(lambda files: form.whole(files.read(name, offset, size)), target)
    return Parsed(lambda files: Response(OK, body=form(files.slice(name, offset, size))), target)


def show_help(language: Language, _arguments: Sequence[str]) -> Parsed:
    """Reply with the names of the commands."""
    names = "".join(f"{name}\r\n" for name in language.commands).encode("ascii")
    return Parsed(lambda _files: OK_LINE + names + EOL)


def leave(_language: Language, _arguments: Sequence[str]) -> Parsed:
    """Reply OK and close the connection."""
    return Parsed(lambda _files: Response(OK, closes=True))


GET_FILE_LISTING = Command("get_file_listing", range(1), get_file_listing)
GET_METADATA = Command("get_metadata", range(1, 2), get_metadata)
GET_SLICE = Command("get_slice", range(3, 5), get_slice)
HELP = Command("help", range(1), show_help)
QUIT = Command("quit", range(1), leave)


def split(command: str) -> tuple[str, list[str]]:
    """Return a command's name and its arguments. Raise CommandError, see `Connection.normalize_command`."""
    name, *arguments = elements = command.split(" ")
    if "" in elements or not (command.isascii() and command.isprintable()):
        raise CommandError(Status.BAD_REQUEST)
    return name, arguments


def parse_name(text: str) -> str:
    """Return a file name. Raise CommandError(INVALID_ARGUMENTS_FOR_COMMAND) for a character that is not allowed."""
    if not _NAME.fullmatch(text):
        raise CommandError(Status.INVALID_ARGUMENTS_FOR_COMMAND)
    return text


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


def status_of(error: Exception) -> Status:
    """Return the status for what a file store raised: INTERNAL_SERVER_ERROR unless it stands for another."""
    if isinstance(error, CommandError):
        return error.status
    if isinstance(error, FileNotFoundError):
        return Status.FILE_NOT_FOUND
    return Status.OFFSET_EXCEEDS_FILE_SIZE if isinstance(error, EOFError) else Status.INTERNAL_SERVER_ERROR


def _listing(text: Text) -> Reply:
    """Reply with lines of text, and an empty line."""
    if text.size <= limits.SMALL_SLICE_BYTES:
        return OK_LINE + text.whole() + EOL
    return Response(OK, body=Lines(text))
