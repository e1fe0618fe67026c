"""Each planted mistake of public servers shows in raw bytes as its description says.

Whether the suite finds them is the kill matrix's business; here is no part of it but the guard that ends a server.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.broken_servers.all_bugs import BUGS
from tests.broken_servers.bugs_vanished import NO_ROOM
from tests.conformance.forked_server import TIMEOUT_SECONDS, Running, is_closed, read, reset

pytestmark = pytest.mark.once

MODULES = {
    "bugs_exits",
    "bugs_line_ends",
    "bugs_ranges",
    "bugs_vanished",
    "bugs_waits",
    "student_classes",
    "student_one_file",
}
TEXT = b"0 OK\r\nSGVsbG8=\r\n"
UNKNOWN = b"200 NO SUCH COMMAND\r\n"
INVALID = b"201 INVALID ARGUMENTS FOR COMMAND\r\n"
MISSING = b"202 FILE NOT FOUND\r\n"
PAST = b"203 OFFSET EXCEEDS FILE SIZE\r\n"
QUIT = b"0 OK\r\n"


Start = Callable[[str], AbstractContextManager[Running]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return what starts a server on a directory with one file of five bytes."""
    (tmp_path / "text.txt").write_bytes(b"Hello")

    @contextlib.contextmanager
    def started(name: str) -> Iterator[Running]:
        server = Running(name, tmp_path)
        try:
            yield server
        finally:
            server.close()

    return started


SPOKEN: dict[str, tuple[str, bytes, bytes]] = {
    "quit-extra-line": ("-loop", b"quit\r\n", QUIT + b"\r\n"),
    "quit-answered-twice": ("-sequential", b"quit\r\n", QUIT + QUIT),
    "error-with-empty-line": ("-loop -threads", b"x\r\nquit\r\n", UNKNOWN + b"\r\n" + QUIT),
    "error-then-ok": ("-streams", b"x\r\nquit\r\n", UNKNOWN + QUIT + QUIT),
    "status-203-without-space": (
        "-loop",
        b"get_slice text.txt 0 9\r\nget_metadata x\r\n",
        b"203OFFSET EXCEEDS FILE SIZE\r\n" + MISSING,
    ),
    "status-202-without-space": (
        "-streams",
        b"get_slice text.txt 0 9\r\nget_metadata x\r\n",
        PAST + b"202FILE NOT FOUND\r\n",
    ),
    "slice-extra-line-2019": ("-sequential", b"get_slice text.txt 0 5\r\n", TEXT + b"\r\n"),
    "slice-extra-line-2018": ("-loop", b"get_slice text.txt 0 5\r\nx\r\n", b"0 OK\r\nHello\r\n" + UNKNOWN),
    "slice-extra-line-raw": (
        "-loop",
        b"get_slice text.txt 0 5 raw\r\n",
        b"0 OK\r\nContent-Length: 5\r\n\r\nHello\r\n",
    ),
    "listing-extra-line": ("-loop", b"get_file_listing\r\n", b"0 OK\r\ntext.txt\r\n\r\n\r\n"),
    "size-with-space": ("-streams", b"get_metadata text.txt\r\n", b"0 OK\r\n5 \r\n"),
    "reply-lf-only": (
        "-streams",
        b"get_file_listing\r\nget_metadata text.txt\r\nget_slice text.txt 0 5\r\nx\r\n",
        b"0 OK\ntext.txt\n\n0 OK\n5\n0 OK\nSGVsbG8=\n200 NO SUCH COMMAND\n",
    ),
    "one-recv-one-command-2016": ("-sequential", b"x\r\nget_slice text.txt 0 5\r\n", UNKNOWN),
    "one-recv-one-command-2018": ("-loop", b"x\r\nget_slice text.txt 0 5\r\n", UNKNOWN),
    "slice-unchecked-2019": ("", b"get_slice text.txt 0 9\r\nget_slice text.txt 9 1\r\n", TEXT + b"0 OK\r\n\r\n"),
    "slice-unchecked-2018": (
        "",
        b"get_slice text.txt 0 9\r\nget_slice text.txt 9 1\r\n",
        b"0 OK\r\nHello0 OK\r\n",
    ),
    "slice-only-offset-checked-2019": ("", b"get_slice text.txt 0 9\r\nget_slice text.txt 9 1\r\n", TEXT + PAST),
    "slice-only-offset-checked-2018": (
        "",
        b"get_slice text.txt 0 9\r\nget_slice text.txt 9 1\r\n",
        b"0 OK\r\nHello" + PAST,
    ),
    "words-by-split": ("-forks", b"get_metadata   text.txt\r\n\r\nquit\r\n", b"0 OK\r\n5\r\n"),
    "slice-of-zero-201": ("-loop", b"get_slice text.txt 5 0\r\nx\r\n", INVALID + UNKNOWN),
    "student-five-other-bugs": (
        "",
        b"get_slice text.txt 0 0\r\nget_slice text.txt 0 9\r\nquit\r\n",
        INVALID + b"203OFFSET EXCEEDS FILE SIZE\r\n" + QUIT + b"\r\n",
    ),
}
"""What servers are asked in a stream that ends, and what they answer: the first, and those of other styles."""
EMPTY_LISTINGS = {
    "listing-empty-with-two-lines": b"\r\n\r\n",
    "listing-empty-with-two-lines-loop": b"\r\n\r\n",
    "listing-empty-without-line-streams": b"",
    "listing-empty-without-line-2019": b"",
}
SPEAKING = {
    name + suffix: (sent, answered)
    for name, (suffixes, sent, answered) in SPOKEN.items()
    for suffix in ("", *suffixes.split())
}
LIMITS = {
    "capped-clients": (5, NO_ROOM),
    "capped-clients-silent": (12, b""),
    "capped-clients-loop": (1, NO_ROOM),
}
DEAF = ("deaf-to-the-end-threads", "half-close-stays-open", "half-close-stays-open-loop")
SPINNING = ("spinning-on-leavers", "spinning-on-leavers-loop")
EXITING = {
    "nul-exits-later": b"get_metadata a\0b\r\n",
    "nul-exits-later-loop": b"get_metadata a\0b\r\n",
    "long-name-exits-later": b"get_metadata " + b"n" * 256 + b"\r\n",
    "long-name-exits-later-loop": b"get_metadata " + b"n" * 256 + b"\r\n",
}
CROWDED = ("second-client-exits-later", "second-client-exits-later-loop")
RESET = ("reset-stops-accepting", "reset-keeps-the-turn")
SLOW = ("slow-on-long-lines", "slow-on-long-lines-loop")
PATIENT = ("lone-lf-waits-loop", "lone-lf-waits-streams")
STALE = ("listing-read-at-start", "listing-read-at-start-loop", "student-five-other-bugs")


def test_tests_each_bug() -> None:
    tested = {*SPEAKING, *EMPTY_LISTINGS, *LIMITS, *DEAF, *SPINNING, *EXITING, *CROWDED, *RESET, *SLOW, *PATIENT}
    tested |= {*STALE, "deaf-to-the-end", "student-five-bugs"}
    assert {name for name, bug in BUGS.items() if bug.module in MODULES} - tested == set()


@pytest.mark.parametrize("name", SPEAKING)
def test_reply_has_the_planted_mistake(name: str, start: Start) -> None:
    sent, answered = SPEAKING[name]
    with start(name) as server:
        assert server.ask(sent) == answered


@pytest.mark.parametrize("name", EMPTY_LISTINGS)
def test_listing_of_an_empty_directory_has_the_wrong_number_of_lines(name: str, start: Start, tmp_path: Path) -> None:
    with start(name) as server:
        (tmp_path / "text.txt").unlink()
        assert server.ask(b"get_file_listing\r\n") == b"0 OK\r\n" + EMPTY_LISTINGS[name]


@pytest.mark.parametrize("name", LIMITS)
def test_only_quit_releases_a_slot(name: str, start: Start) -> None:
    most, last_words = LIMITS[name]
    with start(name) as server:
        for _ in range(most + 1):
            assert server.ask(b"quit\r\n") == QUIT
        for _ in range(most):
            assert server.ask(b"x\r\n") == UNKNOWN
        for _ in range(2):
            with server.connect() as sock:
                assert read(sock, TIMEOUT_SECONDS) == last_words


def test_sequential_server_is_correct_until_a_client_disconnects(start: Start) -> None:
    with start("deaf-to-the-end") as server:
        for _ in range(2):
            assert server.ask(b"x\r\nquit\r\n") == UNKNOWN + QUIT
        with server.connect() as leaver:
            assert server_is_heard(leaver)
        assert server.send_line(b"quit\r\n") == b""


def server_is_heard(sock: socket.socket) -> bool:
    """Return whether an unknown command is answered."""
    sock.sendall(b"x\r\n")
    return sock.recv(100) == UNKNOWN


@pytest.mark.parametrize("name", DEAF)
def test_does_not_close_after_a_half_close(name: str, start: Start) -> None:
    with start(name) as server, server.connect() as sock:
        sock.sendall(b"x\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == UNKNOWN
        assert not is_closed(sock)
        assert server.ask(b"quit\r\n") == QUIT


@pytest.mark.parametrize("name", SPINNING)
def test_spins_after_a_client_has_disconnected(name: str, start: Start) -> None:
    with start(name) as server:
        assert server.send_line(b"quit\r\n") == QUIT
        before = server.cpu_seconds()
        with server.connect() as leaver:
            assert server_is_heard(leaver)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while server.cpu_seconds() < before + 0.2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert server.ask(b"quit\r\n") == QUIT


@pytest.mark.parametrize("name", EXITING)
def test_exits_shortly_after_a_correct_reply(name: str, start: Start) -> None:
    with start(name) as server:
        assert server.ask(b"get_metadata text.txt\r\n") == b"0 OK\r\n5\r\n"
        with server.connect() as sock:
            sock.sendall(EXITING[name])
            assert sock.recv(100) in {MISSING, b"101 BAD REQUEST\r\n"}
        assert server.has_ended()


@pytest.mark.parametrize("name", CROWDED)
def test_exits_shortly_after_its_second_client(name: str, start: Start) -> None:
    with start(name) as server:
        for _ in range(3):
            assert server.ask(b"x\r\nquit\r\n") == UNKNOWN + QUIT
        with server.connect() as first, server.connect() as second:
            assert server_is_heard(second)
            assert server.has_ended()
            assert is_closed(first)


@pytest.mark.parametrize("name", RESET)
def test_serves_nobody_after_a_reset(name: str, start: Start) -> None:
    with start(name) as server:
        for _ in range(3):
            assert server.ask(b"x\r\n") == UNKNOWN
        leaver = server.connect()
        assert server_is_heard(leaver)
        reset(leaver)
        assert server.send_line(b"quit\r\n") == b""


@pytest.mark.parametrize("name", SLOW)
def test_replies_correctly_but_late_to_a_long_line(name: str, start: Start) -> None:
    with start(name) as server:
        taken = []
        for size in (1 << 14, 1 << 20):
            before = time.monotonic()
            assert server.ask(b"get_metadata " + b"n" * size + b"\r\n") == MISSING
            taken.append(time.monotonic() - before)
        assert taken[1] > 0.35
        assert taken[1] > taken[0]


@pytest.mark.parametrize("name", PATIENT)
def test_reports_a_bare_lf_only_after_a_cr_lf(name: str, start: Start) -> None:
    with start(name) as server, server.connect() as sock:
        sock.sendall(b"quit\n")
        assert not is_closed(sock)
        sock.sendall(b"\r\n")
        assert read(sock, TIMEOUT_SECONDS) == b"100 BAD EOL\r\n"


@pytest.mark.parametrize("name", STALE)
def test_listing_is_stale_but_sizes_are_current(name: str, start: Start, tmp_path: Path) -> None:
    with start(name) as server:
        (tmp_path / "new").write_bytes(b"1")
        (tmp_path / "text.txt").write_bytes(b"Good day")
        assert server.ask(b"get_file_listing\r\n") == b"0 OK\r\ntext.txt\r\n\r\n"
        assert server.ask(b"get_metadata text.txt\r\nget_metadata new\r\n") == b"0 OK\r\n8\r\n0 OK\r\n1\r\n"


def test_student_classes_disconnect_at_a_byte_from_0x80_on(start: Start) -> None:
    with start("student-five-other-bugs") as server:
        assert server.ask(b"get_metadata \xe9\r\nquit\r\n") == b""
        assert server.ask(b"quit\n") == b"100 BAD EOL\r\n"


def test_student_one_file_has_five_mistakes(start: Start, tmp_path: Path) -> None:
    (tmp_path.parent / f"{tmp_path.name}-outside").write_bytes(b"secret")
    answers = {
        f"get_metadata ../{tmp_path.name}-outside\r\n".encode(): b"0 OK\r\n6\r\n",
        b"quit\n": QUIT,
        b"x\r\nquit\r\n": UNKNOWN,
        b"get_slice text.txt +0 0_5\r\n": TEXT,
        b"get_slice text.txt 0 9\r\n": TEXT,
        b"get_slice text.txt 6 0\r\n": PAST,
        b"get_slice text.txt -1 1\r\n": INVALID,
        b"get_metadata \xe9\r\n": b"101 BAD REQUEST\r\n",
        b"get_file_listing\r\n": b"0 OK\r\ntext.txt\r\n\r\n",
    }
    with start("student-five-bugs") as server:
        assert {sent: server.ask(sent) for sent in answers} == answers
