"""Define how servers are reached and asked: one frozen object for both clients."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from greenserver.client.errors import AddressError, LocalError
from greenserver.protocol.slice_decodings import BASE64, FORMS, RAW

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True)
class Options:
    """How to reach and to ask a server. Raises AddressError for values that cannot be right."""

    dialect: str = ""
    """2026, 2019, 2018 or 2016; by default the server is asked for `help`, and shows older ones by a short slice."""
    is_raw_wanted: bool = True
    """Whether slices are asked for as they are, where the server offers that, rather than as base64."""
    timeout_seconds: float = 30.0
    """How long a server may take to accept a connection, or send less than a KiB per second."""
    retries: int = 5
    """How often a lost connection is made again before a MiB more has arrived."""
    connections: int = 4
    """How many connections fetch a large file, at most."""
    most_names: int = 10_000_000
    """How many names a listing may have."""
    proxy: str = ""
    """socks5h://HOST:PORT or socks4://HOST:PORT, with USER:PASSWORD@ if need be."""
    proxy_protocol: int = 0
    """The version of the PROXY protocol header to begin with: 1, 2, or 0 for none."""
    tls_ca: str = ""
    """A file of certificates to trust, instead of the system's."""
    tls_cert: str = ""
    """The client's own certificate chain."""
    tls_key: str = ""
    """Its private key."""

    def __post_init__(self) -> None:
        wrong = (
            (self.dialect and self.dialect not in FORMS, f"there is no dialect {self.dialect}: {', '.join(FORMS)}"),
            (self.proxy_protocol not in {0, 1, 2}, "the PROXY protocol has the versions 1 and 2"),
            (self.proxy and not _is_proxy(self.proxy), f"{self.proxy!r} is no proxy: socks5h://HOST:PORT"),
            (self.timeout_seconds <= 0, "a timeout is longer than 0 seconds"),
            (self.retries < 0 or self.connections < 1, "there is at least one connection, and no retry less than 0"),
            (self.tls_key and not self.tls_cert, "a private key belongs to a certificate"),
        )
        for is_wrong, message in wrong:
            if is_wrong:
                raise AddressError(message)

    @property
    def form(self) -> str:
        """Return the form of slices that the dialect has, "" if the server has to be asked."""
        form = FORMS.get(self.dialect, "")
        return BASE64 if form == RAW and not self.is_raw_wanted else form

    def tls_context(self) -> "ssl.SSLContext":
        """Return a context that verifies the server. Raise LocalError for a file that cannot be used."""
        import ssl  # noqa: PLC0415  (not needed by most)

        try:
            context = ssl.create_default_context(cafile=self.tls_ca or None)
            if self.tls_cert:
                context.load_cert_chain(self.tls_cert, self.tls_key or None)
        except (OSError, ValueError) as error:  # of which ssl.SSLError is one
            files = ", ".join(filter(None, (self.tls_ca, self.tls_cert, self.tls_key)))
            message = f"cannot use {files}: {getattr(error, 'strerror', None) or error}"
            raise LocalError(message) from error
        return context


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"socks4", "socks4a", "socks5", "socks5h"} and bool(parts.hostname and parts.port)
    except ValueError:
        return False
