"""Settings: one table of options for the command line, the environment and the configuration file."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from greenserver.config import limits
from greenserver.config.addresses import UNIX_PREFIX
from greenserver.config.limits import Limits
from greenserver.config.option_types import (
    ADDRESS,
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
    byte_count,
    choice,
    network,
    whole_number,
)

if TYPE_CHECKING:
    from greenserver.config.option_types import Network

# Repeats the keys of the tables of engines, dialects and logs: no module that uses sockets may be
# imported before the engine is known. A test compares them.
ENGINES: Final = ("gevent", "threads", "selectors", "sequential")
DIALECTS: Final = ("2026", "2019", "2018", "2016")
LOG_FORMATS: Final = ("text", "json")
ACCESS_LOGS: Final = ("commands", "downloads", "none")

_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")


class ConfigurationError(click.UsageError):
    """A setting is wrong. The message says which, and how to correct it."""


# --- The table -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Option:
    """One row: a setting, with the same name in all sources."""

    name: str
    kind: OptionType
    default: Any
    help: str
    letter: str = ""
    metavar: str | None = None
    can_reload: bool = False
    """Whether a reload applies a new value; otherwise it needs a restart."""

    @property
    def key(self) -> str:
        """The name in the file and, after two dashes, on the command line."""
        return self.name.replace("_", "-")


_ROW: Final = "row"


def _row(default: object, kind: OptionType, help_text: str, **more: Any) -> Any:  # noqa: ANN401  (like dataclasses.field)
    return field(default=default, metadata={_ROW: {"kind": kind, "help": help_text, **more}})


@dataclass(frozen=True)
class Settings:
    """All settings, from all sources."""

    directory: str = _row(
        ".", TEXT, "Directory whose regular files are served.", letter="d", metavar="DIR", can_reload=True
    )
    address: str = _row(
        "127.0.0.1", ADDRESS, "Listen on a host name, an IP address, unix:PATH or fd://N.", letter="a", metavar="HOST"
    )
    port: int = _row(
        limits.DEFAULT_PORT,
        PORT,
        "Port to listen on; 0 picks a free one.",
        letter="p",
    )
    port_file: str | None = _row(None, TEXT, "Write the port to a file once the server listens.", metavar="FILE")
    engine: str = _row(ENGINES[0], choice(ENGINES), "How to serve concurrent clients.")
    dialect: str = _row(DIALECTS[0], choice(DIALECTS), "Version of the protocol, by year.", can_reload=True)
    hidden: bool = _row(False, FLAG, "Also serve files whose names begin with a dot.", can_reload=True)  # noqa: FBT003  (a default)
    log_format: str = _row("text", choice(LOG_FORMATS), "Format of the log on stderr.", can_reload=True)
    access_log: str = _row(
        "commands",
        choice(ACCESS_LOGS),
        "Log every connection and command, one line per download, or none.",
        can_reload=True,
    )
    verbose: int = _row(0, COUNT, "Log more.", letter="v", can_reload=True)
    quiet: int = _row(0, COUNT, "Log only warnings; twice, only errors.", letter="q", can_reload=True)
    tls_cert: str | None = _row(
        None, TEXT, "Require TLS, with this certificate chain (PEM).", metavar="FILE", can_reload=True
    )
    tls_key: str | None = _row(None, TEXT, "Private key of the certificate (PEM).", metavar="FILE", can_reload=True)
    tls_client_ca: str | None = _row(
        None,
        TEXT,
        "Require a client certificate from these authorities (PEM).",
        metavar="FILE",
        can_reload=True,
    )
    proxy_protocol: bool = _row(
        False,  # noqa: FBT003  (a default)
        FLAG,
        "Require a PROXY protocol header, version 1 or 2, on every connection.",
        can_reload=True,
    )
    proxy_from: tuple["Network", ...] = _row(
        (),
        NETWORKS,
        "Network whose PROXY headers are trusted; can be repeated. Without it, loopback.",
        can_reload=True,
    )
    workers: int = _row(
        0,
        WORKERS,
        "Number of worker processes under a supervisor; auto: one per processor; 0: a single process, unsupervised.",
        can_reload=True,
    )
    admin: tuple[str, int] | None = _row(None, ENDPOINT, "Serve /metrics, /healthz and /readyz on this address.")
    user: str | None = _row(None, TEXT, "Switch to this user after opening the port.", metavar="NAME")
    group: str | None = _row(None, TEXT, "Switch to this group after opening the port.", metavar="NAME")
    umask: int | None = _row(None, MASK, "Permission bits to remove from new files.")
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Raise ConfigurationError for settings that contradict each other."""
        for is_wrong, message in (
            (bool(self.tls_cert) != bool(self.tls_key), "--tls-cert and --tls-key must be used together"),
            (
                bool(self.tls_client_ca) and not self.tls_cert,
                "--tls-client-ca needs --tls-cert and --tls-key: only TLS can ask for a certificate",
            ),
            (
                bool(self.proxy_from) and not self.proxy_protocol,
                "--proxy-from has no effect without --proxy-protocol: use both or neither",
            ),
            (
                self.port_file is not None and self.address.startswith(UNIX_PREFIX),
                "--port-file: a unix socket has no port; omit the option",
            ),
        ):
            if is_wrong:
                raise ConfigurationError(message)

    @property
    def trusted_proxies(self) -> tuple["Network", ...]:
        """The networks whose PROXY protocol headers are trusted; none if the protocol is off."""
        if not self.proxy_protocol:
            return ()
        return self.proxy_from or tuple(network(each) for each in _LOOPBACK)


_LIMITS: Final = {
    "max_connections": (1, "Maximum connections per process; lowered to what its descriptors allow."),
    "max_connections_per_client": (0, "Maximum connections per client address (IPv6: per /64); 0: unlimited."),
    "line_bytes": (1, "Maximum length of a command line, in bytes."),
    "idle_seconds": (1, "Idle timeout: how long a client may send nothing."),
    "line_seconds": (1, "Timeout for receiving a whole command line."),
    "line_floor": (0, "Minimum rate of a long command line, in bytes per second; 0: none."),
    "stall_seconds": (1, "Write timeout: how long a client may receive nothing of a reply."),
    "write_floor": (0, "Minimum rate of receiving a reply, in bytes per second; 0: none."),
    "handshake_seconds": (1, "Timeout for a TLS handshake or a PROXY protocol header."),
    "linger_seconds": (1, "How long to read and discard input after the last reply."),
    "grace_seconds": (1, "How long replies in progress may take after a stop."),
    "rate": (0, "Maximum rate of sending per connection, in bytes per second; 0: unlimited."),
    "log_rate": (0, "Maximum log lines per second about one client address (IPv6: per /64); 0: unlimited."),
    "file_threads": (1, "Threads that read files that are not in memory."),
}
"""The minimum (of whole numbers) and the help text of each limit."""

_IN_BYTES: Final = frozenset({"line_bytes", "line_floor", "write_floor", "rate"})
"""The limits that are counted in bytes."""


def _list_options() -> tuple[Option, ...]:
    rows = [
        Option(each.name, default=each.default, **each.metadata[_ROW])
        for each in dataclasses.fields(Settings)
        if _ROW in each.metadata
    ]
    for each in dataclasses.fields(Limits):
        least, text = _LIMITS[each.name]
        kind = SECONDS if each.type is float else byte_count(least) if each.name in _IN_BYTES else whole_number(least)
        rows.append(Option(each.name, kind, each.default, text, can_reload=True))
    return tuple(rows)


OPTIONS: Final = _list_options()

_PREFIX: Final = "GREENSERVER_"


def variable(name: str) -> str:
    """Return the environment variable that sets an option."""
    return _PREFIX + name.upper()


_VARIABLES: Final = frozenset({"CONFIG", *(option.name.upper() for option in OPTIONS)})


# --- Reading the sources -------------------------------------------------------------------------


def parameters() -> list[click.Option]:
    """Return the table as parameters of a click command."""
    return [_parameter(option) for option in OPTIONS]


def settle(values: Mapping[str, Any]) -> Settings:
    """Return settings from the parameters of a command, by name.

    Raise ConfigurationError if they contradict each other.
    """
    granted = Limits(**{name: value for name, value in values.items() if name in _LIMITS})
    others = {each.name: values[each.name] for each in dataclasses.fields(Settings) if each.name in values}
    return Settings(limits=granted, **others)


def unknown_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that look like settings and are none, each with the closest one or ""."""
    found = {name.removeprefix(_PREFIX) for name in environment if name.startswith(_PREFIX)} - _VARIABLES
    return {
        _PREFIX + name: "".join(_PREFIX + each for each in closest(name, _VARIABLES, 0.75)) for name in sorted(found)
    }


def kept_until_restart(old: Settings, new: Settings) -> tuple[Settings, list[str]]:
    """Return new settings that keep the old value of every option that needs a restart, and the keys of these."""
    kept = [
        option for option in OPTIONS if not option.can_reload and getattr(new, option.name) != getattr(old, option.name)
    ]
    merged = dataclasses.replace(new, **{option.name: getattr(old, option.name) for option in kept})
    return merged, [option.key for option in kept]


def closest(name: str, known: Iterable[str], likeness: float) -> list[str]:
    """Return the known name that is most like one, if it is at least so much like it."""
    import difflib  # noqa: PLC0415  (only needed for a mistyped name)

    return difflib.get_close_matches(name, sorted(known), n=1, cutoff=likeness)


def _parameter(option: Option) -> click.Option:
    letter = [f"-{option.letter}"] if option.letter else []
    kind = option.kind
    more: dict[str, Any] = {"envvar": variable(option.name)}
    if kind.is_flag:
        more |= {"is_flag": True, "show_default": False}
    elif kind.is_count:
        more |= {"count": True, "type": kind.converter, "show_default": False}
    else:
        more |= {"type": kind.converter, "metavar": option.metavar, "multiple": kind.is_many}
        more["show_default"] = option.default not in (None, ())
    return click.Option([*letter, f"--{option.key}"], default=option.default, help=option.help, **more)
