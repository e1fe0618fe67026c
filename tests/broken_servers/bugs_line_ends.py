"""Mistakes with the ends of replies: a line too many, a space too many or too few, a LF without its CR."""

from tests.broken_servers.bug import plant
from tests.broken_servers.bugs_forms import BareWithLineEnd, EmptyLineAfter, RawWithLineEnd
from tests.broken_servers.bugs_statuses import ErrorWithEmptyLine, StatusLfOnly
from tests.broken_servers.commands import Commands, Parts
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_streams import Streams


@plant("quit-extra-line", "HFTP-3.6")
@plant("quit-extra-line-loop", "HFTP-3.6", style=Loop)
class QuitExtraLine(Commands):
    """`quit` is answered by a status line and an empty line."""

    def quit(self, arguments: list[bytes]) -> Parts:
        """Add an empty line."""
        return iter([*super().quit(arguments), b"\r\n"])


@plant("quit-answered-twice", "HFTP-3.6", style=Lines)
@plant("quit-answered-twice-sequential", "HFTP-3.6", style=Sequential)
class QuitAnsweredTwice(Commands):
    """`quit` is answered where it is recognised, and once more where the connection is closed."""

    def quit(self, arguments: list[bytes]) -> Parts:
        """Add a status line."""
        return iter([*super().quit(arguments), self.status(0)])


@plant("error-with-empty-line-loop", "HFTP-2.3", style=Loop)
@plant("error-with-empty-line-threads", "HFTP-2.3", dialects=("2019",))
class ErrorThenEmptyLine(ErrorWithEmptyLine):
    """The status line of an error is followed by an empty line."""


@plant("error-then-ok", "HFTP-2.3")
@plant("error-then-ok-streams", "HFTP-2.3", style=Streams)
class ErrorThenOk(Commands):
    """An error is answered by its status line, and then by the 0 OK that ends every command."""

    def refuse(self, code: int) -> tuple[Parts, bool]:
        """Add a status line."""
        parts, is_over = super().refuse(code)
        return iter([*parts, self.status(0)]), is_over


class SpaceMissing(Commands):
    """A table of status lines with a misprint in one of them."""

    misprinted = 0

    def status(self, code: int) -> bytes:
        """Leave out the space of one code."""
        line = super().status(code)
        return line.replace(b" ", b"", 1) if code == self.misprinted else line


@plant("status-203-without-space", "HFTP-2.1")
@plant("status-203-without-space-loop", "HFTP-2.1", style=Loop)
class SpaceMissingIn203(SpaceMissing):
    """The space is missing in one status line: 203OFFSET EXCEEDS FILE SIZE."""

    misprinted = 203


@plant("status-202-without-space", "HFTP-2.1", style=Forks)
@plant("status-202-without-space-streams", "HFTP-2.1", style=Streams)
class SpaceMissingIn202(SpaceMissing):
    """The space is missing in one status line: 202FILE NOT FOUND."""

    misprinted = 202


@plant("slice-extra-line-2019", "HFTP-6.1", dialects=("2019",))
@plant("slice-extra-line-2019-sequential", "HFTP-6.1", style=Sequential, dialects=("2019",))
class SliceExtraLine(EmptyLineAfter):
    """The base64 line of a slice is followed by an empty line."""


@plant("slice-extra-line-2018", "HFTP-6.10", dialects=("2018",))
@plant("slice-extra-line-2018-loop", "HFTP-6.10", style=Loop, dialects=("2018",))
class PlainSliceExtraLine(BareWithLineEnd):
    """The bytes of a slice are followed by the CR LF that every other reply ends in."""


@plant("slice-extra-line-raw", "HFTP-6.8", dialects=("2026",))
@plant("slice-extra-line-raw-loop", "HFTP-6.8", style=Loop, dialects=("2026",))
class RawSliceExtraLine(RawWithLineEnd):
    """The bytes of a raw slice are followed by the CR LF that every other reply ends in."""


@plant("listing-extra-line", "HFTP-4.1")
@plant("listing-extra-line-loop", "HFTP-4.1", style=Loop)
class ListingExtraLine(Commands):
    """The names of a listing are followed by two empty lines."""

    def listing(self, names: list[bytes]) -> bytes:
        """Add an empty line where there are names."""
        return super().listing(names) + (b"\r\n" if names else b"")


@plant("size-with-space", "HFTP-5.1")
@plant("size-with-space-streams", "HFTP-5.1", style=Streams)
class SizeWithSpace(Commands):
    """The size is followed by a space before its CR LF."""

    def metadata(self, size: int) -> bytes:
        """Add a space."""
        return b"%d \r\n" % size


@plant("reply-lf-only", "HFTP-2.1")
@plant("reply-lf-only-streams", "HFTP-2.1", style=Streams)
class ReplyLfOnly(StatusLfOnly):
    r"""Every line of every reply is printed with a bare \n: statuses, names, sizes and base64."""

    def listing(self, names: list[bytes]) -> bytes:
        """Forget the CRs."""
        return super().listing(names).replace(b"\r\n", b"\n")

    def metadata(self, size: int) -> bytes:
        """Forget the CR."""
        return b"%d\n" % size

    def base64(self, chunks: Parts, size: int) -> Parts:
        """Forget the CR."""
        return (part.replace(b"\r\n", b"\n") for part in super().base64(chunks, size))
