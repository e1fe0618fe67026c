"""The limits of connections, line length and rate, on every engine."""

import json
import socket
import time

import pytest

from tests.greenserver.conftest import LARGE, TEXT
from tests.greenserver.launching import CONCURRENT, Launch, LaunchedServer
from tests.greenserver.serving import ENGINES, TIMEOUT_SECONDS, Client, wait_until

pytestmark = pytest.mark.once

REJECTED = b"199 INTERNAL SERVER ERROR\r\n"
each_engine = pytest.mark.parametrize("engine", ENGINES)
each_concurrent_engine = pytest.mark.parametrize("engine", CONCURRENT)


def is_served(client: Client) -> bool:
    """Return whether a client is served, and not rejected."""
    client.send(b"get_metadata one\r\n")
    line = client.line()
    assert line in {b"0 OK\r\n", REJECTED}
    return line == b"0 OK\r\n" and client.line() == b"1\r\n"


@each_concurrent_engine
def test_connections_over_the_limit_are_rejected_until_one_closes(launch: Launch, engine: str) -> None:
    server = launch(engine, limits={"max_connections": 2})
    with server.connect() as first, server.connect() as second:
        assert is_served(first)
        assert is_served(second)
        for _ in range(3):
            with server.connect() as third:
                started = time.monotonic()
                assert third.rest() == REJECTED
                assert time.monotonic() - started < 10
        assert is_served(first)
    wait_until(lambda: "disconnected" in server.log(), "a client has disconnected")
    wait_until(lambda: _is_new_client_served(server), "a new client is served")
    assert len(server.events_named("rejecting connections: the server is full")) == 1


def _is_new_client_served(server: LaunchedServer) -> bool:
    with server.connect() as client:
        return is_served(client)


@each_concurrent_engine
def test_a_rejected_client_gets_the_error_although_it_has_sent_commands(launch: Launch, engine: str) -> None:
    server = launch(engine, limits={"max_connections": 1})
    with server.connect() as first:
        assert is_served(first)
        for _ in range(20):
            with server.connect() as other:
                other.send(b"get_metadata one\r\n" * 1000)
                assert other.rest() == REJECTED


@each_concurrent_engine
def test_connections_over_the_descriptor_limit_are_rejected_and_leak_nothing(launch: Launch, engine: str) -> None:
    server = launch(engine, descriptors=64)
    server.ask(b"quit\r\n")
    before = server.counts()
    burst = [socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS) for _ in range(200)]
    clients = [Client(sock) for sock in burst]
    answers = []
    for client in clients:
        client.send(b"get_metadata one\r\n")
        answers.append(client.line())
    assert set(answers) <= {b"0 OK\r\n", REJECTED, b""}, "a reset counts as EOF"
    assert 5 < answers.count(b"0 OK\r\n") < 64
    assert answers.count(REJECTED) > 50
    for client in clients:
        client.socket.close()
    wait_until(lambda: _is_new_client_served(server), "a new client is served")
    wait_until(lambda: server.counts()["descriptors"] <= before["descriptors"], "the descriptors are closed")
    assert len(server.events_named("rejecting connections: the server is full", "accept failed; retrying")) == 1


@each_concurrent_engine
def test_connections_per_client_are_limited(launch: Launch, engine: str) -> None:
    server = launch(engine, limits={"max_connections_per_client": 2})
    with server.connect() as first, server.connect() as second:
        assert is_served(first)
        assert is_served(second)
        with server.connect() as third:
            assert third.rest() == REJECTED
        other = socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS, source_address=("127.0.0.2", 0))
        with Client(other) as client:
            assert is_served(client)
    wait_until(lambda: _is_new_client_served(server), "a new client of that address is served")


@each_engine
def test_the_line_length_limit_is_configurable(launch: Launch, engine: str) -> None:
    server = launch(engine, limits={"line_bytes": 1000})
    name = b"n" * (1000 - len(b"get_metadata "))
    assert server.ask(b"get_metadata " + name + b"\r\n") == b"202 FILE NOT FOUND\r\n"
    assert server.ask(b"get_metadata n" + name + b"\r\nquit\r\n") == b"101 BAD REQUEST\r\n"
    assert server.ask(b"get_metadata n" + name) == b"101 BAD REQUEST\r\n"


@each_engine
def test_a_rate_limited_reply_is_complete(launch: Launch, engine: str) -> None:
    rate = 200_000
    server = launch(engine, limits={"rate": rate})
    for form, head in ((b" raw", b"0 OK\r\nContent-Length: 400000\r\n\r\n"), (b"", b"0 OK\r\n")):
        started = time.monotonic()
        reply = server.ask(b"get_slice large.bin 3 400000" + form + b"\r\n")
        seconds = time.monotonic() - started
        assert reply.startswith(head)
        if form:
            assert reply == head + LARGE[3:400_003]
        assert seconds > 0.8 * (len(reply) / rate - 0.125), "less the first piece, which is sent at once"
        assert seconds < 10 * len(reply) / rate


@each_engine
def test_the_rate_limit_applies_to_many_small_replies(launch: Launch, engine: str) -> None:
    server = launch(engine, limits={"rate": 50_000})
    started = time.monotonic()
    assert server.ask(b"get_metadata one\r\n" * 10_000) == b"0 OK\r\n1\r\n" * 10_000
    assert time.monotonic() - started > 1.2
    assert server.ask(b"get_slice text.txt 0 41 raw\r\n").endswith(TEXT)


@each_engine
def test_every_log_line_is_one_json_object_for_any_input(launch: Launch, engine: str) -> None:
    server = launch(engine)
    server.ask(bytes(range(0x80, 0x100)) + b"\x1b[31m\x00\r\n")
    server.ask(b'get_metadata "x\\\r\n')
    wait_until(lambda: server.log().count('"disconnected"') == 2, "both disconnections are logged")
    for line in server.log().splitlines():
        assert line.isascii()
        assert isinstance(json.loads(line), dict)
