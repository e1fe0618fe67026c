"""What exploring has found is kept for each server, and the next exploration of it begins with that."""

import os
from pathlib import Path

import pytest

from conformance.config import Options
from conformance.explorer.conversation import Conversation, Send
from conformance.explorer.database import MOST_KEPT, Database, DatabaseError, database_of, default_folder

pytestmark = pytest.mark.once


def conversation(number: int) -> Conversation:
    """Return one of many conversations."""
    return Conversation((Send(("x",), times=number + 1),))


def test_keeps_the_newest_and_gives_them_back(tmp_path: Path) -> None:
    database = Database(tmp_path / "not" / "there")
    assert database.conversations() == []
    for number in range(MOST_KEPT + 3):
        database.keep(conversation(number))
        for path in (tmp_path / "not" / "there").iterdir():  # older by a second each time
            facts = path.stat()
            os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns - 10**9))
    newest = [conversation(number) for number in reversed(range(3, MOST_KEPT + 3))]
    assert database.conversations() == newest
    database.keep(conversation(5))
    assert database.conversations() == [conversation(5), *[row for row in newest if row != conversation(5)]]


def test_leaves_out_what_is_no_conversation(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.keep(conversation(1))
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_bytes(b"\xff")
    (tmp_path / "c.json").write_text(conversation(2).dumps() + " " * (1 << 20))
    (tmp_path / "d.json").mkdir()
    assert database.conversations() == [conversation(1)]


def test_what_cannot_be_kept_is_not_kept_unless_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    database = Database(tmp_path / "file" / "below")
    database.keep(conversation(1))
    assert database.conversations() == []
    with pytest.raises(DatabaseError, match="cannot write"):
        database.require()


def test_each_server_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = [
        Options(serve="server {port}", cwd="/"),
        Options(serve="server {port}", cwd="/tmp"),
        Options(serve="server -x {port}", cwd="/"),
        Options(address="127.0.0.1:1"),
    ]
    for number, options in enumerate(servers):
        database_of(options, tmp_path).keep(conversation(number))
    for number, options in enumerate(servers):
        assert database_of(options, tmp_path).conversations() == [conversation(number)]
    monkeypatch.chdir("/")
    assert database_of(Options(serve="server {port}"), tmp_path).conversations() == [conversation(0)]


@pytest.mark.parametrize(("cache", "folder"), [("/c", "/c"), ("", "/home/x/.cache"), ("relative", "/home/x/.cache")])
def test_is_in_the_cache_directory_of_the_user(cache: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/x")
    assert default_folder({"XDG_CACHE_HOME": cache}) == Path(folder) / "conformance" / "explored"
