"""Servers that are odd but correct: no scenario at MUST or SHOULD may fail on one of them.

`ODD` maps a name to a sentence that says what is odd, to what makes the server, and to the dialects in which it is
correct; the first of these is what it speaks unless it is told otherwise.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from tests.broken_servers import late
from tests.broken_servers import odd_choices as choices
from tests.broken_servers import odd_files as files
from tests.broken_servers.commands import DIALECTS, LINE_LIMIT_BYTES, Commands
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Client, Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_streams import Streams
from tests.broken_servers.style_threads import Threads

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from tests.broken_servers.style import Style
else:
    asyncio = late.load("asyncio")

REPLY_SECONDS = 0.2
BEFORE_2026 = ("2019", "2018", "2016")


class Odd(NamedTuple):
    """A server that is odd but correct."""

    sentence: str
    factory: Callable[[Path, str], Style]
    """Makes it, from the directory to serve and the dialect to speak."""
    dialects: tuple[str, ...]
    """Those in which it is correct."""


class Backlog5(Threads):
    """listen(5): what most students have copied."""

    backlog = 5


class Backlog1(Threads):
    """listen(1), with a thread for each client."""

    backlog = 1


class Backlog5Loop(Loop):
    """listen(5), with one loop for all clients."""

    backlog = 5


class Backlog512(Threads):
    """listen(512), to compare."""

    backlog = 512


class NoticesLeavers(Sequential):
    """One client at a time; one that leaves without `quit` is noticed, and the next is served."""


class NoticesLeaversLines(Lines):
    """One client at a time, read as a file of lines; one that leaves without `quit` is noticed."""

    def serve(self, listener: socket.socket) -> None:
        """Accept a client, serve it, accept the next."""
        while True:
            self.attend(listener.accept()[0])


class SlowReplies(Threads):
    """Every reply takes 0.2 seconds."""

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Take a while."""
        time.sleep(REPLY_SECONDS)
        return super().answer(sock, raw)


class SlowRepliesStreams(Streams):
    """Every reply takes 0.2 seconds, in which other clients are served."""

    async def answer(self, writer: asyncio.StreamWriter, raw: bytes) -> bool:
        """Take a while."""
        await asyncio.sleep(REPLY_SECONDS)
        return await super().answer(writer, raw)


class UnfinishedAnswered(Lines):
    """A line that the end of the stream cuts off is answered by 100."""

    def next_line(self, lines: BinaryIO) -> bytes:
        """Return what there is."""
        raw = lines.readline(LINE_LIMIT_BYTES)
        return raw if len(raw) < LINE_LIMIT_BYTES else b"\0\r\n"  # malformed, whatever it was


class UnfinishedAnsweredLoop(Loop):
    """What is left in the buffer at the end of the stream is answered by 100."""

    def take_line(self, client: Client) -> bytes:
        """Return what there is."""
        raw = super().take_line(client)
        if client.has_ended and not raw:
            raw = bytes(client.received)
            client.received.clear()
        return raw


def _odd(style: type[Style], commands: type[Commands] = Commands, dialects: tuple[str, ...] = DIALECTS) -> Odd:
    """Return a server; what is odd about it stands in the docstring of its commands, or else of its style."""
    docstring = (style if commands is Commands else commands).__doc__
    assert docstring
    return Odd(docstring.partition("\n")[0], lambda directory, dialect: style(commands(directory, dialect)), dialects)


ODD: dict[str, Odd] = {
    "backlog-5": _odd(Backlog5),
    "backlog-1": _odd(Backlog1),
    "backlog-5-loop": _odd(Backlog5Loop),
    "backlog-512": _odd(Backlog512),
    "notices-leavers": _odd(NoticesLeavers),
    "notices-leavers-lines": _odd(NoticesLeaversLines),
    "slow-replies": _odd(SlowReplies),
    "slow-replies-streams": _odd(SlowRepliesStreams),
    "unfinished-line-answered": _odd(UnfinishedAnswered),
    "unfinished-line-answered-loop": _odd(UnfinishedAnsweredLoop),
    "unreadable-202": _odd(Lines, files.Unreadable202, BEFORE_2026),
    "unreadable-202-forks": _odd(Forks, files.Unreadable202, BEFORE_2026),
    "unreadable-199": _odd(Streams, files.Unreadable199),
    "unreadable-listed": _odd(Threads, files.UnreadableListed, BEFORE_2026),
    "unreadable-listed-loop": _odd(Loop, files.UnreadableListed, BEFORE_2026),
    "directory-199": _odd(Forks, files.Directory199, BEFORE_2026),
    "directory-199-lines": _odd(Lines, files.Directory199, BEFORE_2026),
    "directory-slice-199": _odd(Threads, files.DirectorySlice199, BEFORE_2026),
    "directory-slice-199-loop": _odd(Loop, files.DirectorySlice199, BEFORE_2026),
    "directory-201": _odd(Streams, files.Directory201),
    "lone-cr-100": _odd(Threads, choices.LoneCr100),
    "command-characters-101": _odd(Loop, choices.Command101),
    "strict-characters": _odd(Threads, choices.Strict),
    "strict-characters-sequential": _odd(Sequential, choices.Strict),
    "spaces-200": _odd(Threads, choices.Spaces200),
    "spaces-201": _odd(Forks, choices.Spaces201),
    "spaces-tolerated": _odd(Threads, choices.SpacesTolerated),
    "spaces-tolerated-loop": _odd(Loop, choices.SpacesTolerated),
    "trailing-spaces-tolerated": _odd(Lines, choices.TrailingSpacesTolerated),
    "trailing-spaces-tolerated-streams": _odd(Streams, choices.TrailingSpacesTolerated),
    "empty-line-200": _odd(Lines, choices.EmptyLine200, BEFORE_2026),
    "empty-line-201": _odd(Loop, choices.EmptyLine201, BEFORE_2026),
    "foreign-bytes-202": _odd(Streams, choices.Foreign202),
    "leading-zeros-201": _odd(Forks, choices.LeadingZeros201),
    "large-numbers-201": _odd(Threads, choices.LargeNumbers201),
    "serves-all-inside": _odd(Threads, files.ServesAllInside),
    "serves-all-inside-sequential": _odd(Sequential, files.ServesAllInside),
    "outside-202": _odd(Loop, files.Outside202),
    "base64-in-lines": _odd(Streams, choices.Base64InLines, ("2026",)),
    "base64-in-lines-loop": _odd(Loop, choices.Base64InLines, ("2026",)),
    "small-fragments": _odd(Lines, choices.SmallFragments, ("2016",)),
    "other-texts": _odd(Threads, choices.OtherTexts),
    "other-texts-loop": _odd(Loop, choices.OtherTexts),
    "help-before-2026": _odd(Forks, choices.HelpBefore2026, BEFORE_2026),
    "listing-backwards": _odd(Streams, files.ListingBackwards),
    "no-help-2019": _odd(Threads, choices.NoHelp2019, ("2019",)),
    "no-help-2018": _odd(Threads, choices.NoHelp2018, ("2018",)),
    "no-help-2016": _odd(Threads, choices.NoHelp2016, ("2016",)),
    "no-help-2019-loop": _odd(Loop, choices.NoHelp2019, ("2019",)),
    "no-help-2018-loop": _odd(Loop, choices.NoHelp2018, ("2018",)),
    "no-help-2016-loop": _odd(Loop, choices.NoHelp2016, ("2016",)),
}
