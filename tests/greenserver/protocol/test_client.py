"""The client's side of a connection: requests become lines, and whatever arrives becomes events, or one error."""

import contextlib
import doctest

import hypothesis
import pytest
from hypothesis import strategies as st

from greenserver.protocol import client, errors
from greenserver.protocol.client import (
    ClientConnection,
    Data,
    Done,
    Event,
    Help,
    ListFiles,
    Metadata,
    Names,
    Quit,
    Refused,
    Request,
    Size,
    Slice,
)
from greenserver.protocol.errors import DisconnectedError, HftpError, RemoteProtocolError
from greenserver.protocol.slice_decodings import BASE64, DECODERS, RAW
from tests.greenserver.conftest import PURE

RAW_SLICE = Slice("f", 0, 5, DECODERS[RAW])


def events(*requests: Request, received: bytes, piece_bytes: int = 1 << 20) -> list[Event]:
    """Return the events of what is received, in pieces; data and names that follow each other as one."""
    connection = ClientConnection()
    for request in requests:
        connection.send(request)
    found: list[Event] = []
    for start in range(0, len(received), piece_bytes):
        connection.receive_data(received[start : start + piece_bytes])
        while (event := connection.next_event()) is not None:
            last = found[-1] if found else None
            if isinstance(event, Data) and isinstance(last, Data):
                found[-1] = Data(bytes(last.data) + bytes(event.data))
            elif isinstance(event, Names) and isinstance(last, Names):
                found[-1] = Names(last.names + event.names)
            else:
                found.append(Data(bytes(event.data)) if isinstance(event, Data) else event)
    return found


def test_the_examples_in_the_documentation_run() -> None:
    assert doctest.testmod(client).failed == 0


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (ListFiles(), b"get_file_listing\r\n"),
        (Help(), b"help\r\n"),
        (Quit(), b"quit\r\n"),
        (Metadata("f"), b"get_metadata f\r\n"),
        (Slice("f", 1, 2), b"get_slice f 1 2\r\n"),
        (RAW_SLICE, b"get_slice f 0 5 raw\r\n"),
    ],
)
def test_a_request_is_a_line(request_: Request, line: bytes) -> None:
    assert ClientConnection().send(request_) == line


@pytest.mark.parametrize("name", ["", "a b", "a\r\nquit", "\xf1", " a", "\x1b"])
def test_a_name_that_would_be_another_request_is_not_sent(name: str) -> None:
    connection = ClientConnection()
    with pytest.raises(ValueError, match="cannot be asked for"):
        connection.send(Metadata(name))
    assert not connection.awaited


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 5, 1000])
def test_pipelined_replies_come_in_order_in_whatever_pieces(piece_bytes: int) -> None:
    received = (
        b"0 OK\r\na\r\nb\r\n\r\n"
        b"0 \r\n5\r\n"
        b"202 FILE NOT FOUND\r\n"
        b"0 OK\r\nContent-Length: 5\r\n\r\nhello"
        b"0 OK\r\naGVsbG8=\r\n"
        b"0 OK\r\n\r\n"
        b"0 OK\r\n"
    )
    requests = (ListFiles(), Metadata("f"), Metadata("g"), RAW_SLICE, Slice("f", 0, 5), Help(), Quit())
    assert events(*requests, received=received, piece_bytes=piece_bytes) == [
        Names([b"a", b"b"]),
        Done(),
        Size(5),
        Done(),
        Refused(202, "FILE NOT FOUND"),
        Data(b"hello"),
        Done(),
        Data(b"hello"),
        Done(),
        Done(),
        Done(),
    ]


@pytest.mark.parametrize(("code", "is_fatal"), [(100, True), (199, True), (200, False), (203, False)])
def test_an_error_is_the_whole_reply(code: int, is_fatal: bool) -> None:
    (refused,) = events(Metadata("f"), received=b"%d WHY\r\n" % code)
    assert refused == Refused(code, "WHY")
    assert isinstance(refused, Refused)
    assert refused.is_fatal == is_fatal
    assert str(refused) == f"{code} WHY"


def test_the_text_of_an_error_is_made_printable() -> None:
    (refused,) = events(Metadata("f"), received=b"202 \x1b[2J\xff\r\n")
    assert str(refused).isprintable()


@pytest.mark.parametrize(
    ("request_", "received"),
    [
        (Metadata("f"), b"hello\r\n"),
        (Metadata("f"), b"00 OK\r\n"),
        (Metadata("f"), b"7 OK\r\n"),
        (Metadata("f"), b"300 OK\r\n"),
        (Metadata("f"), b"0OK\r\n"),
        (Metadata("f"), b"0 OK\n5\n"),
        (Metadata("f"), b"0 OK\r\n-5\r\n"),
        (Metadata("f"), b"0 OK\r\n05\r\n"),
        (Metadata("f"), b"0 OK\r\n99999999999999999999999999\r\n"),
        (Metadata("f"), b"0 " + b"x" * 5000),
        (Metadata("f"), b"\x00" * 5000),
        (ListFiles(), b"0 OK\r\n" + b"n" * 5000),
        (ListFiles(), b"0 OK\r\na\r\n" + b"n" * 5000 + b"\r\nb\r\n\r\n"),
        (ListFiles(), b"0 OK\r\na\nb\r\n\r\n"),
        (ListFiles(), b"0 OK\r\na\nb\n\n"),
        (Quit(), b"0 OK\r\nmore"),
        (RAW_SLICE, b"0 OK\r\naGVsbG8=\r\n"),
    ],
)
def test_what_is_no_reply_is_an_error_of_one_line(request_: Request, received: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        events(request_, received=received)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize("received", [b"", b"0", b"0 OK\r\n", b"0 OK\r\n14"])
def test_the_end_of_the_stream_in_a_reply_is_an_error(received: bytes) -> None:
    connection = ClientConnection()
    connection.send(Metadata("f"))
    if received:
        connection.receive_data(received)
    connection.receive_data(b"")
    with pytest.raises(DisconnectedError, match="in the reply to 'get_metadata f'"):
        connection.next_event()


def test_the_end_of_the_stream_after_a_reply_is_an_error_only_then() -> None:
    connection = ClientConnection()
    connection.send(Quit())
    connection.receive_data(b"0 OK\r\n")
    connection.receive_data(b"")
    assert connection.next_event() == Done()
    with pytest.raises(DisconnectedError, match="closed the connection"):
        connection.next_event()


def test_more_than_the_buffer_holds_is_not_received() -> None:
    connection = ClientConnection(buffer_bytes=10)
    connection.send(ListFiles())
    with pytest.raises(BufferError):
        connection.receive_data(b"x" * 11)


def test_received_data_is_not_copied() -> None:
    connection = ClientConnection()
    connection.send(Slice("f", 0, 5, DECODERS["plain"]))
    buffer = connection.get_buffer()
    buffer[:11] = b"0 OK\r\nhello"
    connection.received(11)
    event = connection.next_event()
    assert isinstance(event, Data)
    assert isinstance(event.data, memoryview)
    buffer[6:7] = b"j"
    assert bytes(event.data) == b"jello"


@hypothesis.given(received=st.binary(max_size=200), piece_bytes=st.integers(1, 20))
@hypothesis.example(received=b"0 OK\r\n\r\n\r\n", piece_bytes=1)
@PURE
def test_any_bytes_are_events_or_an_error(received: bytes, piece_bytes: int) -> None:
    requests: list[Request] = [ListFiles(), Metadata("f"), *(Slice("f", 0, 7, form) for form in DECODERS.values())]
    for request in requests:
        for prefix in (b"", b"0 OK\r\n"):
            with contextlib.suppress(HftpError):
                events(request, received=prefix + received, piece_bytes=piece_bytes)


def test_the_errors_have_one_base() -> None:
    assert issubclass(errors.RemoteProtocolError, HftpError)
    assert issubclass(errors.DisconnectedError, HftpError)
    assert DECODERS[BASE64] is Slice("f", 0, 1).decoder
