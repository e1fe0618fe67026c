"""Turns command lines into replies, in small pieces that a bug can replace one at a time."""

import base64
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

Parts = Iterator[bytes]
"""A reply, in the pieces in which it is sent."""

DIALECTS = ("2026", "2019", "2018", "2016")
LINE_LIMIT_BYTES = 6 << 20
CHUNK_BYTES = 3 << 16
"""A multiple of 3, so that the base64 of the chunks is the base64 of the whole."""

TEXTS = {
    0: b"OK",
    100: b"BAD EOL",
    101: b"BAD REQUEST",
    199: b"INTERNAL SERVER ERROR",
    200: b"NO SUCH COMMAND",
    201: b"INVALID ARGUMENTS FOR COMMAND",
    202: b"FILE NOT FOUND",
    203: b"OFFSET EXCEEDS FILE SIZE",
}


class CommandError(Exception):
    """An error reply, carried to where replies are made."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Commands:
    """The commands about one directory, in one dialect; nothing here knows of sockets."""

    NAME = re.compile(rb"[A-Za-z0-9_-][A-Za-z0-9._-]*")

    def __init__(self, directory: Path, dialect: str) -> None:
        self.directory = directory
        self.dialect = dialect

    # From lines to replies

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """Return the reply to a line that still has its end, and whether to close the connection."""
        try:
            name, arguments = self.split(self.strip_end(raw))
            return self.run(name, arguments), name == b"quit"
        except CommandError as error:
            return self.refuse(error.code)
        except OSError:
            return self.refuse(199)

    def refuse(self, code: int) -> tuple[Parts, bool]:
        """Return an error reply."""
        return iter([self.status(code)]), code < 200

    def status(self, code: int) -> bytes:
        """Return a status line."""
        return b"%d %s\r\n" % (code, TEXTS[code])

    def strip_end(self, raw: bytes) -> bytes:
        """Return a line without its end."""
        if not raw.endswith(b"\r\n"):
            raise CommandError(100)
        return raw[:-2]

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Return the command and its arguments."""
        words = line.split(b" ")
        if b"" in words or not line.isascii() or not line.decode("ascii").isprintable():
            raise CommandError(101)
        return words[0], words[1:]

    def table(self) -> dict[bytes, Callable[[list[bytes]], Parts]]:
        """Return the commands of the dialect."""
        commands: dict[bytes, Callable[[list[bytes]], Parts]] = {
            b"get_file_listing": self.get_file_listing,
            b"get_metadata": self.get_metadata,
            b"get_slice": self.get_slice,
            b"quit": self.quit,
        }
        return {**commands, b"help": self.help} if self.dialect == "2026" else commands

    def run(self, name: bytes, arguments: list[bytes]) -> Parts:
        """Return the reply of one command."""
        command = self.table().get(name)
        if command is None:
            raise CommandError(200)
        return command(arguments)

    def expect(self, count: int, arguments: list[bytes]) -> None:
        """Refuse a wrong number of arguments."""
        if len(arguments) != count:
            raise CommandError(201)

    # The commands

    def quit(self, arguments: list[bytes]) -> Parts:
        """Say good-bye."""
        self.expect(0, arguments)
        return iter([self.status(0)])

    def help(self, arguments: list[bytes]) -> Parts:
        """Name the commands."""
        self.expect(0, arguments)
        return iter([self.status(0), *(name + b"\r\n" for name in self.table()), b"\r\n"])

    def get_file_listing(self, arguments: list[bytes]) -> Parts:
        """Name the files."""
        self.expect(0, arguments)
        return iter([self.status(0) + self.listing(self.names())])

    def names(self) -> list[bytes]:
        """Return the names of all that can be fetched."""
        with os.scandir(os.fsencode(self.directory)) as entries:
            return [entry.name for entry in entries if self.is_shown(entry)]

    def is_shown(self, entry: "os.DirEntry[bytes]") -> bool:
        """Tell whether an entry of the directory belongs into the listing."""
        return (
            self.NAME.fullmatch(entry.name) is not None
            and entry.is_file(follow_symlinks=False)
            and os.access(entry.path, os.R_OK)
        )

    def listing(self, names: list[bytes]) -> bytes:
        """Return the names as lines, and their end."""
        return b"".join(name + b"\r\n" for name in names) + b"\r\n"

    def get_metadata(self, arguments: list[bytes]) -> Parts:
        """Tell a file's size."""
        self.expect(1, arguments)
        with self.open(self.check_name(arguments[0])) as file:
            return iter([self.status(0) + self.metadata(self.size_of(file))])

    def metadata(self, size: int) -> bytes:
        """Return a size as a line."""
        return b"%d\r\n" % size

    def get_slice(self, arguments: list[bytes]) -> Parts:
        """Send a part of a file."""
        is_raw = self.wants_raw(arguments)
        self.expect(3, arguments[:3] if is_raw else arguments)
        name, offset, size = arguments[0], self.number(arguments[1]), self.number(arguments[2])
        file = self.open(self.check_name(name))
        try:
            self.check_range(offset, size, self.size_of(file))
        except CommandError:
            file.close()
            raise
        chunks = self.chunks(file, offset, size)
        form = self.raw if is_raw else {"2016": self.fragments, "2018": self.bare}.get(self.dialect, self.base64)
        return self.after_status(form(chunks, size))

    def wants_raw(self, arguments: list[bytes]) -> bool:
        """Tell whether a slice is wanted as it is."""
        return self.dialect == "2026" and len(arguments) == 4 and arguments[3] == b"raw"

    def number(self, word: bytes) -> int:
        """Return the number that an argument is; one past 18 digits is merely far too large."""
        if not word.isdigit():
            raise CommandError(201)
        digits = word.lstrip(b"0")
        return int(digits or b"0") if len(digits) <= 18 else 10**18

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Refuse what exceeds the file."""
        if offset + size > file_size:
            raise CommandError(203)

    def after_status(self, body: Parts) -> Parts:
        """Return a body behind its status line."""
        yield self.status(0)
        yield from body

    # How a slice is sent

    def base64(self, chunks: Parts, _size: int) -> Parts:
        """Send one line of base64."""
        for chunk in chunks:
            yield self.encode(chunk)
        yield b"\r\n"

    def encode(self, chunk: bytes) -> bytes:
        """Return the base64 of a chunk."""
        return base64.b64encode(chunk)

    def raw(self, chunks: Parts, size: int) -> Parts:
        """Send the length, an empty line and the bytes."""
        yield b"Content-Length: %d\r\n\r\n" % size
        yield from chunks

    def bare(self, chunks: Parts, _size: int) -> Parts:
        """Send the bytes and nothing else."""
        yield from chunks

    def fragments(self, chunks: Parts, _size: int) -> Parts:
        """Send each chunk behind its length, and the empty fragment."""
        for chunk in chunks:
            yield b"%d %s\r\n" % (len(chunk), chunk)
        yield b"0 \r\n"

    # Files

    def check_name(self, name: bytes) -> bytes:
        """Refuse a name that no file here can have."""
        if not self.NAME.fullmatch(name):
            raise CommandError(201)
        if len(name) > 255:
            raise CommandError(202)
        return name

    def path(self, name: bytes) -> Path:
        """Return where a file is."""
        return self.directory / os.fsdecode(name)

    def open(self, name: bytes) -> BinaryIO:
        """Return a regular file of the directory, open for reading."""
        try:
            descriptor = os.open(self.path(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except PermissionError:
            raise
        except OSError:
            raise CommandError(202) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise CommandError(202)
        return os.fdopen(descriptor, "rb", buffering=0)

    def size_of(self, file: BinaryIO) -> int:
        """Return a file's size in bytes."""
        return os.fstat(file.fileno()).st_size

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Read a part of a file and close the file; a file that shrank ends the connection, not the reply."""
        with file:
            while size:
                chunk = os.pread(file.fileno(), min(size, CHUNK_BYTES), offset)
                if not chunk:
                    raise ConnectionAbortedError
                yield chunk
                offset, size = offset + len(chunk), size - len(chunk)
