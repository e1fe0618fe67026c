"""A test oracle: the exact replies that the protocol requires, implemented independently of the server."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

OK = b"0 OK\r\n"
BAD_EOL = b"100 BAD EOL\r\n"
BAD_REQUEST = b"101 BAD REQUEST\r\n"
FAILED = b"199 INTERNAL SERVER ERROR\r\n"
NO_COMMAND = b"200 NO SUCH COMMAND\r\n"
BAD_ARGUMENTS = b"201 INVALID ARGUMENTS FOR COMMAND\r\n"
NO_FILE = b"202 FILE NOT FOUND\r\n"
PAST_END = b"203 OFFSET EXCEEDS FILE SIZE\r\n"

LONGEST_LINE = 8 * 1024 * 1024
FRAGMENT = 48 * 1024


@dataclass(frozen=True)
class Oracle:
    """The replies of a server of a dialect, given its files in the order of its listing."""

    dialect: str
    files: Mapping[str, bytes]
    longest_line: int = LONGEST_LINE

    def replies(self, sent: bytes) -> bytes:
        """Return all replies to the input of a client that then shuts down its writing side."""
        replies = []
        while sent:
            line, line_feed, sent = sent.partition(b"\n")
            if len(line.removesuffix(b"\r")) > self.longest_line:
                replies.append(BAD_REQUEST)
                break
            if not line_feed:
                break
            if not line.endswith(b"\r"):
                replies.append(BAD_EOL)
                break
            replies.append(self.reply(line[:-1]))
            if line == b"quit\r" or replies[-1].startswith(b"1"):
                break
        return b"".join(replies)

    def reply(self, line: bytes) -> bytes:  # noqa: PLR0911  (an answer each)
        """Return the reply to one command line."""
        if not re.fullmatch(rb"[!-~]+( [!-~]+)*", line):
            return BAD_REQUEST
        command, *arguments = line.decode().split(" ")
        count = len(arguments)
        if command == "quit":
            return BAD_ARGUMENTS if arguments else OK
        if command == "get_file_listing":
            return BAD_ARGUMENTS if arguments else OK + _lines(self.files)
        if command == "help" and self.dialect == "2026":
            names = ["get_file_listing", "get_metadata", "get_slice", "quit", "help"]
            return BAD_ARGUMENTS if arguments else OK + _lines(dict.fromkeys(names, b""))
        if command == "get_metadata":
            return self._metadata(*arguments) if count == 1 else BAD_ARGUMENTS
        if command == "get_slice":
            if count == 4 and self.dialect == "2026" and arguments.pop() == "raw":
                return self._slice("raw", *arguments)
            return self._slice(self.dialect, *arguments) if count == 3 else BAD_ARGUMENTS
        return NO_COMMAND

    def _metadata(self, name: str) -> bytes:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            return BAD_ARGUMENTS
        return OK + b"%d\r\n" % len(self.files[name]) if name in self.files else NO_FILE

    def _slice(self, form: str, name: str, offset: str, size: str) -> bytes:
        if not (re.fullmatch(r"[A-Za-z0-9._-]+", name) and re.fullmatch(r"[0-9]+ [0-9]+", f"{offset} {size}")):
            return BAD_ARGUMENTS
        if name not in self.files:
            return NO_FILE
        start, end = int(offset), int(offset) + int(size)
        if end > len(self.files[name]):
            return PAST_END
        return OK + in_form(form, self.files[name][start:end])


def in_form(form: str, data: bytes) -> bytes:
    """Return the bytes of a slice in the form of a dialect, or of ``raw``."""
    if form == "raw":
        return b"Content-Length: %d\r\n\r\n%b" % (len(data), data)
    if form == "2018":
        return data
    if form == "2016":
        starts = range(0, len(data), FRAGMENT)
        fragments = [data[start : start + FRAGMENT] for start in starts]
        return b"".join(b"%d %b\r\n" % (len(fragment), fragment) for fragment in [*fragments, b""])
    return base64.b64encode(data) + b"\r\n"


def _lines(names: Mapping[str, bytes]) -> bytes:
    return "".join(f"{name}\r\n" for name in [*names, ""]).encode()
