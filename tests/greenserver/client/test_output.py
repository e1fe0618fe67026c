"""What is printed stays on its line, and errors decide the exit status."""

import doctest

import pytest

from greenserver.client import errors, output
from greenserver.client.errors import (
    AddressError,
    ChangedError,
    ConnectionFailedError,
    DifferentError,
    DisconnectedError,
    Exit,
    HftpError,
    LocalError,
    RefusedError,
    RemoteProtocolError,
    StalledError,
    exit_status,
)
from greenserver.client.output import Output
from greenserver.protocol.client import Refused


def test_the_examples_in_the_documentation_run() -> None:
    assert doctest.testmod(output).failed == 0
    assert doctest.testmod(errors).failed == 0


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RefusedError(Refused(202, "NO")), Exit.REFUSED),
        (AddressError("x"), Exit.USAGE),
        (ConnectionFailedError("x"), Exit.UNREACHABLE),
        (StalledError("x"), Exit.UNREACHABLE),
        (DisconnectedError("x"), Exit.UNREACHABLE),
        (RemoteProtocolError("x"), Exit.MALFORMED),
        (ChangedError("x"), Exit.DIFFERENT),
        (DifferentError("x"), Exit.DIFFERENT),
        (LocalError("x"), Exit.LOCAL),
    ],
)
def test_each_kind_of_error_has_an_exit_status(error: HftpError, status: Exit) -> None:
    assert exit_status(error) == status


def test_the_first_error_decides(capsys: pytest.CaptureFixture[str]) -> None:
    printed = Output()
    printed.error(ChangedError("first"), "n" * 1000)
    printed.error(LocalError("second"))
    assert printed.exit == Exit.DIFFERENT
    assert capsys.readouterr().err == f"hftp: {'n' * 60}...: first\nhftp: second\n"


@pytest.mark.parametrize(
    ("is_json", "is_quiet", "expected"), [(False, False, "a\n"), (False, True, ""), (True, True, '{"n": 1}\n')]
)
def test_a_note_is_for_those_who_want_to_know(
    is_json: bool, is_quiet: bool, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Output(is_json=is_json, is_quiet=is_quiet).note("a", n=1)
    assert capsys.readouterr().out == expected
