"""Files are served by the characters of their names, and if this process may read them."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from greenserver.config.limits import KNOWN_NAMES, SETTLED_NANOSECONDS
from greenserver.files.entries import ReadableFiles, is_expressible, version
from tests.greenserver.conftest import Start
from tests.greenserver.launching import find_program
from tests.greenserver.serving import ENGINES

FAILED = b"199 INTERNAL SERVER ERROR\r\n"


@pytest.mark.parametrize(
    ("name", "expected"), [("a.B-9_", True), ("a b", False), ("\xf1", False), ("a/b", False), ("", False)]
)
def test_names_consist_of_the_characters_of_the_protocol(name: str, *, expected: bool) -> None:
    assert is_expressible(name) == expected


def set_acl(entry: str, *paths: Path) -> None:
    """Change access control lists. Skip the test where that cannot be done."""
    done = subprocess.run(
        [find_program("setfacl"), "-m", entry, *paths], check=False, capture_output=True, text=True, timeout=30
    )
    if done.returncode:
        pytest.skip(f"no access control lists here: {done.stderr.strip()}")


@pytest.mark.once
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("engine", ENGINES)
def test_sizes_and_listings_and_slices_agree_on_access_control_lists(start: Start, tmp_path: Path, engine: str) -> None:
    served = tmp_path / "served"
    served.mkdir()
    denied, granted = served / "denied", served / "granted"
    for path, mode in ((denied, 0o644), (granted, 0o600)):
        path.write_bytes(b"12")
        path.chmod(mode)
        os.chown(path, 65534, 65534)
    set_acl("u:root:---", denied)
    set_acl("u:root:r", granted)
    assert denied.stat().st_mode & 0o777 == 0o644, "the mode does not tell"
    time.sleep(2 * SETTLED_NANOSECONDS / 1e9)
    server = start(served, "--engine", engine, environment={"TEST_PERMISSIONS": "1"})

    def replies(name: str) -> list[bytes]:
        return [server.ask(b"get_metadata %b\r\n" % name.encode()), server.ask(b"get_slice %b 0 2\r\n" % name.encode())]

    for _ in range(2):
        assert server.ask(b"get_file_listing\r\n") == b"0 OK\r\ngranted\r\n\r\n"
        assert replies("denied") == [FAILED, FAILED]
        assert replies("granted") == [b"0 OK\r\n2\r\n", b"0 OK\r\nMTI=\r\n"]
    set_acl("u:root:r", denied)
    set_acl("u:root:---", granted)
    assert replies("denied") == [b"0 OK\r\n2\r\n", b"0 OK\r\nMTI=\r\n"], "at once"
    assert replies("granted") == [FAILED, FAILED]


def require(files: ReadableFiles, path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        files.require(directory, path.name, path.stat())
    finally:
        os.close(directory)


@pytest.mark.parametrize("is_kept", [False, True])
def test_what_is_readable_is_remembered_until_the_change_time_moves(tmp_path: Path, *, is_kept: bool) -> None:
    files = ReadableFiles(is_kept=is_kept)
    path = tmp_path / "file"
    path.touch()
    require(files, path)
    assert files.known == {}, "the next change may have the same time"
    time.sleep(2 * SETTLED_NANOSECONDS / 1e9)
    require(files, path)
    assert files.known == ({"file": version(path.stat())} if is_kept else {})
    path.chmod(0o640)
    assert files.known.get("file") != version(path.stat())


def test_what_is_not_readable_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ReadableFiles(is_kept=True)
    path = tmp_path / "file"
    path.touch()
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # access(2) always allows root
    for _ in range(2):
        with pytest.raises(PermissionError, match="file"):
            require(files, path)
    assert files.known == {}


def test_its_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ReadableFiles(is_kept=True)
    monkeypatch.setattr("greenserver.config.limits.SETTLED_NANOSECONDS", -1 << 62)
    found = tmp_path.stat()
    monkeypatch.setattr(os, "access", lambda *_, **__: True)
    for number in range(KNOWN_NAMES + 10):
        files.require(0, f"file{number}", found)
    assert len(files.known) == 10
