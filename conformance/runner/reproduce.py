"""Command lines that reproduce a result: with the suite and, if it is simple enough, with printf and nc."""

from typing import Final

from conformance.client.address import Address
from conformance.client.recording import Recording
from conformance.config import Options

PRINTF_BYTES = 400
"""Maximum length of bytes to put into a command line."""


def command_lines(options: Options, scenario: str, record: Recording, address: Address) -> list[str]:
    """Return the command lines, the shortest last."""
    lines = [options.command("-t", scenario)]
    if (said := _said(record)) is not None and not options.proxy:
        where = address.nc_words if options.address else f"{address.host} $PORT"  # its port changes
        lines.append(f"printf '{said}' | nc {where}")
    return lines


def _said(record: Recording) -> str | None:
    """Return the sent bytes for printf; None if there were several connections, a reset, or too many bytes."""
    sent = b""
    for moment in record.moments:
        if moment.peer > 1 or moment.what == "reset":
            return None
        if moment.what == "sent" and moment.payload is not None:
            if moment.payload.size > PRINTF_BYTES:
                return None
            sent += moment.payload.head
    return printf_text(sent) if 0 < len(sent) <= PRINTF_BYTES and not record.dropped else None


def printf_text(data: bytes) -> str:
    """Return bytes as a single-quoted printf(1) format, with octal escapes, which all shells support."""
    return "".join(map(_PRINTF.__getitem__, data))


def _printf_of(byte: int) -> str:
    named = {ord("\r"): r"\r", ord("\n"): r"\n", ord("\t"): r"\t", ord("\\"): r"\\", ord("%"): "%%"}
    is_plain = 32 <= byte < 127 and byte != ord("'")  # noqa: PLR2004  (printable ASCII)
    return named.get(byte) or (chr(byte) if is_plain else f"\\{byte:03o}")


_PRINTF: Final = [_printf_of(byte) for byte in range(256)]
