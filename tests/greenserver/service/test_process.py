"""A single process reloads its configuration on SIGHUP, on every engine, and keeps the old one if that fails."""

import contextlib
import logging
import signal
import socket
from pathlib import Path

import pytest

from greenserver.config.settings import Settings
from greenserver.service import process
from greenserver.service.reload import Reload
from greenserver.telemetry.metrics_interface import SILENT
from tests.greenserver.conftest import Start
from tests.greenserver.instrumented import HANGS, WAITS
from tests.greenserver.serving import Server, wait_until

NO_FILE = b"202 FILE NOT FOUND\r\n"


@pytest.fixture
def config(tmp_path: Path, directory: Path) -> Path:
    path = tmp_path / "greenserver.toml"
    path.write_text(f'directory = "{directory}"\nhidden = true\n')
    return path


def start_with(start: Start, config: Path, directory: Path, engine: str, *more: str) -> Server:
    server = start(directory, "-c", str(config), "--engine", engine, *more, is_directory_option=False)
    assert isinstance(server, Server)
    return server


def reload(server: Server, message: str) -> None:
    """Send SIGHUP and wait for one more occurrence of a log message."""
    before = server.log().count(message)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.log().count(message) > before, message)


def test_reload_applies_directory_and_settings(
    start: Start, config: Path, directory: Path, tmp_path: Path, engine: str
) -> None:
    server = start_with(start, config, directory, engine)
    assert server.ask(b"get_metadata .hidden\r\nhelp\r\n").startswith(b"0 OK\r\n6\r\n0 ")
    other = tmp_path / "other"
    other.mkdir()
    (other / "new").write_bytes(b"abc")
    config.write_text(f'directory = "{other}"\ndialect = "2019"\n')
    reload(server, "configuration reloaded")
    assert server.ask(b"get_file_listing\r\nhelp\r\n") == b"0 OK\r\nnew\r\n\r\n200 NO SUCH COMMAND\r\n"
    assert server.stop() == 0


def test_reload_keeps_the_old_configuration_if_the_new_one_is_invalid(
    start: Start, config: Path, directory: Path, engine: str
) -> None:
    server = start_with(start, config, directory, engine)
    good = config.read_text()
    for bad, message in (
        ("prot = 1\n", "unknown key 'prot'"),
        ('directory = "/nowhere/at/all"\n', "cannot serve /nowhere/at/all"),
        ('tls-cert = "/no/cert"\ntls-key = "/no/key"\n', "cannot read /no/cert"),
    ):
        config.write_text(bad)
        reload(server, "reload failed; keeping the old configuration")
        assert message in server.log()
        assert server.ask(b"get_metadata .hidden\r\n") == b"0 OK\r\n6\r\n"
    config.write_text(good + "port = 1\nworkers = 2\nfile-threads = 3\n")
    reload(server, "change ignored until a restart")
    assert 'options="workers file-threads"' in server.log()
    assert server.stop() == 0


def test_reload_closes_idle_connections_and_finishes_replies(
    start: Start, config: Path, directory: Path, engine: str
) -> None:
    server = start_with(start, config, directory, engine)
    with server.connect() as client:
        client.send(b"get_metadata one\r\n")
        assert client.line() == b"0 OK\r\n"
        server.process.send_signal(signal.SIGHUP)
        assert client.line() == b"1\r\n"
        assert client.rest() == b""
    assert server.ask(b"get_metadata one\r\n") == b"0 OK\r\n1\r\n"


def test_concurrent_reloads_leak_no_descriptors(start: Start, config: Path, directory: Path, engine: str) -> None:
    server = start_with(start, config, directory, engine)
    server.ask(b"quit\r\n")
    reload(server, "configuration reloaded")
    before = server.counts()
    for _ in range(20):
        server.process.send_signal(signal.SIGHUP)
    reload(server, "configuration reloaded")
    wait_until(lambda: server.counts()["descriptors"] <= before["descriptors"], "the old stores are closed")
    assert server.ask(b"get_metadata one\r\n") == b"0 OK\r\n1\r\n"


def test_reload_closes_the_replaced_directory(
    start: Start, config: Path, directory: Path, tmp_path: Path, engine: str
) -> None:
    server = start_with(start, config, directory, engine)
    with server.connect() as idle:
        idle.send(b"get_metadata one\r\nget_metadata missing\r\n")
        assert [idle.line() for _ in range(3)] == [b"0 OK\r\n", b"1\r\n", NO_FILE]
        assert opened_by(server).count(str(directory)) == 1
        config.write_text(f'directory = "{tmp_path}"\n')
        reload(server, "configuration reloaded")
        assert idle.rest() == b""
    wait_until(lambda: str(directory) not in opened_by(server), "the old directory is closed, though no client comes")


@pytest.mark.once
def test_a_reload_that_hangs_is_given_up_and_changes_nothing(
    start: Start, config: Path, directory: Path, tmp_path: Path, engine: str
) -> None:
    hung, hangs, waits = tmp_path / "hung", tmp_path / f"hung{HANGS}", tmp_path / f"hung{WAITS}"
    hung.mkdir()
    hangs.touch()
    options = ("-c", str(config), "--engine", engine)
    environment = {"TEST_HANGING_DIRECTORY": str(hung)}
    server = start(directory, *options, is_directory_option=False, environment=environment)
    reload(server, "configuration reloaded")
    server.ask(b"quit\r\n")
    before = server.counts()["descriptors"]
    good = config.read_text()
    config.write_text(f'directory = "{hung}"\n')
    server.process.send_signal(signal.SIGHUP)
    wait_until(waits.exists, "the directory is opened")
    assert server.ask(b"get_metadata .hidden\r\n") == b"0 OK\r\n6\r\n", "others are served meanwhile"
    wait_until(lambda: "reload failed; keeping the old configuration" in server.log(), "it is given up")
    assert "checking the configuration took longer than 0.5 s: do its files lie on a file system" in server.log()
    threads = server.counts()["threads"]
    for number in range(1, 4):
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda number=number: server.log().count("still waits for its files") == number, "it is refused")  # type: ignore[misc]  # a default of the loop's
    assert server.counts()["threads"] <= threads, "one thread is blocked, however often a reload is asked for"
    config.write_text(good)
    reload(server, "configuration reloaded")
    assert server.ask(b"get_metadata .hidden\r\n") == b"0 OK\r\n6\r\n"
    hangs.unlink()
    wait_until(lambda: server.counts()["threads"] < threads, "the blocked thread ends")
    wait_until(lambda: str(hung) not in opened_by(server), "what comes too late is given back")
    wait_until(lambda: server.counts()["descriptors"] <= before, "nothing else is held")
    hangs.touch()
    waits.unlink()
    config.write_text(f'directory = "{hung}"\n')
    server.process.send_signal(signal.SIGHUP)
    wait_until(waits.exists, "the directory is opened")
    assert server.stop() == 0, "nor does it hold a stop"


def opened_by(server: Server) -> list[str]:
    """Return the paths of what a server has open, as far as it has paths."""
    paths = []
    for each in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed just now
            paths.append(str(each.readlink()))
    return paths


def test_stop_does_not_reset_a_queued_client(start: Start, directory: Path, engine: str) -> None:
    server = start(directory, "--engine", engine)
    server.ask(b"quit\r\n")
    server.process.send_signal(signal.SIGSTOP)
    clients = [server.connect() for _ in range(5)]  # the kernel's queue holds them
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGCONT)
    for client in clients:
        client.end()
        with client:
            assert client.socket.recv(1) == b"", "the end of the stream, not a reset"
    assert server.process.wait(20) == 0


def test_check_finds_errors_without_listening(tmp_path: Path) -> None:
    process.check(Settings(directory=str(tmp_path), port=1))
    with pytest.raises(OSError, match=r"^cannot serve "):
        process.check(Settings(directory=str(tmp_path / "no")))
    with pytest.raises(OSError, match=r"^cannot read "):
        process.check(Settings(directory=str(tmp_path), tls_cert="/no/cert", tls_key="/no/key"))


def test_inherited_listener_stays_open_for_its_other_users(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = Settings(directory=str(tmp_path), engine="sequential")
        shared = socket.socket(fileno=socket.dup(listener.fileno()))
        with process.make_server(settings, shared, SILENT) as server:
            assert server.is_shared
            assert server.port == listener.getsockname()[1]
            server.stop()
            server.serve()
        with socket.create_connection(listener.getsockname(), 5):
            listener.accept()[0].close()


def test_reload_fails_without_a_thread_and_the_next_one_succeeds(
    monkeypatch: pytest.MonkeyPatch, log: logging.Logger, caplog: pytest.LogCaptureFixture, directory: Path
) -> None:
    def refuse(*_: object) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    settings = Settings(directory=str(directory), port=0, engine="sequential")
    with process.make_server(settings, None, SILENT) as server:
        before = server.config
        reload = Reload(server, settings, lambda: settings)
        log.propagate = True
        monkeypatch.setattr("_thread.start_new_thread", refuse)
        reload.ask()
        assert [record.facts for record in caplog.records] == [{"reason": "can't start new thread; try again"}]  # type: ignore[attr-defined]
        assert server.config is before
        monkeypatch.setattr("_thread.start_new_thread", lambda function, arguments: function(*arguments))
        reload.ask()
        assert server.config is not before
        assert before.store.descriptor < 0, "closed: nobody was connected"
