"""What is in memory is read at once; of all else it is said that it is not."""

import errno
import os
from pathlib import Path

import pytest

from greenserver.files import page_cache
from greenserver.files.file_slice import FileSlice, WouldBlockError
from greenserver.files.page_cache import file_system_of, is_all_in_memory, is_name_cached, keeps_names
from greenserver.io import c_library


def read_from_memory(descriptor: int, offset: int) -> bytearray:
    """Read four bytes without waiting for a disk."""
    return FileSlice(descriptor, offset, 4, os.fstat(descriptor), -1, "").read(0, 4, may_block=False)


def test_a_file_that_was_just_written_is_in_memory_and_one_that_nobody_looked_up_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    directory = os.open(tmp_path, os.O_PATH)
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert is_name_cached(directory, "file")
        assert not is_name_cached(directory, "never-asked-for")
        if is_all_in_memory(file_system_of(descriptor)):
            with pytest.raises(WouldBlockError):
                read_from_memory(descriptor, 3)
        else:
            assert read_from_memory(descriptor, 3) == b"3456"
        with pytest.raises(WouldBlockError):
            read_from_memory(descriptor, 8)
    finally:
        os.close(descriptor)
        os.close(directory)


@pytest.mark.parametrize("refusal", [errno.EOPNOTSUPP, errno.EAGAIN, errno.ENOSYS])
def test_what_the_file_system_does_not_say_is_not_cached(monkeypatch: pytest.MonkeyPatch, refusal: int) -> None:
    def refuse(*_: object) -> int:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(os, "preadv", refuse)
    with pytest.raises(WouldBlockError):
        read_from_memory(0, 0)


def test_where_nobody_says_what_is_cached_nothing_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_library, "NOWAIT", None)
    with pytest.raises(WouldBlockError):
        read_from_memory(0, 0)


def test_a_disk_that_fails_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(OSError, match="Input/output"):
        read_from_memory(0, 0)


def test_a_kernel_that_cannot_tell_knows_no_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_PATH)
    try:
        monkeypatch.setattr(c_library, "SYSCALL", lambda *_: -1)
        monkeypatch.setattr(c_library, "error_number", lambda: errno.ENOSYS)
        assert not is_name_cached(descriptor, "any")
        monkeypatch.setattr(c_library, "SYSCALL", None)
        assert not is_name_cached(descriptor, "any")
    finally:
        os.close(descriptor)


def test_only_a_file_system_without_a_disk_is_all_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        device = os.fstat(descriptor).st_dev
        mounts = tmp_path / "mountinfo"
        monkeypatch.setattr(page_cache, "_MOUNTS", mounts)
        number = f"{os.major(device)}:{os.minor(device)}"
        for kind, expected in (("tmpfs", True), ("ext4", False)):
            mounts.write_text(f"1 2 0:99 / / rw - tmpfs t rw\n3 4 {number} / /x rw shared:1 - {kind} x rw\n")
            assert is_all_in_memory(file_system_of(descriptor)) is expected
        monkeypatch.setattr(page_cache, "_MOUNTS", tmp_path / "absent")
        assert not is_all_in_memory(file_system_of(descriptor))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "file_system", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse", "fuseblk", "fuse.sshfs", ""]
)
def test_a_file_system_that_asks_a_server_or_a_process_is_no_disk(file_system: str) -> None:
    assert not is_all_in_memory(file_system)
    assert not keeps_names(file_system)


@pytest.mark.parametrize("file_system", ["ext4", "xfs", "btrfs", "overlay"])
def test_a_disk_keeps_names_but_not_all_in_memory(file_system: str) -> None:
    assert not is_all_in_memory(file_system)
    assert keeps_names(file_system)
