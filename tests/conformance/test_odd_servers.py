"""The odd but correct servers do, in raw bytes, what their descriptions say.

That they are correct is for the suite to find: no scenario at MUST or SHOULD fails on one of them.
"""

import contextlib
import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broken_servers.all_bugs import BUGS
from tests.broken_servers.odd_servers import ODD, REPLY_SECONDS
from tests.conformance.forked_server import SILENCE_SECONDS, Running

pytestmark = pytest.mark.once

OK = b"0 OK\r\n"
BAD_EOL = b"100 BAD EOL\r\n"
BAD_REQUEST = b"101 BAD REQUEST\r\n"
INTERNAL = b"199 INTERNAL SERVER ERROR\r\n"
UNKNOWN = b"200 NO SUCH COMMAND\r\n"
INVALID = b"201 INVALID ARGUMENTS FOR COMMAND\r\n"
MISSING = b"202 FILE NOT FOUND\r\n"
FIVE = OK + b"5\r\n"
METADATA = b"get_metadata text.txt\r\n"
Answers = dict[bytes, bytes]

LONE_CR: Answers = {b"get_metadata a\rb\r\nx\r\n": BAD_EOL, b"\r\r\n": BAD_EOL}
COMMAND: Answers = {b"get-metadata x\r\nx\r\n": BAD_REQUEST, b"QUIT\r\nx\r\n": BAD_REQUEST, b"x\r\n": UNKNOWN}
STRICT: Answers = LONE_CR | COMMAND | {b"  \r\nx\r\n": BAD_REQUEST, b"x\ty\r\nx\r\n": BAD_REQUEST}
TOLERANT: Answers = {b" get_metadata \t text.txt \r\n": FIVE, b"  \r\nx\r\n": UNKNOWN + UNKNOWN}
TRAILING: Answers = {b"get_metadata text.txt  \r\n": FIVE, b" quit\r\n": BAD_REQUEST}
UNFINISHED: Answers = {b"x\r\nqui": UNKNOWN + BAD_EOL, METADATA: FIVE}
FOLDER: Answers = {b"get_slice folder 0 0\r\nx\r\n": INTERNAL, b"get_metadata folder\r\nx\r\n": MISSING + UNKNOWN}
INSIDE: Answers = {
    b"get_metadata .dot\r\n": OK + b"3\r\n",
    b"get_metadata link\r\n": FIVE,
    b"get_metadata folder/file\r\n": OK + b"4\r\n",
    b"get_metadata out\r\n": MISSING,
    b"get_metadata folder/../text.txt\r\n": INVALID,
    b"get_file_listing\r\n": OK + b".dot\r\nlink\r\ntext.txt\r\n\r\n",
}
SLICE = b"get_slice text.txt 0 5\r\n"
ORDINARY: Answers = {METADATA + b"x\r\nquit\r\nx\r\n": FIVE + UNKNOWN + OK}
TEXTS: Answers = {METADATA + b"y\r\n": b"0 1 reply follows: \r\n5\r\n200 404 unknown \r\n"}
ANSWERS: dict[str, Answers] = {
    "unfinished-line-answered": UNFINISHED,
    "unfinished-line-answered-loop": UNFINISHED,
    "directory-slice-199": FOLDER,
    "directory-slice-199-loop": FOLDER,
    "directory-199": {b"get_metadata folder\r\nx\r\n": INTERNAL},
    "directory-199-lines": {b"get_metadata folder\r\nx\r\n": INTERNAL},
    "directory-201": {b"get_metadata folder\r\nget_slice folder 0 0\r\n": INVALID + INVALID},
    "lone-cr-100": LONE_CR,
    "command-characters-101": COMMAND,
    "strict-characters": STRICT,
    "strict-characters-sequential": STRICT,
    "spaces-200": {b" quit\r\nget_metadata  x\r\n\r\n": UNKNOWN + UNKNOWN + BAD_REQUEST},
    "spaces-201": {b" quit\r\nget_metadata  x\r\n\r\n": INVALID + INVALID + BAD_REQUEST},
    "spaces-tolerated": TOLERANT,
    "spaces-tolerated-loop": TOLERANT,
    "trailing-spaces-tolerated": TRAILING,
    "trailing-spaces-tolerated-streams": TRAILING,
    "empty-line-200": {b"\r\nx\r\n": UNKNOWN + UNKNOWN},
    "empty-line-201": {b"\r\nx\r\n": INVALID + UNKNOWN},
    "foreign-bytes-202": {b"get_metadata \0\xff\r\nqu\xe9t\r\n": MISSING + UNKNOWN},
    "leading-zeros-201": {b"get_slice text.txt 0 05\r\n" + SLICE: INVALID + OK + b"SGVsbG8=\r\n"},
    "large-numbers-201": {b"get_slice text.txt 0 18446744073709551616\r\n": INVALID},
    "serves-all-inside": INSIDE,
    "serves-all-inside-sequential": INSIDE,
    "outside-202": {b"get_metadata ../text.txt\r\n": MISSING},
    "base64-in-lines": {b"get_slice long 0 60\r\n": OK + b"YWFh" * 19 + b"\r\nYWFh\r\n"},
    "base64-in-lines-loop": {b"get_slice text.txt 5 0\r\n": OK + b"\r\n"},
    "small-fragments": {
        b"get_slice long 0 150\r\n": OK + b"100 " + b"a" * 100 + b"\r\n50 " + b"a" * 50 + b"\r\n0 \r\n"
    },
    "other-texts": TEXTS,
    "other-texts-loop": TEXTS,
    "help-before-2026": {b"help\r\n": OK + b"get_file_listing\r\nget_metadata\r\nget_slice\r\nquit\r\n\r\n"},
    "listing-backwards": {b"get_file_listing\r\n": OK + b"text.txt\r\nlong\r\n\r\n"},
}
"""What servers are asked in a stream that ends, and what they answer."""
for _suffix in ("", "-loop"):
    ANSWERS[f"no-help-2019{_suffix}"] = {b"help\r\n": UNKNOWN, SLICE: OK + b"SGVsbG8=\r\n"}
    ANSWERS[f"no-help-2018{_suffix}"] = {b"help\r\n": UNKNOWN, SLICE: OK + b"Hello"}
    ANSWERS[f"no-help-2016{_suffix}"] = {b"help\r\n": UNKNOWN, SLICE: OK + b"5 Hello\r\n0 \r\n"}
UNREADABLE = {
    "unreadable-202": (MISSING + UNKNOWN, b""),
    "unreadable-202-forks": (MISSING + UNKNOWN, b""),
    "unreadable-199": (INTERNAL, b""),
    "unreadable-listed": (INTERNAL, b"secret\r\n"),
    "unreadable-listed-loop": (INTERNAL, b"secret\r\n"),
}
BACKLOGS = {"backlog-5": 5, "backlog-1": 1, "backlog-5-loop": 5, "backlog-512": 512}
LEAVING = ("notices-leavers", "notices-leavers-lines")
SLOW = ("slow-replies", "slow-replies-streams")


@contextlib.contextmanager
def started(name: str, directory: Path) -> Iterator[Running]:
    """Start a server on a directory with some files."""
    (directory / "text.txt").write_bytes(b"Hello")
    (directory / "folder").mkdir()
    server = Running(name, directory)
    try:
        yield server
    finally:
        server.close()


def test_tests_each_odd_server() -> None:
    assert {*ANSWERS, *UNREADABLE, *BACKLOGS, *LEAVING, *SLOW} == set(ODD)
    assert not set(ODD) & set(BUGS)


@pytest.mark.parametrize("name", ANSWERS)
def test_odd_server_makes_the_described_choice(name: str, tmp_path: Path) -> None:
    if ANSWERS[name] is INSIDE:
        (tmp_path / ".dot").write_bytes(b"dot")
        (tmp_path / "link").symlink_to("text.txt")
        (tmp_path / "out").symlink_to("/etc/passwd")
    else:
        (tmp_path / "long").write_bytes(b"a" * 200)
    with started(name, tmp_path) as server:
        (tmp_path / "folder" / "file").write_bytes(b"file")
        answers = {sent: server.ask(sent) for sent in ANSWERS[name]}
    if ANSWERS[name] is INSIDE:
        head, *names = answers[b"get_file_listing\r\n"].split(b"\r\n")
        answers[b"get_file_listing\r\n"] = b"\r\n".join([head, *sorted(names[:-2]), *names[-2:]])
    assert answers == ANSWERS[name]


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_file_is_listed_and_answered_as_described(name: str, tmp_path: Path) -> None:
    answer, listed = UNREADABLE[name]
    (tmp_path / "secret").touch(mode=0)
    with started(name, tmp_path) as server:
        (tmp_path / "text.txt").unlink()
        assert server.ask(b"get_metadata secret\r\nx\r\n") == answer
        assert server.ask(b"get_file_listing\r\n") == OK + listed + b"\r\n"


@pytest.mark.parametrize("name", BACKLOGS)
def test_backlog_is_as_short_as_described(name: str, tmp_path: Path) -> None:
    with started(name, tmp_path) as server:
        assert ODD[name].factory(tmp_path, "2026").backlog == BACKLOGS[name]
        assert {sent: server.ask(sent) for sent in ORDINARY} == ORDINARY


@pytest.mark.parametrize("name", LEAVING)
def test_serves_one_client_at_a_time_and_notices_its_end(name: str, tmp_path: Path) -> None:
    with started(name, tmp_path) as server, server.connect() as second:
        with server.connect() as third:
            second.sendall(b"x\r\n")
            third.sendall(b"x\r\n")
            assert second.recv(100) == UNKNOWN
            assert not select.select([third], [], [], SILENCE_SECONDS)[0]
            second.close()
            assert third.recv(100) == UNKNOWN
        assert server.ask(b"quit\r\n") == OK


@pytest.mark.parametrize("name", SLOW)
def test_delays_each_reply(name: str, tmp_path: Path) -> None:
    with started(name, tmp_path) as server:
        before = time.monotonic()
        assert {sent: server.ask(sent) for sent in ORDINARY} == ORDINARY
        assert time.monotonic() - before >= 3 * REPLY_SECONDS
