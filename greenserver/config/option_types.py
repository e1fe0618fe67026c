"""Kinds of settings: what values they take, and how a text becomes one, whichever the source."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from greenserver.config.addresses import HIGHEST_PORT

if TYPE_CHECKING:
    import ipaddress

    Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
    _ParamType: TypeAlias = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # generic only in click's newer releases


class _Seconds(_ParamType):
    name = "SECONDS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(str(value))
        except ValueError:
            seconds = 0.0
        if not (seconds > 0 and math.isfinite(seconds)):
            self.fail(f"{value!r} is not a number of seconds above 0.", param, ctx)
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
            self.fail(f"{value!r} is not HOST:PORT, as in 127.0.0.1:9500 or [::1]:9500.", param, ctx)
        return host.removeprefix("[").removesuffix("]"), int(port)


class _Network(_ParamType):
    name = "NETWORK"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> "Network":
        import ipaddress  # noqa: PLC0415  (not before it is asked for: starting must be quick)

        try:
            return ipaddress.ip_network(str(value))
        except ValueError as error:
            self.fail(f"{error}; a network is written as 10.0.0.0/8 or 2001:db8::/32.", param, ctx)


class _Octal(_ParamType):
    name = "OCTAL"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            mask = int(str(value), 8)
        except ValueError:
            mask = -1
        if not 0 <= mask <= 0o777:  # noqa: PLR2004  (every permission bit)
            self.fail(f"{value!r} is not an octal number from 000 to 777.", param, ctx)
        return mask


@dataclass(frozen=True)
class OptionType:
    """What values a setting takes, in a command line and in a file."""

    converter: "_ParamType"
    """Converts and checks, whichever the source."""
    in_file: tuple[type, ...]
    """What a file may hold, before it is converted."""
    said: str
    """The same for people."""
    is_flag: bool = False
    is_count: bool = False
    is_many: bool = False


TEXT: Final = OptionType(click.STRING, (str,), "text in quotes")
FLAG: Final = OptionType(click.BOOL, (bool,), "true or false", is_flag=True)
COUNT: Final = OptionType(click.IntRange(0, 3), (int,), "a whole number", is_count=True)
SECONDS: Final = OptionType(_Seconds(), (int, float), "a number of seconds")
PORT: Final = OptionType(click.IntRange(0, HIGHEST_PORT), (int,), "a whole number")
WORKERS: Final = OptionType(_WorkerCount(), (int, str), 'a whole number or "auto"')
ENDPOINT: Final = OptionType(_Endpoint(), (str,), 'text, as in "127.0.0.1:9500"')
NETWORKS: Final = OptionType(_Network(), (str,), "a list of texts", is_many=True)
MASK: Final = OptionType(_Octal(), (str, int), 'an octal number, as in "027"')


def whole_number(least: int) -> OptionType:
    """Return the kind of whole numbers from one on."""
    return OptionType(click.IntRange(least), (int,), "a whole number")


def choice(names: Sequence[str]) -> OptionType:
    """Return the kind of certain names."""
    return OptionType(click.Choice(names), (str,), "one of " + ", ".join(f'"{name}"' for name in names))


def network(text: str) -> "Network":
    """Return a network.

    Raises click.BadParameter if it is none.
    """
    parsed: Network = NETWORKS.converter.convert(text, None, None)
    return parsed
