"""A correct HFTP server that chooses otherwise than greenserver wherever the protocol leaves a choice.

It exists to keep the suite honest: what one implementation happens to do must not be taken for the protocol.
"""

import argparse
import asyncio
import base64
import os
import re
import stat
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

LINE_LIMIT_BYTES = 8 << 20
WORD_LIMIT_BYTES = 4096
"""What is kept of one word; no name and no sensible number is longer."""
WORDS_LIMIT = 6
"""What is kept of one line; no command takes so many words."""
BLOCK_BYTES = 57 << 10
"""A multiple of 57, which is a line of base64 when it is wrapped."""
FRAGMENT_BYTES = 1000
LINGER_SECONDS = 3.0
PARTS_AT_ONCE = 8
"""How many parts one client is sent before the others get their turn."""

TEXTS = {
    0: b"Fine ",  # text is free, and so is the space at its end
    100: b"Lines end in CR LF",
    101: b"Cannot make sense of that",
    199: b"Cannot read that",
    200: b"Unknown command",
    201: b"Wrong arguments",
    202: b"No such file",
    203: b"The file is shorter than that",
}


class Refused(Exception):  # noqa: N818  (a reply, not an error)
    """An error reply under way."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Words:
    """The words of the line under way, in bounded memory."""

    def __init__(self) -> None:
        self.length = 0
        self.words = [bytearray()]

    def extend(self, text: bytes) -> None:
        """Take more of the line."""
        self.length += len(text)
        first, *others = text.split(b" ")
        self._extend_last(first)
        for word in others:
            if len(self.words) == WORDS_LIMIT:
                return  # too many for any command, whatever follows
            self.words.append(bytearray())
            self._extend_last(word)

    def _extend_last(self, text: bytes) -> None:
        """Take more of the last word, as far as it is kept."""
        last = self.words[-1]
        last += text[: WORD_LIMIT_BYTES - len(last)]


class Framer:
    """Turns received bytes into lines of words, and into the status of what closes the connection."""

    def __init__(self) -> None:
        self.found: deque[list[bytes] | int] = deque()
        self.is_over = False
        self._line = Words()
        self._held = b""  # a CR that may belong to the next LF

    def feed(self, data: bytes) -> None:
        """Take what was received next."""
        data = self._held + data
        start = 0
        while not self.is_over and (end := data.find(b"\n", start)) >= 0:
            if end == start or data[end - 1] != 0x0D:
                self._give_up(100)
            else:
                self._line.extend(data[start : end - 1])
                self.found.append([bytes(word) for word in self._line.words])
                self._line = Words()
            start = end + 1
        rest = data[start:]
        self._held = b"\r" if rest.endswith(b"\r") else b""
        self._line.extend(rest[: len(rest) - len(self._held)])
        if self._line.length > LINE_LIMIT_BYTES:
            self._give_up(101)

    def _give_up(self, code: int) -> None:
        """Find nothing any more."""
        if not self.is_over:
            self.is_over = True
            self.found.append(code)


class Shelf:
    """The files directly in a directory, dot-files too."""

    NAME = re.compile(rb"(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}")

    def __init__(self, directory: Path) -> None:
        self._directory = os.fsencode(directory)

    def names(self) -> list[bytes]:
        """Return the names of all files that can be opened, the last ones first."""
        with os.scandir(self._directory) as entries:
            found = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        readable = (name for name in found if self.NAME.fullmatch(name) and os.access(self._path(name), os.R_OK))
        return sorted(readable, reverse=True)

    def open(self, name: bytes) -> tuple[BinaryIO, int]:
        """Return a file and its size in bytes; raise Refused, or OSError where the system refuses."""
        if not self.NAME.fullmatch(name):
            raise Refused(202)
        try:
            descriptor = os.open(self._path(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError:
            raise
        except OSError:  # nothing there, a link, a socket
            raise Refused(202) from None
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            os.close(descriptor)
            raise Refused(202)
        return os.fdopen(descriptor, "rb", buffering=0), facts.st_size

    def _path(self, name: bytes) -> bytes:
        return self._directory + b"/" + name


Form = Callable[[Iterator[bytes], int], Iterator[bytes]]
"""Turns the blocks of a slice of a given size into what is sent."""


def send_encoded(blocks: Iterator[bytes], _size: int) -> Iterator[bytes]:
    """Send one line of base64."""
    yield from map(base64.b64encode, blocks)
    yield b"\r\n"


def send_wrapped(blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Send lines of at most 76 characters of base64, each of which can be decoded alone."""
    for block in blocks:
        yield base64.encodebytes(block).replace(b"\n", b"\r\n")
    if not size:
        yield b"\r\n"


def send_counted(blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Send the length, an empty line, and the bytes."""
    yield b"Content-Length: %d\r\n\r\n" % size
    yield from blocks


def send_bare(blocks: Iterator[bytes], _size: int) -> Iterator[bytes]:
    """Send the bytes."""
    return blocks


def send_fragments(blocks: Iterator[bytes], _size: int) -> Iterator[bytes]:
    """Send fragments with their lengths, and the empty one."""
    for block in blocks:
        pieces = (block[start : start + FRAGMENT_BYTES] for start in range(0, len(block), FRAGMENT_BYTES))
        yield b"".join(b"%d %s\r\n" % (len(piece), piece) for piece in pieces)
    yield b"0 \r\n"


def read_blocks(file: BinaryIO, offset: int, size: int) -> Iterator[bytes]:
    """Read a part of a file block by block, and close it; raise EOFError if the file has become shorter."""
    with file:
        for position in range(offset, offset + size, BLOCK_BYTES):
            wanted = min(BLOCK_BYTES, offset + size - position)
            block = os.pread(file.fileno(), wanted, position)
            if len(block) < wanted:
                raise EOFError
            yield block


class Librarian:
    """Answers commands; knows nothing of connections."""

    NUMBER = re.compile(rb"0|[1-9][0-9]{0,%d}" % (WORD_LIMIT_BYTES - 2))
    """Leading zeros are refused, and so are numbers of more than 4,095 digits."""

    def __init__(self, shelf: Shelf, dialect: str, *, is_wrapping: bool) -> None:
        self._shelf = shelf
        self._is_latest = dialect == "2026"
        encoded = send_wrapped if is_wrapping and self._is_latest else send_encoded
        self._form: Form = {"2016": send_fragments, "2018": send_bare}.get(dialect, encoded)

    def answer(self, words: list[bytes] | int) -> tuple[Iterator[bytes], bool]:
        """Return the parts of a reply, and whether it is the last one."""
        if isinstance(words, int):
            return iter([status_line(words)]), True
        try:
            return self._obey(words), words == [b"quit"]
        except Refused as error:
            return iter([status_line(error.code)]), error.code < 200
        except OSError:
            return iter([status_line(199)]), True

    def _obey(self, words: list[bytes]) -> Iterator[bytes]:
        """Carry out a command."""
        match words:
            case [b"quit"]:
                return iter([status_line(0)])
            case [b"help"] if self._is_latest:
                return iter([status_line(0) + b"quit\r\nhelp\r\nget_slice\r\nget_metadata\r\nget_file_listing\r\n\r\n"])
            case [b"get_file_listing"]:
                return iter([status_line(0), b"\r\n".join([*self._shelf.names(), b"", b""])])
            case [b"get_metadata", name]:
                file, size = self._shelf.open(name)
                file.close()
                return iter([status_line(0), b"%d\r\n" % size])
            case [b"get_slice", name, offset, size]:
                return self._slice(name, offset, size, self._form)
            case [b"get_slice", name, offset, size, b"raw"] if self._is_latest:
                return self._slice(name, offset, size, send_counted)
            case [b"get_file_listing" | b"get_metadata" | b"get_slice" | b"quit", *_]:
                raise Refused(201)
            case [b"help", *_] if self._is_latest:
                raise Refused(201)
            case [b""] if self._is_latest:
                raise Refused(101)
        raise Refused(200)

    def _slice(self, name: bytes, offset_word: bytes, size_word: bytes, form: Form) -> Iterator[bytes]:
        """Send a part of a file."""
        if not self.NUMBER.fullmatch(offset_word) or not self.NUMBER.fullmatch(size_word):
            raise Refused(201)
        file, file_size = self._shelf.open(name)
        offset, size = int(offset_word), int(size_word)
        if offset + size > file_size:
            file.close()
            raise Refused(203)
        return with_status(form(read_blocks(file, offset, size), size))


def status_line(code: int) -> bytes:
    """Return a status line."""
    return b"%d %s\r\n" % (code, TEXTS[code])


def with_status(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Return parts behind the status of success."""
    yield status_line(0)
    yield from parts


class Conversation(asyncio.Protocol):
    """One client: reads while there is nothing to answer, answers while the client reads."""

    def __init__(self, librarian: Librarian) -> None:
        self._librarian = librarian
        self._framer = Framer()
        self._parts: Iterator[bytes] = iter(())
        self._is_last = False
        self._is_full = False
        self._is_lingering = False
        self._has_ended = False
        self._pumping: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Meet the client."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the reply under way, which closes its file."""
        del exc
        if self._pumping:
            self._pumping.cancel()
        self._parts = iter(())
        self._is_full = True

    def data_received(self, data: bytes) -> None:
        """Take commands; what comes after the last reply is only drained."""
        if not self._is_lingering:
            self._framer.feed(data)
            self._pump()

    def eof_received(self) -> bool:
        """Answer what has come, and keep the other half open for it."""
        self._has_ended = True
        if self._is_lingering:
            self._transport.close()
        else:
            self._pump()
        return True

    def pause_writing(self) -> None:
        """Stop: the client does not read."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        self._is_full = False
        self._pump()

    def _pump(self) -> None:
        """Send parts of replies, as many as are fair."""
        if self._pumping:
            self._pumping.cancel()
            self._pumping = None
        for _ in range(PARTS_AT_ONCE):
            if self._is_full or self._is_lingering:
                break
            try:
                part = next(self._parts, None)
            except EOFError:
                self._transport.abort()
                return
            if part is not None:
                self._transport.write(part)
            elif not self._is_last and self._framer.found:
                self._parts, self._is_last = self._librarian.answer(self._framer.found.popleft())
            else:
                self._rest()
                return
        if self._is_full:
            self._transport.pause_reading()
        elif not self._is_lingering:
            self._transport.pause_reading()
            self._pumping = asyncio.get_running_loop().call_soon(self._pump)

    def _rest(self) -> None:
        """Wait for more; or, after the last reply, end the stream and wait for the client to do the same."""
        if self._is_last or self._has_ended:
            self._is_lingering = True
            try:
                self._transport.write_eof()
            except OSError:  # the client has gone
                self._transport.abort()
            if self._has_ended:
                self._transport.close()
            else:
                asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.abort)
        if not self._transport.is_closing():
            self._transport.resume_reading()


def write_port(path: Path, port: int) -> None:
    """Write a port into a file that appears whole."""
    with tempfile.NamedTemporaryFile("w", encoding="ascii", dir=path.parent, delete=False) as file:
        file.write(f"{port}\n")
    Path(file.name).replace(path)


async def serve(options: argparse.Namespace) -> None:
    """Serve until the process is ended."""
    librarian = Librarian(Shelf(options.directory.resolve()), options.dialect, is_wrapping=options.wrap)
    server = await asyncio.get_running_loop().create_server(
        lambda: Conversation(librarian), options.address, options.port, backlog=1024
    )
    if options.port_file:
        write_port(options.port_file, server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve by the command line."""
    parser = argparse.ArgumentParser(description="A correct HFTP server, to judge the suite by.", allow_abbrev=False)
    parser.add_argument("-a", "--address", default="127.0.0.1", help="where to listen")
    parser.add_argument("-p", "--port", type=int, default=19500, help="0 takes a free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port")
    parser.add_argument("-d", "--directory", type=Path, default=Path(), help="what to serve")
    parser.add_argument("--dialect", choices=("2026", "2019", "2018", "2016"), default="2026", help="what to speak")
    parser.add_argument("--wrap", action="store_true", help="send base64 in lines of 76 characters (2026 only)")
    options = parser.parse_args()
    try:
        asyncio.run(serve(options))
    except OSError as error:
        parser.exit(1, f"cannot serve on {options.address}:{options.port}: {error.strerror}\n")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
