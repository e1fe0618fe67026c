"""What an operator may set: one table for the command line, the environment and the file."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from greenserver import limits
from greenserver.addresses import HIGHEST_PORT, UNIX_PREFIX
from greenserver.limits import Limits

if TYPE_CHECKING:
    import ipaddress

    Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# Named here once more than in the tables that they are the keys of: nothing that touches a socket may be
# imported before the engine is known. A test holds them together.
ENGINES: Final = ("gevent", "threads", "selectors", "sequential")
DIALECTS: Final = ("2026", "2019", "2018", "2016")
LOG_FORMATS: Final = ("text", "json")

_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")


class ConfigurationError(click.UsageError):
    """A setting is wrong; the message says which, and what to do."""

# --- Kinds of settings ---------------------------------------------------------------------------


class _WorkerCount(click.ParamType):
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


class _Endpoint(click.ParamType):
    name = "HOST:PORT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        host, _, port = str(value).rpartition(":")
        if not host or not (port.isascii() and port.isdigit() and int(port) <= HIGHEST_PORT):
            self.fail(f"{value!r} is not HOST:PORT, as in 127.0.0.1:9500 or [::1]:9500.", param, ctx)
        return host.removeprefix("[").removesuffix("]"), int(port)


class _Network(click.ParamType):
    name = "NETWORK"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> "Network":
        import ipaddress  # noqa: PLC0415  (not before it is asked for: starting must be quick)

        try:
            return ipaddress.ip_network(str(value))
        except ValueError as error:
            self.fail(f"{error}; a network is written as 10.0.0.0/8 or 2001:db8::/32.", param, ctx)


class _Octal(click.ParamType):
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
class Kind:
    """What values a setting takes, in a command line and in a file."""

    type: click.ParamType
    """Converts and checks, whichever the source."""
    in_file: tuple[type, ...]
    """What a file may hold, before it is converted."""
    said: str
    """The same for people."""
    is_flag: bool = False
    is_count: bool = False
    is_many: bool = False


_TEXT = Kind(click.STRING, (str,), "text in quotes")
_FLAG = Kind(click.BOOL, (bool,), "true or false", is_flag=True)
_COUNT = Kind(click.IntRange(0, 3), (int,), "a whole number", is_count=True)
_SECONDS = Kind(click.FloatRange(0, min_open=True), (int, float), "a number of seconds")
_WHOLE = Kind(click.IntRange(0), (int,), "a whole number")


def _choice(names: Sequence[str]) -> Kind:
    return Kind(click.Choice(names), (str,), "one of " + ", ".join(f'"{name}"' for name in names))


# --- The table -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Option:
    """One row: a setting, under one name for all sources."""

    name: str
    kind: Kind
    default: Any
    help: str
    letter: str = ""
    metavar: str | None = None
    can_reload: bool = False
    """Whether a running server takes a new value; else it needs a restart."""

    @property
    def key(self) -> str:
        """Return the name as a file writes it, and the command line after two dashes."""
        return self.name.replace("_", "-")


_ROW: Final = "row"


def _row(default: object, kind: Kind, help_text: str, **more: Any) -> Any:  # noqa: ANN401  (as dataclasses.field)
    return field(default=default, metadata={_ROW: {"kind": kind, "help": help_text, **more}})


@dataclass(frozen=True)
class Settings:
    """All that is set, from whichever source."""

    directory: str = _row(
        ".", _TEXT, "What to serve: the regular files in it.", letter="d", metavar="DIR", can_reload=True
    )
    address: str = _row(
        "127.0.0.1", _TEXT, "Where to listen: a name, an IP address, unix:PATH, fd://N.", letter="a", metavar="HOST"
    )
    port: int = _row(
        limits.DEFAULT_PORT,
        Kind(click.IntRange(0, HIGHEST_PORT), (int,), "a whole number"),
        "0 takes a free one.",
        letter="p",
    )
    port_file: str | None = _row(None, _TEXT, "Write the port there once it listens.", metavar="FILE")
    engine: str = _row(ENGINES[0], _choice(ENGINES), "How clients share the server.")
    dialect: str = _row(DIALECTS[0], _choice(DIALECTS), "The protocol's year.", can_reload=True)
    hidden: bool = _row(False, _FLAG, "Serve files whose names begin with a dot, too.", can_reload=True)  # noqa: FBT003  (a default)
    log_format: str = _row("text", _choice(LOG_FORMATS), "Of the lines on stderr.", can_reload=True)
    verbose: int = _row(0, _COUNT, "Log more.", letter="v", can_reload=True)
    quiet: int = _row(0, _COUNT, "Log only warnings; twice: only errors.", letter="q", can_reload=True)
    tls_cert: str | None = _row(
        None, _TEXT, "Speak TLS, and only TLS, with this certificate chain (PEM).", metavar="FILE", can_reload=True
    )
    tls_key: str | None = _row(None, _TEXT, "The private key of the certificate (PEM).", metavar="FILE", can_reload=True)
    tls_client_ca: str | None = _row(
        None, _TEXT, "Serve only clients with a certificate of these authorities (PEM).", metavar="FILE", can_reload=True
    )
    proxy_protocol: bool = _row(
        False,  # noqa: FBT003  (a default)
        _FLAG,
        "Expect a PROXY protocol header, version 1 or 2, of every connection.",
        can_reload=True,
    )
    proxy_from: tuple["Network", ...] = _row(
        (),
        Kind(_Network(), (str,), "a list of texts", is_many=True),
        "From where such headers are believed; may be repeated. Without it: loopback.",
        can_reload=True,
    )
    workers: int = _row(
        0,
        Kind(_WorkerCount(), (int, str), 'a whole number or "auto"'),
        "Serve with so many processes under one that watches them; auto: one for each processor. 0: one process.",
        can_reload=True,
    )
    admin: tuple[str, int] | None = _row(
        None, Kind(_Endpoint(), (str,), 'text, as in "127.0.0.1:9500"'), "Answer /metrics, /healthz and /readyz there."
    )
    user: str | None = _row(None, _TEXT, "Become this user once the port is open.", metavar="NAME")
    group: str | None = _row(None, _TEXT, "Become this group once the port is open.", metavar="NAME")
    umask: int | None = _row(
        None, Kind(_Octal(), (str, int), 'an octal number, as in "027"'), "Permissions to withhold from new files."
    )
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        for is_wrong, message in (
            (bool(self.tls_cert) != bool(self.tls_key), "--tls-cert and --tls-key go together: give both, or neither"),
            (
                bool(self.tls_client_ca) and not self.tls_cert,
                "--tls-client-ca needs --tls-cert and --tls-key, for only TLS can ask for a certificate",
            ),
            (
                bool(self.proxy_from) and not self.proxy_protocol,
                "--proxy-from does nothing without --proxy-protocol: give both, or neither",
            ),
            (
                self.port_file is not None and self.address.startswith(UNIX_PREFIX),
                "--port-file: a unix socket has no port; leave it out",
            ),
        ):
            if is_wrong:
                raise ConfigurationError(message)

    @property
    def trusted_proxies(self) -> tuple["Network", ...]:
        """Return the networks whose PROXY protocol headers are believed; none if the protocol is off."""
        if not self.proxy_protocol:
            return ()
        return self.proxy_from or tuple(_Network().convert(each, None, None) for each in _LOOPBACK)


_LIMITS_HELP: Final = {
    "max_connections": "Clients at once, in each process; lowered to what its descriptors allow.",
    "max_connections_per_client": "The same for one address (IPv6: one /64), or 0.",
    "line_bytes": "The longest command line.",
    "idle_seconds": "How long a client may say nothing.",
    "line_seconds": "How long one whole command line may take to arrive.",
    "line_floor": "Bytes a second that a longer command line must keep up, or 0.",
    "stall_seconds": "How long a client may take nothing of a reply.",
    "write_floor": "Bytes a second that a client must take of a reply, or 0.",
    "handshake_seconds": "How long a TLS handshake or a PROXY protocol header may take.",
    "linger_seconds": "How long input is read and dropped after the last reply.",
    "grace_seconds": "How long replies may take once the server is told to stop.",
    "rate": "Bytes a second that one connection is sent at most, or 0.",
    "file_threads": "Threads that read what is not in memory.",
}


def _list_options() -> tuple[Option, ...]:
    rows = [
        Option(each.name, default=each.default, **each.metadata[_ROW])
        for each in dataclasses.fields(Settings)
        if _ROW in each.metadata
    ]
    for each in dataclasses.fields(Limits):
        kind = _SECONDS if each.type is float else _WHOLE
        rows.append(Option(each.name, kind, each.default, _LIMITS_HELP[each.name], can_reload=True))
    return tuple(rows)


OPTIONS: Final = _list_options()
_BY_KEY: Final = {option.key: option for option in OPTIONS}
_LIMITS: Final = frozenset(each.name for each in dataclasses.fields(Limits))


# --- From the sources to the settings ------------------------------------------------------------


def parameters() -> list[click.Option]:
    """Return the table as options of a click command."""
    return [_parameter(option) for option in OPTIONS]


def settle(values: Mapping[str, Any]) -> Settings:
    """Make settings of the values that a command was given, by their names.

    Raises ConfigurationError if they do not go together.
    """
    granted = Limits(**{name: value for name, value in values.items() if name in _LIMITS})
    others = {each.name: values[each.name] for each in dataclasses.fields(Settings) if each.name in values}
    return Settings(limits=granted, **others)


def read_file(path: str) -> dict[str, Any]:
    """Return what a file sets, by the names of the table, checked.

    Raises ConfigurationError, with the file, the key and what is right, for anything that is wrong.
    """
    try:
        values = _toml_loads()(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise ConfigurationError(message) from error
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError
        message = f"{path} is not TOML: {error}"
        raise ConfigurationError(message) from error
    return {key.replace("-", "_"): _check(path, key, value) for key, value in values.items()}


def kept_until_restart(old: Settings, new: Settings) -> tuple[Settings, list[str]]:
    """Return new settings in which what a running server cannot change is as before, and the keys of that."""
    kept = [
        option for option in OPTIONS if not option.can_reload and getattr(new, option.name) != getattr(old, option.name)
    ]
    merged = dataclasses.replace(new, **{option.name: getattr(old, option.name) for option in kept})
    return merged, [option.key for option in kept]


def _check(path: str, key: str, value: object) -> object:
    option = _BY_KEY.get(key)
    if option is None:
        message = f"{path}: there is no key {key!r}{_suggest(key)}"
        raise ConfigurationError(message)
    kind = option.kind
    items = value if kind.is_many and isinstance(value, list) else [value]
    is_right_form = isinstance(value, list) == kind.is_many
    # True is an int to Python, but not to whoever writes a port.
    if not is_right_form or not all(type(item) in kind.in_file for item in items):
        message = f"{path}: {key} must be {kind.said}, not {value!r}"
        raise ConfigurationError(message)
    try:
        converted = [kind.type.convert(item, None, None) for item in items]
    except click.BadParameter as error:
        message = f"{path}: {key}: {error.message}"
        raise ConfigurationError(message) from error
    return converted if kind.is_many else converted[0]


def _suggest(key: str) -> str:
    import difflib  # noqa: PLC0415  (only for whoever mistypes)

    close = difflib.get_close_matches(key.replace("_", "-"), _BY_KEY, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; the keys are {', '.join(_BY_KEY)}"


def _toml_loads() -> Callable[[str], dict[str, Any]]:
    try:
        from tomllib import loads  # noqa: PLC0415  (only for whoever has a file)
    except ImportError:
        from tomli import loads  # noqa: PLC0415  (Python 3.10 has none of its own)
    return loads


def _parameter(option: Option) -> click.Option:
    letter = [f"-{option.letter}"] if option.letter else []
    kind = option.kind
    more: dict[str, Any] = {}
    if kind.is_flag:
        more |= {"is_flag": True, "show_default": False}
    elif kind.is_count:
        more |= {"count": True, "show_default": False}
    else:
        more |= {"type": kind.type, "metavar": option.metavar, "multiple": kind.is_many}
        more["show_default"] = option.default not in (None, ())
    return click.Option([*letter, f"--{option.key}"], default=option.default, help=option.help, **more)
