"""Commands parse numbers as the protocol requires, and check arguments, then the file, then the range."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserver.config import limits
from greenserver.files.store import FileStore
from greenserver.protocol.commands import (
    GET_FILE_LISTING,
    GET_METADATA,
    GET_SLICE,
    HELP,
    QUIT,
    Command,
    Language,
    Reply,
    parse_name,
    parse_number,
    status_of,
)
from greenserver.protocol.responses import Response
from greenserver.protocol.slice_encodings import PlainSlice
from greenserver.protocol.status import CommandError, Status
from tests.greenserver.conftest import PURE, SERVED, TEXT

COMMANDS = (GET_FILE_LISTING, GET_METADATA, GET_SLICE, HELP, QUIT)
LANGUAGE = Language({command.name: command for command in COMMANDS}, {"": PlainSlice, "plain": PlainSlice})


def run(command: Command, store: FileStore, *arguments: str) -> Reply:
    """Return the reply to a command."""
    assert len(arguments) in command.arguments
    return command.parse(LANGUAGE, arguments).run(store)


def body_of(reply: Reply) -> bytes:
    """Return the body of a reply whose status is OK."""
    if isinstance(reply, bytes):
        assert reply.startswith(Status.OK.line)
        return reply[len(Status.OK.line) :]
    assert reply.status is Status.OK
    assert reply.body is not None
    with contextlib.closing(reply.body) as body:
        sent = b""
        while chunk := body.chunk(len(sent)):
            sent += chunk
        return sent


def test_a_failed_listing_raises_before_anything_is_sent(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def listing() -> bytes:
        raise PermissionError

    monkeypatch.setattr(store, "listing", listing)
    with pytest.raises(OSError):
        GET_FILE_LISTING.parse(LANGUAGE, ()).run(store)


def test_commands_return_their_replies(store: FileStore) -> None:
    listing = body_of(run(GET_FILE_LISTING, store))
    assert sorted(listing.decode().split("\r\n")) == sorted([*SERVED, "", ""])
    assert body_of(run(GET_METADATA, store, "text.txt")) == b"41\r\n"
    assert body_of(run(GET_SLICE, store, "text.txt", "7", "4")) == TEXT[7:11]
    assert body_of(run(GET_SLICE, store, "text.txt", "7", "4", "plain")) == TEXT[7:11]
    commands = b"get_file_listing\r\nget_metadata\r\nget_slice\r\nhelp\r\nquit\r\n\r\n"
    assert body_of(run(HELP, store)) == commands


def test_quit_closes(store: FileStore) -> None:
    reply = run(QUIT, store)
    assert isinstance(reply, Response)
    assert (reply.status, reply.body, reply.closes) == (Status.OK, None, True)


def test_a_large_slice_or_listing_is_streamed(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SMALL_SLICE_BYTES", 10)
    replies = [run(GET_SLICE, store, "text.txt", "7", "11"), run(GET_FILE_LISTING, store)]
    assert all(isinstance(reply, Response) for reply in replies)
    part, listing = map(body_of, replies)
    assert part == TEXT[7:18]
    assert sorted(listing.decode().split("\r\n")) == sorted([*SERVED, "", ""])


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("nothing", "x", "1"), Status.INVALID_ARGUMENTS_FOR_COMMAND),
        (("nothing", "0", "-1"), Status.INVALID_ARGUMENTS_FOR_COMMAND),
        (("nothing", "0", "1", "odd"), Status.INVALID_ARGUMENTS_FOR_COMMAND),
        (("a/b", "0", "1"), Status.INVALID_ARGUMENTS_FOR_COMMAND),
        (("nothing", "0", "99999"), Status.FILE_NOT_FOUND),
        (("text.txt", "0", "99999"), Status.OFFSET_EXCEEDS_FILE_SIZE),
    ],
)
def test_arguments_are_checked_before_the_file_and_the_file_before_the_range(
    store: FileStore, arguments: tuple[str, ...], status: Status
) -> None:
    with pytest.raises((CommandError, OSError, EOFError)) as raised:
        run(GET_SLICE, store, *arguments)
    assert status_of(raised.value) is status


def test_an_unexpected_exception_is_an_internal_error() -> None:
    for error in (PermissionError(), MemoryError(), ZeroDivisionError()):
        assert status_of(error) is Status.INTERNAL_SERVER_ERROR


@pytest.mark.parametrize(
    "name", ["", "../secret", "/etc/passwd", "a b", "\xe9", "a\n", "a\0", "\u0661", "folder/inner"]
)
def test_a_name_with_an_invalid_character_is_an_invalid_argument(name: str) -> None:
    with pytest.raises(CommandError) as raised:
        parse_name(name)
    assert raised.value.status is Status.INVALID_ARGUMENTS_FOR_COMMAND


@pytest.mark.parametrize("name", [".", "..", "a", "A-Z_0.9", "n" * 5000])
def test_a_name_of_valid_characters_is_accepted(name: str) -> None:
    assert parse_name(name) == name


@PURE
@given(st.integers(0, 10**30), st.integers(0, 30))
def test_a_decimal_number_is_its_value_or_larger_than_any_file(value: int, zeros: int) -> None:
    parsed = parse_number("0" * zeros + str(value))
    assert parsed == (value if value < 10**18 else 2**63)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("000", 0), ("9" * 18, 10**18 - 1), ("1" + "0" * 18, 2**63), ("9" * 1024, 2**63), ("0" * 1023, 0)],
)
def test_numbers_at_the_limits(text: str, value: int) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "+1", "-0", "1_0", "1.0", "0x1", "1e3", " 1", "1 ", "1\n", "\u0661", "\u00b2", "\uff11", "NaN"),
        "0" * limits.ELEMENT_BYTES,
    ],
)
def test_a_number_with_anything_but_digits_is_rejected(text: str) -> None:
    with pytest.raises(CommandError) as raised:
        parse_number(text)
    assert raised.value.status is Status.INVALID_ARGUMENTS_FOR_COMMAND
