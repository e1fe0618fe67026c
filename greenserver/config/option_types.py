"""Option types: the values that a setting accepts, and the conversion from text or TOML."""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from greenserver.config.addresses import HIGHEST_PORT, INHERITED_PREFIX, UNIX_PREFIX, strip_brackets

if TYPE_CHECKING:
    import ipaddress

    Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
    _ParamType: TypeAlias = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # generic only in newer releases of click


_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_BYTES: Final = re.compile(r"(\d+)([KMG]?)", re.ASCII | re.IGNORECASE)


class _Number(_ParamType):
    """A whole number within bounds; with `units`, also a number of bytes such as 64K."""

    def __init__(self, least: int, most: int | None = None, *, name: str = "N", units: bool = False) -> None:
        self.name = name
        self._least = least
        self._most = most
        self._units = units

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = _BYTES.fullmatch(str(value).strip())
        number = -1 if found is None or (found[2] and not self._units) else int(found[1]) * _UNITS[found[2].upper()]
        if number < self._least or (self._most is not None and number > self._most):
            form = " such as 65536, 64K, 10M or 1G" if self._units else ""
            bounds = f"from {self._least} up" if self._most is None else f"from {self._least} to {self._most}"
            self.fail(f"{value!r} is not a number {bounds}{form and ','}{form}.", param, ctx)
        return number


class _Address(_ParamType):
    name = "HOST"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        address = str(value)
        if address.startswith((UNIX_PREFIX, INHERITED_PREFIX)):
            if address == UNIX_PREFIX:
                self.fail("a unix socket needs a path, such as unix:/run/hftp.sock.", param, ctx)
            return address
        host, colon, port = address.rpartition(":")
        if colon and port.isdecimal() and (":" not in host or host != strip_brackets(host)):
            aside = f"--address {strip_brackets(host)} " if host else ""
            self.fail(f"{address!r} has a port; give it apart: {aside}--port {port}.", param, ctx)
        if not address:
            self.fail("an address is needed, such as 127.0.0.1; :: listens on all.", param, ctx)
        return address


class _Seconds(_ParamType):
    name = "SECONDS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(str(value))
        except ValueError:
            seconds = 0.0
        if not (seconds > 0 and math.isfinite(seconds)):
            self.fail(f"{value!r} is not a number of seconds greater than 0.", param, ctx)
        return seconds


class _WorkerCount(_ParamType):
    name = "N|auto"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "auto":
            return len(os.sched_getaffinity(0))
        try:
            count = int(str(value))
        except ValueError:
            count = -1
        if count < 0:
            self.fail(f"{value!r} is neither a number of processes nor 'auto'.", param, ctx)
        return count


class _Endpoint(_ParamType):
    name = "HOST:PORT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        host, _, port = str(value).rpartition(":")
        if not host or not (port.isascii() and port.isdigit() and int(port) <= HIGHEST_PORT):
            self.fail(f"{value!r} is not HOST:PORT, such as 127.0.0.1:9500 or [::1]:9500.", param, ctx)
        return host.removeprefix("[").removesuffix("]"), int(port)


class _Network(_ParamType):
    name = "NETWORK"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> "Network":
        import ipaddress  # noqa: PLC0415  (rarely used, and the start must be fast)

        try:
            return ipaddress.ip_network(str(value))
        except ValueError as error:
            self.fail(f"{error}; write a network as 10.0.0.0/8 or 2001:db8::/32.", param, ctx)


class _Octal(_ParamType):
    name = "OCTAL"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            mask = int(str(value), 8)
        except ValueError:
            mask = -1
        if not 0 <= mask <= 0o777:  # noqa: PLR2004  (all permission bits)
            self.fail(f"{value!r} is not an octal number from 000 to 777.", param, ctx)
        return mask


@dataclass(frozen=True)
class OptionType:
    """The values that a setting accepts, on the command line and in a file."""

    converter: "_ParamType"
    """Converts and checks a value from any source."""
    in_file: tuple[type, ...]
    """The TOML types that a file may use, before conversion."""
    description: str
    """The same in words, for error messages."""
    is_flag: bool = False
    is_count: bool = False
    is_many: bool = False


TEXT: Final = OptionType(click.STRING, (str,), "a string in quotes")
FLAG: Final = OptionType(click.BOOL, (bool,), "true or false", is_flag=True)
COUNT: Final = OptionType(_Number(0), (int,), "a whole number", is_count=True)
SECONDS: Final = OptionType(_Seconds(), (int, float), "a number of seconds")
PORT: Final = OptionType(_Number(0, HIGHEST_PORT), (int,), "a whole number")
ADDRESS: Final = OptionType(_Address(), (str,), 'a string such as "127.0.0.1"')
WORKERS: Final = OptionType(_WorkerCount(), (int, str), 'a whole number or "auto"')
ENDPOINT: Final = OptionType(_Endpoint(), (str,), 'a string such as "127.0.0.1:9500"')
NETWORKS: Final = OptionType(_Network(), (str,), "a list of strings", is_many=True)
MASK: Final = OptionType(_Octal(), (str, int), 'an octal number such as "027"')


def whole_number(least: int) -> OptionType:
    """Return the type of whole numbers with a minimum."""
    return OptionType(_Number(least), (int,), "a whole number")


def byte_count(least: int) -> OptionType:
    """Return the type of numbers of bytes with a minimum; K, M and G are powers of 1024."""
    return OptionType(_Number(least, name="BYTES", units=True), (int, str), 'a number of bytes such as 65536 or "64K"')


def choice(names: Sequence[str]) -> OptionType:
    """Return the type of one name out of several."""
    return OptionType(click.Choice(names), (str,), "one of " + ", ".join(f'"{name}"' for name in names))


def network(text: str) -> "Network":
    """Parse a network.

    Raise click.BadParameter if the text is not a network.
    """
    parsed: Network = NETWORKS.converter.convert(text, None, None)
    return parsed
