"""Engines load by name when they are asked for, and let conversations finish within limits."""

import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from greenserver import engines
from greenserver.config import limits
from greenserver.connection.connection import Connection
from greenserver.engines import threads
from greenserver.files.store import FileStore
from greenserver.io.wait import ShutdownEvent
from greenserver.net.listening import open_listener
from greenserver.protocol.dialects import DIALECTS
from tests.greenserver.oracle import OK
from tests.greenserver.serving import ENGINES, Client, run_script


def test_there_are_four_and_gevent_is_the_default() -> None:
    assert tuple(engines.ENGINES) == ENGINES
    assert engines.DEFAULT_ENGINE == "gevent"


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_loads_when_it_is_asked_for_and_no_other(engine: str) -> None:
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


class Conversation:
    """Stands for a conversation that ends when it is told for the last time."""

    def __init__(self, told: list[str], going_on: set[Any], ends_at: str) -> None:
        self._told = told
        self._going_on = going_on
        self._ends_at = ends_at

    def stop(self) -> None:
        self._tell("stop")

    def abort(self) -> None:
        self._tell("abort")

    def _tell(self, what: str) -> None:
        self._told.append(what)
        if what == self._ends_at:
            self._going_on.discard(self)


def test_conversations_are_told_to_stop_and_the_last_ones_are_cut() -> None:
    told: list[str] = []
    going_on: set[Any] = set()
    going_on |= {Conversation(told, going_on, "stop"), Conversation(told, going_on, "abort")}
    engines.drain(going_on, lambda seconds: told.append(f"run {seconds}"), 30.0)
    quiet, grace = f"run {limits.LINGER_QUIET_SECONDS}", f"run {30.0 - limits.LINGER_QUIET_SECONDS}"
    assert told == ["stop", "stop", quiet, "stop", grace, "abort", f"run {limits.SWEEP_SECONDS}"]
    assert not going_on


@pytest.mark.parametrize("engine", ["threads", "selectors", "sequential"])
def test_an_engine_serves_in_this_process_too(directory: Path, engine: str) -> None:
    stop = ShutdownEvent()
    with FileStore(directory) as store, open_listener("127.0.0.1", 0) as listener:
        address = listener.getsockname()

        def welcome(sock: socket.socket, client: str) -> Connection:
            return Connection(sock, store, DIALECTS["2026"], client=client)

        serving = threading.Thread(target=engines.load(engine), args=(listener, welcome, stop))
        serving.start()
        with Client(socket.create_connection(address, 20)) as client:
            client.send(b"get_metadata one\r\nquit\r\n")
            assert client.rest() == OK + b"1\r\n" + OK
        stop.set()
        serving.join(20)
        assert not serving.is_alive()
    stop.close()


def test_without_room_for_a_thread_the_client_is_let_go(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = ShutdownEvent()

    class NoThread:
        def __init__(self, **_: object) -> None:
            stop.set()

        def start(self) -> None:
            message = "can't start new thread"
            raise RuntimeError(message)

    monkeypatch.setattr(threads, "Thread", NoThread)
    with FileStore(directory) as store, open_listener("127.0.0.1", 0) as listener:
        client = Client(socket.create_connection(listener.getsockname(), 20))
        with client:
            threads.serve(listener, lambda sock, name: Connection(sock, store, DIALECTS["2026"], client=name), stop)
            assert client.rest() == b""
    stop.close()


def test_gevent_without_patched_sockets_refuses_to_serve() -> None:
    stop = ShutdownEvent()
    with socket.socket() as listener, pytest.raises(RuntimeError, match=r"monkey\.patch_all"):
        engines.load("gevent")(listener, lambda *_: pytest.fail("welcomed"), stop)
    stop.close()


def test_the_log_of_a_process_is_quiet_by_default() -> None:
    script = (
        "import logging; from greenserver.connection import connection; "
        "print(logging.getLogger(connection.__name__).isEnabledFor(logging.INFO))"
    )
    done = run_script(script)
    done.check_returncode()
    assert done.stdout == "False\n"
