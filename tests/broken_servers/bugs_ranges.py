"""Mistakes that many servers share: what a slice may exceed, what an empty directory is, what one recv() holds."""

import socket
from pathlib import Path

from tests.broken_servers.bug import plant
from tests.broken_servers.bugs_listings import EmptyWithoutLine, ListingStale
from tests.broken_servers.bugs_slices import OnlyOffsetChecked, PastEndShort
from tests.broken_servers.commands import CommandError, Commands, Parts
from tests.broken_servers.style import BlockingStyle
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Client, Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_streams import Streams
from tests.broken_servers.style_threads import Threads


class OneRecv(BlockingStyle):
    """A receive loop without a buffer."""

    def serve_client(self, sock: socket.socket) -> None:
        """Answer the first line of each packet, and forget the rest."""
        while data := sock.recv(self.receive_bytes):
            line, end, _ = data.partition(b"\n")
            if self.answer(sock, line + end):
                return


@plant("one-recv-one-command-2016", "HFTP-1.6", dialects=("2016",))
class OneRecvThreads(OneRecv, Threads):
    """One recv() is one command, in a thread for each client: of commands sent together all but the first are lost."""


@plant("one-recv-one-command-2016-sequential", "HFTP-1.6", dialects=("2016",))
class OneRecvSequential(OneRecv, Sequential):
    """One recv() is one command, one client after the other: of commands sent together all but the first are lost."""


@plant("one-recv-one-command-2018", "HFTP-1.6", dialects=("2018",))
class OneRecvForks(OneRecv, Forks):
    """One recv() is one command, in a process for each client: of commands sent together all but the first are lost."""


@plant("one-recv-one-command-2018-loop", "HFTP-1.6", dialects=("2018",))
class OneRecvLoop(Loop):
    """One readable event is one command: of commands sent together all but the first are lost."""

    def take_line(self, client: Client) -> bytes:
        """Take the first line, and forget the rest."""
        line, end, _ = bytes(client.received).partition(b"\n")
        client.received.clear()
        return line + end


@plant("slice-unchecked-2019", "HFTP-6.4", dialects=("2019",))
@plant("slice-unchecked-2018", "HFTP-6.4", style=Loop, dialects=("2018",))
class Unchecked(PastEndShort):
    """f.seek(offset) and f.read(size) give whatever is there, and nothing is compared with the file's size."""


@plant("slice-only-offset-checked-2019", "HFTP-6.4", dialects=("2019",))
@plant("slice-only-offset-checked-2018", "HFTP-6.4", style=Lines, dialects=("2018",))
class OffsetChecked(OnlyOffsetChecked):
    """`if offset > size` is the whole check, so OFFSET + SIZE may exceed the file."""


@plant("words-by-split", "HFTP-1.8", dialects=("2019", "2018", "2016"))
@plant("words-by-split-forks", "HFTP-1.8", style=Forks, dialects=("2019", "2018", "2016"))
class WordsBySplit(Commands):
    """Words are taken by split(), which gives none for an empty line; [0] closes the connection without a reply."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Split at any white space."""
        return super().split(b" ".join(line.split()))

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """Say nothing to no words."""
        return (iter(()), True) if raw.endswith(b"\r\n") and not raw.split() else super().reply(raw)


@plant("listing-empty-with-two-lines", "HFTP-4.2")
@plant("listing-empty-with-two-lines-loop", "HFTP-4.2", style=Loop)
class EmptyWithTwoLines(Commands):
    """The names are joined by line ends, and of no names there is one line too many."""

    def listing(self, names: list[bytes]) -> bytes:
        """Join the names."""
        return b"\r\n".join(names) + b"\r\n\r\n"


@plant("listing-empty-without-line-streams", "HFTP-4.2", style=Streams)
@plant("listing-empty-without-line-2019", "HFTP-4.2", style=Sequential, dialects=("2019",))
class EmptyWithStatusAlone(EmptyWithoutLine):
    """`if names:` stands around all that follows the status line of a listing."""


@plant("slice-of-zero-201", "HFTP-6.3")
@plant("slice-of-zero-201-loop", "HFTP-6.3", style=Loop, dialects=("2019", "2018"))
class ZeroIsInvalid(Commands):
    """`if size <= 0` makes SIZE 0 an invalid argument: 201."""

    def get_slice(self, arguments: list[bytes]) -> Parts:
        """Refuse a zero."""
        if len(arguments) > 2 and not self.number(arguments[2]):
            raise CommandError(201)
        return super().get_slice(arguments)


@plant("listing-read-at-start", "HFTP-4.3")
@plant("listing-read-at-start-loop", "HFTP-4.3", style=Loop)
class ListingReadAtStart(ListingStale):
    """The listing is a list that main() fills when the server starts; sizes come from the files."""

    def __init__(self, directory: Path, dialect: str) -> None:
        super().__init__(directory, dialect)
        self.remembered.sort()
