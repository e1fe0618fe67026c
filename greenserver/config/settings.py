"""What an operator may set: one table for the command line, the environment and the file."""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from greenserver.config import limits
from greenserver.config.addresses import UNIX_PREFIX
from greenserver.config.limits import Limits
from greenserver.config.option_types import (
    COUNT,
    ENDPOINT,
    FLAG,
    MASK,
    NETWORKS,
    PORT,
    SECONDS,
    TEXT,
    WORKERS,
    OptionType,
    choice,
    network,
    whole_number,
)

if TYPE_CHECKING:
    from greenserver.config.option_types import Network

# Named here once more than in the tables that they are the keys of: nothing that touches a socket may be
# imported before the engine is known. A test holds them together.
ENGINES: Final = ("gevent", "threads", "selectors", "sequential")
DIALECTS: Final = ("2026", "2019", "2018", "2016")
LOG_FORMATS: Final = ("text", "json")

_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")


class ConfigurationError(click.UsageError):
    """A setting is wrong; the message says which, and what to do."""


# --- The table -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Option:
    """One row: a setting, under one name for all sources."""

    name: str
    kind: OptionType
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


def _row(default: object, kind: OptionType, help_text: str, **more: Any) -> Any:  # noqa: ANN401  (as dataclasses.field)
    return field(default=default, metadata={_ROW: {"kind": kind, "help": help_text, **more}})


@dataclass(frozen=True)
class Settings:
    """All that is set, from whichever source."""

    directory: str = _row(
        ".", TEXT, "What to serve: the regular files in it.", letter="d", metavar="DIR", can_reload=True
    )
    address: str = _row(
        "127.0.0.1", TEXT, "Where to listen: a name, an IP address, unix:PATH, fd://N.", letter="a", metavar="HOST"
    )
    port: int = _row(
        limits.DEFAULT_PORT,
        PORT,
        "0 takes a free one.",
        letter="p",
    )
    port_file: str | None = _row(None, TEXT, "Write the port there once it listens.", metavar="FILE")
    engine: str = _row(ENGINES[0], choice(ENGINES), "How clients share the server.")
    dialect: str = _row(DIALECTS[0], choice(DIALECTS), "The protocol's year.", can_reload=True)
    hidden: bool = _row(False, FLAG, "Serve files whose names begin with a dot, too.", can_reload=True)  # noqa: FBT003  (a default)
    log_format: str = _row("text", choice(LOG_FORMATS), "Of the lines on stderr.", can_reload=True)
    verbose: int = _row(0, COUNT, "Log more.", letter="v", can_reload=True)
    quiet: int = _row(0, COUNT, "Log only warnings; twice: only errors.", letter="q", can_reload=True)
    tls_cert: str | None = _row(
        None, TEXT, "Speak TLS, and only TLS, with this certificate chain (PEM).", metavar="FILE", can_reload=True
    )
    tls_key: str | None = _row(None, TEXT, "The private key of the certificate (PEM).", metavar="FILE", can_reload=True)
    tls_client_ca: str | None = _row(
        None,
        TEXT,
        "Serve only clients with a certificate of these authorities (PEM).",
        metavar="FILE",
        can_reload=True,
    )
    proxy_protocol: bool = _row(
        False,  # noqa: FBT003  (a default)
        FLAG,
        "Expect a PROXY protocol header, version 1 or 2, of every connection.",
        can_reload=True,
    )
    proxy_from: tuple["Network", ...] = _row(
        (),
        NETWORKS,
        "From where such headers are believed; may be repeated. Without it: loopback.",
        can_reload=True,
    )
    workers: int = _row(
        0,
        WORKERS,
        "Serve with so many processes under one that watches them; auto: one for each processor. 0: one process.",
        can_reload=True,
    )
    admin: tuple[str, int] | None = _row(None, ENDPOINT, "Answer /metrics, /healthz and /readyz there.")
    user: str | None = _row(None, TEXT, "Become this user once the port is open.", metavar="NAME")
    group: str | None = _row(None, TEXT, "Become this group once the port is open.", metavar="NAME")
    umask: int | None = _row(None, MASK, "Permissions to withhold from new files.")
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
        return self.proxy_from or tuple(network(each) for each in _LOOPBACK)


_LIMITS: Final = {
    "max_connections": (1, "Clients at once, in each process; lowered to what its descriptors allow."),
    "max_connections_per_client": (0, "The same for one address (IPv6: one /64), or 0."),
    "line_bytes": (1, "The longest command line."),
    "idle_seconds": (1, "How long a client may say nothing."),
    "line_seconds": (1, "How long one whole command line may take to arrive."),
    "line_floor": (0, "Bytes a second that a longer command line must keep up, or 0."),
    "stall_seconds": (1, "How long a client may take nothing of a reply."),
    "write_floor": (0, "Bytes a second that a client must take of a reply, or 0."),
    "handshake_seconds": (1, "How long a TLS handshake or a PROXY protocol header may take."),
    "linger_seconds": (1, "How long input is read and dropped after the last reply."),
    "grace_seconds": (1, "How long replies may take once the server is told to stop."),
    "rate": (0, "Bytes a second that one connection is sent at most, or 0."),
    "file_threads": (1, "Threads that read what is not in memory."),
}
"""What a row of the table says of each limit: the least it may be (of whole numbers), and what it is."""


def _list_options() -> tuple[Option, ...]:
    rows = [
        Option(each.name, default=each.default, **each.metadata[_ROW])
        for each in dataclasses.fields(Settings)
        if _ROW in each.metadata
    ]
    for each in dataclasses.fields(Limits):
        least, text = _LIMITS[each.name]
        kind = SECONDS if each.type is float else whole_number(least)
        rows.append(Option(each.name, kind, each.default, text, can_reload=True))
    return tuple(rows)


OPTIONS: Final = _list_options()
_BY_KEY: Final = {option.key: option for option in OPTIONS}


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
        converted = [kind.converter.convert(item, None, None) for item in items]
    except click.BadParameter as error:
        message = f"{path}: {key}: {error.message}"
        raise ConfigurationError(message) from error
    return converted if kind.is_many else converted[0]


def _suggest(key: str) -> str:
    import difflib  # noqa: PLC0415  (only for whoever mistypes)

    close = difflib.get_close_matches(key.replace("_", "-"), _BY_KEY, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; the keys are {', '.join(_BY_KEY)}"


def _toml_loads() -> Callable[[str], dict[str, Any]]:
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415  (only for whoever has a file)
    else:
        import tomli as tomllib  # noqa: PLC0415  (the same, for an interpreter that has none of its own)
    return tomllib.loads


def _parameter(option: Option) -> click.Option:
    letter = [f"-{option.letter}"] if option.letter else []
    kind = option.kind
    more: dict[str, Any] = {}
    if kind.is_flag:
        more |= {"is_flag": True, "show_default": False}
    elif kind.is_count:
        more |= {"count": True, "show_default": False}
    else:
        more |= {"type": kind.converter, "metavar": option.metavar, "multiple": kind.is_many}
        more["show_default"] = option.default not in (None, ())
    return click.Option([*letter, f"--{option.key}"], default=option.default, help=option.help, **more)
