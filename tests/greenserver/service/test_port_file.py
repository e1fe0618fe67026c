"""The port is written to whatever file the operator names, and a start never waits for it for ever."""

import os
import threading
from pathlib import Path

import pytest

from greenserver.config import limits
from greenserver.service.port_file import write_port
from tests.greenserver.program import running


def test_a_file_is_written_whole_and_for_all_to_read(tmp_path: Path) -> None:
    file = tmp_path / "port"
    file.write_text("an older and longer content")
    held = file.open()
    write_port(str(file), 12345)
    assert file.read_text() == "12345\n"
    assert file.stat().st_mode & 0o777 == 0o644
    with held:
        assert held.read() == "an older and longer content"  # whoever had it open never sees half of the new one
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "port").mkdir()
    with pytest.raises(OSError, match=r"^cannot write the port to .*port: Is a directory$"):
        write_port(str(tmp_path / "port"), 1)
    assert [path.name for path in tmp_path.iterdir()] == ["port"]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path, is_there: bool) -> None:
    if is_there:
        (tmp_path / "real").write_text("an older and longer content")
    (tmp_path / "link").symlink_to("real")
    write_port(str(tmp_path / "link"), 12345)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "12345\n"


def test_a_fifo_stays_and_its_reader_gets_the_port_even_if_it_comes_later(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[str] = []
    reader = threading.Timer(0.1, lambda: read.append(fifo.read_text()))
    reader.start()
    write_port(str(fifo), 12345)
    reader.join()
    assert read == ["12345\n"]
    assert fifo.is_fifo()


def test_a_fifo_that_nobody_reads_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PORT_FILE_SECONDS", 0.05)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match=r"^cannot write the port to .*fifo: nobody reads this FIFO$"):
        write_port(str(tmp_path / "fifo"), 1)


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}"])
@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_a_descriptor_is_written_to(tmp_path: Path, name: str, kind: str) -> None:
    reader, writer = os.pipe() if kind == "pipe" else (os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT), -1)
    try:
        write_port(name.format(writer if kind == "pipe" else reader), 12345)
        assert os.read(reader, 100) == b"12345\n"
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


@pytest.mark.once
def test_a_server_tells_its_port_by_a_pipe(directory: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as pipe:
        options = ("-d", str(directory), "--port-file", f"/dev/fd/{writer}")
        with running(tmp_path, *options, pass_fds=(writer,), has_port_file=False) as server:
            os.close(writer)
            port = int(pipe.readline())
            assert f" listens on 127.0.0.1:{port} " in server.stdout.read_text()
