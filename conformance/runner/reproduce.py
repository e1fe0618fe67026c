"""Command lines that reproduce a result: with the suite and, if it is simple enough, with printf and nc."""

import shlex
from typing import Final

from conformance.client.address import Address
from conformance.client.recording import Recording
from conformance.config import Options

PRINTF_BYTES = 400
"""Maximum length of bytes to put into a command line."""


class Reproduction:
    """Makes the command lines of one run, whose server is, or first was, at an address."""

    def __init__(self, options: Options, address: Address) -> None:
        self._command = options.command()
        host = address.nc_words if options.address else f"{address.host} $PORT"  # the port of --serve changes
        self._nc = "" if options.proxy else f"nc {host}"

    def command_lines(self, scenario: str, record: Recording) -> list[str]:
        """Return the command lines, the shortest last."""
        lines = [f"{self._command} {shlex.join(['-t', scenario])}"]
        if self._nc and (text := _sent_text(record)) is not None:
            lines.append(f"printf '{text}' | {self._nc}")
        return lines


def _sent_text(record: Recording) -> str | None:
    """Return the sent bytes for printf; None if there were several connections, a reset, or too many bytes."""
    sent = b""
    for event in record.events:
        if event.peer > 1 or event.what == "reset":
            return None
        if event.what == "sent" and event.payload is not None:
            if event.payload.size > PRINTF_BYTES:
                return None
            sent += event.payload.head
    return printf_text(sent) if 0 < len(sent) <= PRINTF_BYTES and not record.dropped else None


def printf_text(data: bytes) -> str:
    """Return bytes as a single-quoted printf(1) format, with octal escapes, which all shells support."""
    return "".join(map(_PRINTF.__getitem__, data))


def _printf_of(byte: int) -> str:
    named = {ord("\r"): r"\r", ord("\n"): r"\n", ord("\t"): r"\t", ord("\\"): r"\\", ord("%"): "%%"}
    is_plain = 32 <= byte < 127 and byte != ord("'")  # noqa: PLR2004  (printable ASCII)
    return named.get(byte) or (chr(byte) if is_plain else f"\\{byte:03o}")


_PRINTF: Final = [_printf_of(byte) for byte in range(256)]
