"""A slice is read completely, from one version of its file, or not at all."""

import os
from pathlib import Path

import pytest

from greenserver.files.file_slice import FileChangedError
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
