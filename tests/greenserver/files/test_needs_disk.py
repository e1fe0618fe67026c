"""What is not in memory is found by a job in another thread."""

from collections.abc import Callable
from pathlib import Path

import pytest

from greenserver.config.limits import KNOWN_NAME_SECONDS
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


@pytest.mark.parametrize(("file_system", "seconds"), [("ext4", 1.0), ("tmpfs", 1.0), ("nfs4", 0.0), ("fuse", 0.0)])
def test_a_name_stays_known_for_a_second_and_only_where_nobody_else_can_change_it(
    file_system: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("greenserver.files.store.file_system_of", lambda _: file_system)
    looked_up: list[str] = []

    def is_name_cached(_directory: int, name: str) -> bool:
        looked_up.append(name)
        return True

    monkeypatch.setattr("greenserver.files.store.is_name_cached", is_name_cached)
    with FileStore(tmp_path) as store:
        files = store.in_memory
        files.refresh(100.0)
        assert files.stale_at == 100.0 + seconds
        for _ in range(2):
            files.size("file")
        files.refresh(101.0)
        files.size("file")
    assert len(looked_up) == {"ext4": 2, "tmpfs": 0}.get(file_system, 3)
    assert KNOWN_NAME_SECONDS == 1.0
