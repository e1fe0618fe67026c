"""A slice is read completely, from one version of its file, or not at all."""

import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenserver.config.limits import SETTLED_NANOSECONDS, WRITE_NANOSECONDS
from greenserver.files import file_slice
from greenserver.files import store as store_module
from greenserver.files.file_slice import FileChangedError, WouldBlockError
from greenserver.files.store import FileStore
from tests.greenserver.conftest import LARGE, TEXT
from tests.greenserver.serving import wait_until


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


WRITER = """
import os, sys, time
file, kind = os.open(sys.argv[1], os.O_WRONLY), sys.argv[2]
contents = [letter * 40_000 for letter in (b"A", b"B")]
print(flush=True)
end = time.monotonic() + 60
number = 0
while time.monotonic() < end:
    number += 1
    if kind == "replace":
        os.pwrite(file, contents[number % 2], 0)
    else:
        os.pwrite(file, b"C" * 100, 40_000 + 100 * number)
        time.sleep(0.002)
"""


@contextlib.contextmanager
def written_to(path: Path, kind: str) -> Iterator[None]:
    """Have another process write to a file all the time: replace its contents in place, or append to it."""
    path.write_bytes(b"A" * 40_000)
    command = [sys.executable, "-c", WRITER, str(path), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            yield
        finally:
            writer.kill()


def outcome(store: FileStore) -> str:
    try:
        return "whole" if len(set(store.read("file", 0, 40_000))) == 1 else "mixed"
    except FileChangedError:
        return "refused"


@pytest.mark.once
def test_no_mixture_is_read_beside_a_writer_that_never_pauses(tmp_path: Path) -> None:
    """On a busy machine the writer is interrupted within a write, long after the kernel has set the file's times."""
    with FileStore(tmp_path) as store, written_to(tmp_path / "file", "replace"):
        outcomes = Counter(outcome(store) for _ in range(30))
    assert not outcomes["mixed"], outcomes


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("call", ["read", "slice"])
def test_a_write_that_is_under_way_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Simulate a write that began long ago, and ends while the file is locked for the look for data."""
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    real_lseek = os.lseek

    def end_write(*arguments: int) -> int:
        file.write_bytes(b"ABCDEFGHIJ")
        return real_lseek(*arguments)

    with FileStore(tmp_path) as store:
        monkeypatch.setattr(os, "lseek", end_write)
        found = getattr(store, call)("file", 0, 10)
        if call == "slice":
            part, found = found, found.read(0, 10)
            part.close()
        assert found == b"ABCDEFGHIJ"


def test_a_thread_that_cannot_wait_leaves_a_young_file_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    began = (tmp_path / "file").stat().st_ctime_ns
    with FileStore(tmp_path) as store:
        monkeypatch.setattr(os, "lseek", pytest.fail)  # it may block
        monkeypatch.setattr(file_slice, "time_ns", lambda: began + WRITE_NANOSECONDS - 1)
        for call in (store.read, store.slice):
            with pytest.raises(WouldBlockError):
                call("file", 0, 10, may_block=False)
        monkeypatch.setattr(file_slice, "time_ns", lambda: began + WRITE_NANOSECONDS + 1)
        store.slice("file", 0, 10, may_block=False).close()


@pytest.mark.once
def test_a_file_that_grows_all_the_time_is_read(tmp_path: Path) -> None:
    with FileStore(tmp_path) as store, written_to(tmp_path / "file", "append"):
        for _ in range(5):
            assert store.read("file", 0, 40_000) == b"A" * 40_000


@pytest.mark.parametrize("grows", [False, True])
def test_two_readings_that_agree_count_only_while_the_file_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, grows: bool
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    monkeypatch.setattr(file_slice, "time_ns", lambda: file.stat().st_ctime_ns)
    real_preadv, numbers = os.preadv, itertools.count()

    def write_then_read(*arguments: Any) -> int:  # noqa: ANN401  (the arguments of preadv)
        file.write_bytes((b"AAAAABBBBB" if next(numbers) else b"BBBBBBBBBB") + b"+" * next(numbers) * grows)
        return real_preadv(*arguments)

    with FileStore(tmp_path) as store:
        monkeypatch.setattr(os, "preadv", write_then_read)
        if grows:
            assert store.read("file", 0, 10) == b"AAAAABBBBB"
            assert next(numbers) == 6, "the third agrees with the second"
        else:
            with pytest.raises(FileChangedError):
                store.read("file", 0, 10)


LEASE = """
import fcntl, os, signal, sys, time
file = os.open(sys.argv[1], os.O_RDWR)
seconds = float(sys.argv[2])

def give_back(*_):
    time.sleep(seconds)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)

signal.signal(signal.SIGIO, give_back)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.once
@pytest.mark.parametrize("call", ["read", "slice"])
@pytest.mark.parametrize("seconds", [0.01, 1000.0])
def test_a_lease_is_asked_back_and_waited_for_a_little(tmp_path: Path, seconds: float, call: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    time.sleep(2 * SETTLED_NANOSECONDS / 1e9)
    command = [sys.executable, "-c", LEASE, str(file), str(seconds)]
    with (
        FileStore(tmp_path) as store,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as holder,
    ):
        assert holder.stdout is not None
        assert holder.stderr is not None
        try:
            if not holder.stdout.readline():
                pytest.skip(f"no leases here: {holder.stderr.read().decode()[-200:]}")
            assert store.size("file") == 10
            with pytest.raises(WouldBlockError):
                getattr(store, call)("file", 0, 10, may_block=False)
            if seconds > 1:
                with pytest.raises(BlockingIOError):
                    getattr(store, call)("file", 0, 10)
            else:
                wait_until(lambda: succeeds(store, call), "the lease is given back")
        finally:
            holder.kill()


def succeeds(store: FileStore, call: str) -> bool:
    try:
        found = getattr(store, call)("file", 0, 10)
    except BlockingIOError:
        return False
    if call == "slice":
        found.close()
    return True
