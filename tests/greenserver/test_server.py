"""A server listens until it is closed, reports its address, and releases all resources."""

import os
import socket
import threading
from pathlib import Path

import pytest

import greenserver
from greenserver import Server
from tests.greenserver.oracle import OK
from tests.greenserver.serving import Client


def test_a_server_serves_until_it_is_stopped(directory: Path) -> None:
    with Server(directory, port=0, engine="threads", dialect="2019") as server:
        serving = threading.Thread(target=server.serve)
        serving.start()
        assert server.address == f"127.0.0.1:{server.port}"
        assert server.port > 0
        with Client(socket.create_connection((server.host, server.port), 20)) as client:
            client.send(b"get_slice one 0 1\r\nquit\r\n")
            assert client.rest() == OK + b"MQ==\r\n" + OK
        server.stop()
        server.stop()
        serving.join(20)
        assert not serving.is_alive()


def test_a_server_knows_its_unix_address(directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with Server(directory, address=f"unix:{path}", engine="sequential") as server:
        assert server.host == server.address == f"unix:{path}"
        assert server.port == 0
        server.stop()
        server.serve()
    assert not path.exists()


def test_a_server_knows_its_ipv6_address(directory: Path) -> None:
    with Server(directory, address="::1", port=0) as server:
        assert server.address == f"[::1]:{server.port}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "steam"}, "unknown engine 'steam'; choose from gevent, threads, selectors, sequential"),
        ({"dialect": "1066"}, "unknown dialect '1066'; choose from 2026, 2019, 2018, 2016"),
    ],
)
def test_an_unknown_engine_or_dialect_raises_value_error_at_once(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Server(**settings)  # type: ignore[arg-type]


def test_errors_at_the_start_name_their_cause_and_leak_no_descriptor(directory: Path, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r"^cannot serve .*nothing: No such file or directory$"):
        Server(tmp_path / "nothing", port=0).__enter__()
    with pytest.raises(OSError, match=r"^cannot listen on "):
        Server(directory, address="192.0.2.1", port=0).__enter__()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_default_engine_requires_monkey_patching(directory: Path) -> None:
    with Server(directory, port=0) as server, pytest.raises(RuntimeError, match=r"monkey\.patch_all"):
        server.serve()


def test_the_public_names_exist() -> None:
    assert {name: getattr(greenserver, name) for name in greenserver.__all__}["Server"] is Server
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = greenserver.Nonsense
