"""What is not in memory is found by a job in another thread."""

from collections.abc import Callable
from pathlib import Path

import pytest

from greenserver.files.needs_disk import FoundFiles, NeedsDiskError
from greenserver.files.store import FileStore

Request = Callable[[str], object]


def test_a_file_that_is_not_in_memory_becomes_a_job(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with FileStore(tmp_path) as store:
        files = store.in_memory
        with pytest.raises(NeedsDiskError) as raised:
            files.listing()
        raised.value.job()
        assert FoundFiles(raised.value.job).listing().whole() == b"file\r\n"
        assert files.size("file") == 10
        requests: tuple[Request, ...] = (
            files.size,
            lambda name: files.read(name, 0, 1),
            lambda name: files.slice(name, 0, 1),
        )
        for number, request in enumerate(requests):
            with pytest.raises(NeedsDiskError) as raised:
                request(f"never-asked-for-{number}")
            raised.value.job()
            found = FoundFiles(raised.value.job)
            with pytest.raises(FileNotFoundError):
                found.size(f"never-asked-for-{number}")
