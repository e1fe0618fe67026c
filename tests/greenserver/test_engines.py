"""Engines are loaded by name on demand, and let connections finish within the grace period."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from greenserver import engines
from greenserver.config import limits
from greenserver.engines import threads
from greenserver.io.wait import ShutdownEvent
from greenserver.net.listening import open_listener
from greenserver.server import Server
from tests.greenserver.oracle import OK
from tests.greenserver.serving import ENGINES, Client, run_script


def test_there_are_four_engines_and_gevent_is_the_default() -> None:
    assert tuple(engines.ENGINES) == ENGINES
    assert engines.DEFAULT_ENGINE == "gevent"


@pytest.mark.parametrize("engine", ENGINES)
def test_only_the_requested_engine_is_imported(engine: str) -> None:
    program = f"""
import sys
from greenserver import engines
loaded = lambda: {{name for name in sys.modules if name.startswith("greenserver.engines.")}}
assert not loaded()
assert callable(engines.load({engine!r}))
assert loaded() == {{"greenserver.engines." + {engine!r}}}
assert ("gevent" in sys.modules) == ({engine!r} == "gevent")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize(("deadline", "least", "most"), [(0.0, 0.0, 0.0), (float("inf"), 1e300, float("inf"))])
def test_no_time_is_left_after_a_deadline(deadline: float, least: float, most: float) -> None:
    assert least <= engines.seconds_left(deadline) <= most


class FakeConnection:
    """A connection that ends when it is aborted."""

    def __init__(self, events: list[str], connections: set[Any]) -> None:
        self._events = events
        self._connections = connections

    def abort(self) -> None:
        self._events.append("abort")
        self._connections.discard(self)


def test_connections_that_outlast_the_grace_period_are_aborted() -> None:
    events: list[str] = []
    connections: set[Any] = set()
    connections.add(FakeConnection(events, connections))
    engines.run_or_abort(connections, lambda seconds: events.append(f"run {seconds}"), 30.0)
    assert events == ["run 30.0", "abort", f"run {limits.SWEEP_SECONDS}"]
    assert not connections


@contextmanager
def listening(directory: Path) -> Iterator[tuple[Server, socket.socket, ShutdownEvent]]:
    """Return the arguments of an engine: a server, its listener and a shutdown event."""
    stop = ShutdownEvent()
    with open_listener("127.0.0.1", 0) as listener, Server(directory, listener=listener, engine="threads") as server:
        yield server, listener, stop
    stop.close()


@pytest.mark.parametrize("engine", ["threads", "selectors", "sequential"])
def test_an_engine_serves_in_the_current_process(directory: Path, engine: str) -> None:
    with listening(directory) as (server, listener, stop):
        address = listener.getsockname()
        serving = threading.Thread(target=engines.load(engine), args=(listener, server, stop))
        serving.start()
        with Client(socket.create_connection(address, 20)) as client:
            client.send(b"get_metadata one\r\nquit\r\n")
            assert client.rest() == OK + b"1\r\n" + OK
        stop.set()
        serving.join(20)
        assert not serving.is_alive()


def test_a_client_is_told_if_no_thread_can_be_started(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(directory) as (server, listener, stop):

        def start_no_thread(*_: object) -> None:
            stop.set()
            message = "can't start new thread"
            raise RuntimeError(message)

        monkeypatch.setattr(threads, "start_new_thread", start_no_thread)
        with Client(socket.create_connection(listener.getsockname(), 20)) as client:
            client.send(b"get_metadata one\r\n")
            client.end()
            threads.serve(listener, server, stop)
            assert client.rest() == b"199 INTERNAL SERVER ERROR\r\n"


def test_a_thread_that_cannot_begin_gives_its_connection_back(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(directory) as (server, listener, stop):

        def start_without_memory(*_: object) -> None:
            stop.set()  # and the first call of the thread fails

        monkeypatch.setattr(threads, "start_new_thread", start_without_memory)
        with Client(socket.create_connection(listener.getsockname(), 20)) as client:
            threads.serve(listener, server, stop)
            assert client.rest() == b""


def test_gevent_without_patched_sockets_refuses_to_serve() -> None:
    stop = ShutdownEvent()
    with socket.socket() as listener, pytest.raises(RuntimeError, match=r"monkey\.patch_all"):
        engines.load("gevent")(listener, Server("."), stop)
    stop.close()


def test_logging_is_off_by_default() -> None:
    script = (
        "import logging; from greenserver.connection import connection; "
        "print(logging.getLogger(connection.__name__).isEnabledFor(logging.INFO))"
    )
    done = run_script(script)
    done.check_returncode()
    assert done.stdout == "False\n"
