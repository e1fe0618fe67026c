"""Command lines that show a result again: `conformance try`, and printf and nc where these are certain to show it."""

from typing import Final

from conformance.client.address import Address
from conformance.client.recording import WireEvent
from conformance.config import Options
from conformance.model.scenario import CONCURRENCY, EXCLUSIVE
from conformance.model.verdicts import Verdict
from conformance.runner.outcome import Outcome

PRINTF_BYTES = 400
"""Maximum length of bytes to put into a command line."""
REPLY_BYTES = 4096
"""Maximum length of a reply that is worth to see in a terminal."""
ID: Final = "ID"
_HARMLESS: Final = frozenset({"connected", "sent", "received", "end", "reset by server", "silence"})
"""What may happen on a connection that nc makes in the same way."""


class Reproduction:
    """Makes the command lines of one run, whose server is, or first was, at an address.

    `keeps_files`: the files are still served when the user reads this; `keeps_server`: so is the address. `entering` is
    a command that runs nc in the server's network. `command` is what shows a scenario, `ID`, again, if that is not
    `conformance try`.
    """

    def __init__(  # noqa: PLR0913  (two calls)
        self,
        options: Options,
        address: Address,
        *,
        keeps_files: bool,
        keeps_server: bool = False,
        entering: str = "",
        command: str = "",
    ) -> None:
        self._command = command or options.command("try", ID)
        self._exploring = options.command("explore")
        # The port of --serve changes.
        host = address.nc_words if options.address or keeps_server else f"{address.host} $PORT"
        self._nc = "" if options.proxy else f"{entering} nc {host}".strip()
        self._keeps_files = keeps_files

    def command_lines(self, outcome: Outcome) -> list[str]:
        """Return the command lines, the shortest last."""
        line = self.nc_line(outcome)
        if outcome.is_explored:
            return [self._exploring, *([line] if line else [])]
        return [self._command.replace(ID, outcome.scenario.id, 1), *([line] if line else [])]

    def nc_line(self, outcome: Outcome) -> str:
        """Return the line with nc; empty if it might not show the failure.

        It does if the client sent one piece on one connection and then read, and if no file is needed that is gone.
        """
        scenario = outcome.scenario
        needs_files = bool(scenario.needs - {CONCURRENCY})
        if not self._nc or outcome.failure is None or outcome.verdict is Verdict.FLAKY:
            return ""
        if scenario.isolation == EXCLUSIVE or (needs_files and not self._keeps_files):
            return ""
        data = _only_piece(outcome)
        return f"printf '{printf_text(data)}' | {self._nc}" if data else ""


def _only_piece(outcome: Outcome) -> bytes:
    """Return the bytes that a scenario sent until it failed; empty if nc would not send them alike."""
    record = outcome.record
    events = [event for event in record.events[: outcome.moments] if event.what != "note" or event.peer]
    sent = [event.payload for event in events if event.what == "sent" and event.payload is not None]
    if outcome.leaves_early or record.dropped or len(sent) != 1 or not all(map(_is_harmless, events)):
        return b""
    return sent[0].head if 0 < sent[0].size <= PRINTF_BYTES else b""


def _is_harmless(event: WireEvent) -> bool:
    size = event.payload.size if event.payload is not None and event.what == "received" else 0
    return event.peer == 1 and event.what in _HARMLESS and size <= REPLY_BYTES


def printf_text(data: bytes) -> str:
    """Return bytes as a single-quoted printf(1) format, with octal escapes, which all shells support."""
    first = "\\055" if data[:1] == b"-" else _PRINTF[data[0]] if data else ""  # not an option of printf
    return first + "".join(map(_PRINTF.__getitem__, data[1:]))


def _printf_of(byte: int) -> str:
    named = {ord("\r"): r"\r", ord("\n"): r"\n", ord("\t"): r"\t", ord("\\"): r"\\", ord("%"): "%%"}
    is_plain = 32 <= byte < 127 and byte != ord("'")  # noqa: PLR2004  (printable ASCII)
    return named.get(byte) or (chr(byte) if is_plain else f"\\{byte:03o}")


_PRINTF: Final = [_printf_of(byte) for byte in range(256)]
