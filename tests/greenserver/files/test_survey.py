"""A survey counts the entries of a directory by whether they can be served."""

import os
from pathlib import Path

import pytest

from greenserver.config import limits
from greenserver.files.survey import Survey, survey


def test_files_are_counted_by_whether_they_can_be_served(directory: Path) -> None:
    found = survey(str(directory), hidden=False)
    assert set(found.inexpressible) == {"my file.txt", "\xf1and\xfa"}
    assert found._replace(inexpressible=[]) == Survey(served=6, hidden=1, unreadable=[], inexpressible=[], others=5)
    assert survey(str(directory), hidden=True)[:2] == (7, 0)


def test_unreadable_files_are_counted_and_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").touch()
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert survey(str(tmp_path), hidden=False) == Survey(0, 0, ["one"], [], 0)


def test_the_survey_of_a_large_directory_stops_at_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    monkeypatch.setattr(limits, "SURVEYED_ENTRIES", 2)
    assert survey(str(tmp_path), hidden=False).served == 2


def test_a_missing_directory_raises_file_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        survey(str(tmp_path / "none"), hidden=False)
