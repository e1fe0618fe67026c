"""Proxies resolve names; what a proxy rejects is a refused connection."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from conformance.client.address import Address, AddressError, check_proxy, dial

TIMEOUT_SECONDS = 10.0


@contextmanager
def proxy(answer: int) -> Iterator[tuple[str, list[bytes]]]:
    """Provide the URL of a SOCKS5 proxy that answers one request with a code and then echoes, and its requests."""
    requests: list[bytes] = []

    def serve() -> None:
        sock, _ = listener.accept()
        with sock, sock.makefile("rb") as stream:
            sock.settimeout(TIMEOUT_SECONDS)
            stream.read(stream.read(2)[1])
            sock.sendall(b"\5\0")
            stream.read(3)
            kind = stream.read(1)
            size = stream.read(1)[0] if kind == b"\3" else 4
            requests.append(kind + stream.read(size) + stream.read(2))
            sock.sendall(b"\5" + bytes([answer]) + b"\0\1\0\0\0\0\0\0")
            if answer == 0:
                sock.sendall(stream.read(4))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"socks5h://127.0.0.1:{listener.getsockname()[1]}", requests
        thread.join(TIMEOUT_SECONDS)
        assert not thread.is_alive()


def test_proxy_resolves_names() -> None:
    with proxy(0) as (url, requests), dial(Address("hidden.onion", 19500), TIMEOUT_SECONDS, url) as sock:
        sock.sendall(b"ping")
        assert sock.recv(4) == b"ping"
    assert requests == [b"\3hidden.onion" + (19500).to_bytes(2, "big")]


def test_proxy_error_is_a_refused_connection() -> None:
    with proxy(5) as (url, _), pytest.raises(ConnectionRefusedError, match="proxy error"):
        dial(Address("hidden.onion", 19500), TIMEOUT_SECONDS, url)


@pytest.mark.parametrize("url", ["", "http://a:1", "socks5h://", "socks5h://a", "socks5h://a:99999"])
def test_rejects_an_invalid_proxy(url: str) -> None:
    with pytest.raises(AddressError, match="is not a proxy"):
        check_proxy(url)
