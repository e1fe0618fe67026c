"""The port is written to any kind of file, and never delays a start for long."""

import os
import threading
from pathlib import Path

import pytest

from greenserver.config import limits
from greenserver.service.port_file import write_port
from tests.greenserver.program import running


def test_writes_a_world_readable_file_atomically(tmp_path: Path) -> None:
    file = tmp_path / "port"
    file.write_text("an older and longer content")
    held = file.open()
    write_port(str(file), 12345)
    assert file.read_text() == "12345\n"
    assert file.stat().st_mode & 0o777 == 0o644
    with held:
        assert held.read() == "an older and longer content"  # whoever had it open never sees half of the new one
    assert list(tmp_path.iterdir()) == [file]


def test_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "port").mkdir()
    with pytest.raises(OSError, match=r"^cannot write the port to .*port: Is a directory$"):
        write_port(str(tmp_path / "port"), 1)
    assert [path.name for path in tmp_path.iterdir()] == ["port"]


@pytest.mark.parametrize("is_there", [True, False])
def test_writes_to_the_target_of_a_symlink(tmp_path: Path, is_there: bool) -> None:
    if is_there:
        (tmp_path / "real").write_text("an older and longer content")
    (tmp_path / "link").symlink_to("real")
    write_port(str(tmp_path / "link"), 12345)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "12345\n"


def test_writes_to_a_fifo_whose_reader_comes_later(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[str] = []
    reader = threading.Timer(0.1, lambda: read.append(fifo.read_text()))
    reader.start()
    write_port(str(fifo), 12345)
    reader.join()
    assert read == ["12345\n"]
    assert fifo.is_fifo()


def test_times_out_on_a_fifo_without_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PORT_FILE_SECONDS", 0.05)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match=r"^cannot write the port to .*fifo: nobody reads this FIFO$"):
        write_port(str(tmp_path / "fifo"), 1)


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}"])
@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_writes_to_a_descriptor(tmp_path: Path, name: str, kind: str) -> None:
    reader, writer = os.pipe() if kind == "pipe" else (os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT), -1)
    try:
        write_port(name.format(writer if kind == "pipe" else reader), 12345)
        assert os.read(reader, 100) == b"12345\n"
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


@pytest.mark.once
def test_server_writes_its_port_to_a_pipe(directory: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as pipe:
        options = ("-d", str(directory), "--port-file", f"/dev/fd/{writer}")
        with running(tmp_path, *options, pass_fds=(writer,), has_port_file=False) as server:
            os.close(writer)
            port = int(pipe.readline())
            assert f" listens on 127.0.0.1:{port} " in server.stdout.read_text()
