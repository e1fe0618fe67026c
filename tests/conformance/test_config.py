"""A server is named in reports by --name, else by its folder, else by its address."""

from pathlib import Path

import pytest

from conformance.config import Options


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """Return a directory with one folder for each student."""
    for student in ("ana", "bruno"):
        (tmp_path / student).mkdir()
        (tmp_path / student / "server.py").touch()
    return tmp_path


def test_a_given_name_wins() -> None:
    assert Options(address="127.0.0.1:9", name="Ana").server_name == "Ana"


def test_a_server_that_was_running_is_named_by_its_address() -> None:
    assert Options(address="127.0.0.1:9").server_name == "127.0.0.1:9"


@pytest.mark.parametrize(
    ("command", "folder", "name"),
    [
        ("python3 {course}/ana/server.py -p {{port}}", "", "ana"),
        ("python3 bruno/server.py -p {{port}}", ".", "bruno"),
        ("python3 server.py -p {{port}}", "ana", "ana"),
        ("make run", "bruno", "bruno"),
        ("python3 'server.py -p {{port}}", "ana", "ana"),  # a quotation is open
    ],
)
def test_a_server_that_is_started_is_named_by_its_folder(course: Path, command: str, folder: str, name: str) -> None:
    cwd = str(course / folder) if folder else ""
    assert Options(serve=command.format(course=course), cwd=cwd).server_name == name
