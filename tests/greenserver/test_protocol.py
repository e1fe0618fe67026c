"""Every rule of the protocol, on every engine and in every dialect, over raw sockets."""

import base64
import contextlib
import os
from pathlib import Path

import pytest

from tests.greenserver.conftest import BINARY, LARGE, SERVED, TEXT
from tests.greenserver.oracle import (
    BAD_ARGUMENTS,
    BAD_EOL,
    BAD_REQUEST,
    NO_COMMAND,
    NO_FILE,
    OK,
    PAST_END,
    in_form,
)
from tests.greenserver.serving import Server

MIB = 1 << 20
SIZE_OF_ONE = OK + b"1\r\n"
NEXT_COMMAND = b"get_metadata one\r\n"
"""Sent after each command, to check that the connection stays open and replies stay in order."""

REPLIES = {
    # Sizes
    b"get_metadata text.txt": OK + b"41\r\n",
    b"get_metadata one": OK + b"1\r\n",
    b"get_metadata empty": OK + b"0\r\n",
    b"get_metadata large.bin": OK + b"1200000\r\n",
    b"get_metadata " + b"n" * 255: OK + b"9\r\n",
    # Unknown commands; names are lower case
    b"put": NO_COMMAND,
    b"QUIT": NO_COMMAND,
    b"Get_metadata one": NO_COMMAND,
    b"get_metadat one": NO_COMMAND,
    b"get_metadata2 one": NO_COMMAND,
    b"__init__": NO_COMMAND,
    b"x" * 5000: NO_COMMAND,
    # The number of arguments
    b"get_metadata": BAD_ARGUMENTS,
    b"get_metadata one two": BAD_ARGUMENTS,
    b"get_file_listing x": BAD_ARGUMENTS,
    b"quit x": BAD_ARGUMENTS,
    b"get_slice": BAD_ARGUMENTS,
    b"get_slice one": BAD_ARGUMENTS,
    b"get_slice one 0": BAD_ARGUMENTS,
    b"get_slice one 0 1 raw x": BAD_ARGUMENTS,
    b"get_slice one 0 1 x": BAD_ARGUMENTS,
    b"get_slice one 0 1 RAW": BAD_ARGUMENTS,
    # The form of numbers
    b"get_slice one -1 1": BAD_ARGUMENTS,
    b"get_slice one 0 -1": BAD_ARGUMENTS,
    b"get_slice one +0 1": BAD_ARGUMENTS,
    b"get_slice one -0 1": BAD_ARGUMENTS,
    b"get_slice text.txt 1_0 1": BAD_ARGUMENTS,
    b"get_slice one 0 1.0": BAD_ARGUMENTS,
    b"get_slice one 0x0 1": BAD_ARGUMENTS,
    b"get_slice one 0 1e0": BAD_ARGUMENTS,
    b"get_slice one a b": BAD_ARGUMENTS,
    # Numbers of any length
    b"get_slice one 0 9223372036854775808": PAST_END,
    b"get_slice one 18446744073709551616 0": PAST_END,
    b"get_slice one 0 " + b"9" * 3000: PAST_END,
    b"get_slice one " + b"9" * 6000 + b" 1": PAST_END,
    # The range
    b"get_slice text.txt 0 42": PAST_END,
    b"get_slice text.txt 41 1": PAST_END,
    b"get_slice text.txt 42 0": PAST_END,
    b"get_slice empty 0 1": PAST_END,
    # Arguments are checked before the file, and the file before the range
    b"get_slice nothing -1 1": BAD_ARGUMENTS,
    b"get_slice nothing 0 x": BAD_ARGUMENTS,
    b"get_slice ../secret 9 9": BAD_ARGUMENTS,
    b"get_slice nothing 0 1": NO_FILE,
    b"get_slice nothing 99999999999999999999 1": NO_FILE,
    b"get_metadata nothing": NO_FILE,
    b"get_metadata TEXT.TXT": NO_FILE,
    # Entries that are never served
    b"get_metadata .hidden": NO_FILE,
    b"get_metadata folder": NO_FILE,
    b"get_metadata fifo": NO_FILE,
    b"get_metadata link-out": NO_FILE,
    b"get_metadata link-in": NO_FILE,
    b"get_metadata dangling": NO_FILE,
    b"get_metadata .": NO_FILE,
    b"get_metadata ..": NO_FILE,
    b"get_slice folder 0 0": NO_FILE,
    b"get_slice fifo 0 0": NO_FILE,
    b"get_slice link-out 0 1": NO_FILE,
    b"get_slice link-in 0 1": NO_FILE,
    b"get_slice .hidden 0 1": NO_FILE,
    b"get_metadata ../secret": BAD_ARGUMENTS,
    b"get_metadata /etc/passwd": BAD_ARGUMENTS,
    b"get_metadata folder/inner": BAD_ARGUMENTS,
    b"get_metadata folder/../text.txt": BAD_ARGUMENTS,
    b"get_metadata my%20file.txt": BAD_ARGUMENTS,
    b"get_metadata *": BAD_ARGUMENTS,
    # Names of any length
    b"get_metadata " + b"n" * 256: NO_FILE,
    b"get_metadata " + b"n" * 8192: NO_FILE,
    b"get_slice " + b"n" * 8192 + b" 0 1": NO_FILE,
}

MALFORMED = (
    *(b"", b" ", b" quit", b"quit ", b"get_metadata  one", b"get_metadata one ", b"get_metadata\tone"),
    *(b"\0", b"get_metadata \0", b"get_metadata one\0", b"get_metadata \xe9", b"get_slice one \xd9\xa0 \xd9\xa1"),
    *(b"\xff\xfe", b"qu\rit", b"quit\r", b"\x7f", b"\x1b[A", b"x" * 5000 + b" ", b"get_metadata " + b"\xe9" * 9000),
)


def test_each_command_gets_its_reply_and_the_connection_stays_open(server: Server) -> None:
    with server.connect() as client:
        for command, expected in REPLIES.items():
            client.send(command + b"\r\n" + NEXT_COMMAND)
            reply = client.exactly(len(expected) + len(SIZE_OF_ONE))
            assert reply == expected + SIZE_OF_ONE, command[:80]
        client.send(b"quit\r\n")
        assert client.rest() == OK


def test_pipelined_commands_are_answered_in_order(server: Server) -> None:
    sent = b"".join(command + b"\r\n" for command in REPLIES)
    assert server.ask(sent + b"quit\r\n" + NEXT_COMMAND) == b"".join(REPLIES.values()) + OK


def test_a_malformed_line_is_fatal_and_nothing_after_it_is_executed(server: Server) -> None:
    for line in MALFORMED:
        assert server.ask(NEXT_COMMAND + line + b"\r\n" + NEXT_COMMAND) == SIZE_OF_ONE + BAD_REQUEST, line[:80]


@pytest.mark.parametrize(
    "broken", [b"\n", b"quit\n", b"qui\nt\n\r\n", b"get_metadata one\n\r", b"\n\r\n", b"\0\n", b" \n"]
)
def test_a_bare_lf_is_fatal_at_once_and_nothing_after_it_is_executed(server: Server, broken: bytes) -> None:
    with server.connect() as client:
        client.send(NEXT_COMMAND + broken)
        assert client.rest() == SIZE_OF_ONE + BAD_EOL
    assert server.ask(NEXT_COMMAND + broken + b"\r\n" + NEXT_COMMAND) == SIZE_OF_ONE + BAD_EOL


@pytest.mark.parametrize(
    ("fatal", "reply"), [(b"quit\n", BAD_EOL), (b"\r\n", BAD_REQUEST), (b"quit\r\n", OK)], ids=["LF", "empty", "quit"]
)
def test_the_last_reply_arrives_despite_unread_input(server: Server, fatal: bytes, reply: bytes) -> None:
    with server.connect() as client:
        client.send(NEXT_COMMAND + fatal + NEXT_COMMAND * (MIB // len(NEXT_COMMAND)))
        assert client.rest() == SIZE_OF_ONE + reply


def test_nothing_is_sent_before_a_command(server: Server) -> None:
    assert server.ask(b"") == b""


def test_quit_is_answered_and_closes_the_connection(server: Server) -> None:
    with server.connect() as client:
        client.send(b"quit\r\n" + NEXT_COMMAND)
        assert client.rest() == OK


def test_replies_arrive_after_the_client_has_half_closed(server: Server) -> None:
    assert server.ask(NEXT_COMMAND + b"get_metadata empty\r\n") == SIZE_OF_ONE + OK + b"0\r\n"


def test_an_incomplete_command_at_eof_is_not_executed(server: Server) -> None:
    assert server.ask(NEXT_COMMAND + b"quit") == SIZE_OF_ONE
    assert server.ask(NEXT_COMMAND + b"quit\r") == SIZE_OF_ONE


def test_a_command_received_byte_by_byte_is_one_command(server: Server) -> None:
    sent = b"get_metadata one\r\nget_slice text.txt 0 0\r\nquit\r\n"
    dialect_end = server.ask(b"get_slice text.txt 0 0\r\n")
    assert server.ask(sent, pieces=[1] * len(sent)) == SIZE_OF_ONE + dialect_end + OK


def test_others_are_served_after_a_client_disconnects_in_a_command_or_a_reply(server: Server) -> None:
    for sent in (b"get_meta", b"get_slice large.bin 0 1200000\r\n" * 4):
        with server.connect() as client:
            client.send(sent)
        with server.connect() as client:
            client.send(sent)
            client.reset()
    assert server.ask(NEXT_COMMAND) == SIZE_OF_ONE


def test_the_listing_has_exactly_the_files_that_can_be_fetched(server: Server) -> None:
    reply = server.ask(b"get_file_listing\r\n")
    assert reply.startswith(OK)
    assert reply.endswith(b"\r\n\r\n")
    names = reply.removeprefix(OK).decode().split("\r\n")[:-2]
    assert sorted(names) == sorted(SERVED)
    for name in names:
        assert server.ask(f"get_metadata {name}\r\n".encode()) == OK + b"%d\r\n" % len(SERVED[name])


def test_help_lists_the_commands_if_the_dialect_has_it(server: Server, dialect: str) -> None:
    if dialect == "2026":
        reply = server.ask(b"help\r\nhelp x\r\n")
        assert reply.startswith(OK)
        names = reply.removeprefix(OK).removesuffix(b"\r\n" + BAD_ARGUMENTS).split(b"\r\n")
        assert sorted(names) == [b"", b"get_file_listing", b"get_metadata", b"get_slice", b"help", b"quit"]
    else:
        assert server.ask(b"help\r\nhelp x\r\n") == NO_COMMAND * 2


@pytest.mark.parametrize(
    ("name", "offset", "size"),
    [
        *[("text.txt", 0, 41), ("text.txt", 40, 1), ("text.txt", 7, 5), ("text.txt", 41, 0), ("text.txt", 0, 0)],
        *[("one", 0, 1), ("one", 1, 0), ("empty", 0, 0), ("binary.dat", 0, len(BINARY)), ("binary.dat", 766, 7)],
        *[("large.bin", 0, len(LARGE)), ("large.bin", 1, 600_001), ("large.bin", 196_607, 196_610)],
        *[("large.bin", 0, 48 * 1024), ("large.bin", 3, 96 * 1024), ("n" * 255, 1, 3)],
    ],
)
def test_a_slice_is_framed_as_the_dialect_requires(
    server: Server, dialect: str, name: str, offset: int, size: int
) -> None:
    data = SERVED[name][offset : offset + size]
    command = f"get_slice {name} {offset} {size}".encode()
    expected = OK + in_form(dialect, data) + SIZE_OF_ONE
    assert server.ask(command + b"\r\n" + NEXT_COMMAND) == expected
    zeros = f"get_slice {name} 00{offset} 0{size}".encode()
    assert server.ask(zeros + b"\r\n" + NEXT_COMMAND) == expected
    raw = server.ask(command + b" raw\r\n" + NEXT_COMMAND)
    assert raw == ((OK + in_form("raw", data)) if dialect == "2026" else BAD_ARGUMENTS) + SIZE_OF_ONE


def test_consecutive_slices_add_up_to_the_file(server: Server, dialect: str) -> None:
    with server.connect() as client:
        got = b""
        for start in range(0, len(LARGE), 170_001):
            size = min(170_001, len(LARGE) - start)
            client.send(b"get_slice large.bin %d %d\r\n" % (start, size))
            framed = client.exactly(len(OK) + len(in_form(dialect, LARGE[start : start + size])))
            got += unframed(dialect, framed.removeprefix(OK))
    assert got == LARGE


def unframed(dialect: str, framed: bytes) -> bytes:
    """Return the decoded bytes of a slice."""
    if dialect == "2018":
        return framed
    if dialect != "2016":
        assert framed.endswith(b"\r\n")
        return base64.b64decode(framed[:-2], validate=True)
    parts, position = [], 0
    while not framed.startswith(b"0 \r\n", position):
        start = framed.index(b" ", position, position + 20) + 1
        end = start + int(framed[position : start - 1])
        assert end > start
        assert framed[end : end + 2] == b"\r\n"
        parts.append(framed[start:end])
        position = end + 2
    assert position + len(b"0 \r\n") == len(framed)
    return b"".join(parts)


def test_pipelined_slices_are_answered_in_order_while_the_client_reads(server: Server, dialect: str) -> None:
    parts = [(3 * number, 5000 + number) for number in range(200)]
    sent = b"".join(b"get_slice large.bin %d %d\r\n" % part for part in parts)
    expected = b"".join(OK + in_form(dialect, LARGE[start : start + size]) for start, size in parts)
    assert server.ask(sent + b"quit\r\n") == expected + OK


def test_a_name_of_five_mebibytes_is_not_found_and_the_connection_stays_open(server: Server) -> None:
    assert server.ask(b"get_metadata " + b"n" * (5 * MIB) + b"\r\n" + NEXT_COMMAND) == NO_FILE + SIZE_OF_ONE


def test_a_line_over_eight_mebibytes_is_rejected_before_its_end(server: Server) -> None:
    with server.connect() as client:
        client.send(NEXT_COMMAND + b"get_metadata " + b"n" * (8 * MIB))
        assert client.rest() == SIZE_OF_ONE + BAD_REQUEST


def test_a_text_file_is_served_unchanged(server: Server, dialect: str) -> None:
    assert in_form(dialect, TEXT) in server.ask(b"get_slice text.txt 0 41\r\n")


def test_many_concurrent_clients_are_all_served(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(30)]
        for client in clients:
            client.send(NEXT_COMMAND + b"quit\r\n")
        for client in clients:
            assert client.rest() == SIZE_OF_ONE + OK
            client.socket.close()


def test_two_connections_are_served_alternately(server: Server, engine: str) -> None:
    with server.connect() as first, server.connect() as second:
        first.send(NEXT_COMMAND)
        assert first.exactly(len(SIZE_OF_ONE)) == SIZE_OF_ONE
        if engine == "sequential":
            first.send(b"quit\r\n")
            assert first.rest() == OK
            first.socket.close()
        second.send(NEXT_COMMAND)
        assert second.exactly(len(SIZE_OF_ONE)) == SIZE_OF_ONE
        if engine != "sequential":
            first.send(NEXT_COMMAND)
            assert first.exactly(len(SIZE_OF_ONE)) == SIZE_OF_ONE


def test_a_client_that_does_not_read_does_not_block_others(server: Server, engine: str) -> None:
    with server.connect() as slow:
        slow.send(b"get_slice large.bin 0 1200000\r\n" * 8)
        assert slow.line() == OK
        if engine != "sequential":
            assert server.ask(NEXT_COMMAND) == SIZE_OF_ONE


def test_the_directory_is_unchanged(directory: Path) -> None:
    assert {name: (directory / name).read_bytes() for name in SERVED} == SERVED
    assert len(os.listdir(directory)) == len(SERVED) + 8
