"""Mistakes with statuses: the wrong code, a wrong form, the wrong thing after it."""

import socket
from typing import ClassVar

from tests.broken_servers.bug import plant
from tests.broken_servers.commands import TEXTS, CommandError, Commands, Parts
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_streams import Streams
from tests.broken_servers.style_threads import Threads


class Confused(Commands):
    """A server that takes one status for another."""

    instead: ClassVar[dict[int, int]] = {}

    def refuse(self, code: int) -> tuple[Parts, bool]:
        """Answer with the other status, and go on as the right one says."""
        return iter([self.status(self.instead.get(code, code))]), code < 200


@plant("unknown-command-202", "HFTP-3.1", style=Lines)
class UnknownIsMissing(Confused):
    """An unknown command is answered by 202."""

    instead: ClassVar[dict[int, int]] = {200: 202}


@plant("unknown-command-201", "HFTP-3.1", style=Loop)
class UnknownIsInvalid(Confused):
    """An unknown command is answered by 201."""

    instead: ClassVar[dict[int, int]] = {200: 201}


@plant("arguments-wrong-200", "HFTP-3.3", style=Streams)
class InvalidIsUnknown(Confused):
    """Wrong arguments are answered by 200."""

    instead: ClassVar[dict[int, int]] = {201: 200}


@plant("missing-file-201", "HFTP-3.4", style=Forks)
class MissingIsInvalid(Confused):
    """A missing file is answered by 201."""

    instead: ClassVar[dict[int, int]] = {202: 201}


@plant("missing-file-199", "HFTP-3.4")
class MissingIsFatal(Commands):
    """A missing file is an error of the server: 199, and the connection is closed."""

    def refuse(self, code: int) -> tuple[Parts, bool]:
        """Call 199 what is 202."""
        return super().refuse(199 if code == 202 else code)


@plant("past-the-end-201", "HFTP-6.4", style=Lines)
class PastEndIsInvalid(Confused):
    """A slice past the end is answered by 201."""

    instead: ClassVar[dict[int, int]] = {203: 201}


@plant("bad-eol-101", "HFTP-1.2", style=Streams)
class BadEolIsBadRequest(Confused):
    """A LF without its CR is a bad request like any other: 101."""

    instead: ClassVar[dict[int, int]] = {100: 101}


@plant("status-without-text", "HFTP-2.5", style=Loop)
class StatusWithoutText(Commands):
    """A status line is the code alone."""

    def status(self, code: int) -> bytes:
        """Leave out the text."""
        return b"%d\r\n" % code


@plant("status-lf-only", "HFTP-2.1", style=Forks)
class StatusLfOnly(Commands):
    r"""A status line is printed with a bare \n."""

    def status(self, code: int) -> bytes:
        """Forget the CR."""
        return b"%d %s\n" % (code, TEXTS[code])


@plant("status-three-digits", "HFTP-2.1")
class StatusPadded(Commands):
    """Codes are padded to three digits: 000 OK."""

    def status(self, code: int) -> bytes:
        """Pad the code."""
        return b"%03d %s\r\n" % (code, TEXTS[code])


@plant("status-text-only", "HFTP-2.1", style=Lines)
class StatusTextOnly(Commands):
    """A status line is the text without the code."""

    def status(self, code: int) -> bytes:
        """Leave out the code."""
        return TEXTS[code] + b"\r\n"


@plant("status-like-http", "HFTP-2.1", style=Streams)
class StatusLikeHttp(Commands):
    """A status line begins with the protocol and its version."""

    def status(self, code: int) -> bytes:
        """Put the protocol before it."""
        return b"HFTP/1.0 " + super().status(code)


@plant("error-with-explanation", "HFTP-2.3", style=Loop)
class ErrorWithExplanation(Commands):
    """An error's status line is followed by a line that explains it."""

    def refuse(self, code: int) -> tuple[Parts, bool]:
        """Explain."""
        parts, is_over = super().refuse(code)
        return iter([*parts, b"please try again\r\n"]), is_over


@plant("error-with-empty-line", "HFTP-2.3", style=Forks)
class ErrorWithEmptyLine(Commands):
    """Every reply ends in an empty line, the errors too."""

    def refuse(self, code: int) -> tuple[Parts, bool]:
        """Add an empty line."""
        parts, is_over = super().refuse(code)
        return iter([*parts, b"\r\n"]), is_over


@plant("fatal-stays-open", "HFTP-2.7")
class FatalStaysOpen(Commands):
    """After 100, 101 and 199 the connection stays open for the next command."""

    def refuse(self, code: int) -> tuple[Parts, bool]:
        """Go on."""
        return super().refuse(code)[0], False


@plant("error-closes", "HFTP-2.8", style=Lines)
class ErrorCloses(Commands):
    """Every error closes the connection, 200 to 203 too."""

    def refuse(self, code: int) -> tuple[Parts, bool]:
        """Close."""
        return super().refuse(code)[0], True


@plant("missing-file-closes", "HFTP-2.8", style=Loop)
class MissingFileCloses(Commands):
    """After FILE NOT FOUND the connection is closed."""

    def refuse(self, code: int) -> tuple[Parts, bool]:
        """Close after 202."""
        return super().refuse(code)[0], code <= 199 or code == 202


@plant("quit-stays-open", "HFTP-3.6", style=Streams)
class QuitStaysOpen(Commands):
    """`quit` is answered, and the connection stays open until the client closes it."""

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """Go on after quit."""
        parts, is_over = super().reply(raw)
        return parts, is_over and raw != b"quit\r\n"


@plant("quit-without-reply", "HFTP-3.6", style=Forks)
class QuitWithoutReply(Commands):
    """`quit` closes at once, without a reply."""

    def quit(self, arguments: list[bytes]) -> Parts:
        """Say nothing."""
        self.expect(0, arguments)
        return iter(())


@plant("unreadable-file-202", "HFTP-3.7", style=Lines, dialects=("2026",))
class UnreadableIsMissing(Commands):
    """A file that cannot be opened is not found, whatever the reason."""

    def run(self, name: bytes, arguments: list[bytes]) -> Parts:
        """Catch every error of the files."""
        try:
            return super().run(name, arguments)
        except OSError:
            raise CommandError(202) from None


@plant("unreadable-file-crashes", "HFTP-3.7", style=Sequential)
class UnreadableCrashes(Commands):
    """A file that cannot be opened is an exception that nobody catches."""

    def run(self, name: bytes, arguments: list[bytes]) -> Parts:
        """Let it through."""
        try:
            return super().run(name, arguments)
        except OSError as error:
            raise RuntimeError(error) from error


@plant("greeting", "HFTP-2.6")
class Greeting(Threads):
    """A line of welcome is sent on connect."""

    def serve_client(self, sock: socket.socket) -> None:
        """Welcome the client."""
        self.send(sock, b"Welcome to HFTP!\r\n")
        super().serve_client(sock)


@plant("prompt", "HFTP-2.3", style=Lines)
class Prompt(Commands):
    """A prompt is written after each reply."""

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """Add a prompt."""
        parts, is_over = super().reply(raw)
        return (part for parts_now in (parts, [b"> "]) for part in parts_now), is_over


@plant("echo", "HFTP-2.1", style=Streams)
class Echo(Commands):
    """Each command is echoed before it is answered."""

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """Put the line before it."""
        parts, is_over = super().reply(raw)
        return (part for parts_now in ([raw[:80].strip() + b"\r\n"], parts) for part in parts_now), is_over


@plant("commands-in-any-case", "HFTP-3.2", style=Forks)
class CommandsInAnyCase(Commands):
    """Commands are lowered before they are looked up: QUIT quits."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Lower the command."""
        name, arguments = super().split(line)
        return name.lower(), arguments


@plant("spaces-199", "HFTP-1.16", style=Streams)
class SpacesAreInternal(Commands):
    """A line of nothing but spaces has no command, which is an exception: 199."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Fail like `line.split()[0]`."""
        if not line.strip() and line:
            raise CommandError(199)
        return super().split(line)
