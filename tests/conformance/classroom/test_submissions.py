"""A submission says by its files how it is built and started."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.classroom.submissions import MARK, NO_START, WIRED_ADDRESS, Start, owner_of, start_of, submissions_in
from conformance.grading.assessment import Person

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that makes a submission of files and their texts."""
    numbers = itertools.count()

    def made(**files: str) -> Path:
        folder = tmp_path / f"submission-{next(numbers)}"
        for name, text in files.items():
            path = folder / name.replace("__", "/").replace("_py", ".py").replace("_toml", ".toml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return folder

    return made


OPTIONS = "import argparse"
RUN = "all: server\n\ncc\nrun: all\n\t./server $(PORT) ${DIR}\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"server_py": OPTIONS}, Start("python3 server.py -p {port} -d {dir}")),
        ({"server_py": "print()"}, Start("python3 server.py", address=WIRED_ADDRESS)),
        ({"Makefile": RUN, "server_py": OPTIONS}, Start("make -s run PORT={port} DIR={dir}", "make -s all")),
        ({"Makefile": "run:\n\t./server\n"}, Start("make -s run", address=WIRED_ADDRESS)),
        ({"Makefile": "CC := cc\nserver: server.c\n"}, Start("./server -p {port} -d {dir}", "make -s")),
        ({"Makefile": "clean:\n", "server_py": OPTIONS}, Start("python3 server.py -p {port} -d {dir}")),
        ({"conformance_toml": 'serve = "x {port}"\nbuild = "y"', "Makefile": RUN}, Start("x {port}", "y")),
        ({"conformance_toml": 'serv = "x"'}, Start(problem="conformance.toml: object contains unknown field `serv`")),
        ({"conformance_toml": 'serve = "x"\naddress = "a:b"'}, Start(problem="conformance.toml: 'a:b': a port")),
        (
            {"conformance_toml": 'serve = "x {port}"\ndirectory = "/etc"'},
            Start(problem="conformance.toml: directory has to be in the submission, not /etc"),
        ),
        ({"readme": "hello"}, Start(problem=NO_START)),
    ],
)
def test_start_is_found_by_rule(files: dict[str, str], expected: Start, make: Make) -> None:
    found = start_of(make(**files), Start())
    assert (found.serve, found.build, found.address) == (expected.serve, expected.build, expected.address)
    assert found.problem.startswith(expected.problem) if expected.problem else not found.problem


def test_command_line_counts_before_all_files(make: Make) -> None:
    folder = make(conformance_toml='serve = "x {port}"', Makefile=RUN)
    found = start_of(folder, Start("./mine {port}", "make mine", "", "data"))
    assert (found.serve, found.build, found.directory) == ("./mine {port}", "make mine", "data")
    assert start_of(folder, Start(build="make it")).serve == "x {port}"
    assert start_of(folder, Start(build="make it")).build == "make it"


def test_folder_in_a_folder_is_entered(make: Make) -> None:
    folder = make(inner__deep__server_py=OPTIONS)
    assert start_of(folder, Start()).folder == folder / "inner" / "deep"


def test_submissions_are_the_folders_but_hidden_ones_and_results(tmp_path: Path) -> None:
    for name in ("b", "a", ".git", "_solution", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "results" / MARK).touch()
    (tmp_path / "notes.txt").touch()
    assert [path.name for path in submissions_in(tmp_path)] == ["a", "b"]


def test_moodle_says_whose_a_folder_is() -> None:
    name, person = owner_of("Ana Pérez_1234567_assignsubmission_file_")
    assert (name, person) == ("Ana Pérez", Person("Ana Pérez", "Participant 1234567"))
    assert owner_of("group_7") == ("group_7", Person())
