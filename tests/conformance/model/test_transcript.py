"""Transcripts are parsed into steps, and played against a server with one fixed reply."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from conformance.failures import Failure, Kind
from conformance.fixtures.base import Fixture
from conformance.fixtures.content import InMemory
from conformance.model.context import RunContext, ScenarioContext
from conformance.model.transcript import Transcript, TranscriptError
from conformance.target.remote_fixtures import RemoteFixtures

TEXT = Fixture("text", b"a.txt", 5, InMemory(b"Hello"))


@contextlib.contextmanager
def answering(reply: bytes, *, closes: bool = True) -> Iterator[tuple[ScenarioContext, bytearray]]:
    """Provide the context of a scenario whose server sends one reply, and what the server receives."""
    received = bytearray()
    sockets: list[socket.socket] = []

    def dial(timeout_seconds: float, _buffer: int) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(timeout_seconds)
        theirs.sendall(reply)
        if closes:
            theirs.shutdown(socket.SHUT_WR)
        sockets.append(theirs)
        return ours

    context = ScenarioContext(
        RunContext(dial, RemoteFixtures({"text": TEXT}, knows_all=True), "2019", 0.3), is_crowded=False
    )
    try:
        yield context, received
    finally:
        context.close()
        for sock in sockets:
            sock.settimeout(5)
            with contextlib.suppress(ConnectionError):
                while data := sock.recv(65536):
                    received += data
            sock.close()


def play(text: str, reply: bytes, *, closes: bool = True) -> bytes:
    with answering(reply, closes=closes) as (context, received):
        Transcript(text)(context)
    return bytes(received).removesuffix(b"quit\r\n")  # that of a client that leaves


def failure(text: str, reply: bytes, *, closes: bool = True) -> Failure:
    with answering(reply, closes=closes) as (context, _), pytest.raises(Failure) as caught:
        Transcript(text)(context)
    return caught.value


def test_sends_lines_and_exact_bytes() -> None:
    text = """
        C: get_metadata {text}
        C| qui\\nt\\x00\\\\\\r\\n
        <bytewise>
        C: {text.size} {text.size+1} {text.size-1} {text.size//2}
    """
    assert play(text, b"") == b"get_metadata a.txt\r\nqui\nt\0\\\r\n5 6 4 2\r\n"


def test_sends_percent_signs_as_written() -> None:
    text = """
        C: 100% {text} %s %(text)s %%
        C| %d\\x25{text}\\r\\n
    """
    assert play(text, b"") == b"100% a.txt %s %(text)s %%\r\n%d%a.txt\r\n"


@pytest.mark.parametrize(
    ("text", "packets"),
    [
        ("C: a\nC| b\n# c\n\nC: d", ["a\r\nbd\r\n"]),
        ("C: a\n<whole>\nC: b", ["a\r\n", "b\r\n"]),
        ("C: a\n<bytewise>\nC| bc\n<whole>\nC: d", ["a\r\n", "b", "c", "d\r\n"]),
        ("C: a\nS: 0 *\nC: b", ["a\r\n", "b\r\n"]),
    ],
)
def test_sends_consecutive_lines_in_one_packet(text: str, packets: list[str]) -> None:
    with answering(b"0 OK\r\n") as (context, _):
        Transcript(text)(context)
        assert [entry.data for entry in context.record.describe() if entry.what == "sent"] == packets


def test_runs_with_the_files_of_each_server() -> None:
    transcript = Transcript("C: get_metadata {text}\nS: 0 *\nS: {text.size+1}")
    for size in (5, 6):
        with answering(b"0 OK\r\n%d\r\n" % (size + 1)) as (context, _):
            files = RemoteFixtures({"text": Fixture("text", b"b", size)}, knows_all=True)
            context.run_context = replace(context.run_context, fixtures=files)
            transcript(context)


def test_derives_the_needed_fixtures_from_the_text() -> None:
    text = "C: get_slice {text} 0 1\nS: <size one>\nS: <slice binary 0 {large.size}>"
    assert Transcript(text).fixtures == {"text", "one", "binary", "large"}


@pytest.mark.parametrize(
    ("expected", "reply"),
    [
        ("S: 203 *", b"203 OFFSET EXCEEDS FILE SIZE\r\n"),
        ("S: 101|200|201 *", b"200 \r\n"),
        ("S: 0 *\nS: {text.size}", b"0 OK\r\n5\r\n"),
        ("S: 0 *\nS: <size text>", b"0 OK\r\n5\r\n"),
        ("S: 0 *\nS: <slice text 1 3>", b"0 OK\r\nZWxs\r\n"),
        ("S: 0 *\nS: <listing>", b"0 OK\r\na.txt\r\nb\r\n\r\n"),
        ("S: 0 *\nS: *.txt", b"0 OK\r\na.txt\r\n"),
        ("S: 0 *\nS: {text}*{text.size}", b"0 OK\r\na.txt has 5\r\n"),
        ("S: 0 *\nS: 100%", b"0 OK\r\n100%\r\n"),
        ("S: 0 *\nS:", b"0 OK\r\n\r\n"),
        ("S: 0 *\nS: <slice text {text.size-1} 1>", b"0 OK\r\nbw==\r\n"),
        ("S| 0\\x20OK\\r\\n", b"0 OK\r\n"),
        ("S: 100 *\n<in step>", b"100 BAD EOL\r\n"),
        ("S: 202 *\n<in step>", b"202 NO\r\n200 NO\r\n0 OK\r\n"),
    ],
)
def test_accepts_a_correct_reply(expected: str, reply: bytes) -> None:
    play(f"C: x\n{expected}\n<close>", reply)


@pytest.mark.parametrize(
    ("expected", "reply", "kind"),
    [
        ("S: 203 *", b"202 NO\r\n", Kind.STATUS),
        ("S: 203 *", b"0203 NO\r\n", Kind.MALFORMED),
        ("S: 203 *", b"HTTP/1.1 400 Bad\r\n", Kind.MALFORMED),
        ("S: 203 *", b"203 NO\n", Kind.MALFORMED),
        ("S: 203 *", b"", Kind.CLOSED),
        ("S: 203 *", b"203 N", Kind.CLOSED),
        ("S: 0 *\nS: 5", b"0 OK\r\n6\r\n", Kind.BODY),
        ("S: 0 *\nS: a.*", b"0 OK\r\nabc\r\n", Kind.BODY),
        ("S: 0 *\nS: <size text>", b"0 OK\r\n05\r\n", Kind.MALFORMED),
        ("S: 0 *\nS: <size text>", b"0 OK\r\n4\r\n", Kind.BODY),
        ("S: 0 *\nS: <slice text 1 3>", b"0 OK\r\nSGVs\r\n", Kind.BODY),
        ("S: 0 *\nS: <slice text 1 3>", b"0 OK\r\nZWx\r\n", Kind.MALFORMED),
        ("S: 0 *\nS: <slice text 0 5>", b"0 OK\r\nSGVs\r\nbG8=\r\n", Kind.BODY),
        ("S: 100 *\n<close>", b"100 BAD EOL\r\n0 OK\r\n", Kind.EXTRA),
        ("S: 202 *\n<in step>", b"202 NO\r\n202 NO\r\n200 NO\r\n", Kind.STATUS),
    ],
)
def test_wrong_reply_fails_with_its_kind(expected: str, reply: bytes, kind: Kind) -> None:
    assert failure(f"C: x\n{expected}", reply).kind is kind


def test_distinguishes_a_missing_reply_from_a_missing_eof() -> None:
    assert failure("C: x\nS: 200 *", b"", closes=False).kind is Kind.TIMEOUT
    assert failure("C: x\nS: 100 *\n<close>", b"100 BAD EOL\r\n", closes=False).kind is Kind.OPEN


def test_observes_which_of_several_valid_replies_was_sent() -> None:
    with answering(b"201 NO\r\n") as (context, _):
        Transcript("C: x\nS: 101|201 *")(context)
        assert context.seen == ["answered 201 NO"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("S: 0 *", "client sends nothing"),
        ("C: x\nhello", "neither C:"),
        ("C: x\n<leave>", "neither C:"),
        ("C: x\nS: <slices>", "unknown reply"),
        ("C: x\nS: <listing text>", "unknown reply"),
        ("C: x\nS: <size>", "unknown reply"),
        ("C: x\nS: <slice text 0>", "unknown reply"),
        ("C: \u20ac", "invalid bytes"),
        ("C: x\nS: \u20ac", "invalid bytes"),
        ("C| \\xg", "invalid bytes"),
    ],
)
def test_rejects_an_invalid_transcript_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(TranscriptError, match=complaint) as caught:
        Transcript(text)
    assert "\n" not in str(caught.value)


def test_accepts_a_reply_followed_by_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(4)
                sock.sendall(b"100 BAD EOL\r\n")  # closing with input unread: the kernel sends RST

        server = threading.Thread(target=serve)
        server.start()

        def dial(timeout_seconds: float, _buffer: int) -> socket.socket:
            return socket.create_connection(listener.getsockname(), timeout_seconds)

        context = ScenarioContext(RunContext(dial, RemoteFixtures({}, knows_all=False), "2026", 5.0), is_crowded=False)
        Transcript("C| quit\\nmore and more\nS: 100 *\n<close>")(context)
        context.close()
        server.join(5)
