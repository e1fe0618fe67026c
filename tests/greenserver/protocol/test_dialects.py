"""A dialect is its commands, their numbers of arguments, and the forms of a slice."""

import contextlib

import pytest

from greenserver.files.store import FileStore
from greenserver.protocol.dialects import DEFAULT_DIALECT, DIALECTS
from greenserver.protocol.responses import Response
from greenserver.protocol.status import CommandError, Status
from tests.greenserver.conftest import TEXT
from tests.greenserver.oracle import in_form
from tests.greenserver.serving import DIALECTS as NAMES


def answer(store: FileStore, dialect: str, name: str, *arguments: str) -> Response:
    return DIALECTS[dialect].find(name, arguments)(store)


def status_of(store: FileStore, dialect: str, name: str, *arguments: str) -> Status:
    try:
        response = answer(store, dialect, name, *arguments)
    except CommandError as refusal:
        return refusal.status
    if response.body is not None:
        response.body.close()
    return response.status


def test_there_are_four_and_the_newest_is_the_default() -> None:
    assert tuple(DIALECTS) == NAMES
    assert {name: dialect.name for name, dialect in DIALECTS.items()} == {name: name for name in NAMES}
    assert DEFAULT_DIALECT == "2026"


def test_a_slice_has_the_dialects_form(store: FileStore, dialect: str) -> None:
    body = answer(store, dialect, "get_slice", "text.txt", "0", "41").body
    assert body is not None
    with contextlib.closing(body):
        assert body.part(0) == in_form(dialect, TEXT)


def test_only_the_newest_has_help_and_raw_slices(store: FileStore, dialect: str) -> None:
    is_newest = dialect == DEFAULT_DIALECT
    assert status_of(store, dialect, "help") == (Status.OK if is_newest else Status.NO_SUCH_COMMAND)
    assert status_of(store, dialect, "get_slice", "one", "0", "1", "raw") == (
        Status.OK if is_newest else Status.INVALID_ARGUMENTS_FOR_COMMAND
    )


@pytest.mark.parametrize(
    ("name", "counts"), [("get_file_listing", {0}), ("get_metadata", {1}), ("get_slice", {3, 4}), ("quit", {0})]
)
def test_a_wrong_number_of_arguments_is_refused(store: FileStore, dialect: str, name: str, counts: set[int]) -> None:
    for count in {0, 1, 2, 3, 4, 5, 100} - counts:
        assert status_of(store, dialect, name, *["0"] * count) is Status.INVALID_ARGUMENTS_FOR_COMMAND


@pytest.mark.parametrize("name", ["", "Quit", "quit2", "__class__", "answer", "get_metadata "])
def test_an_unknown_command_is_refused_whatever_its_arguments(store: FileStore, dialect: str, name: str) -> None:
    for count in (0, 1, 5):
        assert status_of(store, dialect, name, *["x"] * count) is Status.NO_SUCH_COMMAND
