"""A dialect is a set of commands with their numbers of arguments, and the forms of a slice."""

import contextlib

import pytest

from greenserver.config.limits import SMALL_SLICE_BYTES
from greenserver.files.store import FileStore
from greenserver.protocol.commands import Reply
from greenserver.protocol.dialects import DEFAULT_DIALECT, DIALECTS
from greenserver.protocol.responses import Response
from greenserver.protocol.status import CommandError, Status
from tests.greenserver.conftest import LARGE, TEXT
from tests.greenserver.oracle import in_form
from tests.greenserver.serving import DIALECTS as NAMES


def reply(store: FileStore, dialect: str, *elements: str) -> Reply:
    return DIALECTS[dialect].parse(" ".join(elements).encode()).run(store)


def status_of(store: FileStore, dialect: str, *elements: str) -> Status:
    try:
        answer = reply(store, dialect, *elements)
    except CommandError as error:
        return error.status
    return Status.OK if isinstance(answer, bytes) else answer.status


def test_there_are_four_dialects_and_the_newest_is_the_default() -> None:
    assert tuple(DIALECTS) == NAMES
    assert {name: dialect.name for name, dialect in DIALECTS.items()} == {name: name for name in NAMES}
    assert DEFAULT_DIALECT == "2026"


def test_a_slice_has_the_form_of_the_dialect(store: FileStore, dialect: str) -> None:
    assert reply(store, dialect, "get_slice", "text.txt", "0", "41") == Status.OK.line + in_form(dialect, TEXT)
    assert reply(store, dialect, "get_slice", "text.txt", "0", "0") == Status.OK.line + in_form(dialect, b"")
    large = reply(store, dialect, "get_slice", "large.bin", "0", str(SMALL_SLICE_BYTES + 1))
    assert isinstance(large, Response)
    assert large.body is not None
    with contextlib.closing(large.body) as body:
        sent = b""
        while chunk := body.chunk(len(sent)):
            sent += chunk
    assert sent == in_form(dialect, LARGE[: SMALL_SLICE_BYTES + 1])


def test_only_the_newest_dialect_has_help_and_raw_slices(store: FileStore, dialect: str) -> None:
    is_newest = dialect == DEFAULT_DIALECT
    assert status_of(store, dialect, "help") == (Status.OK if is_newest else Status.NO_SUCH_COMMAND)
    assert status_of(store, dialect, "get_slice", "one", "0", "1", "raw") == (
        Status.OK if is_newest else Status.INVALID_ARGUMENTS_FOR_COMMAND
    )


@pytest.mark.parametrize(
    ("name", "counts"), [("get_file_listing", {0}), ("get_metadata", {1}), ("get_slice", {3, 4}), ("quit", {0})]
)
def test_a_wrong_number_of_arguments_is_rejected(store: FileStore, dialect: str, name: str, counts: set[int]) -> None:
    for count in {0, 1, 2, 3, 4, 5, 100} - counts:
        assert status_of(store, dialect, name, *["0"] * count) is Status.INVALID_ARGUMENTS_FOR_COMMAND


@pytest.mark.parametrize("name", ["Quit", "quit2", "__class__", "answer", "get_metadata_"])
def test_an_unknown_command_is_rejected_with_any_arguments(store: FileStore, dialect: str, name: str) -> None:
    for count in (0, 1, 5):
        assert status_of(store, dialect, name, *["x"] * count) is Status.NO_SUCH_COMMAND
