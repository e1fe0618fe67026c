"""Only regular files with valid names, directly in one directory, are served, as they are at each request."""

import contextlib
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from greenserver.config.limits import SMALL_SLICE_BYTES
from greenserver.files import store as store_module
from greenserver.files.file_slice import FileChangedError
from greenserver.files.store import FileStore
from tests.greenserver.conftest import SERVED, TEXT


def is_absent(store: FileStore, name: str) -> bool:
    """Return whether both the size and a slice of a file raise FileNotFoundError."""
    for request in (store.size, lambda name: store.slice(name, 0, 0)):
        with pytest.raises(FileNotFoundError):
            request(name)
    return True


def test_exactly_the_files_that_can_be_fetched_are_listed(store: FileStore) -> None:
    assert set(store.names()) == set(SERVED)
    assert {name: store.size(name) for name in store.names()} == {name: len(data) for name, data in SERVED.items()}


def test_hidden_files_are_listed_and_served_if_enabled(directory: Path) -> None:
    with FileStore(directory, hidden=True) as store:
        assert set(store.names()) == {*SERVED, ".hidden"}
        assert store.size(".hidden") == len(b"hidden")


@pytest.mark.parametrize(
    "name",
    ["nothing", ".hidden", "folder", "fifo", "link-out", "link-in", "dangling", ".", "..", "n" * 256, "n" * 5000],
)
def test_anything_but_a_regular_file_is_not_found(store: FileStore, name: str) -> None:
    assert is_absent(store, name)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "folder/inner", "folder/../text.txt", "./text.txt", "text.txt/"]
)
def test_a_path_is_not_found(store: FileStore, name: str) -> None:
    assert is_absent(store, name)


def test_a_socket_is_not_found(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, FileStore(tmp_path) as store:
        listener.bind(str(tmp_path / "socket"))
        assert list(store.names()) == []
        assert is_absent(store, "socket")


def test_sizes_are_current(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with FileStore(tmp_path) as store:
        for data in (b"", b"abc", b"ab"):
            file.write_bytes(data)
            assert store.size("file") == len(data)
        file.unlink()
        assert is_absent(store, "file")
        assert list(store.names()) == []


def test_a_renamed_directory_is_still_served(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_bytes(b"abc")
    with FileStore(tmp_path / "old") as store:
        (tmp_path / "old").rename(tmp_path / "new")
        (tmp_path / "old").mkdir()
        assert list(store.names()) == ["file"]
        assert store.size("file") == 3


def test_a_removed_directory_has_no_files(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "file").touch()
    with FileStore(tmp_path / "gone") as store:
        (tmp_path / "gone" / "file").unlink()
        (tmp_path / "gone").rmdir()
        with contextlib.suppress(FileNotFoundError):  # some kernels list it as empty
            assert list(store.names()) == []
        assert is_absent(store, "file")


@pytest.mark.parametrize(("name", "error"), [("nothing", FileNotFoundError), ("file", NotADirectoryError)])
def test_only_a_directory_can_be_served(tmp_path: Path, name: str, error: type[OSError]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(error):
        FileStore(tmp_path / name)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_failed_lookup_is_not_reported_as_a_missing_file(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(type(error)):
        store.slice("text.txt", 0, 1)
    monkeypatch.setattr(os, "lstat", fail)
    with pytest.raises(type(error)):
        store.size("text.txt")


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o440, 0o404, 0o600])
def test_an_unreadable_file_raises_permission_error_and_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    (tmp_path / "private").write_bytes(TEXT)
    (tmp_path / "private").chmod(mode)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # access(2) always allows root
    with FileStore(tmp_path) as store:
        assert list(store.names()) == []
        with pytest.raises(PermissionError):
            store.size("private")


@pytest.mark.parametrize(("offset", "size"), [(0, 42), (41, 1), (42, 0), (2**63, 0), (0, 2**63)])
def test_a_slice_past_the_end_raises_eof_error(store: FileStore, offset: int, size: int) -> None:
    with pytest.raises(EOFError, match=r"text\.txt has 41 bytes"):
        store.slice("text.txt", offset, size)


def test_a_symlink_created_between_check_and_open_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "served").mkdir()
    file = tmp_path / "served" / "file"
    file.write_bytes(b"public")
    real_open = os.open

    def open_late(name: str, *arguments: int, **more: int) -> int:
        file.unlink()
        file.symlink_to(tmp_path / "secret")
        return real_open(name, *arguments, **more)

    with FileStore(tmp_path / "served") as store:
        monkeypatch.setattr(os, "open", open_late)
        with pytest.raises(FileNotFoundError):
            store.slice("file", 0, 6)


def test_a_fifo_created_between_check_and_open_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"public")
    real_open = os.open

    def open_late(name: str, *arguments: int, **more: int) -> int:
        file.unlink()
        os.mkfifo(file)
        return real_open(name, *arguments, **more)

    with FileStore(tmp_path) as store:
        monkeypatch.setattr(os, "open", open_late)
        with pytest.raises(FileNotFoundError):
            store.slice("file", 0, 6)


def test_closing_twice_is_harmless(directory: Path) -> None:
    store = FileStore(directory)
    store.close()
    with (directory / "one").open("rb") as another:  # which reuses the descriptor
        store.close()
        assert another.read() == b"1"


@pytest.mark.parametrize("may_block", [False, True])
def test_no_descriptor_leaks_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, may_block: bool
) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with FileStore(tmp_path) as store:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(EOFError):
            store.slice("file", 5, 6)
        for call in ("preadv", "fstat"):
            with monkeypatch.context() as patched:
                patched.setattr(os, call, fail)
                with pytest.raises(OSError, match="Input/output"):
                    store.read("file", 0, 10, may_block=may_block)
        assert len(os.listdir("/proc/self/fd")) == before


def test_read_raises_file_changed_error_if_the_file_changes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    real_preadv = os.preadv

    contents = (bytes([letter]) * (letter - 60) for letter in range(ord("A"), ord("Z")))

    def write_then_read(*arguments: Any) -> int:  # noqa: ANN401  (the arguments of preadv)
        file.write_bytes(next(contents))
        return real_preadv(*arguments)

    with FileStore(tmp_path) as store:
        assert store.read("file", 2, 3) == b"234"
        monkeypatch.setattr(os, "preadv", write_then_read)
        with pytest.raises(FileChangedError):
            store.read("file", 2, 3)


@pytest.mark.parametrize("size", [4, SMALL_SLICE_BYTES + 1])
def test_a_file_that_is_replaced_all_the_time_is_served_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def replace() -> None:
        (tmp_path / ".new").write_bytes(os.urandom(size))
        (tmp_path / ".new").replace(tmp_path / "file")

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        replace()

    replace()
    first = (tmp_path / "file").read_bytes()
    monkeypatch.setattr(store_module, "_sleep", sleep)
    with FileStore(tmp_path) as store:
        assert store.read("file", 0, size) == first
        second = (tmp_path / "file").read_bytes()
        part = store.slice("file", 0, size)
        with contextlib.closing(part):
            assert part.read(0, size) == second
