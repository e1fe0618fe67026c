"""What a server grants its clients, on every engine: how many, how long a line, how fast."""

import json
import socket
import time

import pytest

from tests.greenserver.conftest import LARGE, TEXT
from tests.greenserver.launching import CONCURRENT, Launch, LaunchedServer
from tests.greenserver.serving import ENGINES, PATIENCE_SECONDS, Client, wait_until

pytestmark = pytest.mark.once

REFUSED = b"199 INTERNAL SERVER ERROR\r\n"
each_engine = pytest.mark.parametrize("engine", ENGINES)
each_concurrent_engine = pytest.mark.parametrize("engine", CONCURRENT)


def served(client: Client) -> bool:
    """Whether a client is answered; a refused one is answered otherwise."""
    client.send(b"get_metadata one\r\n")
    line = client.line()
    assert line in {b"0 OK\r\n", REFUSED}
    return line == b"0 OK\r\n" and client.line() == b"1\r\n"


@each_concurrent_engine
def test_past_the_limit_a_client_is_told_at_once_and_once_one_leaves_the_next_is_served(
    launch: Launch, engine: str
) -> None:
    server = launch(engine, limits={"max_connections": 2})
    with server.connect() as first, server.connect() as second:
        assert served(first)
        assert served(second)
        for _ in range(3):
            with server.connect() as third:
                started = time.monotonic()
                assert third.rest() == REFUSED
                assert time.monotonic() - started < 10
        assert served(first)
    wait_until(lambda: "disconnected" in server.log(), "a client has left")
    wait_until(lambda: _is_served_anew(server), "there is room again")
    assert len(server.events_named("rejecting connections: the server is full")) == 1


def _is_served_anew(server: LaunchedServer) -> bool:
    with server.connect() as client:
        return served(client)


@each_concurrent_engine
def test_a_refusal_arrives_although_the_client_talks(launch: Launch, engine: str) -> None:
    server = launch(engine, limits={"max_connections": 1})
    with server.connect() as first:
        assert served(first)
        for _ in range(20):
            with server.connect() as other:
                other.send(b"get_metadata one\r\n" * 1000)
                assert other.rest() == REFUSED


@each_concurrent_engine
def test_with_few_descriptors_a_storm_is_refused_and_then_all_is_as_before(launch: Launch, engine: str) -> None:
    server = launch(engine, descriptors=64)
    server.ask(b"quit\r\n")
    before = server.counts()
    storm = [socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS) for _ in range(200)]
    clients = [Client(sock) for sock in storm]
    answers = []
    for client in clients:
        client.send(b"get_metadata one\r\n")
        answers.append(client.line())
    assert set(answers) <= {b"0 OK\r\n", REFUSED, b""}, "a reset is an end for those past all patience"
    assert 5 < answers.count(b"0 OK\r\n") < 64
    assert answers.count(REFUSED) > 50
    for client in clients:
        client.socket.close()
    wait_until(lambda: _is_served_anew(server), "there is room again")
    wait_until(lambda: server.counts()["descriptors"] <= before["descriptors"], "the descriptors are given back")
    assert len(server.events_named("rejecting connections: the server is full", "accept failed; retrying")) == 1


@each_concurrent_engine
def test_one_address_gets_no_more_than_its_share(launch: Launch, engine: str) -> None:
    server = launch(engine, limits={"max_connections_per_client": 2})
    with server.connect() as first, server.connect() as second, server.connect() as third:
        assert served(first)
        assert served(second)
        assert third.rest() == REFUSED
        other = socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS, source_address=("127.0.0.2", 0))
        with Client(other) as client:
            assert served(client)
    wait_until(lambda: _is_served_anew(server), "its share is free again")


@each_engine
def test_a_line_may_be_as_long_as_the_operator_says(launch: Launch, engine: str) -> None:
    server = launch(engine, limits={"line_bytes": 1000})
    name = b"n" * (1000 - len(b"get_metadata "))
    assert server.ask(b"get_metadata " + name + b"\r\n") == b"202 FILE NOT FOUND\r\n"
    assert server.ask(b"get_metadata n" + name + b"\r\nquit\r\n") == b"101 BAD REQUEST\r\n"
    assert server.ask(b"get_metadata n" + name) == b"101 BAD REQUEST\r\n"


@each_engine
def test_a_connection_gets_its_bytes_at_the_rate_and_all_of_them(launch: Launch, engine: str) -> None:
    rate = 200_000
    server = launch(engine, limits={"rate": rate})
    for form, head in ((b" raw", b"0 OK\r\nContent-Length: 400000\r\n\r\n"), (b"", b"0 OK\r\n")):
        started = time.monotonic()
        reply = server.ask(b"get_slice large.bin 3 400000" + form + b"\r\n")
        seconds = time.monotonic() - started
        assert reply.startswith(head)
        if form:
            assert reply == head + LARGE[3:400_003]
        assert seconds > 0.8 * (len(reply) / rate - 0.125), "less the piece that goes at once"
        assert seconds < 10 * len(reply) / rate


@each_engine
def test_many_small_replies_are_held_to_the_rate_too(launch: Launch, engine: str) -> None:
    server = launch(engine, limits={"rate": 50_000})
    started = time.monotonic()
    assert server.ask(b"get_metadata one\r\n" * 10_000) == b"0 OK\r\n1\r\n" * 10_000
    assert time.monotonic() - started > 1.2
    assert server.ask(b"get_slice text.txt 0 41 raw\r\n").endswith(TEXT)


@each_engine
def test_every_logged_line_is_one_object_whatever_was_said(launch: Launch, engine: str) -> None:
    server = launch(engine)
    server.ask(bytes(range(0x80, 0x100)) + b"\x1b[31m\x00\r\n")
    server.ask(b'get_metadata "x\\\r\n')
    wait_until(lambda: server.log().count('"disconnected"') == 2, "both are logged")
    for line in server.log().splitlines():
        assert line.isascii()
        assert isinstance(json.loads(line), dict)
