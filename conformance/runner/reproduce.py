"""Command lines that show a result again: this one scenario, and, where it can be that simple, the bytes alone."""

from typing import Final

from conformance.client.address import Address
from conformance.client.recording import Recording
from conformance.config import Options

PRINTF_BYTES = 400
"""No longer bytes make a line that one would paste."""


def command_lines(options: Options, scenario: str, record: Recording, address: Address) -> list[str]:
    """Return them, the shortest last."""
    lines = [options.command("-t", scenario)]
    if (said := _said(record)) is not None and not options.proxy:
        where = address.nc_words if options.address else f"{address.host} $PORT"  # of a server that was started for it
        lines.append(f"printf '{said}' | nc {where}")
    return lines


def _said(record: Recording) -> str | None:
    """Return what was sent, for printf; None if that took several connections or is long."""
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
    """Return bytes as the format of printf between single quotes, in octal where need be (all shells know that)."""
    return "".join(map(_PRINTF.__getitem__, data))


def _printf_of(byte: int) -> str:
    named = {ord("\r"): r"\r", ord("\n"): r"\n", ord("\t"): r"\t", ord("\\"): r"\\", ord("%"): "%%"}
    is_plain = 32 <= byte < 127 and byte != ord("'")  # noqa: PLR2004  (printable ASCII)
    return named.get(byte) or (chr(byte) if is_plain else f"\\{byte:03o}")


_PRINTF: Final = [_printf_of(byte) for byte in range(256)]
