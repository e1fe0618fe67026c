"""A configuration file of any kind is read, in bounded time."""

import os
import threading
from pathlib import Path

import pytest

from greenserver.config import config_file, limits
from greenserver.config.config_file import read_file
from greenserver.config.settings import ConfigurationError


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def test_reads_a_fifo_up_to_eof(fifo: Path) -> None:
    writer = threading.Timer(0.05, fifo.write_text, args=["port = 7\n"])
    writer.start()
    assert read_file(str(fifo)) == {"port": 7}
    writer.join()


@pytest.mark.parametrize(
    ("written", "reason"),
    [(b"", "nothing comes from this FIFO"), (b"port = 7", "the writer of this FIFO does not end")],
)
def test_times_out_on_a_fifo_without_eof(
    written: bytes, reason: str, fifo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CONFIG_SECONDS", 0.05)
    descriptor = os.open(fifo, os.O_RDWR)
    try:
        os.write(descriptor, written)
        with pytest.raises(ConfigurationError, match=f"^cannot read {fifo}: {reason}"):
            read_file(str(fifo))
    finally:
        os.close(descriptor)


def test_reads_a_large_file_completely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_file, "_PART_BYTES", 3)
    (tmp_path / "file").write_text("port = 7\nrate = '1K'\n")
    assert read_file(str(tmp_path / "file")) == {"port": 7, "rate": 1024}
    (tmp_path / "empty").touch()
    assert read_file(str(tmp_path / "empty")) == {}
