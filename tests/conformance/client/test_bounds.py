"""The client reads a bounded amount, however much a server sends."""

import itertools
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic

import pytest

from conformance.client.client import LISTED_BYTES, Client
from conformance.client.deviations import NO_DEVIATIONS, Deviation, Deviations, Form
from conformance.client.recording import Recording
from conformance.client.tolerant import TolerantClient
from conformance.failures import Failure, Kind

pytestmark = pytest.mark.once


@contextmanager
def client(parts: Iterable[bytes], deviations: Deviations = NO_DEVIATIONS) -> Iterator[Client]:
    """Provide a client of a server that sends parts until the client goes, and of which deviations are known."""

    def send() -> None:
        with suppress(OSError), listener.accept()[0] as sock:
            for part in parts:
                sock.sendall(part)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=send)
        thread.start()
        found = TolerantClient(
            deviations,
            set(),
            lambda seconds, _: socket.create_connection(listener.getsockname(), seconds),
            Recording(),
            1,
            timeout_seconds=10.0,
            deadline=monotonic() + 60.0,
        )
        try:
            yield found
        finally:
            found.close()
            thread.join()


def test_limits_the_length_of_a_listing() -> None:
    with client(itertools.chain([b"0 OK\r\n"], itertools.repeat(b"n" * 65_000 + b"\r\n"))) as asking:
        asking.status(0)
        assert_bounded(asking.listing, LISTED_BYTES)


@pytest.mark.parametrize("form", [b"hexadecimal", b"unpadded", b"urlsafe"])
def test_limits_the_length_of_a_line(form: bytes) -> None:
    deviation = Deviation("HFTP-6.1", "in another form", Form.SLICE, {"get_slice": form})
    parts = itertools.chain([b"0 OK\r\n"], itertools.repeat(b"ab" * 50_000))
    with client(parts, Deviations([deviation])) as asking:
        asking.status(0)
        assert_bounded(lambda: asking.slice(None, 0, 10_000), 1 << 20)


def assert_bounded(read: Callable[[], object], most_bytes: int) -> None:
    """Require that reading ends because it is too much, and takes no more memory than that."""
    tracemalloc.start()
    with pytest.raises(Failure) as ended:
        read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ended.value.kind is Kind.TOO_MUCH
    assert peak < most_bytes + (1 << 20)
