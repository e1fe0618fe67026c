"""The requests of each load in the protocol of a server, and the check that its replies are right."""

import dataclasses
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from tests.benchmarks.client import HOST, STALL_SECONDS, Load
from tests.benchmarks.files import Files

BASE64: Final = "base64"
RAW: Final = "raw"
METADATA: Final = "metadata"

PIECE_BYTES: Final = 1 << 20
FTP_LOGIN: Final = (b"USER anonymous\r\n", b"PASS benchmark\r\n", b"TYPE I\r\n")


class WrongReplyError(Exception):
    """A reply that differs from the expected one."""


def load_for(protocol: str, kind: str, files: Files, port: int, *, depth: int = 1) -> Load:
    """Return a load, after comparing one batch of replies of this server byte by byte.

    A batch has `depth` commands, each for a different file if there are enough. Raises WrongReplyError, OSError.
    """
    names = [files.small[index % len(files.small)] for index in range(depth)]
    requests = [_request(protocol, kind, name, files) for name in names]
    with socket.create_connection((HOST, port), STALL_SECONDS) as channel, channel.makefile("rb") as replies:
        preamble_bytes = _log_in(channel, replies) if protocol == "ftp" else 0
        channel.sendall(b"".join(requests))
        total = 0
        for name in names:
            total += _check(protocol, kind, replies, name, files)
    preamble = b"".join(FTP_LOGIN) if protocol == "ftp" else b""
    return Load(b"".join(requests), total, commands=depth, preamble=preamble, preamble_bytes=preamble_bytes)


def listing_load(names: Sequence[str], port: int) -> Load:
    """Return a load of get_file_listing, after checking that exactly these names are listed."""
    request = b"get_file_listing\r\n"
    with socket.create_connection((HOST, port), STALL_SECONDS) as channel, channel.makefile("rb") as replies:
        channel.sendall(request)
        read = len(_line(replies, starts=b"0 "))
        listed = []
        while (line := replies.readline()) not in (b"\r\n", b""):
            listed.append(line.decode("ascii").rstrip("\r\n"))
            read += len(line)
    if sorted(listed) != sorted(names):
        message = f"{len(listed)} names listed instead of {len(names)}, or others"
        raise WrongReplyError(message)
    return Load(request, read + len(b"\r\n"))


def spread(load: Load, connections: int) -> Load:
    """Return the same load on so many connections."""
    return dataclasses.replace(load, connections=connections)


def warmed(load: Load) -> Load:
    """Return the same load, with one batch answered on each connection before the measurement.

    Otherwise a short round would include the time in which the server accepts 500 connections from the backlog.
    """
    preamble_bytes = load.preamble_bytes + load.reply_bytes
    return dataclasses.replace(load, preamble=load.preamble + load.requests, preamble_bytes=preamble_bytes)


def _request(protocol: str, kind: str, name: str, files: Files) -> bytes:
    requests = {
        ("hftp", BASE64): f"get_slice {files.raw.name} 0 {files.large_bytes}",
        ("hftp", RAW): f"get_slice {files.raw.name} 0 {files.large_bytes} raw",
        ("hftp", METADATA): f"get_metadata {name}",
        ("http", BASE64): f"GET /{files.encoded.name} HTTP/1.1\r\nHost: benchmark\r\n",
        ("http", RAW): f"GET /{files.raw.name} HTTP/1.1\r\nHost: benchmark\r\n",
        ("http", METADATA): f"GET /{name} HTTP/1.1\r\nHost: benchmark\r\n",
        ("ftp", METADATA): f"SIZE {name}",
    }
    return requests[protocol, kind].encode("ascii") + b"\r\n"


def _check(protocol: str, kind: str, replies: BinaryIO, name: str, files: Files) -> int:
    """Read one reply, compare it with the expected one, and return its length."""
    size = (files.directory / name).stat().st_size
    if protocol == "ftp":
        return len(_line(replies, exactly=b"213 %d\r\n" % size))
    if protocol == "http":
        head, length = _http_head(replies)
        body = {BASE64: files.encoded, RAW: files.raw, METADATA: files.directory / name}[kind]
        if length != body.stat().st_size:
            message = f"Content-Length {length} instead of {body.stat().st_size}"
            raise WrongReplyError(message)
        return head + _compare(replies, pieces(body))
    head = len(_line(replies, starts=b"0 "))
    if kind == METADATA:
        return head + len(_line(replies, exactly=b"%d\r\n" % size))
    if kind == RAW:
        head += len(_line(replies, exactly=b"Content-Length: %d\r\n" % files.large_bytes))
        return head + len(_line(replies, exactly=b"\r\n")) + _compare(replies, pieces(files.raw))
    return head + _compare(replies, pieces(files.encoded)) + len(_line(replies, exactly=b"\r\n"))


def _log_in(channel: socket.socket, replies: BinaryIO) -> int:
    """Log in by FTP with `FTP_LOGIN`, and return the length of the replies."""
    read = len(_line(replies, starts=b"220"))
    for command in FTP_LOGIN:
        channel.sendall(command)
        read += len(_line(replies))
    return read


def _http_head(replies: BinaryIO) -> tuple[int, int]:
    """Read a status line and headers; return their length, and that of the body."""
    read, length = len(_line(replies, starts=b"HTTP/1.1 200")), -1
    while (line := _line(replies)) != b"\r\n":
        read += len(line)
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return read + len(line), length


def _line(replies: BinaryIO, *, starts: bytes = b"", exactly: bytes | None = None) -> bytes:
    line = replies.readline(PIECE_BYTES)
    if not (line.endswith(b"\n") and line.startswith(starts) and exactly in (None, line)):
        message = f"{line[:80]!r} instead of {exactly or starts + b'...'!r}"
        raise WrongReplyError(message)
    return line


def pieces(path: Path) -> Iterator[bytes]:
    """Yield a file piece by piece."""
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _compare(replies: BinaryIO, expected: Iterable[bytes]) -> int:
    """Compare the next bytes with the expected ones, and return their number."""
    read = 0
    for piece in expected:
        if replies.read(len(piece)) != piece:
            message = f"a difference after byte {read}"
            raise WrongReplyError(message)
        read += len(piece)
    return read
