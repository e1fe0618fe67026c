"""Commands take numbers as the protocol writes them, and check arguments before files before ranges."""

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
    parse_number,
)
from greenserver.protocol.responses import PlainSlice
from greenserver.protocol.status import CommandError, Status
from tests.greenserver.conftest import PURE, SERVED, TEXT

COMMANDS = (GET_FILE_LISTING, GET_METADATA, GET_SLICE, HELP, QUIT)
LANGUAGE = Language({command.name: command for command in COMMANDS}, {"": PlainSlice, "plain": PlainSlice})


def run(command: Command, store: FileStore, *arguments: str) -> bytes:
    """Return the body of the answer to a command."""
    assert len(arguments) in command.arguments
    response = command.run(LANGUAGE, arguments, store)
    assert response.status is Status.OK
    assert response.closes == (command is QUIT)
    if response.body is None:
        return response.text
    assert not response.text
    with contextlib.closing(response.body) as body:
        taken = b""
        while part := body.part(len(taken)):
            taken += part
        return taken


def test_a_listing_that_fails_does_so_before_anything_is_sent(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listing() -> bytes:
        raise PermissionError

    monkeypatch.setattr(store, "listing", listing)
    with pytest.raises(OSError):
        GET_FILE_LISTING.run(LANGUAGE, (), store)


def test_commands_answer(store: FileStore) -> None:
    assert sorted(run(GET_FILE_LISTING, store).decode().split("\r\n")) == sorted([*SERVED, "", ""])
    assert run(GET_METADATA, store, "text.txt") == b"41\r\n"
    assert run(GET_SLICE, store, "text.txt", "7", "4") == TEXT[7:11]
    assert run(GET_SLICE, store, "text.txt", "7", "4", "plain") == TEXT[7:11]
    assert run(HELP, store) == b"get_file_listing\r\nget_metadata\r\nget_slice\r\nhelp\r\nquit\r\n\r\n"
    assert run(QUIT, store) == b""


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
def test_arguments_come_before_the_file_and_the_file_before_the_range(
    store: FileStore, arguments: tuple[str, ...], status: Status
) -> None:
    with pytest.raises(CommandError) as refusal:
        GET_SLICE.run(LANGUAGE, arguments, store)
    assert refusal.value.status is status


@PURE
@given(st.integers(0, 10**30), st.integers(0, 30))
def test_a_decimal_is_its_value_or_past_the_end_of_any_file(value: int, zeros: int) -> None:
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
def test_what_is_not_only_digits_is_no_number(text: str) -> None:
    with pytest.raises(CommandError) as refusal:
        parse_number(text)
    assert refusal.value.status is Status.INVALID_ARGUMENTS_FOR_COMMAND
