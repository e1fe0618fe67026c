"""A server as a student hands it in who has learned Java: classes, getters, and a reader of lines for each client."""

import base64
import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import BinaryIO

from tests.broken_servers.bug import plant
from tests.broken_servers.style import DRAIN_SECONDS, Style

MAXIMUM_LINE_LENGTH = 6 << 20
BAD_EOL = "100 BAD EOL"
BAD_REQUEST = "101 BAD REQUEST"
INTERNAL_SERVER_ERROR = "199 INTERNAL SERVER ERROR"
NO_SUCH_COMMAND = "200 NO SUCH COMMAND"
INVALID_ARGUMENTS = "201 INVALID ARGUMENTS FOR COMMAND"
FILE_NOT_FOUND = "202 FILE NOT FOUND"
OFFSET_EXCEEDS = "203OFFSET EXCEEDS FILE SIZE"


class ProtocolException(Exception):  # noqa: N818  (as in Java)
    """A status line that is not 0 OK."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self._line = line

    def get_line(self) -> str:
        """Return the status line."""
        return self._line

    def is_fatal(self) -> bool:
        """Return whether the connection is closed after it."""
        return self._line.startswith("1")


class FileManager:
    """The files; the constructor reads the directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        paths = [path for path in sorted(directory.iterdir()) if path.is_file() and not path.is_symlink()]
        self._names = [path.name for path in paths if self._is_valid(path.name) and os.access(path, os.R_OK)]

    def get_names(self) -> list[str]:
        """Return the names of all files."""
        return self._names

    def get_content(self, name: str) -> bytes:
        """Return what is in a file."""
        if not self._is_valid(name):
            raise ProtocolException(INVALID_ARGUMENTS)
        path = self._directory / name
        if len(name) > 255 or not path.is_file() or path.is_symlink():
            raise ProtocolException(FILE_NOT_FOUND)
        return path.read_bytes()

    def _is_valid(self, name: str) -> bool:
        is_allowed = all(letter.isalnum() or letter in "._-" for letter in name)
        return is_allowed and name.isascii() and not name.startswith(".")


class ClientHandler(threading.Thread):
    """The thread of one client."""

    def __init__(self, client: socket.socket, manager: FileManager) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._manager = manager
        self._reader: BinaryIO = client.makefile("rb")
        self._is_running = True

    def run(self) -> None:
        """Serve the client until it quits or leaves."""
        with contextlib.suppress(OSError, UnicodeDecodeError), self._client, self._reader:
            while self._is_running and (line := self._reader.readline(MAXIMUM_LINE_LENGTH)):
                self._answer(line)
            self._client.shutdown(socket.SHUT_WR)
            self._client.settimeout(DRAIN_SECONDS)
            while self._client.recv(1 << 16):
                pass

    def _answer(self, line: bytes) -> None:
        try:
            self._print(self._process(self._check(line)))
        except ProtocolException as exception:
            self._print(exception.get_line() + "\r\n")
            self._is_running = not exception.is_fatal()
        except PermissionError:
            self._print(INTERNAL_SERVER_ERROR + "\r\n")
            self._is_running = False

    def _print(self, text: str) -> None:
        self._client.sendall(text.encode("ascii"))

    def _check(self, line: bytes) -> list[str]:
        if len(line) == MAXIMUM_LINE_LENGTH:
            raise ProtocolException(BAD_REQUEST)
        if not line.endswith(b"\r\n"):
            raise ProtocolException(BAD_EOL)
        text = line[:-2].decode("ascii")
        if not text.isprintable() or "" in text.split(" "):
            raise ProtocolException(BAD_REQUEST)
        return text.split(" ")

    def _process(self, words: list[str]) -> str:
        counts = {"get_file_listing": 1, "get_metadata": 2, "get_slice": 4, "quit": 1}
        if words[0] not in counts:
            raise ProtocolException(NO_SUCH_COMMAND)
        if len(words) != counts[words[0]]:
            raise ProtocolException(INVALID_ARGUMENTS)
        if words[0] == "quit":
            self._is_running = False
            return "0 OK\r\n\r\n"
        if words[0] == "get_file_listing":
            return "0 OK\r\n" + "".join(name + "\r\n" for name in self._manager.get_names()) + "\r\n"
        if words[0] == "get_metadata":
            return f"0 OK\r\n{len(self._manager.get_content(words[1]))}\r\n"
        return self._slice(words[1], self._parse(words[2]), self._parse(words[3]))

    def _parse(self, word: str) -> int:
        if not word.isdigit():
            raise ProtocolException(INVALID_ARGUMENTS)
        return int(word) if len(word) < 1000 else 10**1000

    def _slice(self, name: str, offset: int, size: int) -> str:
        if size == 0:
            raise ProtocolException(INVALID_ARGUMENTS)
        content = self._manager.get_content(name)
        if offset + size > len(content):
            raise ProtocolException(OFFSET_EXCEEDS)
        return "0 OK\r\n" + base64.b64encode(content[offset : offset + size]).decode("ascii") + "\r\n"


@plant("student-five-other-bugs", "HFTP-3.6", dialects=("2019",))
class StudentFiveOtherBugs(Style):
    """`quit` gets an empty line, names are read at start, SIZE 0 is 201, 203 lacks its space, 0x80 ends the thread."""

    def serve(self, listener: socket.socket) -> None:
        """Start a handler for each client."""
        manager = FileManager(self.commands.directory)
        while True:
            ClientHandler(listener.accept()[0], manager).start()
