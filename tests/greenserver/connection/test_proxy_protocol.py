"""Valid and invalid PROXY headers, and a server that requires them, and from trusted networks only."""

import ipaddress
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenserver.connection.proxy_protocol import Header, HeaderError, parse
from tests.greenserver.launching import CONCURRENT, Launch
from tests.greenserver.serving import ENGINES, no_leaks, wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]

PURE = settings(max_examples=200, deadline=None, derandomize=True, database=None)
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
each_engine = pytest.mark.parametrize("engine", ENGINES)

VALID_LINES = {
    b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n": ("192.0.2.1", 56324),
    b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n": ("2001:db8::1", 1),
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n": ("255.255.255.255", 65535),
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN " + b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff " * 2 + b"65535 65535\r\n": None,
}

INVALID = (
    b"get_file_listing\r\n",
    b"\r\n\r\n\x00\r\nQUIT\r\n",
    b"proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
    b"PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n",
    b"PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n",
    b"PROXY TCP4 ::1 ::1 1 2\r\n",
    b"PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
    b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
    b"PROXY TCP6 fe80::1%\x1b[31m fe80::2 1 2\r\n",
    b"PROXY TCP6 fe80::1 fe80::2%\x07 1 2\r\n",
    b"PROXY TCP6 fe80::1% fe80::2 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 65536 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 1_0 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1  2\r\n",
    b"PROXY TCP4 192.0.2.\xb9 198.51.100.1 1 2\r\n",
    b"PROXY \r\n",
    b"PROXY " + b"x" * 101,
    SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
    SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
    SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
    SIGNATURE + b"\x21\x21\x00\x23" + bytes(35),
    SIGNATURE + b"\x21\x41\x00\x0c" + bytes(12),
    SIGNATURE + b"\x21\x11\xff\xff",
)

addresses = st.ip_addresses()
ports = st.integers(0, 0xFFFF)


def line(source: object, destination: object, source_port: int, destination_port: int) -> bytes:
    family = "TCP4" if isinstance(source, ipaddress.IPv4Address) else "TCP6"
    return f"PROXY {family} {source} {destination} {source_port} {destination_port}\r\n".encode()


def binary(source: str, port: int, *, command: int = 0x21, more: bytes = b"") -> bytes:
    address = ipaddress.ip_address(source)
    family = 0x11 if address.version == 4 else 0x21
    rest = address.packed * 2 + struct.pack("!HH", port, 19500) + more
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


@pytest.mark.parametrize("data", VALID_LINES)
def test_a_version_1_header_gives_the_source_address(data: bytes) -> None:
    assert parse(data) == Header(len(data), VALID_LINES[data])
    assert parse(data + b"get_file_listing\r\n") == Header(len(data), VALID_LINES[data])
    for length in range(len(data)):
        assert parse(data[:length]) is None


@pytest.mark.parametrize("data", INVALID)
def test_an_invalid_header_is_rejected(data: bytes) -> None:
    with pytest.raises(HeaderError):
        parse(data)


@settings(PURE)
@given(addresses, ports, st.binary(max_size=300), st.binary(max_size=50))
def test_a_version_2_header_gives_the_source_address(
    source: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, more: bytes, after: bytes
) -> None:
    data = binary(str(source), port, more=more)
    assert parse(data + after) == Header(len(data), (str(source), port))
    assert all(parse(data[:length]) is None for length in range(len(data)))


@settings(PURE)
@given(st.ip_addresses(v=4), st.ip_addresses(v=4), ports, ports)
def test_version_1_headers_with_any_addresses_are_parsed(
    source: object, destination: object, first: int, second: int
) -> None:
    data = line(source, destination, first, second)
    assert parse(data) == Header(len(data), (str(source), first))


def test_local_and_unspecified_headers_give_no_address() -> None:
    local = binary("192.0.2.1", 1, command=0x20)
    assert parse(local) == Header(len(local), None)
    bare = SIGNATURE + b"\x20\x00\x00\x00"
    assert parse(bare) == Header(16, None)
    unix = SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216)
    assert parse(unix) == Header(len(unix), None)


def result_of(data: bytes) -> Header | str | None:
    try:
        return parse(data)
    except HeaderError:
        return "invalid"


@settings(PURE)
@given(st.one_of(st.binary(max_size=64), st.binary(max_size=300).map(lambda data: SIGNATURE + data)))
def test_more_input_never_changes_the_result_of_parsing_any_bytes(data: bytes) -> None:
    results = [result_of(data[:length]) for length in range(len(data) + 1)]
    decided = [result for result in results if result is not None]
    assert all(result == decided[0] for result in decided)
    assert results == [None] * (len(results) - len(decided)) + decided


@each_engine
@pytest.mark.parametrize("cut", [0, 1, 7, 13, 16, 20])
def test_the_client_address_comes_from_the_header_in_any_segmentation(launch: Launch, engine: str, cut: int) -> None:
    server = launch(engine, proxy_from=["127.0.0.0/8"])
    commands = b"get_metadata one\r\nquit\r\n"
    for header in (binary("2001:db8::7", 4711), b"PROXY TCP4 192.0.2.9 127.0.0.1 4712 19500\r\n"):
        assert server.ask(header + commands, pieces=(cut,) if cut else ()) == b"0 OK\r\n1\r\n0 OK\r\n"
    assert server.ask(b"PROXY UNKNOWN\r\n" + commands) == b"0 OK\r\n1\r\n0 OK\r\n"
    wait_until(lambda: server.log().count('"disconnected"') == 3, "all disconnections are logged")
    clients = [event["client"] for event in server.events_named("disconnected")]
    assert {"[2001:db8::7]:4711", "192.0.2.9:4712"} < set(clients), "in any order, since threads log independently"
    assert sum(client.startswith("127.0.0.1:") for client in clients) == 1


@each_engine
def test_a_connection_without_a_header_is_not_served(launch: Launch, engine: str) -> None:
    server = launch(engine, proxy_from=["127.0.0.0/8"])
    for _ in range(3):
        assert server.ask(b"get_metadata one\r\nquit\r\n") == b""
    assert server.ask(b"PROXY TCP4 192.0.2.9 ") == b""
    assert len(server.events_named("rejecting connections: not from a trusted proxy")) == 1, "one warning for all"


@each_engine
def test_a_header_from_an_untrusted_peer_is_rejected(launch: Launch, engine: str) -> None:
    server = launch(engine, proxy_from=["10.0.0.0/8", "::1/128"])
    assert server.ask(b"PROXY TCP4 10.0.0.1 127.0.0.1 1 19500\r\nget_metadata one\r\n") == b""
    assert "trusted" in server.log()


@each_engine
def test_an_incomplete_header_times_out(launch: Launch, engine: str) -> None:
    server = launch(engine, proxy_from=["127.0.0.0/8"], limits={"handshake_seconds": 0.5})
    with server.connect() as client:
        client.send(b"PROXY TCP4")
        assert client.rest() == b""


@pytest.mark.parametrize("engine", CONCURRENT)
def test_the_limit_per_client_applies_to_the_address_in_the_header(launch: Launch, engine: str) -> None:
    server = launch(engine, proxy_from=["127.0.0.0/8"], limits={"max_connections_per_client": 1})
    with server.connect() as first, server.connect() as neighbour, server.connect() as other:
        first.send(binary("2001:db8::1", 1) + b"get_metadata one\r\n")
        assert first.exactly(9) == b"0 OK\r\n1\r\n"
        neighbour.send(binary("2001:db8::ffff", 2) + b"get_metadata one\r\n")
        assert neighbour.rest() == b"199 INTERNAL SERVER ERROR\r\n", "an IPv6 /64 network counts as one client"
        other.send(binary("2001:db8:0:1::1", 3) + b"get_metadata one\r\n")
        assert other.exactly(9) == b"0 OK\r\n1\r\n"


def test_a_reset_before_the_header_leaks_nothing(launch: Launch) -> None:
    server = launch("gevent", proxy_from=["127.0.0.0/8"])
    server.ask(b"PROXY UNKNOWN\r\nquit\r\n")
    with no_leaks(server):
        for _ in range(20):
            sock = socket.create_connection(("127.0.0.1", server.port))
            sock.sendall(b"PROXY ")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
