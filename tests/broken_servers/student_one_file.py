"""A server as a second-year student hands it in: one file, a thread for each client, one recv() a command."""

import base64
import contextlib
import os
import socket
import threading

from tests.broken_servers.bug import plant
from tests.broken_servers.style import DRAIN_SECONDS, Style

BUFFER_SIZE = 4096
MESSAGES = {
    0: "OK",
    101: "BAD REQUEST",
    199: "INTERNAL SERVER ERROR",
    200: "NO SUCH COMMAND",
    201: "INVALID ARGUMENTS FOR COMMAND",
    202: "FILE NOT FOUND",
    203: "OFFSET EXCEEDS FILE SIZE",
}


def status(code: int) -> bytes:
    """Return a status line."""
    return f"{code} {MESSAGES[code]}\r\n".encode()


def file_listing(directory: str) -> bytes:
    """Answer get_file_listing."""
    answer = status(0)
    for name in os.listdir(directory):
        path = os.path.join(directory, name)  # noqa: PTH118
        is_plain = " " not in name and name.isascii() and not name.startswith(".")
        if is_plain and os.path.isfile(path) and not os.path.islink(path) and os.access(path, os.R_OK):  # noqa: PTH113, PTH114
            answer += name.encode() + b"\r\n"
    return answer + b"\r\n"


def metadata(directory: str, name: str) -> bytes:
    """Answer get_metadata."""
    path = os.path.join(directory, name)  # noqa: PTH118
    if len(name) > 255 or not os.path.isfile(path) or os.path.islink(path):  # noqa: PTH113, PTH114
        return status(202)
    with open(path, "rb"):  # noqa: PTH123
        return status(0) + str(os.path.getsize(path)).encode() + b"\r\n"  # noqa: PTH202


def file_slice(directory: str, name: str, offset_text: str, size_text: str) -> bytes:
    """Answer get_slice."""
    try:
        offset = int(offset_text)
        size = int(size_text)
    except ValueError:
        return status(201)
    if offset < 0 or size < 0:
        return status(201)
    path = os.path.join(directory, name)  # noqa: PTH118
    if len(name) > 255 or not os.path.isfile(path) or os.path.islink(path):  # noqa: PTH113, PTH114
        return status(202)
    with open(path, "rb") as file:  # noqa: PTH123
        content = file.read()
    if offset > len(content):
        return status(203)
    return status(0) + base64.b64encode(content[offset : offset + size]) + b"\r\n"


def execute(directory: str, words: list[str]) -> bytes:
    """Answer a command."""
    command = words[0]
    if command not in {"get_file_listing", "get_metadata", "get_slice", "quit"}:
        return status(200)
    if command == "get_file_listing" and len(words) == 1:
        return file_listing(directory)
    if command == "get_metadata" and len(words) == 2:
        return metadata(directory, words[1])
    if command == "get_slice" and len(words) == 4:
        return file_slice(directory, words[1], words[2], words[3])
    return status(0) if words == ["quit"] else status(201)


def handle(connection: socket.socket, directory: str) -> None:
    """Talk to a client."""
    with connection, contextlib.suppress(OSError):
        while data := connection.recv(BUFFER_SIZE):
            text = data.strip(b"\r\n").decode("latin-1")
            words = text.split(" ")
            if "" in words or not text.isascii() or any(letter < " " and letter not in "\r\n" for letter in text):
                answer = status(101)
            else:
                try:
                    answer = execute(directory, words)
                except OSError:
                    answer = status(199)
            connection.sendall(answer)
            if words == ["quit"] or answer.startswith(b"1"):
                break
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(DRAIN_SECONDS)
        while connection.recv(BUFFER_SIZE):
            pass


@plant("student-five-bugs", "HFTP-8.1", dialects=("2019",))
class StudentFiveBugs(Style):
    """Paths are joined, a bare LF ends a line, one recv() is one command, int() reads, `offset > size` checks."""

    def serve(self, listener: socket.socket) -> None:
        """Start a thread for each client."""
        directory = str(self.commands.directory)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=handle, args=(connection, directory), daemon=True).start()
