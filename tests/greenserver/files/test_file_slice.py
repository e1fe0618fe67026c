"""A slice is read completely, from one version of its file, or not at all."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenserver.config.limits import SETTLED_NANOSECONDS
from greenserver.files import file_slice
from greenserver.files import store as store_module
from greenserver.files.file_slice import FileChangedError, WouldBlockError
from greenserver.files.store import FileStore
from tests.greenserver.conftest import LARGE, TEXT


@pytest.mark.parametrize(("offset", "size"), [(0, 41), (0, 0), (41, 0), (40, 1), (3, 7)])
def test_a_slice_reads_its_range(store: FileStore, offset: int, size: int) -> None:
    part = store.slice("text.txt", offset, size)
    try:
        assert part.size == size
        assert part.read(0, 100) == TEXT[offset : offset + size]
        assert part.read(size, 100) == b""
        assert part.read(0, 2) == TEXT[offset : offset + min(2, size)]
    finally:
        part.close()


def test_reading_a_truncated_file_raises_file_changed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with FileStore(tmp_path) as store:
        part = store.slice("file", 2, 8)
        try:
            assert part.read(0, 4) == b"2345"
            os.truncate(tmp_path / "file", 8)
            with pytest.raises(FileChangedError):
                part.read(4, 100)
        finally:
            part.close()


def test_short_reads_are_continued(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real_preadv = os.preadv
    monkeypatch.setattr(
        os, "preadv", lambda descriptor, buffers, offset: real_preadv(descriptor, [buffers[0][:1000]], offset)
    )
    part = store.slice("large.bin", 5, 4321)
    try:
        assert part.read(0, 10_000) == LARGE[5 : 5 + 4321]
    finally:
        part.close()


@pytest.mark.parametrize("may_block", [True, False])
def test_read_into_fills_the_buffer_up_to_the_end_of_the_slice(store: FileStore, *, may_block: bool) -> None:
    buffer = memoryview(bytearray(b"." * 8))
    part = store.slice("text.txt", 30, 11)
    try:
        assert bytes(part.read_into(buffer, 0, may_block=may_block)) == TEXT[30:38]
        assert bytes(part.read_into(buffer, 8, may_block=may_block)) == TEXT[38:41]
        assert bytes(buffer) == TEXT[38:41] + TEXT[33:38]
        assert not part.read_into(buffer, 11, may_block=may_block)
    finally:
        part.close()


# --- Files that change meanwhile -----------------------------------------------------------------


def put_time_back(path: Path) -> None:
    times = path.stat()
    path.write_bytes(b"X" * 10)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def remove(path: Path) -> None:
    path.unlink()


def rename(path: Path) -> None:
    path.rename(path.with_name("other"))


def replace_by_another(path: Path) -> None:
    path.with_name("draft").write_bytes(b"X" * 10)
    path.with_name("draft").replace(path)


def link(path: Path) -> None:
    path.with_name("other").hardlink_to(path)


def change_mode(path: Path) -> None:
    path.chmod(0o640)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all files as old as they have to be, and forbid to wait for that."""
    monkeypatch.setattr(file_slice, "time_ns", lambda: 1 << 62)
    monkeypatch.setattr(store_module, "_sleep", pytest.fail)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", [remove, rename, replace_by_another, link, change_mode])
def test_a_change_of_names_or_permissions_does_not_disturb_a_slice(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with FileStore(tmp_path) as store:
        part = store.slice("file", 0, 10)
        try:
            assert part.read(0, 5) == b"01234"
            change(tmp_path / "file")
            assert part.read(5, 5) == b"56789"
        finally:
            part.close()


@pytest.mark.usefixtures("settled")
def test_a_write_is_noticed_although_its_time_is_put_back(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with FileStore(tmp_path) as store:
        part = store.slice("file", 0, 10)
        try:
            assert part.read(0, 5) == b"01234"
            time.sleep(0.03)  # a tick of the clock of the file system
            put_time_back(tmp_path / "file")
            with pytest.raises(FileChangedError):
                part.read(5, 5)
        finally:
            part.close()


@pytest.mark.parametrize("is_large", [False, True])
def test_a_file_that_has_just_been_written_to_is_left_alone_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_large: bool
) -> None:
    """Its times are those of the beginning of a write, which may be under way."""
    (tmp_path / "file").write_bytes(b"0123456789")
    now = (tmp_path / "file").stat().st_ctime_ns + SETTLED_NANOSECONDS // 2
    monkeypatch.setattr(file_slice, "time_ns", lambda: now)
    pauses = []

    def pause(seconds: float) -> None:
        nonlocal now
        pauses.append(seconds)
        now += SETTLED_NANOSECONDS

    monkeypatch.setattr(store_module, "_sleep", pause)
    with FileStore(tmp_path) as store:
        call: Callable[..., Any] = store.slice if is_large else store.read
        with pytest.raises(WouldBlockError):
            call("file", 0, 10, may_block=False)
        found = call("file", 0, 10)
        if is_large:
            found.close()
        assert pauses == [SETTLED_NANOSECONDS / 1e9]
        if is_large:
            monkeypatch.setattr(store_module, "_sleep", lambda _: None)
            now -= SETTLED_NANOSECONDS
            with pytest.raises(FileChangedError):
                store.slice("file", 0, 10)


def test_two_readings_of_a_file_that_is_written_to_have_to_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    monkeypatch.setattr(file_slice, "time_ns", lambda: file.stat().st_ctime_ns)
    real_preadv, contents = os.preadv, iter([b"AAAAABBBBB", b"BBBBBBBBBB"])

    def write_then_read(*arguments: Any) -> int:  # noqa: ANN401  (the arguments of preadv)
        file.write_bytes(next(contents, b"BBBBBBBBBB"))
        return real_preadv(*arguments)

    with FileStore(tmp_path) as store:
        monkeypatch.setattr(os, "preadv", write_then_read)
        assert store.read("file", 0, 10) == b"BBBBBBBBBB"
